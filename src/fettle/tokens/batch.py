"""Batches: a forest of nodes and the reads on them.

A node is a run of token ids that continues its parent. A batch of separate rows is a forest of roots; where rows share
a beginning, the beginning is one node and each row goes on from it. How a batch becomes tensors is a layout's matter.

Axes: R reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fettle.tokens.example import Example, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A run of ids. `parent` is the index of an earlier node, or -1; `start` is the position of its first token.

    `kinds`: which of two texts each token belongs to. Only roots have them: models that know kinds share nothing.
    """

    ids: Ints
    parent: int
    start: int
    kinds: Ints | None = None


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
    """What one call of the model computes. `examples` are the rows that the reads' `row` counts."""

    nodes: tuple[Node, ...]
    reads: BatchReads
    examples: tuple[Example, ...] = field(default=())

    @property
    def num_tokens(self) -> int:
        """Tokens that are computed when nothing is padded or repeated."""
        return sum(len(node.ids) for node in self.nodes)


def batch_examples(examples: Sequence[Example]) -> Batch:
    """One root a row; nothing is shared."""
    index = np.repeat(np.arange(len(examples)), [len(example.reads) for example in examples])
    nodes = tuple(Node(example.ids, -1, 0, example.kinds) for example in examples)
    return Batch(nodes, reads_of(examples, index, join([example.reads.at for example in examples])), tuple(examples))


def reads_of(examples: Sequence[Example], node: Ints, offset: Ints) -> BatchReads:
    """The reads of rows, one after the other, at the places where they stand in a forest."""
    return BatchReads(
        node=node,
        offset=offset,
        token=join([example.reads.token for example in examples]),
        weight=np.concatenate([np.empty(0, np.float32), *(example.reads.weight for example in examples)]),
        row=np.repeat(np.arange(len(examples)), [len(example.reads) for example in examples]),
    )


def join(parts: Sequence[Ints]) -> Ints:
    """Runs of numbers, end to end."""
    return np.concatenate([np.empty(0, np.int64), *parts])
