"""`deduplicate=…`: of rows that say the same, nearly the same, or mean the same, one is kept.

Rows are held against each other by what is said in them, case, spacing and Unicode form aside, and never across labels
or scores: two answers to one question are a contradiction, which is another matter. Of rows in several parts one that
is held out is kept, a test row first: so the copy that would leak into training goes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fettle.cleaning.config import KEEP_RULE, KEEP_RULES, DeduplicateSettings
from fettle.cleaning.detectors import Detectors, SimilarPairs, missing_detector
from fettle.cleaning.operation import Cleaned, drop_rows
from fettle.cleaning.where import spoken_text
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    Message,
    MultiLabelledText,
    Preference,
    Record,
    Row,
    ScoredText,
    TaggedText,
    TextPair,
    answer_text,
    input_text,
    normalised,
    says_nothing,
)
from fettle.data.splits.groups import joined
from fettle.data.splits.times import date_in, number_in
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
        only_input = (self.settings.compare or ("all" if kind == "exact" else "input")) == "input"
        apart = [_compared(row.record, only_input) for row in rows]
        systems, texts = [system for system, _ in apart], [text for _, text in apart]
        sorts = _numbers(zip(map(_sort_of, rows), self._alike(systems, threshold), strict=True))
        if kind == "exact":
            plain = _numbers(zip(sorts, map(normalised, texts), strict=True))
            first: dict[int, int] = {}
            return [(first.setdefault(number, place), place) for place, number in enumerate(plain)]
        # What has no input is like nothing else.
        said = [place for place, text in enumerate(texts) if not says_nothing(text)]
        texts, sorts = [texts[place] for place in said], [sorts[place] for place in said]
        if kind == "near":
            found = self._near()(texts, threshold, sorts)
        elif self.detectors.semantic_pairs is None or given.embed is None:
            raise missing_detector("deduplicate=semantic", "a model that tells what texts mean")
        else:
            found = self.detectors.semantic_pairs(given.embed(texts), threshold) if texts else []
        return [(said[one], said[other]) for one, other, _ in found if sorts[one] == sorts[other]]

    def _alike(self, systems: Sequence[str], threshold: float) -> list[int]:
        """A number for each system turn: the same for the same, and for those that are near where near is asked for."""
        numbers = _numbers(map(normalised, systems))
        if self.settings.kind != "near" or not any(systems):
            return numbers
        different = list(dict.fromkeys(map(normalised, systems)))
        pairs = self._near()(different, threshold, [0] * len(different))
        heads = joined(len(different), ((one, other) for one, other, _ in pairs))
        return [heads[number] for number in numbers]

    def _near(self) -> SimilarPairs:
        if self.detectors.similar_pairs is None:
            raise missing_detector("deduplicate=near", "a detector of similar texts")
        return self.detectors.similar_pairs


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


def _compared(record: Record, only_input: bool) -> tuple[str, str]:
    """The system turns of a record, and the rest that is said in it."""
    match record:
        case Conversation(messages) | GradedPrompt(messages):
            system, rest = _apart(messages)
            bare: Record = msgspec.structs.replace(record, messages=rest)
            return system, input_text(bare) if only_input and isinstance(record, Conversation) else spoken_text(bare)
        case Preference(prompt) | JudgedAnswer(prompt) | JudgedSteps(prompt):
            system, rest = _apart(prompt)
            return system, spoken_text(msgspec.structs.replace(record, prompt=rest))
    return "", spoken_text(record)


def _apart(turns: Sequence[Message]) -> tuple[str, tuple[Message, ...]]:
    system = "\n".join(turn.content for turn in turns if turn.role == "system")
    return system, tuple(turn for turn in turns if turn.role != "system")


def _numbers(things: Iterable[object]) -> list[int]:
    """A number for each thing, the same for equal ones, from 0 in order of first sight."""
    seen: dict[object, int] = {}
    return [seen.setdefault(thing, len(seen)) for thing in things]


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
