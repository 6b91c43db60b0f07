"""What is learned. An objective turns a batch into sums; the loop divides each by its weight over the whole step.

A mean of means never occurs: with `(sum, weight)` a step gives the same gradient however its rows are grouped.

Axes: R reads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fettle.models.forward import autocast, read_logits
from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch, Layout, lay_out
from fettle.tokens.example import Example

Sums = dict[str, Tensor]


class Objective(Protocol):
    """The step contract: weigh the whole step first, then sum each of its calls."""

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The global weight of each part of the loss over a step's rows."""
        ...

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """The summed loss of each part over one call, with gradient."""
        ...


class NextToken:
    """Cross-entropy of the token expected at each read, in nats, times the read's weight."""

    name = "next_token"

    def __init__(self, layout: Layout, dtype: torch.dtype) -> None:
        self._layout: Layout = layout
        self._dtype = dtype

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The weights of all reads together."""
        return {self.name: sum(example.learned_weight for example in examples)}

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """Summed weighted cross-entropy over the reads of one call."""
        return {self.name: self.losses(model, batch).sum()}

    def losses(self, model: OpenModel, batch: Batch) -> Tensor:
        """Weighted cross-entropy of every read, [R]."""
        inputs = lay_out(batch, self._layout, model.device, model.tokenizer.pad_id)
        with autocast(self._dtype, model.device):
            logits_RV = read_logits(model.network, inputs)
        tokens_R = torch.from_numpy(batch.reads.token).to(model.device)
        weights_R = torch.from_numpy(batch.reads.weight).to(model.device)
        return cross_entropy(logits_RV, tokens_R, reduction="none") * weights_R
