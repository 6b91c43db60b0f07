"""The nouns of the room: an operation, what it did to which row, and the rows that came out.

An operation is pure: rows in, rows out, the same for the same rows. The laws that all of them keep:

- rows that came in = rows kept + rows dropped; rows that were added are counted apart and stand at the end;
- what is kept keeps its order, its part, its file, its line and its fields (`balance=weights` alone writes a field);
- a row that differs from the one that came in has exactly one change, and so has every row dropped or added;
- what came out, put in again, comes out unchanged, where the operation does not say otherwise.

Nothing here knows of words on a command line, of files of steps, or of versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from fettle.data.records import Row
from fettle.quality.finding import Given

Action = Literal["dropped", "changed", "relabelled", "added", "left"]
ACTIONS: tuple[Action, ...] = ("dropped", "changed", "relabelled", "added", "left")
"""`left`: the row should have been changed, and for the reason given it could not be. It is as it was."""


class Change(msgspec.Struct, frozen=True):
    """What was done to one row, and why.

    `place` counts from 0 in the rows that were given; of an added row it is the place of the row that it repeats.
    `step` names the step that did it, in words; operations leave it to `clean`.
    """

    place: int
    action: Action
    reason: str
    step: str = ""


@dataclass(frozen=True)
class Cleaned:
    """The rows that came out, for each the place of the row that it was, and all that was done."""

    rows: tuple[Row, ...]
    origins: tuple[int, ...]
    changes: tuple[Change, ...]

    def num(self, action: Action) -> int:
        """How many changes are of one sort."""
        return sum(change.action == action for change in self.changes)

    def counts(self) -> dict[tuple[str, Action], int]:
        """How many changes of each sort each step made, in the order of the steps."""
        return dict(Counter((change.step, change.action) for change in self.changes))


class Operation(Protocol):
    """One way to mend rows."""

    @property
    def name(self) -> str:
        """The word that it is asked for with."""
        ...

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """The mended rows."""
        ...


def drop_rows(rows: Sequence[Row], reasons: Mapping[int, str]) -> Cleaned:
    """Leave out the rows at the places that have a reason.

    >>> from fettle.data.records import PlainText
    >>> rows = [Row(PlainText("a"), "f", 1), Row(PlainText("b"), "f", 2)]
    >>> done = drop_rows(rows, {0: "it is short"})
    >>> done.origins, done.changes[0].action
    ((1,), 'dropped')
    """
    kept = tuple(place for place in range(len(rows)) if place not in reasons)
    changes = tuple(Change(place, "dropped", reasons[place]) for place in sorted(reasons))
    return Cleaned(tuple(rows[place] for place in kept), kept, changes)


def keep_places(rows: Sequence[Row], places: Iterable[int], reason: str) -> Cleaned:
    """Leave out all rows but those at `places`, for one reason."""
    kept = set(places)
    return drop_rows(rows, {place: reason for place in range(len(rows)) if place not in kept})


def replace_rows(rows: Sequence[Row], mended: Mapping[int, tuple[Row, Change]], dropped: Mapping[int, str]) -> Cleaned:
    """Put other rows in the places of some, and leave some out.

    Trap: a `left` change goes with the row as it was.
    """
    kept = tuple(place for place in range(len(rows)) if place not in dropped)
    changes = [change for _, change in mended.values()]
    changes += [Change(place, "dropped", reason) for place, reason in dropped.items()]
    out = tuple(mended[place][0] if place in mended else rows[place] for place in kept)
    return Cleaned(out, kept, tuple(sorted(changes, key=lambda change: change.place)))


def add_copies(rows: Sequence[Row], places: Sequence[int], reason: str) -> Cleaned:
    """All rows, then those at `places` once more each."""
    out = (*rows, *(rows[place] for place in places))
    changes = tuple(Change(place, "added", reason) for place in places)
    return Cleaned(out, (*range(len(rows)), *places), changes)
