"""Read a model without gradient: what each row costs it, whatever it is read with.

Axes: N rows, R reads, K numbers of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fettle.generation.scoring import read_tokens
from fettle.models.forward import autocast, only_reading
from fettle.models.load import OpenModel
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch, split_by_tokens
from fettle.tokens.layout import layout_for
from fettle.tokens.running import numbers_of

_MAX_TOKENS_PER_CALL = 8192

Progress = Callable[[int], None]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RowLoss:
    """Summed loss of a row (nats, or what its head's loss is in), its learned weight, and how much of that is right.

    `right` is None where nothing is right or wrong, only near or far.
    """

    loss: float
    weight: float
    right: float | None = None


class Reader(Protocol):
    """Rows, each as its examples, to what they cost."""

    def losses(self, model: OpenModel, rows: Sequence[Sequence[Example]]) -> list[RowLoss]:
        """One for each row, in order."""
        ...


class WordReader:
    """Next-token loss; right is a token that is the likeliest."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def losses(self, model: OpenModel, rows: Sequence[Sequence[Example]]) -> list[RowLoss]:
        """One for each row, in order."""
        scores = iter(read_tokens(model, [example for row in rows for example in row], self._dtype))
        found = []
        for row in rows:
            loss = weight = right = 0.0
            for example in row:
                read = next(scores)
                loss -= float(read.log_probabilities.astype("f8") @ example.reads.weight)
                weight += example.learned_weight
                right += float(read.is_likeliest @ example.reads.weight)
            found.append(RowLoss(loss, weight, right))
        return found


JudgeNumbers = Callable[[Numbers, Example], tuple[float, float | None]]
"""Loss of one example from its head's numbers, and how much of its weight is right, if anything can be. [1, K] if
pooled, else [R, K]."""


class HeadReader:
    """What a head's numbers cost. Pooled: one line of numbers a row, else one for each read."""

    def __init__(self, judge: JudgeNumbers, dtype: torch.dtype, *, is_pooled: bool) -> None:
        self._judge = judge
        self._dtype = dtype
        self._is_pooled = is_pooled

    def losses(self, model: OpenModel, rows: Sequence[Sequence[Example]]) -> list[RowLoss]:
        """One for each row, in order."""
        examples = [example for row in rows for example in row]
        numbers = iter(numbers_of_examples(model, examples, self._dtype, is_pooled=self._is_pooled))
        found = []
        for row in rows:
            judged = [self._judge(next(numbers), example) for example in row]
            weight = sum(example.learned_weight for example in row)
            rights = [right for _, right in judged if right is not None]
            found.append(RowLoss(sum(loss for loss, _ in judged), weight, sum(rights) if rights else None))
        return found


def numbers_of_examples(
    model: OpenModel,
    examples: Sequence[Example],
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
    *,
    is_pooled: bool,
) -> list[Numbers]:
    """What the model's head says of every example: [1, K] where its tokens are pooled, else [R, K]."""
    layout, _ = layout_for(model.attention)
    found: list[Numbers] = [np.empty((0, 0))] * len(examples)
    with only_reading(model.network):
        for group in split_by_tokens(examples, _MAX_TOKENS_PER_CALL, layout):
            batch = make_batch([examples[index] for index in group], layout)
            if not len(batch.reads):
                continue
            with autocast(dtype, model.device):
                numbers = numbers_of(model, batch, layout, is_pooled=is_pooled).double().cpu().numpy()
            counts = [1 if is_pooled else len(examples[index].reads) for index in group]
            for index, part in zip(group, np.split(numbers, np.cumsum(counts)[:-1]), strict=True):
                found[index] = part
            if progress:
                progress(len(group))
    return found
