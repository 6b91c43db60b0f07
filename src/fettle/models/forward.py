"""Run a model over plain tensors and give the logits where it is read, and only there.

Axes: B rows of a call (1 when packed), T tokens of a row, R reads, V vocabulary. This file owns how each layout meets
the model; it knows nothing of examples, losses or training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from fettle.models.attention import ATTENTION_NAME, Block


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """One call. `blocks` is empty for the padded layout, which has `is_real_BT` (False: padding) instead.

    `reads_R` counts along the flattened B x T axis.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    reads_R: Tensor
    blocks: tuple[Block, ...] = ()
    is_real_BT: Tensor | None = None

    def at(self, reads_R: Tensor) -> ModelInputs:
        """The same call, read at other places."""
        return replace(self, reads_R=reads_R)


@contextmanager
def only_reading(network: PreTrainedModel) -> Iterator[None]:
    """No gradient and no dropout inside; the model is afterwards in the mode in which it was."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(was_training)


def read_logits(network: PreTrainedModel, inputs: ModelInputs) -> Tensor:
    """Logits [R, V], in float32, at the reads. Flat layouts project only the reads to the vocabulary."""
    if inputs.blocks:
        _use_attention(network, ATTENTION_NAME)
        output = network(
            input_ids=inputs.ids_BT,
            position_ids=inputs.positions_BT,
            use_cache=False,
            logits_to_keep=inputs.reads_R,
            blocks=inputs.blocks,
        )
        logits_RV: Tensor = output.logits[0]
    else:
        _use_attention(network, "sdpa")
        output = network(
            input_ids=inputs.ids_BT,
            position_ids=inputs.positions_BT,
            attention_mask=inputs.is_real_BT,
            use_cache=False,
        )
        logits_RV = output.logits.flatten(0, 1)[inputs.reads_R]
    return logits_RV.float()


def _use_attention(network: PreTrainedModel, name: str) -> None:
    if network.config._attn_implementation != name:
        network.set_attn_implementation(name)


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Matrix products in `dtype`, weights as they are; in float32 this changes nothing."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
