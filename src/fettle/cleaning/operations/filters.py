"""`keep`, `drop-where`, `length` and `sample`: rows that are kept or left out by what they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fettle.cleaning.config import WORD_RANGE, DropWhereSettings, KeepSettings, LengthSettings, SampleSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Cleaned, drop_rows, keep_places
from fettle.cleaning.where import Where, fields_of, spoken_text
from fettle.data.records import Row
from fettle.quality.finding import Given


@dataclass(frozen=True)
class KeepWhere:
    """The operations `keep` and `drop-where`."""

    where: Where
    keeps: bool
    name: str

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Ask the expression about every row."""
        if rows:
            self.where.check_names(fields_of(rows))
        places = [place for place, holds in enumerate(self.where.holds(rows)) if holds is not self.keeps]
        reason = f"{'not ' if self.keeps else ''}{self.where.source}"
        return drop_rows(rows, dict.fromkeys(places, reason))


@dataclass(frozen=True)
class Length:
    """The operation."""

    settings: LengthSettings
    name: str = "length"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Count the words of every row."""
        found = WORD_RANGE.fullmatch(self.settings.words)
        least, most = (int(end) if end else None for end in (found.groups() if found else ("", "")))
        reasons = {}
        for place, row in enumerate(rows):
            num_words = len(spoken_text(row.record).split())
            if least is not None and num_words < least:
                reasons[place] = f"{num_words} words, fewer than {least}"
            elif most is not None and num_words > most:
                reasons[place] = f"{num_words} words, more than {most}"
        return drop_rows(rows, reasons)


@dataclass(frozen=True)
class Sample:
    """The operation."""

    settings: SampleSettings
    name: str = "sample"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Keep the rows whose hashes are the smallest: one that is chosen of many is chosen of fewer too."""
        ranks = ranks_by_hash(rows, self.settings.seed)
        chosen = sorted(range(len(rows)), key=ranks.__getitem__)[: self.settings.num_rows]
        return keep_places(rows, chosen, f"not among the {self.settings.num_rows} rows of the sample")


def ranks_by_hash(rows: Sequence[Row], seed: int) -> list[tuple[int, bytes]]:
    """A rank of each row that depends on the seed and what it says; of rows that say the same the second comes later.

    >>> from fettle.data.records import PlainText
    >>> rows = [Row(PlainText(text), "f", 1) for text in "aab"]
    >>> ranks = ranks_by_hash(rows, 0)
    >>> ranks[0] < ranks[1], ranks[2] == ranks_by_hash(rows[2:], 0)[0]
    (True, True)
    """
    seen: Counter[str] = Counter()
    ranks = []
    for row in rows:
        key = row.content_key
        ranks.append((seen[key], hashlib.sha256(f"fettle rank {seed}\n{key}".encode()).digest()))
        seen[key] += 1
    return ranks


def make_keep(settings: KeepSettings, detectors: Detectors) -> KeepWhere:
    """The factory in the table; a fault of the expression is found here, before any row is read."""
    return _filter(settings.where, True, "keep", detectors)


def make_drop_where(settings: DropWhereSettings, detectors: Detectors) -> KeepWhere:
    """The factory in the table."""
    return _filter(settings.where, False, "drop-where", detectors)


def make_length(settings: LengthSettings, detectors: Detectors) -> Length:
    """The factory in the table."""
    return Length(settings)


def make_sample(settings: SampleSettings, detectors: Detectors) -> Sample:
    """The factory in the table."""
    return Sample(settings)


def _filter(source: str, keeps: bool, name: str, detectors: Detectors) -> KeepWhere:
    return KeepWhere(Where.parse(source, detectors.language), keeps, name)
