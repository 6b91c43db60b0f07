"""How sure one may be of a score.

Pure functions from numbers of rows to intervals, each the same for the same input and seed. This file does not know
what the numbers mean. The row is the unit that is resampled: rows cut from one source (turns of one conversation) are
not independent, and every interval here is then too narrow.

A weight says how much a row counts in the mean; a row of weight 0 is as good as absent. Axes: D draws, R rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Interval = tuple[float, float]
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From how often each row counts in each draw, counts_DR, to one number a draw. A whole column of draws is one call, so
that thousands of draws cost a few products of matrices; it must be finite for every draw of at least one row."""

_MIN_ROWS_FOR_BCA = 10
_MAX_JACKKNIFE_GROUPS = 200
# 2 MiB of row numbers at a time, near the processor: 2,000 resamples of a million rows must not ask for 16 GB.
DRAWS_IN_MEMORY = 2**18
# Sums that are equal on paper differ by rounding; ties are counted within this share of their size.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval it is known to.

    >>> Estimate(0.5, (0.25, 0.75)).as_json()
    {'value': 0.5, 'interval': [0.25, 0.75]}
    """

    value: float
    interval: Interval

    def as_json(self) -> dict[str, object]:
        """The estimate as plain data."""
        return {"value": self.value, "interval": list(self.interval)}


def _normal_score(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return float(ndtri(0.5 + confidence / 2.0))


def _wilson_of_share(share: float, n: int, confidence: float) -> Interval:
    score = _normal_score(confidence)
    if n < 1:
        raise ValueError(f"{n} rows: an interval needs at least one")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share of {share} is not between 0 and 1")
    pull = score * score / n
    centre = (share + pull / 2.0) / (1.0 + pull)
    half_width = score * float(np.sqrt(share * (1.0 - share) / n + pull / (4.0 * n))) / (1.0 + pull)
    # At the ends the bound is 0 or 1 on paper; rounding must not put it a hair beside or beyond.
    low = 0.0 if share == 0.0 else max(0.0, centre - half_width)
    high = 1.0 if share == 1.0 else min(1.0, centre + half_width)
    return low, high


def wilson(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """Bound the true share behind `hits` among `n` rows; honest with few rows and at 0 and n, where others collapse.

    `hits` may be a fraction (soft hits). Source: Wilson 1927, Probable inference, the law of succession.

    >>> low, high = wilson(20, 20)
    >>> round(low, 3), high
    (0.839, 1.0)
    """
    if not 0.0 <= hits <= n:
        raise ValueError(f"{hits} hits among {n} rows: hits must lie between 0 and the number of rows")
    return _wilson_of_share(hits / n if n else 0.0, n, confidence)


def expected_half_width(n: int, value: float = 0.5, confidence: float = 0.95) -> float:
    """Foretell how far the Wilson interval of a share will reach to each side, before any row is scored.

    The widest is at `value` 0.5; plan with it when the share is unknown. It falls with every further row.

    >>> round(expected_half_width(100), 3)
    0.096
    """
    low, high = _wilson_of_share(value, n, confidence)
    return (high - low) / 2.0


def rows_needed(half_width: float, value: float = 0.5, confidence: float = 0.95) -> int:
    """Count the fewest rows that bring the Wilson interval down to `half_width`: the inverse of the above.

    >>> rows_needed(0.05), rows_needed(0.01)
    (381, 9600)
    """
    if not half_width > 0.0:
        raise ValueError(f"a half width of {half_width} is never reached: it must be above 0")
    enough = 1
    while expected_half_width(enough, value, confidence) > half_width:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if expected_half_width(middle, value, confidence) > half_width:
            too_few = middle
        else:
            enough = middle
    return enough


def weighed_rows(
    values: Sequence[float], weights: Sequence[float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check values and weights, and leave out the rows that weigh nothing: no resample can then weigh nothing.

    >>> weighed_rows([0.5, 1.0], [0.0, 2.0])
    (array([1.]), array([2.]))
    """
    row_values = np.asarray(values, dtype=np.float64)
    row_weights = np.ones_like(row_values) if weights is None else np.asarray(weights, dtype=np.float64)
    if row_values.ndim != 1 or row_values.shape != row_weights.shape:
        raise ValueError(f"values {row_values.shape} and weights {row_weights.shape}: one weight for every row")
    if not (np.isfinite(row_values).all() and np.isfinite(row_weights).all()):
        raise ValueError("a value or weight is not finite: its row has no score and must be left out or repaired")
    if (row_weights < 0.0).any():
        raise ValueError("a weight is below 0")
    counts = row_weights > 0.0
    if not counts.any():
        raise ValueError("no row has weight: there is nothing to average")
    return row_values[counts], row_weights[counts]


