"""`deduplicate=…`: of rows that say the same, nearly the same, or mean the same, one is kept.

Rows are held against each other by what is said in them, case, spacing and Unicode form aside, and never across labels
or scores: two answers to one question are a contradiction, which is another matter. Of rows in several parts one that
is held out is kept, a test row first: so the copy that would leak into training goes.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fettle.cleaning.config import KEEP_RULE, KEEP_RULES, DeduplicateSettings
from fettle.cleaning.detectors import Detectors, missing_detector
from fettle.cleaning.operation import Cleaned, drop_rows
from fettle.cleaning.where import spoken_text
from fettle.data.groups import joined
from fettle.data.records import (
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    MultiLabelledText,
    Row,
    ScoredText,
    TaggedText,
    TextPair,
    answer_text,
)
from fettle.data.times import date_in, number_in
from fettle.errors import UnknownName, near_misses
from fettle.quality.finding import Given

_WORDS = {"exact": "the same as", "near": "nearly the same as", "semantic": "means the same as"}
_DEFAULT_THRESHOLD = {"exact": 1.0, "near": 0.8, "semantic": 0.95}
_HELD_OUT_FIRST = ("test", "validation")

Rank = Callable[[int], tuple[float, ...]]


@dataclass(frozen=True)
class Deduplicate:
    """The operation."""

    settings: DeduplicateSettings
    detectors: Detectors
    name: str = "deduplicate"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Look for rows that are alike until none is found: a detector may miss some while there are many."""
        rank = rank_by(self.settings.keep, rows)
        left = list(range(len(rows)))
        reasons: dict[int, str] = {}
        while True:
            pairs = [(left[one], left[other]) for one, other in self._pairs([rows[place] for place in left], given)]
            dropped = _all_but_the_best(rows, pairs, rank)
            if not dropped:
                return drop_rows(rows, reasons)
            for place, best in dropped.items():
                kept = f"{rows[best].file}:{rows[best].line}"
                reasons[place] = f"{_WORDS[self.settings.kind]} {kept}, which is kept"
            left = [place for place in left if place not in dropped]

    def _pairs(self, rows: Sequence[Row], given: Given) -> Iterable[tuple[int, int]]:
        """Places in `rows` that are alike and of one answer."""
        kind = self.settings.kind
        threshold = self.settings.threshold or _DEFAULT_THRESHOLD[kind]
        number: dict[str, int] = {}
        sorts = [number.setdefault(_sort_of(row), len(number)) for row in rows]
        texts = [normalise(spoken_text(row.record)) for row in rows]
        if kind == "exact":
            first: dict[tuple[int, str], int] = {}
            return [(first.setdefault(key, place), place) for place, key in enumerate(zip(sorts, texts, strict=True))]
        if kind == "near":
            if self.detectors.similar_pairs is None:
                raise missing_detector("deduplicate=near", "a detector of similar texts")
            return [(one, other) for one, other, _ in self.detectors.similar_pairs(texts, threshold, sorts)]
        if self.detectors.semantic_pairs is None or given.embed is None:
            raise missing_detector("deduplicate=semantic", "a model that tells what texts mean")
        if not rows:
            return []
        vectors = given.embed([spoken_text(row.record) for row in rows])
        found = self.detectors.semantic_pairs(vectors, threshold)
        return [(one, other) for one, other, _ in found if sorts[one] == sorts[other]]


def normalise(text: str) -> str:
    """The text with case, spacing and Unicode form set aside.

    >>> normalise(" Where  IS it ")
    'where is it'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def rank_by(keep: str, rows: Sequence[Row]) -> Rank:
    """How good a row is to keep: the smallest rank is the best, the first of equals.

    A row without a readable value of the field is worse than any that has one.
    """
    found = KEEP_RULE.fullmatch(keep)
    if not found:
        raise UnknownName(f"there is no rule {keep!r}", expected=f"one of: {', '.join(KEEP_RULES)}")
    plain, ordered, name = found.groups()
    if plain in ("longest", "shortest"):
        sign = -1 if plain == "longest" else 1
        return lambda place: (sign * len(spoken_text(rows[place].record)), place)
    if plain:
        return lambda place: (place if plain == "first" else -place,)
    known = {each for row in rows for each in row.fields}
    if rows and name not in known:
        raise UnknownName(f"no row has a field {name!r}", where=f"keep = {keep}", attempt=near_misses(name, known))
    sign = -1 if ordered == "newest" else 1

    def age(place: int) -> tuple[float, ...]:
        value = rows[place].fields.get(name, "").strip()
        moment = number_in(value) if number_in(value) is not None else date_in(value)
        return (math.inf if moment is None else sign * moment, place)

    return age


def _all_but_the_best(rows: Sequence[Row], pairs: Iterable[tuple[int, int]], rank: Rank) -> dict[int, int]:
    """For each row that goes, the one that is kept in its stead."""
    clusters: dict[int, list[int]] = defaultdict(list)
    for place, head in enumerate(joined(len(rows), pairs)):
        clusters[head].append(place)
    dropped = {}
    for members in clusters.values():
        if len(members) > 1:
            best = min(members, key=lambda place: (_held_out(rows[place]), *rank(place)))
            dropped.update({place: best for place in members if place != best})
    return dropped


def _held_out(row: Row) -> int:
    return _HELD_OUT_FIRST.index(row.part) if row.part in _HELD_OUT_FIRST else len(_HELD_OUT_FIRST)


def _sort_of(row: Row) -> str:
    """Rows of different sorts are never alike: another kind of record, or another label, score or verdict."""
    record = row.record
    kind = type(record).__name__
    match record:
        case LabelledText() | MultiLabelledText() | TaggedText() | ScoredText():
            return f"{kind} {answer_text(record)}"
        case TextPair(_, _, _, score):
            return f"{kind} {score}"
        case JudgedAnswer(_, _, is_good):
            return f"{kind} {is_good}"
        case JudgedSteps(_, _, are_right):
            return f"{kind} {are_right}"
        case GradedPrompt(_, reference):
            return f"{kind} {reference}"
    return kind


def make_deduplicate(settings: DeduplicateSettings, detectors: Detectors) -> Deduplicate:
    """The factory in the table."""
    return Deduplicate(settings, detectors)
