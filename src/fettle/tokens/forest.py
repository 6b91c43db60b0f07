"""Shared beginnings: rows become a forest in which what several of them begin with stands once.

Found over token ids alone, several levels deep: a system prompt, a list of labels, few-shot examples, the earlier turns
of a conversation, both answers of a pair. Nothing is approximated: under causal attention a token depends on what
stands before it and on nothing else, so computing it once gives every row the same values, and its gradient is the sum
of the rows' gradients. What stands after a row's last read is not computed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fettle.tokens.batch import Batch, Node, batch_examples, join, reads_of
from fettle.tokens.example import Example, Ints
from fettle.tokens.layout import Layout

# A shared beginning shorter than this costs more in gathered keys than its tokens save.
_LEAST_SHARED_TOKENS = 4


def make_batch(examples: Sequence[Example], layout: Layout) -> Batch:
    """The batch of one call: a forest of shared beginnings for the tree layout, else one root a row."""
    return share_beginnings(examples) if layout == "tree" else batch_examples(examples)


def share_beginnings(examples: Sequence[Example]) -> Batch:
    """A forest in which every token that several rows begin with stands once. Reads keep the order of the rows."""
    rows = [_useful_ids(example) for example in examples]
    order = sorted((index for index in range(len(rows)) if len(rows[index])), key=lambda index: _sort_key(rows[index]))
    found = list(_runs([rows[index] for index in order]))
    nodes = tuple(Node(rows[order[run.first]][run.start : run.end], run.parent, run.start) for run in found)
    node_of: list[list[Ints]] = [[] for _ in rows]
    start_of: list[list[Ints]] = [[] for _ in rows]
    for place, run in enumerate(found):
        for index in order[run.first : run.last]:
            node_of[index].append(np.full(run.end - run.start, place))
            start_of[index].append(np.full(run.end - run.start, run.start))
    at = [example.reads.at for example in examples]
    node = join([join(parts)[place] for parts, place in zip(node_of, at, strict=True)])
    start = join([join(parts)[place] for parts, place in zip(start_of, at, strict=True)])
    return Batch(nodes, reads_of(examples, node, join(at) - start), tuple(examples))


def split_by_tokens(examples: Sequence[Example], max_tokens: int, layout: Layout) -> list[list[int]]:
    """Which rows of a step go into which call, so that no call computes more than `max_tokens` (one row always fits).

    Padded calls hold rows of like length, tree calls rows that share. The grouping changes speed and rounding, never
    what is learned.
    """
    order, costs = _order(examples, layout)
    groups: list[list[int]] = []
    longest = total = 0
    for index in order:
        length = examples[index].num_tokens
        if layout == "padded":
            grown = max(longest, length) * (len(groups[-1]) + 1 if groups else 1)
        else:
            grown = total + costs[index]
        if not groups or grown > max_tokens:
            groups.append([])
            longest = 0
            grown = len(_useful_ids(examples[index])) if layout == "tree" else length
        groups[-1].append(index)
        longest, total = max(longest, length), grown
    return groups


def processed_tokens(examples: Sequence[Example], layout: Layout) -> int:
    """Tokens that one call over these rows computes, without padding."""
    return sum(_order(examples, layout)[1])


def _order(examples: Sequence[Example], layout: Layout) -> tuple[list[int], list[int]]:
    """The order in which rows fill calls, and what each adds to a call that holds the one before it."""
    order = list(range(len(examples)))
    costs = [example.num_tokens for example in examples]
    if layout == "padded":
        order.sort(key=lambda index: costs[index])
    elif layout == "tree":
        rows = [_useful_ids(example) for example in examples]
        order.sort(key=lambda index: _sort_key(rows[index]))
        for before, index in zip([None, *order], order, strict=False):
            shared = 0 if before is None else _num_shared(rows[before], rows[index])
            costs[index] = len(rows[index]) - (shared if shared >= _LEAST_SHARED_TOKENS else 0)
    return order, costs


def _useful_ids(example: Example) -> Ints:
    """The ids up to the last read: what stands after it changes nothing."""
    return example.ids[: int(example.reads.at.max()) + 1] if len(example.reads) else example.ids[:0]


def _sort_key(ids: Ints) -> bytes:
    return ids.astype(">i8").tobytes()


def _num_shared(first: Ints, second: Ints) -> int:
    length = min(len(first), len(second))
    differs = first[:length] != second[:length]
    return int(differs.argmax()) if differs.any() else length


@dataclass(frozen=True, slots=True)
class _Run:
    """Tokens `start:end` that the sorted rows `first:last` share, below the run `parent`."""

    first: int
    last: int
    start: int
    end: int
    parent: int


def _runs(rows: Sequence[Ints]) -> Iterator[_Run]:
    """The forest of sorted rows, each run before those below it, and a run's own before its neighbour's."""
    shared = [_num_shared(first, second) for first, second in pairwise(rows)]
    waiting = [(0, len(rows), 0, -1)] if rows else []
    number = 0
    while waiting:
        first, last, depth, parent = waiting.pop()
        if last - first == 1:
            if len(rows[first]) > depth:
                yield _Run(first, last, depth, len(rows[first]), parent)
                number += 1
            continue
        common = min(shared[first : last - 1])
        below = parent
        if common > depth and common >= _LEAST_SHARED_TOKENS:
            yield _Run(first, last, depth, common, parent)
            below, depth = number, common
            number += 1
        edges = [first, *(place + 1 for place in range(first, last - 1) if shared[place] == common), last]
        for low, high in reversed(list(pairwise(edges))):
            waiting.append((low, high, depth, below))
