"""Which rows train, which validate, which test: by the hash of what a model would be given, by label or by time.

By hash a row's part depends on its own input, or on its group, and on nothing else in the dataset, so a dataset may
grow without a row changing sides. One question never stands on both sides with two answers, and no group does. Nothing
here knows of files or versions, or of how it is found out that two rows are nearly the same.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fettle.data.records import Row
from fettle.data.splits.groups import Group, groups_of, labels_of_rows, share_out
from fettle.data.splits.times import cut_by_time, moments_of
from fettle.errors import RequestError

PARTS = ("train", "validation", "test")

# Two salts: were they one, the inputs that a split sent to test would be the very ones that a carve looks for,
# and the training part of a split dataset would yield no validation rows.
_SPLIT_SALT = "fettle split 1\n"
_CARVE_SALT = "fettle carve 1\n"


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of each part; together they are 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        written = "/".join(f"{share:g}" for share in shares)
        if not all(math.isfinite(share) and 0.0 <= share <= 1.0 for share in shares):
            raise RequestError(f"the shares {written} are not shares", expected="each from 0 to 1")
        if not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise RequestError(
                f"the shares {written} add up to {sum(shares):g}",
                expected="train, validation and test to add up to 1",
                attempt="0.8/0.1/0.1",
            )

    def in_order(self) -> tuple[float, float, float]:
        """The shares in the order of `PARTS`."""
        return self.train, self.validation, self.test


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How rows are divided.

    Rows with one value of the field `group_by` stay together. With `stratify` each label is shared out as nearly as
    whole groups allow, with `by_time` the rows with the smallest values of that field train and those with the largest
    test; both look at all rows, so that a growing dataset may move its rows. A row that has a part keeps it always.
    """

    shares: Shares = Shares()
    group_by: str = ""
    stratify: bool = False
    by_time: str = ""

    def __post_init__(self) -> None:
        if self.stratify and self.by_time:
            raise RequestError("a split is by label or by time", expected="one of --stratify and --by-time")


