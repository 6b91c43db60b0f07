"""Which rows train, which validate, which test: by the hash of what a model would be given.

A row's part depends on its own input and on nothing else in the dataset, so a dataset may grow without a row changing
sides, and one question never stands on both sides with two answers. Nothing here knows of files or versions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fettle.data.records import Row
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
