"""Rows that are read as a whole: which of their tokens are pooled, and the share of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fettle.tokens.example import Example, Target, TokenReads

Pooling = Literal["first", "last", "mean"]


def pooled_example(
    ids: Sequence[int], pooling: Pooling, target: Target | None, source: str = "", num_cut: int = 0
) -> Example:
    """One row, read at its first token, at its last, or at all of them alike.

    >>> pooled_example([5, 6, 7, 8], "mean", None).reads.weight.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    length = len(ids)
    places = {"first": [0], "last": [length - 1], "mean": list(range(length))}[pooling]
    reads = TokenReads.of(places, [0] * len(places), [1.0 / len(places)] * len(places))
    return Example(np.asarray(ids, np.int64), reads, source, num_cut_tokens=num_cut, target=target)
