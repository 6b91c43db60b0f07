"""Layouts: how a batch becomes the tensors of one call.

`padded` lays each path out as a row of its own, with the model's own attention (the reference, for any model);
`packed` lays rows end to end; `tree` lays a forest out in which each shared token stands once. All give the same logits
at the same reads.

Axes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from fettle.errors import RequestError
from fettle.models.attention import MOST_QUERIES, SEES_ALL, SEES_BY_REACH, SEES_EARLIER, SEES_SAME_REACH, Sight
from fettle.models.forward import ModelInputs
from fettle.tokens.batch import Batch, Node, join
from fettle.tokens.example import Ints

Layout = Literal["padded", "packed", "tree"]

# Small neighbours below one parent share a piece: fewer, larger products for some scores that are thrown away.
_TOKENS_OF_A_SHARED_PIECE = 128


def layout_for(attention: str, wanted: str = "auto", *, has_noise: bool = False) -> tuple[Layout, str]:
    """The layout that a model's attention allows, and why it was taken.

    With noise (dropout, noise on embeddings) nothing is shared, so that each row draws its own.
    """
    allowed: dict[str, tuple[Layout, ...]] = {
        "causal": ("tree", "packed", "padded"),
        "bidirectional": ("packed", "padded"),
    }
    choices = allowed.get(attention, ("padded",))
    if wanted != "auto":
        if wanted not in choices:
            raise RequestError(
                f"this model's attention allows no {wanted} layout",
                where="training.layout",
                attempt=f"training.layout={choices[0]}",
            )
        return next(choice for choice in choices if choice == wanted), "asked for"
    if attention == "causal" and has_noise:
        return "packed", "nothing is padded; with noise nothing is shared, so that every row has noise of its own"
    reasons: dict[str, str] = {
        "tree": "the model's attention is causal, so shared beginnings are computed once and nothing is padded",
        "packed": "the model's attention sees whole rows, so nothing is padded and nothing can be shared",
        "padded": "the model's attention is its own, so rows are padded and it runs as it was written",
    }
    return choices[0], reasons[choices[0]]


def lay_out(
    batch: Batch, layout: Layout, device: torch.device, pad_id: int = 0, *, is_causal: bool = True
) -> ModelInputs:
    """The tensors of one call. Reads keep their order in every layout."""
    return _padded(batch, device, pad_id) if layout == "padded" else _flat(batch, device, is_causal)


def _flat(batch: Batch, device: torch.device, is_causal: bool) -> ModelInputs:
    order, reach_of = _order_by_tree(batch.nodes)
    sizes = np.asarray([len(batch.nodes[index].ids) for index in order], np.int64)
    edges = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    starts = np.empty(len(order), np.int64)
    starts[order] = edges[:-1]
    places = {index: place for place, index in enumerate(order)}
    parents = [places.get(batch.nodes[index].parent, -1) for index in order]
    positions = join(
        [np.arange(batch.nodes[index].start, batch.nodes[index].start + len(batch.nodes[index].ids)) for index in order]
    )
    pieces = _Pieces(edges, parents, reach_of, is_causal).numbers()
    kinds = join([_kinds(batch.nodes[index]) for index in order])
    return ModelInputs(
        ids_BT=torch.from_numpy(join([batch.nodes[index].ids for index in order]))[None].to(device),
        positions_BT=torch.from_numpy(positions)[None].to(device),
        reads_R=torch.from_numpy(starts[batch.reads.node] + batch.reads.offset).to(device),
        sight=Sight(
            torch.tensor(pieces, dtype=torch.int64),
            torch.from_numpy(np.repeat(edges[np.asarray(reach_of)], sizes)),
            torch.from_numpy(positions),
        ),
        kinds_BT=torch.from_numpy(kinds)[None].to(device) if kinds.any() else None,
    )


def _order_by_tree(nodes: Sequence[Node]) -> tuple[list[int], list[int]]:
    """Nodes so that all below one follow it at once, and for each place the place after the last one below it."""
    below: list[list[int]] = [[] for _ in nodes]
    roots: list[int] = []
    for index, node in enumerate(nodes):
        (below[node.parent] if node.parent >= 0 else roots).append(index)
    order: list[int] = []
    waiting = roots[::-1]
    while waiting:
        order.append(waiting.pop())
        waiting.extend(reversed(below[order[-1]]))
    size = [1] * len(nodes)
    for index in reversed(order):
        if nodes[index].parent >= 0:
            size[nodes[index].parent] += size[index]
    return order, [place + size[index] for place, index in enumerate(order)]


class _Pieces:
    """Divides a forest, its nodes in the order of the flat axis, into the pieces of `Sight`."""

    def __init__(self, edges: Ints, parents: Sequence[int], reach_of: Sequence[int], is_causal: bool) -> None:
        self._edges = edges.tolist()
        self._parents = parents
        self._reach_of = reach_of
        self._is_causal = is_causal
        self._numbers: list[int] = []

    def numbers(self) -> list[int]:
        """All pieces, as one list."""
        place = 0
        while place < len(self._parents):
            last = self._last_of_shared_piece(place)
            if last > place + 1:
                sees = SEES_BY_REACH if self._is_causal else SEES_SAME_REACH
                self._add(self._edges[place], self._edges[last], sees, self._path(self._parents[place]))
                place = last
                continue
            self._add_node(place)
            place += 1
        return self._numbers

    def _last_of_shared_piece(self, place: int) -> int:
        """After the last of the neighbours that fit into one piece with this node; the place itself if none does."""
        last, parent = place, self._parents[place]
        while last < len(self._parents) and self._parents[last] == parent:
            after = self._reach_of[last]
            if self._edges[after] - self._edges[place] > _TOKENS_OF_A_SHARED_PIECE:
                break
            last = after
        return last

    def _add_node(self, place: int) -> None:
        first, end = self._edges[place], self._edges[place + 1]
        path = self._path(self._parents[place])
        if not self._is_causal:
            self._add(first, end, SEES_ALL, [])
            return
        for start in range(first, end, MOST_QUERIES):
            stop = min(end, start + MOST_QUERIES)
            self._add(start, stop, SEES_EARLIER, [*path, (first, start)] if start > first else path)

    def _path(self, place: int) -> list[tuple[int, int]]:
        """The ranges of a node and of all before it on its path, from the root on."""
        path = []
        while place >= 0:
            path.append((self._edges[place], self._edges[place + 1]))
            place = self._parents[place]
        return path[::-1]

    def _add(self, first: int, end: int, sees: int, before: Sequence[tuple[int, int]]) -> None:
        ranges: list[list[int]] = []
        for low, high in (*before, (first, end)):
            if ranges and ranges[-1][1] == low:
                ranges[-1][1] = high
            else:
                ranges.append([low, high])
        self._numbers += [first, end, sees, len(ranges), *(edge for pair in ranges for edge in pair)]


def _padded(batch: Batch, device: torch.device, pad_id: int) -> ModelInputs:
    """Every leaf and every node that is read becomes a row that repeats its ancestors."""
    is_parent = {node.parent for node in batch.nodes}
    shown = sorted({*batch.reads.node.tolist(), *(set(range(len(batch.nodes))) - is_parent)})
    paths = [_ids_of_path(batch.nodes, index) for index in shown]
    wide = max(len(path) for path in paths)
    ids = np.full((len(paths), wide), pad_id, dtype=np.int64)
    is_real = np.zeros((len(paths), wide), dtype=np.int64)
    kinds = np.zeros((len(paths), wide), dtype=np.int64)
    for row, (index, path) in enumerate(zip(shown, paths, strict=True)):
        ids[row, : len(path)] = path
        is_real[row, : len(path)] = 1
        if batch.nodes[index].parent < 0:
            kinds[row, : len(path)] = _kinds(batch.nodes[index])
    starts = np.array([node.start for node in batch.nodes], dtype=np.int64)
    row_of = np.searchsorted(np.asarray(shown), batch.reads.node)
    reads = row_of * wide + starts[batch.reads.node] + batch.reads.offset
    positions = np.broadcast_to(np.arange(wide), ids.shape).copy()
    return ModelInputs(
        ids_BT=torch.from_numpy(ids).to(device),
        positions_BT=torch.from_numpy(positions).to(device),
        reads_R=torch.from_numpy(reads).to(device),
        is_real_BT=torch.from_numpy(is_real).to(device),
        kinds_BT=torch.from_numpy(kinds).to(device) if kinds.any() else None,
    )


def _kinds(node: Node) -> Ints:
    return np.zeros(len(node.ids), np.int64) if node.kinds is None else node.kinds


def _ids_of_path(nodes: Sequence[Node], index: int) -> Ints:
    path = []
    while index >= 0:
        path.append(nodes[index].ids)
        index = nodes[index].parent
    return join(path[::-1])
