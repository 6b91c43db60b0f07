"""What differs between two versions: rows that are only in one, rows that say something else, rows that moved.

Rows are matched by what they say; what is left over is matched by the place it came from. Law: rows of the one, less
those removed, plus those added, are the rows of the other, changed ones counted on both sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fettle.data.changes import Action
from fettle.data.records import Row


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row before and after; None where there is no such row. `reasons` are those that operations gave."""

    action: Action
    before: Row | None
    after: Row | None
    reasons: tuple[str, ...] = ()

    @property
    def row(self) -> Row:
        """The row to name: as it is, or as it was."""
        row = self.after or self.before
        if row is None:
            raise ValueError("a difference is of some row")
        return row


def differences(
    before: Iterable[Row], after: Iterable[Row], reasons: Mapping[str, Sequence[str]] | None = None
) -> list[RowDifference]:
    """Every difference, those of the old rows first. `reasons` leads from the content key of a row to what was said.

    >>> from fettle.data.records import LabelledText
    >>> one, other = Row(LabelledText("a", "x"), "f", 1), Row(LabelledText("a", "y"), "f", 1)
    >>> [difference.action for difference in differences([one], [other])]
    ['changed']
    """
    said = reasons or {}
    old, new = _left_over(before, after)
    by_place: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in new:
        by_place[row.file, row.line].append(row)
    found = []
    taken: set[int] = set()
    for row in old:
        heirs = by_place.get((row.file, row.line), [])
        same = next((heir for heir in heirs if heir.record == row.record), None)
        heir = same or (heirs[0] if heirs else None)
        if heir is None:
            found.append(RowDifference("dropped", row, None, tuple(said.get(row.content_key, ()))))
            continue
        heirs.remove(heir)
        taken.add(id(heir))
        action: Action = "moved" if same and heir.fields == row.fields else "changed"
        found.append(RowDifference(action, row, heir, tuple(said.get(row.content_key, ()))))
    added = (row for row in new if id(row) not in taken)
    found += [RowDifference("added", None, row, tuple(said.get(row.content_key, ()))) for row in added]
    return found


def _left_over(before: Iterable[Row], after: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of each side that have no equal on the other; of equal rows as many are matched as both sides have."""
    waiting: dict[tuple[bytes, str, tuple[tuple[str, str], ...]], list[Row]] = defaultdict(list)
    for row in before:
        waiting[_sameness(row)].append(row)
    new = []
    for row in after:
        equals = waiting.get(_sameness(row))
        if not equals:
            new.append(row)
            continue
        # Among equal rows the one from the same place goes, so that the others are reported where they stood.
        place = next((n for n, old in enumerate(equals) if (old.file, old.line) == (row.file, row.line)), 0)
        equals.pop(place)
    return [row for rows in waiting.values() for row in rows], new


def _sameness(row: Row) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
    return row.content_digest, row.part, tuple(sorted(row.fields.items()))
