"""`mine=N`: pairs get texts that look like the match and are not, so that a model learns to tell them apart.

They come from the matches of the rows that train, and only rows that train get any. Texts that score nearly as well as
the match itself are passed over: they may be right, only nobody said so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from fettle.cleaning.config import MineSettings
from fettle.cleaning.detectors import Detectors, missing_detector
from fettle.cleaning.operation import Change, Cleaned, replace_rows
from fettle.data.records import Row, TextPair, normalised
from fettle.errors import RequestError
from fettle.quality.alike.retrieval import Retriever
from fettle.quality.finding import Given


@dataclass(frozen=True)
class Mine:
    """The operation."""

    settings: MineSettings
    name: str = "mine"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Search with each text that has too few others, and take the best below its own match.

        Source of the margin: Moreira et al. 2024, arXiv:2407.15831 (a share of the match's own score).
        """
        pairs = {place: pair for place, row in enumerate(rows) if (pair := _pair_of(row)) is not None}
        if rows and not pairs:
            raise RequestError("no row that trains is a pair", where="mine", expected="rows of a text and its match")
        wanting = {place: pair for place, pair in pairs.items() if len(pair.others) < self.settings.num_others}
        if not wanting:
            return replace_rows(rows, {}, {})
        matches = list(dict.fromkeys(pair.match for pair in pairs.values()))
        place_of = {match: place for place, match in enumerate(matches)}
        right: dict[str, set[str]] = defaultdict(set)
        for pair in pairs.values():
            right[normalised(pair.text)].update((normalised(pair.match), normalised(pair.text)))
        mended = {}
        waiting = iter(wanting.items())
        for _, scores_QN in self._retriever(matches, given).scores([pair.text for pair in wanting.values()]):
            for scores_N, (place, pair) in zip(scores_QN, waiting, strict=False):
                own = float(scores_N[place_of[pair.match]])
                order = np.argsort(-scores_N, kind="stable")
                is_below = scores_N[order] < own - self.settings.margin * abs(own)
                never = right[normalised(pair.text)].union(map(normalised, pair.others))
                nearest = (matches[each] for each in order[is_below])
                fresh = _first_distinct(nearest, self.settings.num_others - len(pair.others), never)
                mended[place] = _given_others(rows[place], pair, fresh, place)
        return replace_rows(rows, mended, {})

    def _retriever(self, matches: Sequence[str], given: Given) -> Retriever:
        if self.settings.by == "words" or (self.settings.by == "auto" and given.embed is None):
            return Retriever.by_words(matches)
        if given.embed is None:
            raise missing_detector("mine with by = model", "a model that tells what texts mean")
        return Retriever.by_vectors(matches, given.embed)


def _pair_of(row: Row) -> TextPair | None:
    """The pair that a row trains with, if its match belongs to its text for sure."""
    is_pair = isinstance(row.record, TextPair) and row.record.score is None and row.part in ("", "train")
    return row.record if is_pair and isinstance(row.record, TextPair) else None


def _first_distinct(texts: Iterable[str], most: int, never: set[str]) -> list[str]:
    """The first of the texts that are none of those, each wording once."""
    kept: list[str] = []
    for text in texts:
        if len(kept) == most:
            break
        if normalised(text) not in never:
            kept.append(text)
            never.add(normalised(text))
    return kept


def _given_others(row: Row, pair: TextPair, fresh: Sequence[str], place: int) -> tuple[Row, Change]:
    if not fresh:
        return row, Change(place, "left", "no other match scores below its own by the margin")
    mended = msgspec.structs.replace(pair, others=(*pair.others, *fresh))
    plural = "" if len(fresh) == 1 else "es"
    return msgspec.structs.replace(row, record=mended), Change(place, "changed", f"{len(fresh)} wrong match{plural}")


def make_mine(settings: MineSettings, detectors: Detectors) -> Mine:
    """The factory in the table."""
    return Mine(settings)
