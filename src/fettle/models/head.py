"""Heads: one linear layer over what a trunk says of a row, or of each token that is read.

Always in float32 or finer, whatever the trunk computes in: a head has few weights, and its numbers are what a loss or
an answer is made of.

Axes: R reads, N rows, D width of the trunk, K numbers of the head.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fettle.errors import DamagedFile, IncompatibleModel
from fettle.models.forward import ModelInputs, read_hidden

_WEIGHTS, _SHAPE = "head.safetensors", "head.json"
_SPREAD_OF_FRESH_WEIGHTS = 0.02  # as transformers draws a classifier's


@dataclass(frozen=True)
class HeadShape:
    """How many numbers a head gives, and what they stand for: a number times `spread`, plus `center`.

    Losses are taken of the numbers as they are, so what is learned does not depend on units. No outputs: the head is
    the pooled vector itself, and has no weights.
    """

    outputs: int
    dropout: float = 0.0
    center: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Which row each read belongs to, its share in that row's vector, and how many rows there are."""

    row_R: Tensor
    share_R: Tensor
    num_rows: int


class Head(nn.Module):
    """Hidden states [., D] to numbers [., K]; the identity where the shape has no outputs."""

    def __init__(self, shape: HeadShape, width: int) -> None:
        super().__init__()
        self.shape = shape
        if shape.outputs:
            self.weight = nn.Parameter(torch.zeros(shape.outputs, width))
            self.bias = nn.Parameter(torch.zeros(shape.outputs))

    def forward(self, hidden_ND: Tensor, is_noisy: bool = False) -> Tensor:
        """Numbers of each row or read; `is_noisy` lets dropout work."""
        if not self.shape.outputs:
            return hidden_ND
        kept_ND = nn.functional.dropout(hidden_ND, self.shape.dropout, training=is_noisy)
        return nn.functional.linear(kept_ND, self.weight, self.bias)


def fresh_head(shape: HeadShape, width: int, seed: int) -> Head:
    """A head with small random weights, the same for the same seed."""
    head = Head(shape, width)
    if shape.outputs:
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            head.weight.normal_(0.0, _SPREAD_OF_FRESH_WEIGHTS, generator=draw)
    return head


def read_numbers(network: nn.Module, head: Head, inputs: ModelInputs, pool: Pool | None = None) -> Tensor:
    """What the head says of each row, [N, K], where reads are pooled, else of each read, [R, K]."""
    hidden_RD = read_hidden(network, inputs)
    hidden_RD = hidden_RD.to(torch.promote_types(hidden_RD.dtype, torch.float32))
    if pool is not None:
        pooled_ND = hidden_RD.new_zeros(pool.num_rows, hidden_RD.shape[1])
        hidden_RD = pooled_ND.index_add(0, pool.row_R, hidden_RD * pool.share_R.to(hidden_RD.dtype)[:, None])
    with torch.autocast(hidden_RD.device.type, enabled=False):
        numbers: Tensor = head(hidden_RD, is_noisy=network.training)
    return numbers


def save_head(head: Head, folder: Path) -> None:
    """Write a head's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.detach().contiguous() for name, weight in head.state_dict().items()}, folder / _WEIGHTS)
    (folder / _SHAPE).write_text(json.dumps(asdict(head.shape), sort_keys=True) + "\n", encoding="utf-8")


def open_head(folder: Path, width: int) -> Head:
    """Read a head for a trunk of that width; another width, or a value that is no number, is an error."""
    try:
        shape = HeadShape(**json.loads((folder / _SHAPE).read_text(encoding="utf-8")))
        stored = load_file(folder / _WEIGHTS)
    except (OSError, ValueError, TypeError, SafetensorError) as problem:
        raise DamagedFile(f"the head cannot be read: {problem}", where=str(folder)) from None
    head = Head(shape, width)
    if {name: tensor.shape for name, tensor in head.state_dict().items()} != {n: t.shape for n, t in stored.items()}:
        raise IncompatibleModel(
            "the head does not fit the trunk", where=str(folder), expected=f"{shape.outputs} numbers from {width}"
        )
    if not all(torch.isfinite(tensor).all() for tensor in stored.values()):
        raise DamagedFile("the head holds values that are no numbers", where=str(folder))
    head.load_state_dict(stored)
    return head
