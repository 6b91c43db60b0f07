"""Batches: a forest of nodes and the reads on them, and how a layout turns them into the tensors of one call.

A node is a run of token ids that continues its parent. A batch of separate rows is a forest of roots; where rows share
a beginning, the beginning is one node and each row goes on from it. `padded` lays each path out as a row of its own
(the reference, for any model); `packed` lays roots end to end; `tree` does so for whole trees, each token once, seeing
its ancestors and itself. All three give the same logits at the same reads.

Axes: B rows, T tokens, R reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from fettle.errors import RequestError
from fettle.models.attention import Block
from fettle.models.forward import ModelInputs
from fettle.tokens.example import Example, Ints

Layout = Literal["padded", "packed", "tree"]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A run of ids. `parent` is the index of an earlier node, or -1; `start` is the position of its first token."""

    ids: Ints
    parent: int
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class BatchReads:
    """All reads of a batch, flat: the node, the offset inside it, what is expected, its weight, and whose row it is."""

    node: Ints
    offset: Ints
    token: Ints
    weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    row: Ints

    def __len__(self) -> int:
        return len(self.node)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one call of the model computes. `sources` names the rows that the reads' `row` counts."""

    nodes: tuple[Node, ...]
    reads: BatchReads
    sources: tuple[str, ...] = field(default=())

    @property
    def num_tokens(self) -> int:
        """Tokens that are computed when nothing is padded or repeated."""
        return sum(len(node.ids) for node in self.nodes)


def layout_for(attention: str, wanted: str = "auto") -> tuple[Layout, str]:
    """The layout that a model's attention allows, and why it was taken."""
    if attention != "causal":
        if wanted == "packed":
            raise RequestError(
                "this model's attention cannot be packed", where="training.layout", attempt="training.layout=padded"
            )
        return "padded", "the model's attention is its own, so rows are padded and it runs as it was written"
    if wanted == "padded":
        return "padded", "asked for"
    return "packed", "the model's attention is plain causal, so nothing is padded and no row sees another"


def batch_examples(examples: Sequence[Example]) -> Batch:
    """One root a row; nothing is shared."""
    lengths = [len(example.reads) for example in examples]
    index = np.repeat(np.arange(len(examples)), lengths)
    reads = BatchReads(
        node=index,
        offset=_join([example.reads.at for example in examples]),
        token=_join([example.reads.token for example in examples]),
        weight=np.concatenate([np.empty(0, np.float32), *(example.reads.weight for example in examples)]),
        row=index,
    )
    nodes = tuple(Node(example.ids, -1, 0) for example in examples)
    return Batch(nodes, reads, tuple(example.source for example in examples))


def split_by_tokens(examples: Sequence[Example], max_tokens: int, layout: Layout) -> list[list[int]]:
    """Which rows of a step go into which call, so that no call computes more than `max_tokens` (one row always fits).

    Padded calls hold rows of like length. The grouping changes speed and rounding, never what is learned.
    """
    order = list(range(len(examples)))
    if layout == "padded":
        order.sort(key=lambda index: examples[index].num_tokens)
    groups: list[list[int]] = []
    longest = total = 0
    for index in order:
        length = examples[index].num_tokens
        grown = max(longest, length) * (len(groups[-1]) + 1) if groups and layout == "padded" else total + length
        if not groups or grown > max_tokens:
            groups.append([])
            longest = total = 0
        groups[-1].append(index)
        longest, total = max(longest, length), total + length
    return groups


def lay_out(batch: Batch, layout: Layout, device: torch.device, pad_id: int = 0) -> ModelInputs:
    """The tensors of one call. Reads keep their order in every layout."""
    return _padded(batch, device, pad_id) if layout == "padded" else _flat(batch, device)


def _flat(batch: Batch, device: torch.device) -> ModelInputs:
    starts = np.concatenate([[0], np.cumsum([len(node.ids) for node in batch.nodes])]).astype(np.int64)
    ids = _join([node.ids for node in batch.nodes])
    positions = _join([np.arange(node.start, node.start + len(node.ids)) for node in batch.nodes])
    reads = starts[batch.reads.node] + batch.reads.offset
    return ModelInputs(
        ids_BT=torch.from_numpy(ids)[None].to(device),
        positions_BT=torch.from_numpy(positions)[None].to(device),
        reads_R=torch.from_numpy(reads).to(device),
        blocks=_blocks(batch.nodes, starts, device),
    )


def _blocks(nodes: Sequence[Node], starts: Ints, device: torch.device) -> tuple[Block, ...]:
    """One block a tree: plain causal where it is a lone root, else a mask that follows the parents."""
    blocks = []
    first = 0
    for index in range(1, len(nodes) + 1):
        if index < len(nodes) and nodes[index].parent >= 0:
            continue
        mask = None if index - first == 1 else _ancestor_mask(nodes, first, index).to(device)
        blocks.append(Block(int(starts[first]), int(starts[index]), mask))
        first = index
    return tuple(blocks)


def _ancestor_mask(nodes: Sequence[Node], first: int, end: int) -> torch.Tensor:
    """[tokens, tokens]: True where the row's token sees the column's: its own node up to itself, its ancestors whole.

    A tree's nodes stand together, each after its parent.
    """
    sizes = [len(node.ids) for node in nodes[first:end]]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    mask = np.zeros((edges[-1], edges[-1]), dtype=bool)
    for place, node in enumerate(nodes[first:end]):
        low, high = edges[place], edges[place + 1]
        if node.parent >= 0:
            parent_last = edges[node.parent - first + 1] - 1
            mask[low:high] = mask[parent_last]
        mask[low:high, low:high] = np.tri(sizes[place], dtype=bool)
    return torch.from_numpy(mask)


def _padded(batch: Batch, device: torch.device, pad_id: int) -> ModelInputs:
    """Every leaf and every read node becomes a row that repeats its ancestors."""
    paths = [_path(batch.nodes, int(node)) for node in range(len(batch.nodes))]
    lengths = [sum(len(part) for part in path) for path in paths]
    wide = max(lengths)
    ids = np.full((len(paths), wide), pad_id, dtype=np.int64)
    is_real = np.zeros((len(paths), wide), dtype=np.int64)
    for row, path in enumerate(paths):
        ids[row, : lengths[row]] = _join(path)
        is_real[row, : lengths[row]] = 1
    starts = np.array([node.start for node in batch.nodes], dtype=np.int64)
    reads = batch.reads.node * wide + starts[batch.reads.node] + batch.reads.offset
    positions = np.broadcast_to(np.arange(wide), ids.shape).copy()
    return ModelInputs(
        ids_BT=torch.from_numpy(ids).to(device),
        positions_BT=torch.from_numpy(positions).to(device),
        reads_R=torch.from_numpy(reads).to(device),
        is_real_BT=torch.from_numpy(is_real).to(device),
    )


def _path(nodes: Sequence[Node], index: int) -> list[Ints]:
    path = []
    while index >= 0:
        path.append(nodes[index].ids)
        index = nodes[index].parent
    return path[::-1]


def _join(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.empty(0, np.int64), *parts])
