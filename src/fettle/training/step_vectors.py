"""A loss over the vectors of all rows of a step, with the memory of one call.

The vectors of all calls are made first without gradient; the loss over them says how each vector is to be pulled, and
then each call is made once more, with gradient, and pulled so. The gradient is that of one call over all rows. A step
of one call is not made twice. Source: Gao et al. 2021, arXiv:2101.06983.

Axes: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch
from fettle.tokens.example import Example, Target
from fettle.tokens.layout import Layout
from fettle.training.objective import Call, PooledRows, Sums

StepLoss = Callable[[Tensor, Sequence[Example]], Tensor]
"""Summed loss of all rows of a step, a scalar, from their vectors [N, D] and the rows, in the order of the step."""


class StepVectors(PooledRows):
    """A loss of the rows of a step against each other, from a vector for each."""

    name = "vectors"

    def __init__(self, layout: Layout, loss: StepLoss, blank: Target) -> None:
        super().__init__(layout, blank)
        self._loss = loss

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """The loss of the rows of one call among themselves."""
        return {self.name: self._loss(self._numbers(model, batch), batch.examples)}

    def sums_of_calls(
        self, model: OpenModel, calls: Sequence[Call], seed_noise: Callable[[int], object]
    ) -> Iterator[Sums]:
        """For each call the sum of each vector times its pull: its gradient is that of the loss over all calls.

        The value of the loss stands in the sum of the first call; those of the others are 0.
        """
        rows = [row for call in calls for row in call.rows]
        examples = [example for call in calls for example in call.batch.examples]
        order = sorted(range(len(rows)), key=rows.__getitem__)
        in_order = [examples[place] for place in order]
        if len(calls) == 1:
            seed_noise(0)
            yield {self.name: self._loss(self._numbers(model, calls[0].batch)[order], in_order)}
            return
        parts = []
        with torch.no_grad():
            for number, call in enumerate(calls):
                seed_noise(number)
                parts.append(self._numbers(model, call.batch))
        vectors_ND = torch.cat(parts).requires_grad_()
        with torch.enable_grad():
            loss = self._loss(vectors_ND[order], in_order)
        [pulls_ND] = torch.autograd.grad(loss, [vectors_ND])
        value = loss.detach()
        sizes = [len(part) for part in parts]
        for number, (call, pulls) in enumerate(zip(calls, torch.split(pulls_ND, sizes), strict=True)):
            seed_noise(number)
            pulled = (self._numbers(model, call.batch) * pulls).sum()
            yield {self.name: pulled - pulled.detach() + value}
            value = torch.zeros_like(value)
