"""The operations by name: what each is set by, and how it is made.

`value` is the setting that the VALUE of a word `OPERATION=VALUE` fills; an operation without one takes no value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fettle.cleaning.config import (
    BalanceSettings,
    DeduplicateSettings,
    DropSettings,
    DropWhereSettings,
    KeepSettings,
    LabelsSettings,
    LengthSettings,
    MineSettings,
    RedactSettings,
    RelabelSettings,
    RepairSettings,
    SampleSettings,
    StripSettings,
)
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Operation
from fettle.cleaning.operations.balance import make_balance
from fettle.cleaning.operations.deduplicate import make_deduplicate
from fettle.cleaning.operations.drop import make_drop
from fettle.cleaning.operations.filters import make_drop_where, make_keep, make_length, make_sample
from fettle.cleaning.operations.labels import make_labels
from fettle.cleaning.operations.mine import make_mine
from fettle.cleaning.operations.redact import make_redact
from fettle.cleaning.operations.relabel import make_relabel
from fettle.cleaning.operations.repair import make_repair
from fettle.cleaning.operations.strip import make_strip
from fettle.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Entry:
    """How an operation is made. `example` is a word that asks for it."""

    settings: type[Settings]
    make: Callable[[Any, Detectors], Operation]
    value: str
    example: str


OPERATIONS: dict[str, Entry] = {
    "repair": Entry(RepairSettings, make_repair, "", "repair"),
    "strip": Entry(StripSettings, make_strip, "what", "strip=html"),
    "redact": Entry(RedactSettings, make_redact, "how", "redact=mask"),
    "deduplicate": Entry(DeduplicateSettings, make_deduplicate, "kind", "deduplicate=near"),
    "drop": Entry(DropSettings, make_drop, "kind", "drop=wrong-label"),
    "keep": Entry(KeepSettings, make_keep, "where", "keep='words > 3'"),
    "drop-where": Entry(DropWhereSettings, make_drop_where, "where", "drop-where='text contains \"unsubscribe\"'"),
    "length": Entry(LengthSettings, make_length, "words", "length=3..200"),
    "sample": Entry(SampleSettings, make_sample, "num_rows", "sample=1000"),
    "balance": Entry(BalanceSettings, make_balance, "how", "balance=down"),
    "labels": Entry(LabelsSettings, make_labels, "how", "labels=merge"),
    "mine": Entry(MineSettings, make_mine, "num_others", "mine=3"),
    "relabel": Entry(RelabelSettings, make_relabel, "file", "relabel=reviewed.csv"),
}
