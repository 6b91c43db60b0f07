"""A compiled run meets other lengths first after a resume, and ends with the same bits all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from training_kit import PEFT_WARNING, FixedRows, are_same_bits, copy_of, make_job, open_tiny

from fettle.tokens.example import Example, TokenReads
from fettle.tokens.layout import Layout
from fettle.training import loop
from fettle.training.checkpoint import Checkpoint, CheckpointStore

# The compiler uses what torch has deprecated, and looks at the gradients of tensors that have none to know them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning", PEFT_WARNING),
    pytest.mark.usefixtures("never_compiled"),
]
WIDTH, WIDTH_OF_A_HEAD = 32, 16


def rows(*lengths: int) -> list[Example]:
    """Rows of these lengths with nothing in common, each read at its end."""
    draw = np.random.default_rng(sum(lengths))
    reads = [TokenReads.of([length - 1], [7], [1.0]) for length in lengths]
    return [Example(draw.integers(10, 300, length), read) for length, read in zip(lengths, reads, strict=True)]


# Calls as long as a layer is wide look to the compiler as if they always were, and so do those that are all read.
ALL_READ = [replace(row, reads=TokenReads.of(list(range(50)), [7] * 50, [1.0] * 50)) for row in rows(50)]
STEPS = [rows(WIDTH), rows(9, 30, 61), rows(WIDTH_OF_A_HEAD), ALL_READ, rows(2, 5, 11, 40)]


@pytest.mark.parametrize(("layout", "dropout"), [("tree", 0.0), ("packed", 0.1)])
def test_no_length_compiles_anything_anew_and_a_resume_changes_no_bit(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Layout, dropout: float
) -> None:
    frames_before_steps = []
    take = loop._take_step

    def counting(*words: object) -> None:
        frames_before_steps.append(torch._dynamo.utils.counters["frames"]["total"])
        take(*words)

    monkeypatch.setattr(loop, "_take_step", counting)

    def run(folder: Path, start: Checkpoint | None = None) -> dict[str, Tensor]:
        torch.compiler.reset()
        model = open_tiny(tiny_base, kind="lora", dropout=dropout)
        job = make_job(model, folder, stream=FixedRows(STEPS), num_steps=5, layout=layout, keep_checkpoints=0)
        job.is_compiled = True
        loop.train(job, start)
        return copy_of(model)

    wanted = run(tmp_path / "whole")
    assert frames_before_steps[0] > 0
    assert len(set(frames_before_steps)) == 1, "all was compiled before the first step"
    resumed = run(tmp_path / "resumed", CheckpointStore(tmp_path / "whole").load(2))
    assert len(frames_before_steps) == 5 + 3
    assert are_same_bits(resumed, wanted)


def test_compiling_leaves_no_gradient_and_changes_no_weight(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "compile_layers", lambda network: None)
    ends = []
    for name, is_compiled in (("plain", False), ("compiled", True)):
        model = open_tiny(tiny_base)
        job = make_job(model, tmp_path / name, stream=FixedRows(STEPS), num_steps=2)
        job.is_compiled = is_compiled
        loop.train(job)
        ends.append(copy_of(model))
    assert are_same_bits(*ends)
