"""Rows that belong together, and how whole groups are shared out.

Rows belong together where they have one input, one value of a field, or one cluster; what belongs together through a
third row does so too. A group has a key that depends on its own rows only, so the order of a dataset moves nobody.
Nothing here knows of parts by name, of files or of versions.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fettle.data.records import JudgedAnswer, LabelledText, MultiLabelledText, Row
from fettle.errors import RequestError, UnknownName, near_misses

_MOST_ROUNDS = 10
_LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that stand on one side: their places, rising, and a key, 64 hexadecimal digits."""

    key: str
    places: tuple[int, ...]


def joined(num: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of `num` things the first that the pairs tie it to, directly or through others.

    >>> joined(5, [(3, 1), (4, 3)])
    [0, 1, 2, 1, 1]
    """
    first = list(range(num))

    def root(place: int) -> int:
        while first[place] != place:
            first[place] = first[first[place]]
            place = first[place]
        return place

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return [root(place) for place in range(num)]


def groups_of(rows: Sequence[Row], group_by: str = "", clusters: Sequence[int] = ()) -> list[Group]:
    """The groups, in order of their first rows.

    `clusters` has one number a row; a negative one means none. An empty value of the field `group_by` ties nobody. The
    key of a group that has values of the field is made of the smallest of them, so that a customer's further rows move
    nobody; of any other it is its smallest input key.

    >>> rows = [Row(LabelledText(text, "x"), "f", 1) for text in ("Hello", "bye", " hello")]
    >>> [group.places for group in groups_of(rows)]
    [(0, 2), (1,)]
    """
    if clusters and len(clusters) != len(rows):
        raise ValueError(f"{len(clusters)} clusters for {len(rows)} rows")
    _check_field(rows, group_by)
    keys = [row.input_key for row in rows]
    values = [row.fields.get(group_by, "").strip() for row in rows] if group_by else []
    first: dict[tuple[str, object], int] = {}
    pairs = [(first.setdefault(("input", key), place), place) for place, key in enumerate(keys)]
    pairs += [(first.setdefault(("value", value), place), place) for place, value in enumerate(values) if value]
    pairs += [(first.setdefault(("cluster", each), place), place) for place, each in enumerate(clusters) if each >= 0]
    members: dict[int, list[int]] = defaultdict(list)
    for place, head in enumerate(joined(len(rows), pairs)):
        members[head].append(place)
    groups = []
    for places in members.values():
        named = [values[place] for place in places if values and values[place]]
        key = _key_of_value(min(named)) if named else min(keys[place] for place in places)
        groups.append(Group(key, tuple(places)))
    return groups


def label_of(row: Row) -> str:
    """The one label that a row is counted under; empty where it has none. Several labels count as one of their own.

    >>> label_of(Row(MultiLabelledText("late and broken", ("late", "broken")), "f", 1))
    'broken, late'
    """
    match row.record:
        case LabelledText(_, label):
            return label
        case MultiLabelledText(_, labels):
            return ", ".join(sorted(labels))
        case JudgedAnswer(_, _, is_good):
            return "good" if is_good else "bad"
    return ""


def labels_of_rows(rows: Sequence[Row]) -> list[str]:
    """`label_of` each row, or a refusal where no row has one."""
    labels = [label_of(row) for row in rows]
    if rows and not any(labels):
        raise RequestError("no row has a label", expected="rows with one label each", attempt="leave out --stratify")
    return labels


@dataclass
class _Tally:
    """How many rows of one label each side holds and should hold; `num_left` are yet to be placed."""

    wanted: list[float]
    least: list[int]
    num_left: int
    held: list[int] = field(default_factory=list)

    def candidates(self, size: int) -> list[int]:
        """The sides that may take a group: all that has still to be filled, else what is not yet full."""
        sides = range(len(self.wanted))
        missing = [max(0, least - held) for least, held in zip(self.least, self.held, strict=True)]
        if sum(missing) and self.num_left - size < sum(missing):
            return [side for side in sides if missing[side]]
        roomy = [side for side in sides if self.held[side] + size <= math.ceil(self.wanted[side] - 1e-9)]
        return roomy or [side for side in sides if self.wanted[side] > 0]


def share_out(
    groups: Sequence[Group],
    labels: Sequence[str],
    shares: Sequence[float],
    held: Sequence[int | None],
    least_first: int = 0,
) -> list[int]:
    """The side of each group, each label's rows shared out as nearly as whole groups allow.

    `labels` has one of each row, `held` the side of each group that has one already, or None. Groups of one row give
    every side of a label its share to within one row. Of each label at least `least_first` rows go to side 0. Law: the
    order of the groups moves nobody.
    """
    totals = Counter(labels)
    tallies = {label: _tally(num, shares, least_first) for label, num in totals.items()}
    on_side = [0] * len(shares)
    sides = list(held)
    for group, side in zip(groups, held, strict=True):
        if side is not None:
            _place(group, side, labels, tallies)
            on_side[side] += len(group.places)
    rarest = {
        place: min({labels[p] for p in group.places}, key=lambda label: (totals[label], label))
        for place, group in enumerate(groups)
    }
    order = sorted(
        (place for place, side in enumerate(held) if side is None),
        key=lambda place: (totals[rarest[place]], rarest[place], -len(groups[place].places), groups[place].key),
    )
    for place in order:
        group, size = groups[place], len(groups[place].places)
        tally = tallies[rarest[place]]
        num_placed = sum(on_side) + size
        lacks = [share * num_placed - num for share, num in zip(shares, on_side, strict=True)]
        num_of_label = sum(labels[p] == rarest[place] for p in group.places)
        side = max(tally.candidates(num_of_label), key=lambda side: (lacks[side], -side))
        sides[place] = side
        on_side[side] += size
        _place(group, side, labels, tallies)
    shared = [side for side in sides if side is not None]
    if any(len({labels[place] for place in groups[at].places}) > 1 for at in order):
        order.sort(key=lambda at: groups[at].key)
        _refine(_Refinement(groups, labels, tallies, least_first), shared, order)
    return shared


def folds(rows: Sequence[Row], num_folds: int, groups: Sequence[Group] | None = None) -> list[list[int]]:
    """The places that are held out in each of `num_folds` rounds: every row once, groups whole, labels in proportion.

    >>> rows = [Row(LabelledText(str(n), "x"), "f", n) for n in range(6)]
    >>> sorted(place for fold in folds(rows, 3) for place in fold), {len(fold) for fold in folds(rows, 3)}
    ([0, 1, 2, 3, 4, 5], {2})
    """
    found = groups_of(rows) if groups is None else groups
    if not 2 <= num_folds <= max(2, len(found)):
        raise RequestError(
            f"{num_folds} folds of {len(found)} groups of rows",
            expected="two or more, and a group for each",
            attempt="5",
        )
    labels = [label_of(row) for row in rows]
    sides = share_out(found, labels, [1 / num_folds] * num_folds, [None] * len(found))
    held_out: list[list[int]] = [[] for _ in range(num_folds)]
    for group, side in zip(found, sides, strict=True):
        held_out[side] += group.places
    return [sorted(places) for places in held_out]


def _tally(num: int, shares: Sequence[float], least_first: int) -> _Tally:
    wanted = [share * num for share in shares]
    least = [math.floor(want + 1e-9) for want in wanted]
    if shares[0] > 0:
        least[0] = max(least[0], min(least_first, num))
    return _Tally(wanted, least, num, [0] * len(shares))


@dataclass(frozen=True)
class _Refinement:
    """What it takes to tell whether a group would stand better on another side."""

    groups: Sequence[Group]
    labels: Sequence[str]
    tallies: dict[str, _Tally]
    least_first: int

    def gain(self, in_group: Counter[str], old: int, new: int) -> float:
        """By how much the squared distances from what is wanted shrink, each as a share of its label."""
        gain = 0.0
        for label, num in sorted(in_group.items()):
            wanted, held = self.tallies[label].wanted, self.tallies[label].held
            if old == 0 and held[0] - num < self.least_first:
                return -1.0
            over, under = held[old] - wanted[old], held[new] - wanted[new]
            gain += 2 * num * (over - under - num) / sum(wanted)
        return gain


def _refine(given: _Refinement, sides: list[int], order: Sequence[int]) -> None:
    """Move groups of several labels, one by one, to where they serve all their labels best, until none gains.

    The first placing looks at the rarest label of a group alone. Each move shrinks one sum, so that there is an end;
    a limit keeps it near.
    """
    in_groups = {at: Counter(given.labels[place] for place in given.groups[at].places) for at in order}
    for _ in range(_MOST_ROUNDS):
        num_moved = 0
        for at in order:
            tally = given.tallies[next(iter(in_groups[at]))]
            others = [side for side, want in enumerate(tally.wanted) if want > 0 and side != sides[at]]
            gains = {side: given.gain(in_groups[at], sides[at], side) for side in others}
            best = max(others, key=lambda side: (gains[side], -side), default=sides[at])
            if gains.get(best, 0.0) > _LEAST_GAIN:
                for label, num in in_groups[at].items():
                    given.tallies[label].held[sides[at]] -= num
                    given.tallies[label].held[best] += num
                sides[at] = best
                num_moved += 1
        if not num_moved:
            return


def _place(group: Group, side: int, labels: Sequence[str], tallies: dict[str, _Tally]) -> None:
    for place in group.places:
        tally = tallies[labels[place]]
        tally.held[side] += 1
        tally.num_left -= 1


def _key_of_value(value: str) -> str:
    return hashlib.sha256(f"fettle group 1\n{value}".encode("utf-8", "surrogatepass")).hexdigest()


def _check_field(rows: Sequence[Row], name: str) -> None:
    if not name or not rows or any(row.fields.get(name, "").strip() for row in rows):
        return
    known = {each for row in rows for each in row.fields}
    raise UnknownName(
        f"no row has a field {name!r}",
        expected=f"one of: {', '.join(sorted(known)[:12])}" if known else "rows with fields beside their texts",
        attempt=near_misses(name, known, 1) if known else "",
    )
