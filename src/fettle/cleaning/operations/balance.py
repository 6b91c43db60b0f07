"""`balance=…`: labels that are as common as each other, by leaving rows out, by repeating them, or by weighing them.

Only rows that train are touched: a balanced test set would measure another world than the one that the model meets.
Rows without one label are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fettle.cleaning.config import BalanceSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Change, Cleaned, add_copies, drop_rows, replace_rows
from fettle.cleaning.operations.filters import ranks_by_hash
from fettle.data.records import Row
from fettle.data.splits.groups import label_of
from fettle.errors import RequestError
from fettle.quality.finding import Given

WEIGHT_FIELD = "weight"


@dataclass(frozen=True)
class Balance:
    """The operation."""

    settings: BalanceSettings
    name: str = "balance"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Count the labels of the rows that train, and even them out."""
        by_label: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            if row.part in ("", "train") and label_of(row):
                by_label[label_of(row)].append(place)
        if rows and not any(label_of(row) for row in rows):
            raise RequestError("no row has a label", where="balance", expected="rows with one label each")
        if self.settings.how == "weights":
            return _weigh(rows, by_label)
        ranks = ranks_by_hash(rows, self.settings.seed)
        ranked = {label: sorted(places, key=ranks.__getitem__) for label, places in by_label.items()}
        return _down(rows, ranked) if self.settings.how == "down" else _up(rows, ranked)


def _down(rows: Sequence[Row], ranked: dict[str, list[int]]) -> Cleaned:
    fewest = min((len(places) for places in ranked.values()), default=0)
    reasons = {
        place: f"{label} has {len(places)} rows, the rarest label {fewest}"
        for label, places in ranked.items()
        for place in places[fewest:]
    }
    return drop_rows(rows, reasons)


def _up(rows: Sequence[Row], ranked: dict[str, list[int]]) -> Cleaned:
    most = max((len(places) for places in ranked.values()), default=0)
    copies = sorted(places[turn % len(places)] for places in ranked.values() for turn in range(most - len(places)))
    return add_copies(rows, copies, f"its label is rarer than the commonest, which has {most} rows")


def _weigh(rows: Sequence[Row], by_label: dict[str, list[int]]) -> Cleaned:
    total = sum(len(places) for places in by_label.values())
    mended = {}
    for label, places in by_label.items():
        weight = f"{total / (len(by_label) * len(places)):.6g}"
        reason = f"{label} has {len(places)} of {total} rows: each weighs {weight}"
        for place in places:
            if rows[place].fields.get(WEIGHT_FIELD) != weight:
                fields = {**rows[place].fields, WEIGHT_FIELD: weight}
                mended[place] = (msgspec.structs.replace(rows[place], fields=fields), Change(place, "changed", reason))
    return replace_rows(rows, mended, {})


def make_balance(settings: BalanceSettings, detectors: Detectors) -> Balance:
    """The factory in the table."""
    return Balance(settings)
