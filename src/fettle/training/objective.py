"""What is learned. An objective turns a batch into sums; the loop divides each by its weight over the whole step.

A mean of means never occurs: with `(sum, weight)` a step gives the same gradient however its rows are grouped.

Axes: R reads, N rows, V vocabulary, K numbers of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from fettle.models.forward import plain_head, read_hidden, read_logits
from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch
from fettle.tokens.example import Example, Ints, Target, TokenReads, pooled_example
from fettle.tokens.layout import Layout
from fettle.tokens.running import inputs_of, numbers_of
from fettle.training.losses.tokens import LossShape, cross_entropies, summed_cross_entropy

Sums = dict[str, Tensor]


class Objective(Protocol):
    """The step contract: weigh the whole step first, then sum each of its calls."""

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The global weight of each part of the loss over a step's rows."""
        ...

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """The summed loss of each part over one call, with gradient."""
        ...

    def blank(self, ids: Ints) -> Example:
        """A row of these ids that could be learned: what layers are compiled on."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of the model in a step: its batch, and which of the step's rows are in it."""

    batch: Batch
    rows: Sequence[int]


@runtime_checkable
class StepObjective(Objective, Protocol):
    """An objective whose loss couples the rows of a step, whatever calls they are in."""

    def sums_of_calls(
        self, model: OpenModel, calls: Sequence[Call], seed_noise: Callable[[int], object]
    ) -> Iterator[Sums]:
        """The sums of each call in order, with gradient, each used up before the next is asked for.

        `seed_noise(k)` has the noise of call k begin anew, so that two passes over one call draw the same.
        """
        ...


def sums_of_calls(
    objective: Objective, model: OpenModel, calls: Sequence[Call], seed_noise: Callable[[int], object]
) -> Iterator[Sums]:
    """The sums of every call of a step, in order, one at a time."""
    if isinstance(objective, StepObjective):
        yield from objective.sums_of_calls(model, calls, seed_noise)
        return
    for number, call in enumerate(calls):
        seed_noise(number)
        yield objective.sums(model, call.batch)


class NextToken:
    """Cross-entropy of the token expected at each read, in nats, times the read's weight."""

    name = "next_token"

    def __init__(self, layout: Layout, shape: LossShape | None = None) -> None:
        self._layout: Layout = layout
        self._shape = shape or LossShape()

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The weights of all reads together."""
        return {self.name: weight_of(examples)}

    def blank(self, ids: Ints) -> Example:
        """Its last token is read."""
        return Example(ids, TokenReads.of([len(ids) - 1], [0], [1.0]))

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """Summed weighted cross-entropy over the reads of one call; the head runs where it is read, in chunks."""
        inputs = inputs_of(model, batch, self._layout)
        tokens_R = torch.from_numpy(batch.reads.token).to(model.device)
        weights_R = torch.from_numpy(batch.reads.weight).to(model.device)
        head = plain_head(model.network)
        if head is None:
            losses_R = cross_entropies(read_logits(model.network, inputs), tokens_R, self._shape)
            return {self.name: losses_R @ weights_R.to(losses_R.dtype)}
        hidden_RD = read_hidden(model.network, inputs)
        return {self.name: summed_cross_entropy(hidden_RD, head, tokens_R, weights_R, self._shape)}


HeadLosses = Callable[[Tensor, Tensor], Tensor]
"""Losses [N] of a head's numbers [N, K] against what is expected, [N, .]."""


class PooledRows:
    """What objectives over whole rows share: each row is pooled, and counts with the weight of its target."""

    name = "rows"

    def __init__(self, layout: Layout, blank: Target) -> None:
        self._layout: Layout = layout
        self._blank = blank

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The weights of all rows together."""
        return {self.name: weight_of(examples)}

    def blank(self, ids: Ints) -> Example:
        """All of its tokens are pooled."""
        return pooled_example(ids.tolist(), "mean", self._blank)

    def _numbers(self, model: OpenModel, batch: Batch) -> Tensor:
        return numbers_of(model, batch, self._layout, is_pooled=True)


class RowsByHead(PooledRows):
    """A loss of the head's numbers for each row, times the row's weight."""

    def __init__(self, layout: Layout, losses: HeadLosses, blank: Target) -> None:
        super().__init__(layout, blank)
        self._losses = losses

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """Summed weighted loss over the rows of one call."""
        numbers_NK = self._numbers(model, batch)
        targets = targets_of(batch)
        expected = torch.from_numpy(np.stack([target.values for target in targets])).to(numbers_NK.device)
        weights_N = numbers_NK.new_tensor([target.weight for target in targets])
        return {self.name: self._losses(numbers_NK, expected) @ weights_N}


class ReadsByHead:
    """Cross-entropy, in nats, of the class expected at each read, times the read's weight."""

    name = "reads"

    def __init__(self, layout: Layout, losses: HeadLosses) -> None:
        self._layout: Layout = layout
        self._losses = losses

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The weights of all reads together."""
        return {self.name: weight_of(examples)}

    def blank(self, ids: Ints) -> Example:
        """Every token is read."""
        return Example(ids, TokenReads.of(list(range(len(ids))), [0] * len(ids), [1.0] * len(ids)))

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """Summed weighted loss over the reads of one call."""
        numbers_RK = numbers_of(model, batch, self._layout, is_pooled=False)
        expected_R1 = torch.from_numpy(batch.reads.token).to(numbers_RK.device)[:, None]
        weights_R = torch.from_numpy(batch.reads.weight).to(numbers_RK)
        return {self.name: self._losses(numbers_RK, expected_R1) @ weights_R}


def weight_of(examples: Sequence[Example]) -> float:
    """The weights of all rows of a step together."""
    return sum(example.learned_weight for example in examples)


def targets_of(batch: Batch) -> list[Target]:
    """What is expected of each row of a batch."""
    return [example.target for example in batch.examples if example.target is not None]
