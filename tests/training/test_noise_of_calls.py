"""Every call of every step draws noise of its own, and the same again when the step is made again."""

from __future__ import annotations

from pathlib import Path

import torch
from training_kit import FixedRows, flat, make_job, open_tiny, random_rows

from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch
from fettle.training.loop import train
from fettle.training.objective import NextToken, Sums


class Drawing(NextToken):
    """Next tokens; remembers the first noise of each call."""

    def __init__(self) -> None:
        super().__init__("packed")
        self.drawn: list[float] = []

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        self.drawn.append(float(torch.rand(())))
        return super().sums(model, batch)


def noise_of(base: Path, folder: Path, seed: int) -> list[float]:
    rows = FixedRows([flat(random_rows(4, least_weight=1.0))])
    job = make_job(open_tiny(base), folder, stream=rows, num_steps=3, seed=seed, max_tokens_per_call=1)
    job.objective = Drawing()
    train(job)
    return job.objective.drawn


def test_the_noise_of_a_call_is_its_own_and_a_function_of_seed_step_and_call(tiny_base: Path, tmp_path: Path) -> None:
    first = noise_of(tiny_base, tmp_path / "first", 0)
    assert len(first) == 3 * 4, "a call for each row of each step"
    assert len(set(first)) == len(first), "two calls draw the same"
    assert noise_of(tiny_base, tmp_path / "again", 0) == first
    assert not set(noise_of(tiny_base, tmp_path / "other", 1)) & set(first)
