"""The attention function of the packed and tree layouts, and which models may use it.

Axes: H heads, T tokens of the whole call, D width of a head. A call holds blocks that do not see each other. Inside a
block, attention is causal, or as the block's own mask says (True: the query row sees the key column). Blocks arrive as
an argument of the model's forward, through transformers' attention interface; nothing is kept in a global.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

ATTENTION_NAME = "fettle_blocks"

# Architectures whose every layer is plain causal attention through the interface: no sliding window, no soft cap,
# no recurrent layer. All others run padded, with the model's own attention.
_PLAIN_CAUSAL = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3"})


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens `start:end` of the flat axis. `mask` is [end-start, end-start], or None for plain causal."""

    start: int
    end: int
    mask: Tensor | None = None


def attention_of(config: object) -> str:
    """`causal` where the model's attention is known to be plain causal through the interface, else `opaque`."""
    layer_types = getattr(config, "layer_types", None) or []
    has_window = any(kind != "full_attention" for kind in layer_types)
    if not layer_types and getattr(config, "sliding_window", None) is not None:
        has_window = True
    return "causal" if getattr(config, "model_type", "") in _PLAIN_CAUSAL and not has_window else "opaque"


def block_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    blocks: Sequence[Block] = (),
    scaling: float | None = None,
    dropout: float = 0.0,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Attend inside each block. query, key, value: [1, H, T, D] (key and value may have fewer heads).

    Returns [1, T, H, D], as transformers expects of an attention function.
    """
    has_groups = query.shape[1] != key.shape[1]
    outputs = [
        scaled_dot_product_attention(
            query[:, :, block.start : block.end],
            key[:, :, block.start : block.end],
            value[:, :, block.start : block.end],
            attn_mask=block.mask,
            is_causal=block.mask is None,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=has_groups,
        )
        for block in blocks
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


AttentionInterface.register(ATTENTION_NAME, block_attention)
