"""When memory runs out a step is begun again with smaller calls: the same step, told, and done again on resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_kit import Memory, are_same_bits, copy_of, flat, make_job, open_tiny, random_rows, stop_after

from fettle.errors import MemoryExhausted
from fettle.models.load import OpenModel
from fettle.models.machine import is_out_of_memory
from fettle.tokens.batch import Batch
from fettle.tokens.example import Example
from fettle.training import loop
from fettle.training.objective import NextToken, Sums

ON_PROCESSORS = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"
)


class Cramped:
    """An objective on a machine whose memory holds so many tokens of a call, and no more."""

    def __init__(self, holds: int, error: Exception = ON_PROCESSORS) -> None:
        self._inner = NextToken("packed")
        self._holds = holds
        self._error = error

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        return self._inner.weigh(examples)

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        if batch.num_tokens > self._holds:
            raise self._error
        return self._inner.sums(model, batch)


def test_a_step_in_smaller_calls_is_the_same_step(tiny_base: Path, tmp_path: Path) -> None:
    rows = random_rows(9, seed=2)
    longest = max(row.num_tokens for row in flat(rows))
    ends = []
    for name, holds in (("wide", 10_000), ("narrow", longest)):
        model = open_tiny(tiny_base)
        memory = Memory()
        job = make_job(model, tmp_path / name, rows=rows, watchers=[memory], max_tokens_per_call=64)
        loop.train(replace(job, objective=Cramped(holds)))
        ends.append((copy_of(model), [report.loss for report in memory.steps], memory.less_memory))
    (wide, losses, told), (narrow, other_losses, other_told) = ends
    assert not told
    assert other_told
    assert losses == pytest.approx(other_losses, rel=1e-5)
    for name, weight in wide.items():
        assert torch.allclose(weight, narrow[name], atol=2e-5)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resume_does_again_what_was_told(tiny_base: Path, tmp_path: Path, stop: int) -> None:
    rows = random_rows(9, seed=3)
    longest = max(row.num_tokens for row in flat(rows))

    def job(name: str, model: OpenModel, **words: object) -> loop.TrainingJob:
        made = make_job(model, tmp_path / name, rows=rows, max_tokens_per_call=64, look_every_steps=1, **words)
        return replace(made, objective=Cramped(longest))

    whole = open_tiny(tiny_base)
    loop.train(job("whole", whole))
    first, memory = open_tiny(tiny_base), Memory()
    paused = job("parts", first, should_stop=stop_after(stop), watchers=[memory])
    assert loop.train(paused).ending == "paused"
    second = open_tiny(tiny_base)
    again = replace(job("parts", second), call_limits=dict(memory.less_memory))
    start, _ = again.store.load_latest()
    loop.train(again, start)
    assert are_same_bits(copy_of(whole), copy_of(second))


def test_noise_is_drawn_anew_when_a_step_begins_again(tiny_base: Path, tmp_path: Path) -> None:
    rows = random_rows(6, seed=4)
    longest = max(row.num_tokens for row in flat(rows))
    ends = []
    for limits in ({}, {0: longest}):
        model = open_tiny(tiny_base, dropout=0.3)
        job = make_job(model, tmp_path / str(len(limits)), rows=rows, max_tokens_per_call=2 * longest, num_steps=3)
        loop.train(replace(job, objective=Cramped(longest), call_limits=limits))
        ends.append(copy_of(model))
    assert are_same_bits(*ends)


def test_one_row_that_does_not_fit_is_named_and_nothing_changes(tiny_base: Path, tmp_path: Path) -> None:
    model = open_tiny(tiny_base)
    before = copy_of(model)
    job = make_job(model, tmp_path, rows=random_rows(4, seed=5))
    with pytest.raises(MemoryExhausted) as caught:
        loop.train(replace(job, objective=Cramped(0)))
    assert "rows:" in caught.value.where
    assert are_same_bits(before, copy_of(model))


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("no")])
def test_other_errors_are_not_taken_for_want_of_memory(tiny_base: Path, tmp_path: Path, error: Exception) -> None:
    job = make_job(open_tiny(tiny_base), tmp_path, rows=random_rows(4, seed=5))
    with pytest.raises(type(error), match=str(error)):
        loop.train(replace(job, objective=Cramped(0, error)))


def test_want_of_memory_is_known_by_its_words() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
