"""What a metric is, and the three ways to make one: a share of rows, a mean over rows, a statistic of all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle.evaluation.comparing import Difference, compare_paired, compare_statistic
from fettle.evaluation.report import Outcome
from fettle.evaluation.statistics import (
    Estimate,
    Statistic,
    bootstrap_mean,
    bootstrap_statistic,
    plain_mean,
    plain_value,
    wilson,
)

Outcomes = Sequence[Outcome]


@dataclass(frozen=True)
class Metric:
    """How a score is made. `value` is the score alone, quick; `estimate` the same number with its interval.

    `compare` takes what two systems did with the same rows, and says how far the first lies above the second.
    """

    name: str
    is_higher_better: bool
    value: Callable[[Outcomes], float]
    estimate: Callable[[Outcomes], Estimate]
    compare: Callable[[Outcomes, Outcomes], Difference]


def share_metric(name: str, hits: Callable[[Outcomes], list[float]]) -> Metric:
    """Make a metric of rows that hit, 1.0, or miss, 0.0. `hits` may leave out rows that do not count.

    Where no row counts, nothing is known: the score is 0 with the interval from 0 to 1, and no difference is seen.
    """

    def value(rows: Outcomes) -> float:
        found = hits(rows)
        return sum(found) / len(found) if found else 0.0

    def estimate(rows: Outcomes) -> Estimate:
        found = hits(rows)
        return Estimate(value(rows), wilson(sum(found), len(found)) if found else (0.0, 1.0))

    def compare(a: Outcomes, b: Outcomes) -> Difference:
        hits_a, hits_b = hits(a), hits(b)
        return compare_paired(hits_a, hits_b, is_binary=True) if hits_a else Difference(0.0, (-1.0, 1.0), 1.0)

    return Metric(name, True, value, estimate, compare)


def mean_metric(
    name: str, columns: Callable[[Outcomes], tuple[list[float], list[float] | None]], *, is_higher_better: bool
) -> Metric:
    """Make a metric that is a mean over rows. `columns` gives the numbers of rows and their weights, if any."""

    def value(rows: Outcomes) -> float:
        return plain_mean(*columns(rows))

    def estimate(rows: Outcomes) -> Estimate:
        return bootstrap_mean(*columns(rows))

    def compare(a: Outcomes, b: Outcomes) -> Difference:
        values_a, weights = columns(a)
        values_b, _ = columns(b)
        return compare_paired(values_a, values_b, weights, is_binary=False)

    return Metric(name, is_higher_better, value, estimate, compare)


def statistic_metric(name: str, prepare: Callable[..., Statistic], *, is_higher_better: bool) -> Metric:
    """Make a metric that is no mean of rows.

    `prepare` takes the outcomes of one system or more and gives a statistic over the rows of all, in that order, so
    that systems share one numbering of labels and their answers can be swapped row by row.
    """

    def value(rows: Outcomes) -> float:
        return plain_value(len(rows), prepare(rows))

    def estimate(rows: Outcomes) -> Estimate:
        return bootstrap_statistic(len(rows), prepare(rows))

    def compare(a: Outcomes, b: Outcomes) -> Difference:
        if len(a) != len(b):
            raise ValueError(f"{len(a)} rows against {len(b)}: rows must pair up")
        return compare_statistic(len(a), prepare(a, b))

    return Metric(name, is_higher_better, value, estimate, compare)
