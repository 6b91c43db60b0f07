"""What is learned. An objective turns a batch into sums; the loop divides each by its weight over the whole step.

A mean of means never occurs: with `(sum, weight)` a step gives the same gradient however its rows are grouped.

Axes: R reads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from fettle.models.forward import plain_head, read_hidden, read_logits
from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch
from fettle.tokens.example import Example
from fettle.tokens.layout import Layout, lay_out
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


class NextToken:
    """Cross-entropy of the token expected at each read, in nats, times the read's weight."""

    name = "next_token"

    def __init__(self, layout: Layout, shape: LossShape | None = None) -> None:
        self._layout: Layout = layout
        self._shape = shape or LossShape()

    def weigh(self, examples: Sequence[Example]) -> dict[str, float]:
        """The weights of all reads together."""
        return {self.name: sum(example.learned_weight for example in examples)}

    def sums(self, model: OpenModel, batch: Batch) -> Sums:
        """Summed weighted cross-entropy over the reads of one call; the head runs where it is read, in chunks."""
        is_causal = model.attention != "bidirectional"
        inputs = lay_out(batch, self._layout, model.device, model.tokenizer.pad_id, is_causal=is_causal)
        tokens_R = torch.from_numpy(batch.reads.token).to(model.device)
        weights_R = torch.from_numpy(batch.reads.weight).to(model.device)
        head = plain_head(model.network)
        if head is None:
            losses_R = cross_entropies(read_logits(model.network, inputs), tokens_R, self._shape)
            return {self.name: losses_R @ weights_R.to(losses_R.dtype)}
        hidden_RD = read_hidden(model.network, inputs)
        return {self.name: summed_cross_entropy(hidden_RD, head, tokens_R, weights_R, self._shape)}
