"""A batch put to a model: as its layout has it, and what the model's head says of it.

Axes: N rows, R reads, K numbers of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fettle.models.forward import ModelInputs
from fettle.models.head import Pool, read_numbers
from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch
from fettle.tokens.layout import Layout, lay_out


def inputs_of(model: OpenModel, batch: Batch, layout: Layout) -> ModelInputs:
    """The tensors of one call of this model."""
    is_causal = model.attention != "bidirectional"
    return lay_out(batch, layout, model.device, model.tokenizer.pad_id, is_causal=is_causal)


def numbers_of(model: OpenModel, batch: Batch, layout: Layout, *, is_pooled: bool) -> Tensor:
    """What the model's head says of each row, [N, K], its reads pooled by their weights, or of each read, [R, K]."""
    if model.head is None:
        raise TypeError("the model has no head")
    return read_numbers(
        model.network, model.head, inputs_of(model, batch, layout), _pool_of(batch, model.device) if is_pooled else None
    )


def _pool_of(batch: Batch, device: torch.device) -> Pool:
    rows, shares = (torch.from_numpy(column).to(device) for column in (batch.reads.row, batch.reads.weight))
    return Pool(rows, shares, len(batch.examples))
