"""Outcomes become scores: each metric by name, with its interval, and paired differences between systems.

A metric is a record of three functions. Metrics are registered in one table; a plug-in adds to it by entry point
(`fettle.metrics`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np
from numpy.typing import NDArray

from fettle.errors import UnknownName, near_misses
from fettle.evaluation import metrics
from fettle.evaluation.report import Outcome
from fettle.evaluation.statistics import (
    Comparison,
    Estimate,
    bootstrap_mean,
    bootstrap_statistic,
    compare_paired,
    wilson,
)

_NUM_SWAPS = 2000

Outcomes = Sequence[Outcome]


@dataclass(frozen=True)
class Metric:
    """How a score is made: alone, with its interval, or beside another system's on the same rows (`compare`)."""

    name: str
    is_higher_better: bool
    value: Callable[[Outcomes], float]
    estimate: Callable[[Outcomes], Estimate]
    compare: Callable[[Outcomes, Outcomes, str, str], Comparison]


def score(
    outcomes: Mapping[str, Outcomes], names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[dict[str, dict[str, dict[str, object]]], list[dict[str, object]]]:
    """Every metric of every system, and every metric of every pair, as plain data."""
    chosen = [find_metric(name) for name in names]
    scores = {
        system: {metric.name: metric.estimate(rows).as_json() for metric in chosen} for system, rows in outcomes.items()
    }
    paired = [metric.compare(outcomes[a], outcomes[b], a, b).as_json() for a, b in pairs for metric in chosen]
    return scores, paired


def find_metric(name: str) -> Metric:
    """The metric of that name."""
    if name in _TABLE:
        return _TABLE[name]
    for point in entry_points(group="fettle.metrics", name=name):
        plugged: Metric = point.load()
        return plugged
    raise UnknownName(f"there is no metric {name!r}", expected=f"one of: {near_misses(name, _TABLE)}")


def _hits(rows: Outcomes) -> list[float]:
    return metrics.accuracy_hits([row.expected for row in rows], [row.answer for row in rows])


def _accuracy(rows: Outcomes) -> Estimate:
    hits = _hits(rows)
    return Estimate(sum(hits) / len(hits), wilson(sum(hits), len(hits)))


def _compare_accuracy(a: Outcomes, b: Outcomes, name_a: str, name_b: str) -> Comparison:
    return compare_paired(name_a, name_b, "accuracy", _hits(a), _hits(b), is_binary=True)


def _codes(rows: Outcomes, others: Outcomes = ()) -> list[NDArray[np.intp]]:
    """Labels as numbers: expected, answered, and what the other system answered."""
    columns = [[row.expected for row in rows], [row.answer for row in rows], [row.answer for row in others]]
    number = {label: place for place, label in enumerate(sorted({label for column in columns for label in column}))}
    return [np.asarray([number[label] for label in column], np.intp) for column in columns]


def _macro_f1(rows: Outcomes) -> Estimate:
    want, got, _ = _codes(rows)
    return bootstrap_statistic(len(rows), lambda drawn: metrics.macro_f1_of_codes(want[drawn], got[drawn]))


def _compare_macro_f1(a: Outcomes, b: Outcomes, name_a: str, name_b: str) -> Comparison:
    """Interval by drawing rows; p by swapping the two systems' answers row by row at random."""
    want, first, second = _codes(a, b)

    def difference(drawn: NDArray[np.intp]) -> float:
        return metrics.macro_f1_of_codes(want[drawn], first[drawn]) - metrics.macro_f1_of_codes(
            want[drawn], second[drawn]
        )

    estimate = bootstrap_statistic(len(want), difference)
    draw = np.random.default_rng(0)
    at_least = 0
    for _ in range(_NUM_SWAPS):
        swap = draw.random(len(want)) < 0.5
        one, two = np.where(swap, second, first), np.where(swap, first, second)
        gap = metrics.macro_f1_of_codes(want, one) - metrics.macro_f1_of_codes(want, two)
        at_least += abs(gap) >= abs(estimate.value) - 1e-12
    p = (at_least + 1) / (_NUM_SWAPS + 1)
    return Comparison(name_a, name_b, "macro_f1", estimate.value, estimate.interval, p)


def _losses(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Mean loss of each row, and its weight."""
    return [row.loss / row.weight if row.weight else 0.0 for row in rows], [row.weight for row in rows]


def _bits(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Bits for each byte of each row, and its weight: its bytes."""
    return [metrics.bits_per_byte(row.loss, row.num_bytes) for row in rows], [float(row.num_bytes) for row in rows]


def _perplexity(rows: Outcomes) -> Estimate:
    loss = _LOSS.estimate(rows)
    low, high = loss.interval
    return Estimate(_finite_perplexity(loss.value), (_finite_perplexity(low), _finite_perplexity(high)))


def _finite_perplexity(loss: float) -> float:
    """Perplexity that a JSON document can hold: the largest number stands for all beyond it."""
    return min(metrics.perplexity(loss), sys.float_info.max)


def _compare_perplexity(a: Outcomes, b: Outcomes, name_a: str, name_b: str) -> Comparison:
    """The test of the loss; the difference and its interval as perplexities around b's."""
    loss = _LOSS.compare(a, b, name_a, name_b)
    floor = _LOSS.estimate(b).value

    def apart(difference: float) -> float:
        return _finite_perplexity(floor + difference) - _finite_perplexity(floor)

    interval = (apart(loss.interval[0]), apart(loss.interval[1]))
    return Comparison(name_a, name_b, "perplexity", apart(loss.difference), interval, loss.p)


def _text_metric(name: str, measure: Callable[[str, str], float]) -> Metric:
    def values(rows: Outcomes) -> list[float]:
        return [measure(row.answer, row.expected) for row in rows]

    def estimate(rows: Outcomes) -> Estimate:
        return bootstrap_mean(values(rows))

    def compare(a: Outcomes, b: Outcomes, name_a: str, name_b: str) -> Comparison:
        return compare_paired(name_a, name_b, name, values(a), values(b), is_binary=False)

    return Metric(name, True, lambda rows: estimate(rows).value, estimate, compare)


def _loss_metric(name: str, columns: Callable[[Outcomes], tuple[list[float], list[float]]]) -> Metric:
    """A mean over rows of different weight, the less the better. `columns` gives values and weights."""

    def estimate(rows: Outcomes) -> Estimate:
        return bootstrap_mean(*columns(rows))

    def compare(a: Outcomes, b: Outcomes, name_a: str, name_b: str) -> Comparison:
        values_a, weights = columns(a)
        values_b, _ = columns(b)
        return compare_paired(name_a, name_b, name, values_a, values_b, weights=weights, is_binary=False)

    return Metric(name, False, lambda rows: estimate(rows).value, estimate, compare)


_LOSS = _loss_metric("loss", _losses)
_TABLE = {
    "accuracy": Metric("accuracy", True, lambda rows: _accuracy(rows).value, _accuracy, _compare_accuracy),
    "macro_f1": Metric("macro_f1", True, lambda rows: _macro_f1(rows).value, _macro_f1, _compare_macro_f1),
    "loss": _LOSS,
    "bits_per_byte": _loss_metric("bits_per_byte", _bits),
    "perplexity": Metric("perplexity", False, lambda rows: _perplexity(rows).value, _perplexity, _compare_perplexity),
    "chrf": _text_metric("chrf", metrics.chrf),
    "rouge_l": _text_metric("rouge_l", metrics.rouge_l),
}
