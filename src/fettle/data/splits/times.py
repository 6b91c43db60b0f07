"""Points in time out of a field of the rows, and what falls to the left and right of a cut.

A field is read in one way for all rows: as numbers where every value is one, else as ISO dates. Nothing here knows of
parts by name.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from fettle.data.records import Row
from fettle.data.splits.groups import Group
from fettle.errors import Fault, RequestError, UnknownName, near_misses

_MOST_FAULTS = 100


def moments_of(rows: Sequence[Row], name: str) -> list[float]:
    """When each row is from; every value that is no time is a fault with its line. A date without a zone is in UTC.

    >>> from fettle.data.records import PlainText
    >>> written = [Row(PlainText("a"), "f", 1, {"at": "1970-01-02"}), Row(PlainText("b"), "f", 2, {"at": "soon"})]
    >>> moments_of(written, "at")
    Traceback (most recent call last):
    ...
    fettle.errors.RequestError: 1 row has no readable time in the field 'at'
      expected  numbers in all rows, or ISO dates in all rows: 2024-05-31, 2024-05-31T08:15:00+02:00
    """
    known = {each for row in rows for each in row.fields}
    if rows and name not in known:
        raise UnknownName(f"no row has a field {name!r}", attempt=near_misses(name, known, 3))
    written = [row.fields.get(name, "").strip() for row in rows]
    numbers = [number_in(value) for value in written]
    found = numbers if all(number is not None for number in numbers) else [date_in(value) for value in written]
    faults = [
        _fault(row, name, value) for row, value, moment in zip(rows, written, found, strict=True) if moment is None
    ]
    if faults:
        raise RequestError(
            f"{len(faults)} row{'s have' if len(faults) > 1 else ' has'} no readable time in the field {name!r}",
            expected="numbers in all rows, or ISO dates in all rows: 2024-05-31, 2024-05-31T08:15:00+02:00",
            faults=faults[:_MOST_FAULTS],
        )
    return [moment for moment in found if moment is not None]


def number_in(value: str) -> float | None:
    """A finite number, or None.

    >>> number_in("1e3"), number_in("nan"), number_in("soon")
    (1000.0, None, None)
    """
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def date_in(value: str) -> float | None:
    """An ISO date or time as seconds since 1970, or None.

    >>> date_in("1970-01-02"), date_in("1970-01-01T01:00+01:00"), date_in("yesterday")
    (86400.0, 0.0, None)
    """
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def cut_by_time(groups: Sequence[Group], moments: Sequence[float], shares: Sequence[float]) -> list[int]:
    """The side of each group, the oldest on side 0: a group is as new as its newest row, and ties stay together.

    Each cut is made where the shares are met most nearly.
    """
    newest = [max(moments[place] for place in group.places) for group in groups]
    sizes: dict[float, int] = defaultdict(int)
    for moment, group in zip(newest, groups, strict=True):
        sizes[moment] += len(group.places)
    total = sum(sizes.values())
    order = sorted(sizes)
    reached = [0]
    for moment in order:
        reached.append(reached[-1] + sizes[moment])
    cuts = [0]
    share = 0.0
    for each in shares[:-1]:
        share += each
        aim = share * total
        # A side without a share stays empty: no cut may give it what a tie left over.
        nearest = cuts[-1] if each == 0 else min(range(len(reached)), key=lambda at: (abs(reached[at] - aim), at))
        cuts.append(max(cuts[-1], nearest))
    if shares[-1] == 0:
        last = max(side for side, each in enumerate(shares) if each > 0)
        cuts = [cut if side <= last else len(order) for side, cut in enumerate(cuts)]
    side_of = {moment: sum(at >= cut for cut in cuts) - 1 for at, moment in enumerate(order)}
    return [side_of[moment] for moment in newest]


def _fault(row: Row, name: str, value: str) -> Fault:
    problem = f"{name} is {value!r}" if value else f"there is no {name}"
    return Fault(
        row.file, row.line, problem, "a number or an ISO date, as in the other rows", "mend it, or drop the row"
    )