def _resampled_rows(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    if resamples < 1:
        raise ValueError(f"{resamples} resamples: at least one is needed")
    generator = np.random.default_rng(seed)
    rows_at_once = max(1, DRAWS_IN_MEMORY // n)
    for start in range(0, resamples, rows_at_once):
        yield generator.integers(0, n, size=(min(rows_at_once, resamples - start), n), dtype=np.intp)


def _bootstrap_interval(
    value: float, draws: NDArray[np.float64], influences: NDArray[np.float64], confidence: float
) -> Interval:
    """Read the interval off the draws: BCa where it can be had, plain percentiles elsewhere.

    Percentiles are off-centre when the statistic is skewed or biased (F1, scores near 1); BCa shifts them by the bias
    z0 and the skewness a, and its error falls as 1/n, not 1/sqrt(n). Yet a is a third moment: from fewer than ten
    rows it is noise. Pass no influences then. Source: Efron 1987, Better bootstrap confidence intervals.
    """
    score = _normal_score(confidence)
    rounding = ROUNDING * float(np.abs(draws).max())
    if np.ptp(draws) <= rounding:
        return value, value
    shares = np.array([ndtr(-score), ndtr(score)])
    below = (float(np.mean(draws < value - rounding)) + float(np.mean(draws <= value + rounding))) / 2.0
    largest = float(np.abs(influences).max(initial=0.0))
    if largest > 0.0 and 0.0 < below < 1.0:
        scaled = influences / largest
        skewness = float(np.sum(scaled**3) / (6.0 * np.sum(scaled**2) ** 1.5))
        bias = float(ndtri(below))
        shifted = bias + np.array([-score, score])
        stretch = 1.0 - skewness * shifted
        if (stretch > 0.0).all():
            shares = ndtr(bias + shifted / stretch)
    low, high = np.quantile(draws, shares)
    return float(low), float(high)


def plain_mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The mean of the rows, sum(w v) / sum(w).

    >>> plain_mean([1.0, 0.0], weights=[3.0, 1.0])
    0.75
    """
    row_values, row_weights = weighed_rows(values, weights)
    return float(row_weights @ row_values / row_weights.sum())


def bootstrap_mean(
    values: Sequence[float],
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean of the rows, sum(w v) / sum(w), with a bootstrap interval over whole rows.

    Weights travel with their rows and the division comes last, so a mean over tokens may be given rows of unequal
    length. Trap: rows that are all alike, or a single row, give an interval of no width. That is want of evidence,
    not certainty; for unweighted hits `wilson` knows better.

    >>> bootstrap_mean([1.0, 0.0], weights=[3.0, 1.0]).value
    0.75
    """
    value = plain_mean(values, weights)
    row_values, row_weights = weighed_rows(values, weights)
    weighed = row_weights * row_values
    draws = np.concatenate(
        [
            weighed[rows].sum(axis=1) / row_weights[rows].sum(axis=1)
            for rows in _resampled_rows(len(row_values), resamples, seed)
        ]
    )
    # The influence of a row on a ratio, up to a factor that the skewness does not feel.
    influences = row_weights * (row_values - value) if len(row_values) >= _MIN_ROWS_FOR_BCA else np.empty(0)
    return Estimate(value, _bootstrap_interval(value, draws, influences, confidence))


def plain_value(num_rows: int, statistic: Statistic) -> float:
    """The statistic of the rows as they are, each counted once.

    >>> plain_value(2, share_of(np.array([1.0, 2.0]), np.array([2.0, 4.0])))
    0.5
    """
    if num_rows < 1:
        raise ValueError(f"{num_rows} rows: there is nothing to score")
    return float(statistic(np.ones((1, num_rows)))[0])


def share_of(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> Statistic:
    """Make the statistic sum(parts) / sum(wholes) of two columns, one number a row. Nothing of nothing is 0.

    >>> share_of(np.array([1.0, 2.0]), np.array([2.0, 4.0]))(np.array([[1.0, 0.0], [0.0, 0.0]]))
    array([0.5, 0. ])
    """
    columns_R2 = np.stack([parts, wholes], axis=1)

    def statistic(counts_DR: NDArray[np.float64]) -> NDArray[np.float64]:
        sums_D2 = counts_DR @ columns_R2
        return safe_ratio(sums_D2[:, 0], sums_D2[:, 1])

    return statistic


def safe_ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide number by number; where there is nothing to divide by, the ratio is 0.

    >>> safe_ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0.0)


def resampled_values(num_rows: int, statistic: Statistic, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """The statistic of every resample: as many rows as there are, each drawn by chance, some more than once.

    >>> resampled_values(1, share_of(np.array([1.0]), np.array([2.0])), resamples=3)
    array([0.5, 0.5, 0.5])
    """
    return np.concatenate([statistic(counts_DR) for counts_DR in _resampled_counts(num_rows, resamples, seed)])


def _resampled_counts(num_rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    for rows_DR in _resampled_rows(num_rows, resamples, seed):
        num_draws = len(rows_DR)
        places = rows_DR + num_rows * np.arange(num_draws)[:, None]
        counts = np.bincount(places.ravel(), minlength=num_draws * num_rows)
        yield counts.reshape(num_draws, num_rows).astype(np.float64)


def _jackknife_influences(num_rows: int, statistic: Statistic, seed: int) -> NDArray[np.float64]:
    """Find what leaving rows out does to the statistic; above 200 rows they leave in 200 groups drawn by chance.

    The skewness BCa asks for does not depend on the size of the groups, and 200 draws stay cheap for any number of
    rows.
    """
    groups = np.arange(min(num_rows, _MAX_JACKKNIFE_GROUPS))
    group_of_row = np.random.default_rng(seed).permutation(num_rows) % len(groups)
    at_once = max(1, DRAWS_IN_MEMORY // num_rows)
    parts = [groups[start : start + at_once, None] for start in range(0, len(groups), at_once)]
    left_out = np.concatenate([statistic((group_of_row != part).astype(np.float64)) for part in parts])
    return np.asarray(left_out.mean() - left_out)


def bootstrap_statistic(
    num_rows: int, statistic: Statistic, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Estimate any statistic of rows that is no mean of them, such as macro-F1 or a correlation.

    Law: a resample is told as how often it drew each row, so the statistic must not depend on the order of rows.

    >>> heights = np.array([1.0, 2.0, 6.0])
    >>> bootstrap_statistic(3, lambda counts_DR: counts_DR @ heights / counts_DR.sum(axis=1)).as_json()
    {'value': 3.0, 'interval': [1.0, 6.0]}
    """
    value = plain_value(num_rows, statistic)
    draws = resampled_values(num_rows, statistic, resamples, seed)
    influences = _jackknife_influences(num_rows, statistic, seed) if num_rows >= _MIN_ROWS_FOR_BCA else np.empty(0)
    if not (np.isfinite(value) and np.isfinite(draws).all() and np.isfinite(influences).all()):
        raise ValueError("the statistic is not finite on some resample: make it so, or leave the interval out")
    return Estimate(value, _bootstrap_interval(value, draws, influences, confidence))
