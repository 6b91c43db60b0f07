"""Texts that are longer than the model may read: windows that overlap, each unit read in one of them.

Axes: U units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fettle.tokens.example import Ints

_SHARE_OF_OVERLAP = 4  # a quarter of a window is at least in its neighbour too


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Tokens `start` to just before `end` of a text, and the units that are read there, by number."""

    start: int
    end: int
    units: Ints


def cut_windows(num_tokens: int, token_U: Ints, most_tokens: int, *, is_causal: bool) -> list[Window]:
    """Windows of `most_tokens` (one where the text is no longer), spread evenly; those without a unit are left out.

    Each unit is read once, in the window where most tokens stand on its poorer side; the beginning and the end of the
    text leave nothing to be wished for. A causal model reads one side only, the left.

    >>> [(one.start, one.end, one.units.tolist()) for one in cut_windows(6, np.arange(6), 4, is_causal=False)]
    [(0, 4, [0, 1, 2]), (2, 6, [3, 4, 5])]
    """
    starts = _starts(num_tokens, most_tokens)
    ends = np.minimum(starts + most_tokens, num_tokens)
    unseen = num_tokens  # more than any window has
    left = np.where(starts == 0, unseen, token_U[:, None] - starts)
    right = np.where((ends == num_tokens) | is_causal, unseen, ends - 1 - token_U[:, None])
    is_inside = (starts <= token_U[:, None]) & (token_U[:, None] < ends)
    owner_U = np.where(is_inside, np.minimum(left, right), -1).argmax(1)
    windows = [
        Window(start, end, np.flatnonzero(owner_U == place))
        for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True))
    ]
    return [window for window in windows if len(window.units)]


def _starts(num_tokens: int, most_tokens: int) -> Ints:
    if num_tokens <= most_tokens:
        return np.zeros(1, np.int64)
    step = most_tokens - most_tokens // _SHARE_OF_OVERLAP
    last = num_tokens - most_tokens
    return np.linspace(0, last, 1 + -(-last // step)).astype(np.int64)
