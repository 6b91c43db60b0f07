"""A loss or gradient that is no number stops the run before the weights change, and names the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_kit import FixedRows, Memory, are_same_bits, copy_of, flat, make_job, open_tiny, random_rows

import fettle.training.loop as loop
from fettle.errors import NonFiniteLoss
from fettle.models.load import OpenModel
from fettle.tokens.example import Example, TokenReads

POISON = 299


def untied(folder: Path) -> OpenModel:
    """The tiny base with a head of its own, so that one bad embedding spoils only the rows that hold its token."""
    model = open_tiny(folder)
    model.network.lm_head.weight = torch.nn.Parameter(model.network.lm_head.weight.detach().clone())
    return model


def with_nan_weight(row: Example) -> Example:
    weight = row.reads.weight.copy()
    weight[-1] = np.nan
    return Example(row.ids, TokenReads(row.reads.at, row.reads.token, weight), row.source)


def with_poison(row: Example) -> Example:
    ids = row.ids.copy()
    ids[0] = POISON
    return Example(ids, row.reads, row.source)


@pytest.mark.parametrize("max_tokens_per_call", [1, 30, 4096])
@pytest.mark.parametrize("place", [0, 2, 5])
@pytest.mark.parametrize("spoil", [with_nan_weight, with_poison])
def test_bad_row_is_named_and_nothing_changes(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: object,
    place: int,
    max_tokens_per_call: int,
) -> None:
    good = [row for row in flat(random_rows(9, seed=1)) if POISON not in row.ids][:6]
    bad = [*good[:place], spoil(good[place]), *good[place + 1 :]]
    model = untied(tiny_base)
    with torch.no_grad():
        model.network.model.embed_tokens.weight[POISON] = float("inf")
    made = []
    make = loop.Optimizers
    monkeypatch.setattr(loop, "Optimizers", lambda *words: made.append(make(*words)) or made[-1])
    states = []

    class Snapshots(Memory):
        def on_step(self, report: object) -> None:
            super().on_step(report)
            states.append({name: value.clone() for name, value in made[0].tensors().items()})

    memory = Snapshots(model)
    job = make_job(
        model,
        tmp_path,
        stream=FixedRows([good, good, bad]),
        num_steps=5,
        watchers=[memory],
        max_tokens_per_call=max_tokens_per_call,
        weight_decay=0.0,
        look_every_steps=100,
    )

    with pytest.raises(NonFiniteLoss) as caught:
        loop.train(job)

    assert caught.value.where == good[place].source
    assert "were not changed" in caught.value.problem
    assert len(memory.steps) == 2
    assert are_same_bits(memory.weights[-1], copy_of(model))
    assert are_same_bits(states[-1], made[0].tensors())
    assert job.store.steps() == []


def test_gradient_that_is_no_number_stops_too(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_tiny(tiny_base)
    before = copy_of(model)
    rows = flat(random_rows(3))
    weight = next(iter(model.trainable().values()))
    weight.register_hook(lambda gradient: gradient * float("nan"))

    with pytest.raises(NonFiniteLoss) as caught:
        loop.train(make_job(model, tmp_path, stream=FixedRows([rows]), num_steps=2))

    assert "step 0" in caught.value.problem
    assert all(row.source in caught.value.where for row in rows)
    assert are_same_bits(before, copy_of(model))


def test_many_bad_rows_are_counted(tiny_base: Path, tmp_path: Path) -> None:
    rows = [with_nan_weight(row) for row in flat(random_rows(8))]

    with pytest.raises(NonFiniteLoss) as caught:
        loop.train(make_job(open_tiny(tiny_base), tmp_path, stream=FixedRows([rows]), num_steps=1))

    assert caught.value.where.endswith("and 3 more")
