"""Laws of intervals: coverage by simulation, scipy and brute force as judges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fettle.evaluation import statistics
from fettle.evaluation.metrics.labels import macro_f1, macro_f1_statistic
from fettle.evaluation.statistics import (
    Estimate,
    Statistic,
    bootstrap_mean,
    bootstrap_statistic,
    expected_half_width,
    plain_mean,
    plain_value,
    rows_needed,
    share_of,
    wilson,
)

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
GRADES = st.floats(-100.0, 100.0, allow_subnormal=False)


def of_rows(measure: Callable[[NDArray[np.intp]], float]) -> Statistic:
    """The plain way: every resample spelt out as row numbers, in order, and measured by itself."""

    def statistic(counts_DR: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.arange(counts_DR.shape[1])
        return np.array([measure(np.repeat(rows, counts.astype(int))) for counts in counts_DR])

    return statistic


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [left for left, _ in pairs], [right for _, right in pairs]


@SETTINGS
@given(st.integers(1, 500), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    hits = data.draw(st.integers(0, n))
    judge = stats.binomtest(hits, n).proportion_ci(confidence_level=confidence, method="wilson")
    assert wilson(hits, n, confidence) == pytest.approx((judge.low, judge.high), abs=1e-12)


def test_wilson_keeps_to_the_ends_and_takes_soft_hits() -> None:
    assert wilson(0, 7)[0] == 0.0
    assert wilson(7, 7)[1] == 1.0
    assert wilson(3, 7)[0] < wilson(3.5, 7)[0] < wilson(4, 7)[0]


@SETTINGS
@given(st.floats(0.002, 0.6), st.floats(0.0, 1.0), st.sampled_from([0.8, 0.95]))
def test_rows_needed_is_the_fewest_that_reach_the_width(half_width: float, value: float, confidence: float) -> None:
    n = rows_needed(half_width, value, confidence)
    assert expected_half_width(n, value, confidence) <= half_width
    assert n == 1 or expected_half_width(n - 1, value, confidence) > half_width


def test_expected_half_width_is_half_the_wilson_interval_and_widest_in_the_middle() -> None:
    low, high = wilson(30, 120)
    assert expected_half_width(120, 0.25) == pytest.approx((high - low) / 2, abs=1e-15)
    assert expected_half_width(120) > expected_half_width(120, 0.25) > expected_half_width(120, 0.01)
    assert expected_half_width(120, confidence=0.99) > expected_half_width(120)


def coverage(
    draw: Callable[[np.random.Generator], Estimate], truth: float, num_simulations: int = 400
) -> tuple[float, float, float]:
    """The shares of intervals that hold the truth, lie wholly above it, and lie wholly below it."""
    generator = np.random.default_rng(2024)
    intervals = np.array([draw(generator).interval for _ in range(num_simulations)])
    above, below = float(np.mean(intervals[:, 0] > truth)), float(np.mean(intervals[:, 1] < truth))
    return 1.0 - above - below, above, below


def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says() -> None:
    holds, above, below = coverage(
        lambda generator: bootstrap_mean(generator.normal(1.5, 2.0, size=60).tolist(), resamples=400), 1.5
    )
    assert 0.92 <= holds <= 0.975
    assert max(above, below) < 0.05


def test_the_interval_of_a_weighted_mean_holds_the_truth_as_often_as_it_says() -> None:
    def draw(generator: np.random.Generator) -> Estimate:
        weights = generator.integers(1, 20, size=60).astype(float)
        # Long rows score lower: E[w v] / E[w] = (10 - E[w^2] / 20) / 10, with E[w] = 10 and E[w^2] = 130.
        values = 1.0 - weights / 20.0 + generator.normal(0.0, 0.3, size=60)
        return bootstrap_mean(values.tolist(), weights.tolist(), resamples=400)

    holds, _, _ = coverage(draw, 0.35)
    assert 0.92 <= holds <= 0.975


def test_an_eighty_percent_interval_covers_eighty_percent() -> None:
    holds, _, _ = coverage(
        lambda generator: bootstrap_mean(generator.normal(size=60).tolist(), confidence=0.8, resamples=400), 0.0
    )
    assert 0.75 <= holds <= 0.85


SKEWED = np.random.default_rng(5).exponential(size=25) ** 2
HITS = np.array([1.0] * 17 + [0.0] * 3)


@pytest.mark.parametrize(
    ("rows", "statistic"),
    [(SKEWED, np.mean), (-SKEWED, np.mean), (SKEWED, np.std), (HITS, np.mean)],
    ids=["skewed", "skewed down", "biased", "tied"],
)
def test_bca_agrees_with_scipy(rows: NDArray[np.float64], statistic: Callable[..., float]) -> None:
    judge, plain = (
        stats.bootstrap((rows,), statistic, method=method, n_resamples=20_000, rng=np.random.default_rng(1))
        for method in ("BCa", "percentile")
    )
    wanted, unwanted = np.array(judge.confidence_interval), np.array(plain.confidence_interval)
    interval = bootstrap_statistic(
        len(rows), of_rows(lambda chosen: float(statistic(rows[chosen]))), resamples=20_000
    ).interval
    tolerance = 0.03 * (wanted[1] - wanted[0])
    assert interval == pytest.approx(tuple(wanted), abs=tolerance)
    assert np.abs(np.subtract(interval, unwanted)).max() > 2 * tolerance


@pytest.mark.parametrize("rows", [SKEWED, -SKEWED, HITS])
def test_a_mean_is_a_statistic_and_weights_travel_with_their_rows(rows: NDArray[np.float64]) -> None:
    weights = 1.0 / (0.2 + np.abs(rows))
    judge = bootstrap_statistic(len(rows), of_rows(lambda chosen: float(rows[chosen].mean())))
    assert bootstrap_mean(rows.tolist()).interval == pytest.approx(judge.interval, abs=1e-9)
    judge = bootstrap_statistic(
        len(rows), of_rows(lambda chosen: float(np.average(rows[chosen], weights=weights[chosen])))
    )
    weighted = bootstrap_mean(rows.tolist(), weights.tolist())
    assert weighted.value == pytest.approx(judge.value, abs=1e-12)
    # A ratio is not linear in its rows: leaving one out and its influence differ a little.
    assert weighted.interval == pytest.approx(judge.interval, abs=0.02 * float(np.ptp(judge.interval)))


def test_below_ten_rows_the_interval_is_of_percentiles() -> None:
    rows = np.random.default_rng(5).exponential(size=9) ** 2
    drawn: list[NDArray[np.intp]] = []

    def mean(chosen: NDArray[np.intp]) -> float:
        drawn.append(chosen.copy())
        return float(rows[chosen].mean())

    estimate = bootstrap_statistic(9, of_rows(mean), resamples=500)
    assert len(drawn) == 501
    means = [rows[chosen].mean() for chosen in drawn[1:]]
    assert estimate.interval == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=1e-9)


def test_grouped_jackknife_keeps_the_skewness(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.sort(np.random.default_rng(8).exponential(size=1000) ** 2)

    def mean(chosen: NDArray[np.intp]) -> float:
        return float(rows[chosen].mean())

    grouped = bootstrap_statistic(1000, of_rows(mean), resamples=2000).interval
    monkeypatch.setattr(statistics, "_MAX_JACKKNIFE_GROUPS", 1000)
    single = bootstrap_statistic(1000, of_rows(mean), resamples=2000).interval
    percentiles = np.array(single) - rows.mean()
    assert grouped == pytest.approx(single, abs=0.05 * float(np.ptp(percentiles)))
    assert single == pytest.approx(bootstrap_mean(rows.tolist(), resamples=2000).interval, abs=1e-9)


@SETTINGS
@given(st.lists(st.tuples(GRADES, st.floats(0.01, 50.0)), min_size=1, max_size=30))
def test_the_weighted_mean_is_the_ratio_and_lies_in_sight_of_its_interval(rows: list[tuple[float, float]]) -> None:
    values, weights = columns(rows)
    estimate = bootstrap_mean(values, weights, resamples=50)
    ratio = sum(value * weight for value, weight in rows) / sum(weights)
    assert estimate.value == pytest.approx(ratio, abs=1e-9)
    low, high = estimate.interval
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_rows_without_weight_change_nothing_and_scale_of_weights_neither() -> None:
    values, weights = [0.1, 0.9, 0.4, 0.7] * 5, [1.0, 2.0, 4.0, 0.5] * 5
    plain = bootstrap_mean(values, weights)
    assert bootstrap_mean([9.0, *values, -9.0], [0.0, *weights, 0.0]) == plain
    assert bootstrap_mean(values, [8.0 * weight for weight in weights]) == plain
    assert bootstrap_mean(values, [1.0] * 20) == bootstrap_mean(values) != plain


def test_the_same_seed_gives_the_same_interval_whatever_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50).tolist()
    whole = bootstrap_mean(values, resamples=300)
    assert bootstrap_mean(values, resamples=300) == whole
    assert bootstrap_mean(values, resamples=300, seed=1).interval != whole.interval
    monkeypatch.setattr(statistics, "DRAWS_IN_MEMORY", 700)
    assert bootstrap_mean(values, resamples=300) == whole


@pytest.mark.parametrize("values", [[0.1] * 30, [1.0] * 30, [0.0] * 30, [0.3]])
def test_rows_all_alike_give_an_interval_of_no_width(values: list[float]) -> None:
    estimate = bootstrap_mean(values)
    assert estimate.interval == (estimate.value, estimate.value)
    assert estimate.value == pytest.approx(values[0])


def test_macro_f1_can_be_bootstrapped() -> None:
    generator = np.random.default_rng(4)
    expected = generator.choice(["a", "b", "c"], size=300)
    predicted = np.where(generator.random(300) < 0.8, expected, generator.choice(["a", "b", "c"], size=300))
    estimate = bootstrap_statistic(300, macro_f1_statistic(expected.tolist(), predicted.tolist()), resamples=1000)
    low, high = estimate.interval
    assert estimate.value == pytest.approx(macro_f1(expected.tolist(), predicted.tolist()))
    assert low < estimate.value < high
    # Nearly balanced classes: macro-F1 is known about as well as accuracy is.
    assert (high - low) / 2 == pytest.approx(expected_half_width(300, estimate.value), rel=0.25)


@SETTINGS
@given(st.lists(st.tuples(GRADES, st.sampled_from([0.0, 0.25, 3.0])), min_size=1, max_size=20), st.integers(0, 99))
def test_a_share_of_drawn_rows_is_that_of_the_rows_spelt_out(rows: list[tuple[float, float]], seed: int) -> None:
    parts, wholes = (np.array(column) for column in columns(rows))
    counts_DR = np.random.default_rng(seed).integers(0, 4, size=(5, len(rows))).astype(float)
    for counts, share in zip(counts_DR, share_of(parts, wholes)(counts_DR), strict=True):
        chosen = np.repeat(np.arange(len(rows)), counts.astype(int))
        whole = wholes[chosen].sum()
        assert share == pytest.approx(parts[chosen].sum() / whole if whole > 0.0 else 0.0, rel=1e-9, abs=1e-9)


def test_the_share_of_two_columns_has_the_interval_of_the_weighted_mean() -> None:
    generator = np.random.default_rng(12)
    weights = generator.integers(1, 9, size=80).astype(float)
    values = generator.normal(size=80)
    judge = bootstrap_mean(values.tolist(), weights.tolist())
    share = bootstrap_statistic(80, share_of(values * weights, weights))
    assert share.value == pytest.approx(judge.value, abs=1e-12)
    assert share.interval == pytest.approx(judge.interval, abs=0.02 * float(np.ptp(judge.interval)))


def test_a_statistic_that_fails_on_a_resample_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_statistic(3, of_rows(lambda rows: float("nan") if len(set(rows.tolist())) == 1 else 0.5))


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(3, 2),
        lambda: wilson(-1, 2),
        lambda: wilson(0, 0),
        lambda: wilson(1, 2, confidence=1.0),
        lambda: expected_half_width(0),
        lambda: expected_half_width(10, value=1.5),
        lambda: rows_needed(0.0),
        lambda: bootstrap_mean([]),
        lambda: bootstrap_mean([1.0, float("nan")]),
        lambda: bootstrap_mean([1.0, 2.0], [1.0]),
        lambda: bootstrap_mean([1.0, 2.0], [1.0, -1.0]),
        lambda: bootstrap_mean([1.0, 2.0], [0.0, 0.0]),
        lambda: bootstrap_mean([1.0, 2.0], resamples=0),
        lambda: bootstrap_mean([1.0, 2.0], confidence=0.0),
        lambda: bootstrap_statistic(0, of_rows(lambda rows: 0.0)),
        lambda: bootstrap_statistic(2, of_rows(lambda rows: 0.0), resamples=0),
        lambda: plain_value(0, of_rows(lambda rows: 0.0)),
        lambda: plain_mean([], []),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