@dataclass(frozen=True, slots=True)
class Straddle:
    """A group that stood on several sides before the split: its places, and the part that each of them has now."""

    places: tuple[int, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """The rows in the order given, each with its part, how many each part has, and what could not be kept together."""

    rows: list[Row]
    num_rows: dict[str, int]
    conflicts: list[Straddle]
    num_groups: int
    num_rows_of_largest_group: int


def split(rows: Sequence[Row], settings: SplitSettings, clusters: Sequence[int] = ()) -> Split:
    """Give every row a part. Law: no group straddles, but one whose rows had several parts before.

    `clusters` has one number a row: rows of one number are nearly the same and stay together; a negative number ties
    nobody. Without groups, labels and time this is `split_rows`.

    >>> from fettle.data.records import PlainText
    >>> rows = [Row(PlainText(text), "f", 1, {"by": "Ada"}) for text in "abcdefgh"]
    >>> len({row.part for row in split(rows, SplitSettings(group_by="by")).rows})
    1
    """
    groups = groups_of(rows, settings.group_by, clusters)
    held = [_held_part(rows, group) for group in groups]
    parts = [""] * len(rows)
    for group, part in zip(groups, _parts_of(rows, groups, held, settings), strict=True):
        for place in group.places:
            parts[place] = rows[place].part or part
    straddling = [
        Straddle(group.places, tuple(parts[place] for place in group.places))
        for group in groups
        if len({rows[place].part for place in group.places} - {""}) > 1
    ]
    divided = [
        row if row.part == part else msgspec.structs.replace(row, part=part)
        for row, part in zip(rows, parts, strict=True)
    ]
    counts = Counter(parts)
    largest = max((len(group.places) for group in groups), default=0)
    return Split(divided, {part: counts[part] for part in PARTS}, straddling, len(groups), largest)


def _parts_of(rows: Sequence[Row], groups: Sequence[Group], held: Sequence[str], settings: SplitSettings) -> list[str]:
    """The part of each group; one that holds a part already stays there."""
    sides = settings.shares.in_order()
    if settings.by_time:
        cut = cut_by_time(groups, moments_of(rows, settings.by_time), sides)
        return [part or PARTS[side] for part, side in zip(held, cut, strict=True)]
    if settings.stratify:
        placed = [PARTS.index(part) if part in PARTS else None for part in held]
        shared = share_out(groups, labels_of_rows(rows), sides, placed, least_first=1)
        return [PARTS[side] for side in shared]
    return [part or part_of(group.key, settings.shares) for part, group in zip(held, groups, strict=True)]


def _held_part(rows: Sequence[Row], group: Group) -> str:
    """The part that a group holds already, the first of `PARTS` where it holds several."""
    return min((rows[place].part for place in group.places if rows[place].part), key=_rank, default="")


def part_of(input_key: str, shares: Shares) -> str:
    """The part in which rows of this input stand, whatever else the dataset holds.

    Test lies at the low end and validation next to it: a larger share of train takes rows from validation's far end
    and never moves a test row.

    >>> part_of("0f", Shares(train=0.0, validation=0.0, test=1.0))
    'test'
    """
    place = _place(_SPLIT_SALT, input_key)
    if place < shares.test:
        return "test"
    # Without a share of train, rounding in test + validation must not let a row slip into it.
    return "validation" if place < shares.test + shares.validation or shares.train == 0.0 else "train"


def split_rows(rows: Sequence[Row], shares: Shares) -> list[Row]:
    """Give every row a part, in the order given. A row that has one keeps it, and its twins follow it.

    Twins are rows of one input key. Where twins already stand on several sides, the first of `PARTS` is followed;
    `shared_inputs` reports such leaks.
    """
    keys = [row.input_key for row in rows]
    held: dict[str, str] = {}
    for key, row in zip(keys, rows, strict=True):
        if row.part and (key not in held or _rank(row.part) < _rank(held[key])):
            held[key] = row.part
    parts = [row.part or held.get(key) or part_of(key, shares) for key, row in zip(keys, rows, strict=True)]
    return [
        row if row.part == part else msgspec.structs.replace(row, part=part)
        for row, part in zip(rows, parts, strict=True)
    ]


def carve_validation(rows: Sequence[Row], share: float = 0.1) -> tuple[list[Row], list[Row]]:
    """Training rows and validation rows; test rows are in neither.

    Where rows of the part `validation` exist, they are the validation and nothing is carved. Otherwise `share` of the
    inputs is taken by hash. Trap: of a handful of rows the hash may take none, or all; with two inputs or more there
    is always at least one on each side.
    """
    if not 0.0 <= share < 1.0:
        raise RequestError(f"a validation share of {share:g}", expected="a share from 0 to just under 1", attempt="0.1")
    train = [row for row in rows if row.part in ("", "train")]
    given = [row for row in rows if row.part == "validation"]
    if given or share == 0.0:
        return train, given
    keys = [row.input_key for row in train]
    places = {key: _place(_CARVE_SALT, key) for key in keys}
    taken = {key for key, place in places.items() if place < share}
    if len(places) > 1:
        by_place = sorted(places, key=places.__getitem__)
        taken = (taken | {by_place[0]}) - {by_place[-1]}
    kept = [row for key, row in zip(keys, train, strict=True) if key not in taken]
    return kept, [row for key, row in zip(keys, train, strict=True) if key in taken]


def shared_inputs(a: Sequence[Row], b: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The leak check: each row of `b` whose input stands in `a` too, beside the first such row of `a`.

    >>> from fettle.data.records import LabelledText
    >>> train, test = Row(LabelledText("Hello  there", "x"), "a", 1), Row(LabelledText("hello there", "y"), "b", 7)
    >>> [(left.line, right.line) for left, right in shared_inputs([train], [test])]
    [(1, 7)]
    """
    first: dict[str, Row] = {}
    for row in a:
        first.setdefault(row.input_key, row)
    pairs = ((first.get(row.input_key), row) for row in b)
    return [(left, right) for left, right in pairs if left is not None]


def _place(salt: str, input_key: str) -> float:
    """A number in [0, 1), uniform over inputs: 53 bits of a salted hash, which a float holds exactly."""
    digest = hashlib.sha256((salt + input_key).encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def _rank(part: str) -> int:
    return PARTS.index(part) if part in PARTS else len(PARTS)
