"""Laws of the metrics of numbers, with scipy and scikit-learn as judges."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from fettle.errors import RequestError
from fettle.evaluation.metrics.numbers import absolute_errors, pearson, rmse, spearman
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
# Few values, so that many are equal; and many, so that few are.
NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False))
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)


def columns(rows: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [want for want, _ in rows], [got for _, got in rows]


def outcomes(expected: list[float], answered: list[float]) -> list[Outcome]:
    pairs = enumerate(zip(expected, answered, strict=True))
    return [Outcome(f"rows.csv:{place}", repr(want), repr(got)) for place, (want, got) in pairs]


def varies(values: list[float]) -> bool:
    return float(np.std(values)) > 1e-9 * float(np.abs(values).max())


@SETTINGS
@given(ROWS)
def test_correlations_equal_scipy(rows: list[tuple[float, float]]) -> None:
    expected, answered = columns(rows)
    assume(varies(expected) and varies(answered))
    assert pearson(expected, answered) == pytest.approx(stats.pearsonr(expected, answered).statistic, abs=1e-7)
    assert spearman(expected, answered) == pytest.approx(stats.spearmanr(expected, answered).statistic, abs=1e-9)


@SETTINGS
@given(ROWS)
def test_errors_equal_scikit_learn(rows: list[tuple[float, float]]) -> None:
    expected, answered = columns(rows)
    assert rmse(expected, answered) == pytest.approx(root_mean_squared_error(expected, answered), abs=1e-9)
    assert np.mean(absolute_errors(expected, answered)) == pytest.approx(mean_absolute_error(expected, answered))
    assert find_metric("rmse").value(outcomes(expected, answered)) == pytest.approx(rmse(expected, answered))
    assert find_metric("mae").value(outcomes(expected, answered)) == pytest.approx(
        mean_absolute_error(expected, answered)
    )


@SETTINGS
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=20), st.floats(0.5, 9.0))
def test_correlations_know_neither_unit_nor_offset(rows: list[tuple[int, int]], unit: float) -> None:
    expected, answered = columns([(float(want), float(got)) for want, got in rows])
    moved = [unit * value - 77.0 for value in answered]
    for measure in (pearson, spearman):
        assert measure(expected, moved) == pytest.approx(measure(expected, answered), abs=1e-9)
        assert measure(expected, [-value for value in moved]) == pytest.approx(-measure(expected, answered), abs=1e-9)
    assert spearman(expected, [np.exp(value) for value in answered]) == pytest.approx(spearman(expected, answered))


@pytest.mark.parametrize("measure", [pearson, spearman])
def test_a_constant_column_correlates_with_nothing(measure: Callable[[list[float], list[float]], float]) -> None:
    for constant in ([0.0] * 4, [0.1] * 4, [1e300] * 4):
        assert measure([1.0, 2.0, 3.0, 4.0], constant) == measure(constant, [1.0, 2.0, 3.0, 4.0]) == 0.0
    assert measure([1.0], [2.0]) == 0.0


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_resamples_of_one_value_are_scored_too(name: str) -> None:
    # With three rows one resample in nine draws a single row thrice.
    estimate = find_metric(name).estimate(outcomes([0.1, 0.2, 0.3], [0.7, 0.1, 1.3]))
    assert -1.0 <= estimate.interval[0] < estimate.value < estimate.interval[1] <= 1.0


@pytest.mark.parametrize("huge", [1e-300, 1e150, 1e300])
def test_huge_and_tiny_numbers_correlate_like_all_others(huge: float) -> None:
    expected, answered = [1.0, 2.0, 4.0, 3.0], [1.0, 2.0, 3.0, 5.0]
    for measure in (pearson, spearman):
        assert measure(expected, [huge * value for value in answered]) == pytest.approx(measure(expected, answered))


def test_systems_on_other_scales_are_compared_by_their_order_alone() -> None:
    generator = np.random.default_rng(3)
    expected = generator.normal(size=60)
    a, b = (expected + generator.normal(size=60) for _ in range(2))
    for name in ("pearson", "spearman"):
        metric = find_metric(name)
        one = metric.compare(outcomes(expected.tolist(), a.tolist()), outcomes(expected.tolist(), b.tolist()))
        scaled = (1000.0 * b + 7.0).tolist()
        other = metric.compare(outcomes(expected.tolist(), a.tolist()), outcomes(expected.tolist(), scaled))
        assert other.value == pytest.approx(one.value, abs=1e-9)
        assert other.interval == pytest.approx(one.interval, abs=1e-9)
        assert other.p == pytest.approx(one.p, abs=0.002)


def test_the_interval_of_a_correlation_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(4)
    truth, holds = 0.6, {"pearson": 0, "spearman": 0}
    # Spearman's of a normal pair is 6 / pi arcsin(rho / 2).
    truths = {"pearson": truth, "spearman": 6.0 / np.pi * np.arcsin(truth / 2.0)}
    for _ in range(150):
        x, noise = generator.normal(size=(2, 60))
        y = truth * x + np.sqrt(1.0 - truth**2) * noise
        for name in holds:
            low, high = find_metric(name).estimate(outcomes(x.tolist(), y.tolist())).interval
            holds[name] += low <= truths[name] <= high
    assert 0.88 <= holds["pearson"] / 150 <= 0.98
    assert 0.88 <= holds["spearman"] / 150 <= 0.98


def test_many_rows_and_many_resamples_take_seconds() -> None:
    generator = np.random.default_rng(5)
    expected = generator.integers(0, 50, size=10_000) / 10.0
    rows = outcomes(expected.tolist(), (expected + generator.normal(size=10_000)).tolist())
    start = time.process_time()
    find_metric("pearson").estimate(rows)
    find_metric("spearman").estimate(rows)
    # Ranking every resample anew takes longer by an order of magnitude.
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize("text", ["four", "", "nan", "inf", "4,5"])
@pytest.mark.parametrize("name", ["pearson", "spearman", "rmse", "mae"])
def test_an_answer_that_is_no_number_is_named(name: str, text: str) -> None:
    rows = [Outcome("rows.csv:1", "1.0", "2.0"), Outcome("rows.csv:2", "1.5", text)]
    with pytest.raises(RequestError, match=r"rows\.csv:2"):
        find_metric(name).value(rows)


@pytest.mark.parametrize("measure", [pearson, spearman, rmse, absolute_errors])
def test_columns_of_numbers_that_do_not_pair_up_are_refused(
    measure: Callable[[list[float], list[float]], object],
) -> None:
    with pytest.raises(ValueError, match="pair up"):
        measure([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no rows"):
        measure([], [])
