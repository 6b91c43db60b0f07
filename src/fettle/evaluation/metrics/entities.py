"""What found spans are worth: entities, each with its place and its type.

An answer is a JSON list of `[start, end, type]`, characters `start` to just before `end`. The same span and type
twice counts once. All scores are micro: the entities of all rows are counted together, so a row with many weighs
more. Where there is nothing to find and nothing was found, the score is 0, as in nervaluate.

Axes: D draws, R rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from fettle.evaluation.metric import Metric, Outcomes, statistic_metric
from fettle.evaluation.metrics.labels import check_rows
from fettle.evaluation.statistics import Statistic, plain_value, share_of

Entity: TypeAlias = tuple[int, int, str]
Hits: TypeAlias = Callable[[frozenset[Entity], frozenset[Entity]], int]

_as_list = msgspec.json.Decoder(list[Entity])
_UNREADABLE: Entity = (-1, -1, "unreadable answer")


class TypeScore(NamedTuple):
    """How entities of one type were found, strictly, and how many there were to find."""

    precision: float
    recall: float
    f1: float
    num_expected: int


def entities_of(text: str) -> frozenset[Entity]:
    """The entities that a text names.

    >>> sorted(entities_of('[[7, 11, "PLACE"], [0, 3, "PERSON"]]'))
    [(0, 3, 'PERSON'), (7, 11, 'PLACE')]
    """
    try:
        return frozenset(_as_list.decode(text))
    except msgspec.DecodeError as problem:
        raise ValueError(f"{text!r} is no list of [start, end, type]: {problem}") from None


def strict_hits(expected: frozenset[Entity], found: frozenset[Entity]) -> int:
    """Count the entities that were found with the very span and type.

    >>> strict_hits(frozenset([(0, 3, "PERSON")]), frozenset([(0, 4, "PERSON")]))
    0
    """
    return len(expected & found)


def overlap_hits(expected: frozenset[Entity], found: frozenset[Entity]) -> int:
    """Count the most pairs of one expected and one found entity of one type that share a character, each in one pair.

    So a find that covers the whole text is one hit, not one for every entity in it. Entities in order of their ends
    each take, of the finds that overlap them, the one that ends first: whatever comes later and overlaps that one
    overlaps all others of them too, so nothing is lost.

    >>> overlap_hits(frozenset([(0, 3, "PERSON"), (5, 8, "PERSON")]), frozenset([(0, 8, "PERSON"), (1, 2, "PLACE")]))
    1
    """
    hits = 0
    for kind in {entity[2] for entity in expected}:
        wanted, left = (sorted((end, start) for start, end, one in side if one == kind) for side in (expected, found))
        for end, start in wanted:
            partner = next((other for other in left if max(other[1], start) < min(other[0], end)), None)
            if partner:
                left.remove(partner)
                hits += 1
    return hits


def entity_f1(expected: Sequence[str], found: Sequence[str], hits: Hits = strict_hits) -> float:
    """F1 = 2 TP / (2 TP + FP + FN) over the entities of all rows; a hit has the very span and type.

    The same number as nervaluate's strict F1, and as seqeval's in strict mode where spans are runs of tokens. With
    `overlap_hits` a span that is a little off counts in full.

    >>> entity_f1(['[[0, 3, "PERSON"], [7, 11, "PLACE"]]'], ['[[0, 3, "PERSON"], [7, 10, "PLACE"]]'])
    0.5
    """
    return plain_value(len(expected), _f1_statistic(expected, found, hits))


def entity_scores_by_type(expected: Sequence[str], found: Sequence[str]) -> dict[str, TypeScore]:
    """Precision, recall and F1 of each type that was expected or found, strictly, types in order of their names.

    >>> entity_scores_by_type(['[[0, 3, "PERSON"]]'], ['[[0, 3, "PERSON"], [7, 11, "PLACE"]]'])["PLACE"]
    TypeScore(precision=0.0, recall=0.0, f1=0.0, num_expected=0)
    """
    rows = _pairs(expected, found)
    num_expected = Counter(entity[2] for want, _ in rows for entity in want)
    num_found = Counter(entity[2] for _, got in rows for entity in got)
    num_hits = Counter(entity[2] for want, got in rows for entity in want & got)
    return {
        kind: TypeScore(
            num_hits[kind] / num_found[kind] if num_found[kind] else 0.0,
            num_hits[kind] / num_expected[kind] if num_expected[kind] else 0.0,
            2.0 * num_hits[kind] / (num_expected[kind] + num_found[kind]),
            num_expected[kind],
        )
        for kind in sorted(num_expected | num_found)
    }


def _pairs(expected: Sequence[str], found: Sequence[str]) -> list[tuple[frozenset[Entity], frozenset[Entity]]]:
    """Both sides of every row. An answer that cannot be read is one wrong find, so that silence does not pay."""
    check_rows(expected, found)
    rows = []
    for want, got in zip(expected, found, strict=True):
        try:
            answer = entities_of(got)
        except ValueError:
            answer = frozenset([_UNREADABLE])
        rows.append((entities_of(want), answer))
    return rows


def _counts(
    expected: Sequence[str], found: Sequence[str], hits: Hits
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Hits, expected entities and found entities of each row."""
    counts_R3 = np.array(
        [(hits(want, got), len(want), len(got)) for want, got in _pairs(expected, found)], dtype=np.float64
    )
    return counts_R3[:, 0], counts_R3[:, 1], counts_R3[:, 2]


def _f1_statistic(expected: Sequence[str], found: Sequence[str], hits: Hits) -> Statistic:
    num_hits, num_expected, num_found = _counts(expected, found, hits)
    return share_of(2.0 * num_hits, num_expected + num_found)


def _precision_statistic(expected: Sequence[str], found: Sequence[str]) -> Statistic:
    num_hits, _, num_found = _counts(expected, found, strict_hits)
    return share_of(num_hits, num_found)


def _recall_statistic(expected: Sequence[str], found: Sequence[str]) -> Statistic:
    num_hits, num_expected, _ = _counts(expected, found, strict_hits)
    return share_of(num_hits, num_expected)


def _metric(name: str, statistic: Callable[[Sequence[str], Sequence[str]], Statistic]) -> Metric:
    def prepare(*systems: Outcomes) -> Statistic:
        rows = [row for system in systems for row in system]
        return statistic([row.expected for row in rows], [row.answer for row in rows])

    return statistic_metric(name, prepare, is_higher_better=True)


METRICS = (
    _metric("entity_f1", lambda expected, found: _f1_statistic(expected, found, strict_hits)),
    _metric("entity_precision", _precision_statistic),
    _metric("entity_recall", _recall_statistic),
    _metric("entity_f1_relaxed", lambda expected, found: _f1_statistic(expected, found, overlap_hits)),
)
