"""Spans as one tag a unit, and back. A tag is a class: its number among the names of a scheme.

Axes: U units, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fettle.data.records import Span
from fettle.tokens.config import Scheme
from fettle.tokens.example import Ints
from fettle.tokens.tagging.units import Units

Bools = NDArray[np.bool_]

_LETTERS: dict[Scheme, str] = {"bio": "BI", "bilou": "BILU"}
_BEGIN, _GO_ON, _LAST, _UNIT = range(4)
_OUTSIDE = "O"


def overlapping(spans: Sequence[Span]) -> tuple[Span, Span] | None:
    """Two spans that share a character, if there are any: a character gets one tag.

    >>> overlapping([Span(0, 3, "NAME"), Span(3, 5, "NAME"), Span(4, 6, "PLACE")])
    (Span(start=3, end=5, label='NAME'), Span(start=4, end=6, label='PLACE'))
    """
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    return next(((one, other) for one, other in pairwise(ordered) if other.start < one.end), None)


@dataclass(frozen=True)
class Written:
    """Spans as tags. `moved` were written with other ends than they have, `lost` were not written at all."""

    tag_U: Ints
    moved: tuple[Span, ...]
    lost: tuple[Span, ...]


@dataclass(frozen=True)
class Tags:
    """The tags of a set of labels. In `bio` a span begins with B and goes on with I; in `bilou` it goes on with I,
    ends with L, and a span of one unit is U. Number 0 is outside any span.
    """

    labels: tuple[str, ...]
    scheme: Scheme

    @property
    def names(self) -> tuple[str, ...]:
        """The tags by name.

        >>> Tags(("NAME", "PLACE"), "bio").names
        ('O', 'B-NAME', 'I-NAME', 'B-PLACE', 'I-PLACE')
        """
        return (_OUTSIDE, *(f"{letter}-{label}" for label in self.labels for letter in _LETTERS[self.scheme]))

    def write(self, units: Units, spans: Sequence[Span]) -> Written:
        """A tag for each unit; `spans` in any order, side by side. A span takes all units that it touches.

        Raises `KeyError` for a label that is none of these.
        """
        tag_U = np.zeros(len(units), np.int64)
        moved, lost = [], []
        free = 0
        for span in sorted(spans, key=lambda span: span.start):
            first = max(free, int(np.searchsorted(units.end, span.start, side="right")))
            free = max(free, int(np.searchsorted(units.start, span.end, side="left")))
            if first == free:
                lost.append(span)
                continue
            tag_U[first:free] = self._run(span.label, free - first)
            if (units.start[first], units.end[free - 1]) != (span.start, span.end):
                moved.append(span)
        return Written(tag_U, tuple(moved), tuple(lost))

    def read(self, tag_U: Ints, units: Units) -> list[Span]:
        """The spans that tags say. Law: it undoes `write` where no span was moved or lost."""
        is_begun_U = self._begins_K[tag_U]
        ends_before = np.append(is_begun_U[1:] | (tag_U[1:] == 0), True)
        firsts, lasts = np.flatnonzero(is_begun_U), np.flatnonzero((tag_U > 0) & ends_before)
        labels = [self.labels[(int(tag) - 1) // self._width] for tag in tag_U[firsts]]
        starts, ends = units.start[firsts].tolist(), units.end[lasts].tolist()
        return [Span(*parts) for parts in zip(starts, ends, labels, strict=True)]

    @cached_property
    def may_follow_KK(self) -> Bools:
        """Whether the tag of a column may stand right after the tag of a row."""
        allowed = np.zeros((len(self.names), len(self.names)), np.bool_)
        allowed[np.ix_(self.may_end_K, self.may_begin_K)] = True
        for first in range(1, len(self.names), self._width):
            goes_on = [first + _BEGIN, first + _GO_ON]
            allowed[np.ix_(goes_on, [first + _GO_ON, *([first + _LAST] if self.scheme == "bilou" else [])])] = True
        return allowed

    @cached_property
    def may_begin_K(self) -> Bools:
        """Whether a text may begin with a tag."""
        return self._is_any_of("OBU")

    @cached_property
    def may_end_K(self) -> Bools:
        """Whether a text may end with a tag: with any of `bio`; in `bilou` a span has to be ended."""
        return self._is_any_of("OBI" if self.scheme == "bio" else "OLU")

    @cached_property
    def _begins_K(self) -> Bools:
        return self._is_any_of("BU")

    def _is_any_of(self, letters: str) -> Bools:
        return np.asarray([name[0] in letters for name in self.names], np.bool_)

    @property
    def _width(self) -> int:
        return len(_LETTERS[self.scheme])

    def _run(self, label: str, length: int) -> Ints:
        """The tags of one span."""
        first = 1 + self._number[label] * self._width
        run = np.full(length, first + _GO_ON)
        run[0] = first + _BEGIN
        if self.scheme == "bilou":
            run[-1] = first + (_UNIT if length == 1 else _LAST)
        return run

    @cached_property
    def _number(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}
