"""Whether two systems truly differ on the same rows.

Pure functions from numbers of rows to a difference, its interval and a p-value, each the same for the same input and
seed. As with intervals, the row is the unit: it is drawn, flipped or swapped whole, with all that both systems did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from fettle.evaluation.statistics import (
    DRAWS_IN_MEMORY,
    ROUNDING,
    Interval,
    Statistic,
    bootstrap_mean,
    bootstrap_statistic,
    weighed_rows,
)

_MAX_ENUMERATED_DIFFERENCES = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one system lies above another, the interval of that, and the p of no difference.

    >>> Difference(0.25, (0.0, 0.5), 0.125).as_json()
    {'difference': 0.25, 'interval': [0.0, 0.5], 'p': 0.125}
    """

    value: float
    interval: Interval
    p: float

    def as_json(self) -> dict[str, object]:
        """The difference as plain data."""
        return {"difference": self.value, "interval": list(self.interval), "p": self.p}


def mcnemar_exact(a_hits: Sequence[float], b_hits: Sequence[float]) -> float:
    """Test, two-sided, whether `a` and `b` hit equally often on the same rows.

    Only rows that one hits and the other misses tell them apart; were they equal, each such row would fall to either
    side like a fair coin. No such row: p is 1. Source: McNemar 1947, with the binomial in place of chi-square.

    >>> mcnemar_exact([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    0.25
    """
    a, b = np.asarray(a_hits, dtype=np.float64), np.asarray(b_hits, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"hits of {a.shape} and {b.shape} rows: rows must pair up")
    if not (np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()):
        raise ValueError("a hit is 1.0 and a miss 0.0; test graded scores with paired_permutation")
    only_a, only_b = int(np.sum(a > b)), int(np.sum(a < b))
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


def paired_permutation(
    differences: Sequence[float], weights: Sequence[float] | None = None, resamples: int = 10_000, seed: int = 0
) -> float:
    """Test, two-sided, whether the mean of paired differences is 0, by flipping their signs.

    Were `a` and `b` alike, each difference could as well have had the other sign. With at most 12 differences that
    are not 0 every flip is counted; above, flips are drawn and p is (k + 1) / (resamples + 1), the data being one flip
    themselves: p is never 0. Trap: five rows can never fall below p = 2 / 32, however far apart.

    >>> paired_permutation([0.5, 0.25, 1.0, 0.0])
    0.25
    """
    row_differences, row_weights = weighed_rows(differences, weights)
    shifts = row_weights * row_differences
    shifts = shifts[shifts != 0.0]
    if len(shifts) == 0:
        return 1.0
    # The weights sum to the same under every flip, so the sum stands for the mean.
    reach = abs(float(shifts.sum())) - ROUNDING * float(np.abs(shifts).sum())
    if len(shifts) <= _MAX_ENUMERATED_DIFFERENCES:
        flips = np.arange(2 ** len(shifts))[:, None] >> np.arange(len(shifts)) & 1
        return float(np.mean(np.abs((2.0 * flips - 1.0) @ shifts) >= reach))
    if resamples < 1:
        raise ValueError(f"{resamples} resamples: at least one is needed")
    generator = np.random.default_rng(seed)
    rows_at_once = max(1, DRAWS_IN_MEMORY // len(shifts))
    as_far = 0
    for start in range(0, resamples, rows_at_once):
        size = (min(rows_at_once, resamples - start), len(shifts))
        signs = 2.0 * generator.integers(0, 2, size=size, dtype=np.int8) - 1.0
        as_far += int(np.sum(np.abs(signs @ shifts) >= reach))
    return (as_far + 1) / (resamples + 1)


def compare_paired(
    a_values: Sequence[float],
    b_values: Sequence[float],
    weights: Sequence[float] | None = None,
    *,
    is_binary: bool,
) -> Difference:
    """Compare two columns of scores on the same rows: a minus b, paired bootstrap interval, exact or permutation p.

    Law: swapping a and b negates difference and interval and keeps p. Binary scores get McNemar's test, all else
    sign flips; binary scores with weights get sign flips too, since McNemar's cannot weigh. Trap: interval and p come
    from different arguments, so with few rows an interval may touch 0 while p is small, or the reverse.

    >>> compare_paired([1.0, 1.0, 0.0], [0.0, 1.0, 0.0], is_binary=True).p
    1.0
    """
    if len(a_values) != len(b_values):
        raise ValueError(f"{len(a_values)} rows against {len(b_values)}: rows must pair up")
    differences = [float(left) - float(right) for left, right in zip(a_values, b_values, strict=True)]
    estimate = bootstrap_mean(differences, weights)
    takes_mcnemar = is_binary and weights is None
    p = mcnemar_exact(a_values, b_values) if takes_mcnemar else paired_permutation(differences, weights)
    return Difference(estimate.value, estimate.interval, p)


def compare_statistic(num_rows: int, statistic: Statistic, resamples: int = 2000, seed: int = 0) -> Difference:
    """Compare two systems by a statistic that is no mean of rows: a minus b, paired bootstrap interval, swap p.

    `statistic` knows both: its rows are those of a, then the same rows as b answered them, 2 x `num_rows` in all. Were
    the two alike, what they did with a row could as well be swapped; p is the share of random swaps that set them at
    least as far apart, the data being one swap themselves, so p is never 0. Law and trap as in `compare_paired`.
    Source: Yeh 2000, More accurate tests for the statistical significance of result differences.

    >>> hits = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    >>> found = compare_statistic(4, lambda counts_DR: counts_DR @ hits / counts_DR.sum(axis=1))
    >>> found.value, round(found.p, 1)
    (1.0, 0.1)
    """

    def gap(of_a_DR: NDArray[np.float64], of_b_DR: NDArray[np.float64]) -> NDArray[np.float64]:
        swapped = np.hstack([of_b_DR, of_a_DR])
        return statistic(np.hstack([of_a_DR, of_b_DR])) - statistic(swapped)

    estimate = bootstrap_statistic(
        num_rows, lambda counts_DR: gap(counts_DR, np.zeros_like(counts_DR)), resamples=resamples, seed=seed
    )
    generator = np.random.default_rng(seed)
    both = statistic(np.repeat(np.eye(2), num_rows, axis=1))
    reach = abs(estimate.value) - ROUNDING * float(np.abs(both).sum())
    at_once = max(1, DRAWS_IN_MEMORY // num_rows)
    as_far = 0
    for start in range(0, resamples, at_once):
        size = (min(at_once, resamples - start), num_rows)
        stays = generator.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
        as_far += int(np.sum(np.abs(gap(stays, 1.0 - stays)) >= reach))
    return Difference(estimate.value, estimate.interval, (as_far + 1) / (resamples + 1))
