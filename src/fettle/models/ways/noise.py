"""Noise on the embeddings of what is learned from, so that a model holds on less to the very words of its rows.

Uniform noise between -1 and 1 times alpha / sqrt(L x D) is added to each of the L x D numbers that stand for a row of L
tokens (Jain et al. 2023, arXiv:2310.05914, algorithm 1). It is drawn from torch's generator, which the loop seeds.

Axes: B rows of a call (1 when packed), T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@contextmanager
def noisy_embeddings(network: PreTrainedModel, alpha: float) -> Iterator[None]:
    """Inside, the model reads with noise wherever it is in training; with an alpha of 0 nothing is changed.

    The layouts that share beginnings have no one length of a row for a shared token, and are not for this.
    """
    if not alpha:
        yield
        return
    lengths: list[Tensor] = []
    trunk, table = network.base_model, network.get_input_embeddings()
    handles = [
        trunk.register_forward_pre_hook(_note_lengths(lengths), with_kwargs=True),
        table.register_forward_hook(_add_noise(lengths, alpha)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def row_lengths(positions_BT: Tensor | None, is_real_BT: Tensor | None) -> Tensor:
    """How many tokens the row of each token has, [B, T]: rows lie end to end, or one to a line with padding after it.

    >>> row_lengths(torch.tensor([[0, 1, 2, 0, 1]]), None).tolist()
    [[3, 3, 3, 2, 2]]
    """
    if is_real_BT is not None:
        return is_real_BT.sum(-1, keepdim=True).expand(is_real_BT.shape)
    if positions_BT is None:
        raise TypeError("a call has neither positions nor padding, so nobody knows how long its rows are")
    row_BT = (positions_BT == positions_BT[:, :1]).long().cumsum(-1) - 1  # a row begins where the first one does
    return torch.bincount(row_BT[0])[row_BT]


def _note_lengths(lengths: list[Tensor]) -> Callable[..., None]:
    """Keep the lengths of the rows that the trunk is called for, as long as the call goes on."""

    def note(trunk: nn.Module, _positional: Any, named: dict[str, Any]) -> None:
        lengths[:] = [row_lengths(named.get("position_ids"), named.get("attention_mask"))] if trunk.training else []

    return note


def _add_noise(lengths: list[Tensor], alpha: float) -> Callable[..., Tensor | None]:
    def add(_table: nn.Module, _called_with: Any, embedded_BTD: Tensor) -> Tensor | None:
        if not lengths:
            return None
        length_BT = lengths.pop().to(torch.float32)
        scale_BT = alpha / torch.sqrt(length_BT * embedded_BTD.shape[-1])
        noise_BTD = torch.empty(embedded_BTD.shape, device=embedded_BTD.device).uniform_(-1, 1) * scale_BT[..., None]
        return embedded_BTD + noise_BTD.to(embedded_BTD.dtype)

    return add
