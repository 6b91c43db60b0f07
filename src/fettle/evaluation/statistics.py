"""How sure one may be of a score, and whether two scores truly differ.

Pure functions from numbers of rows to intervals and p-values, each the same for the same input and seed. This file
does not know what the numbers mean. The row is the unit that is resampled: rows cut from one source (turns of one
conversation) are not independent, and every interval here is then too narrow.

A weight says how much a row counts in the mean; a row of weight 0 is as good as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest

Interval = tuple[float, float]

_MIN_ROWS_FOR_BCA = 10
_MAX_JACKKNIFE_GROUPS = 200
_MAX_ENUMERATED_DIFFERENCES = 12
# 16 MiB of row numbers at a time: 2,000 resamples of a million rows must not ask for 16 GB.
_DRAWS_IN_MEMORY = 2**21
# Sums that are equal on paper differ by rounding; ties are counted within this share of their size.
_ROUNDING = 1e-12


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far `a` lies above `b` on the same rows, the interval of that difference, and the p of no difference.

    >>> Comparison("tuned", "base", "accuracy", 0.25, (0.0, 0.5), 0.125).as_json()["interval"]
    [0.0, 0.5]
    """

    a: str
    b: str
    metric: str
    difference: float
    interval: Interval
    p: float

    def as_json(self) -> dict[str, object]:
        """The comparison as plain data."""
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "difference": self.difference,
            "interval": list(self.interval),
            "p": self.p,
        }


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


def _weighed_rows(
    values: Sequence[float], weights: Sequence[float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check values and weights, and leave out the rows that weigh nothing: no resample can then weigh nothing."""
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
    rows_at_once = max(1, _DRAWS_IN_MEMORY // n)
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
    if np.ptp(draws) <= _ROUNDING * float(np.abs(draws).max()):
        return value, value
    shares = np.array([ndtr(-score), ndtr(score)])
    below = (float(np.mean(draws < value)) + float(np.mean(draws <= value))) / 2.0
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
    row_values, row_weights = _weighed_rows(values, weights)
    value = float(row_weights @ row_values / row_weights.sum())
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


def _jackknife_influences(n: int, statistic: Callable[[NDArray[np.intp]], float], seed: int) -> NDArray[np.float64]:
    """Find what leaving rows out does to the statistic; above 200 rows they leave in 200 groups drawn by chance.

    The skewness BCa asks for does not depend on the size of the groups, and 200 calls stay cheap for any n.
    """
    group_of_row = np.random.default_rng(seed).permutation(n) % min(n, _MAX_JACKKNIFE_GROUPS)
    left = [statistic(np.flatnonzero(group_of_row != group)) for group in range(min(n, _MAX_JACKKNIFE_GROUPS))]
    left_out = np.array(left, dtype=np.float64)
    return np.asarray(left_out.mean() - left_out)


def bootstrap_statistic(
    n: int,
    statistic: Callable[[NDArray[np.intp]], float],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Estimate any statistic of `n` rows that is no mean of them, such as macro-F1.

    `statistic` gets row numbers, some of them more than once, and must be finite for every such draw. It is called
    once for each resample, so give it arrays to index rather than lists to copy.

    >>> heights = np.array([1.0, 2.0, 6.0])
    >>> bootstrap_statistic(3, lambda rows: float(np.median(heights[rows]))).as_json()
    {'value': 2.0, 'interval': [1.0, 6.0]}
    """
    if n < 1:
        raise ValueError(f"{n} rows: an interval needs at least one")
    value = float(statistic(np.arange(n, dtype=np.intp)))
    draws = np.array([statistic(rows) for batch in _resampled_rows(n, resamples, seed) for rows in batch], np.float64)
    influences = _jackknife_influences(n, statistic, seed) if n >= _MIN_ROWS_FOR_BCA else np.empty(0)
    if not (np.isfinite(value) and np.isfinite(draws).all() and np.isfinite(influences).all()):
        raise ValueError("the statistic is not finite on some resample: make it so, or leave the interval out")
    return Estimate(value, _bootstrap_interval(value, draws, influences, confidence))


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
    row_differences, row_weights = _weighed_rows(differences, weights)
    shifts = row_weights * row_differences
    shifts = shifts[shifts != 0.0]
    if len(shifts) == 0:
        return 1.0
    # The weights sum to the same under every flip, so the sum stands for the mean.
    reach = abs(float(shifts.sum())) - _ROUNDING * float(np.abs(shifts).sum())
    if len(shifts) <= _MAX_ENUMERATED_DIFFERENCES:
        flips = np.arange(2 ** len(shifts))[:, None] >> np.arange(len(shifts)) & 1
        return float(np.mean(np.abs((2.0 * flips - 1.0) @ shifts) >= reach))
    if resamples < 1:
        raise ValueError(f"{resamples} resamples: at least one is needed")
    generator = np.random.default_rng(seed)
    rows_at_once = max(1, _DRAWS_IN_MEMORY // len(shifts))
    as_far = 0
    for start in range(0, resamples, rows_at_once):
        size = (min(rows_at_once, resamples - start), len(shifts))
        signs = 2.0 * generator.integers(0, 2, size=size, dtype=np.int8) - 1.0
        as_far += int(np.sum(np.abs(signs @ shifts) >= reach))
    return (as_far + 1) / (resamples + 1)


def compare_paired(
    a: str,
    b: str,
    metric: str,
    a_values: Sequence[float],
    b_values: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    is_binary: bool,
) -> Comparison:
    """Compare two columns of scores on the same rows: a minus b, paired bootstrap interval, exact or permutation p.

    Law: swapping a and b negates difference and interval and keeps p. Binary scores get McNemar's test, all else
    sign flips; binary scores with weights get sign flips too, since McNemar's cannot weigh. Trap: interval and p come
    from different arguments, so with few rows an interval may touch 0 while p is small, or the reverse.

    >>> compare_paired("tuned", "base", "accuracy", [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], is_binary=True).p
    1.0
    """
    if len(a_values) != len(b_values):
        raise ValueError(f"{len(a_values)} rows of {a} against {len(b_values)} of {b}: rows must pair up")
    differences = [float(left) - float(right) for left, right in zip(a_values, b_values, strict=True)]
    estimate = bootstrap_mean(differences, weights)
    takes_mcnemar = is_binary and weights is None
    p = mcnemar_exact(a_values, b_values) if takes_mcnemar else paired_permutation(differences, weights)
    return Comparison(a, b, metric, estimate.value, estimate.interval, p)
