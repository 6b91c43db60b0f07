"""Laws of calibration: a plain count and scikit-learn as judges, coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from fettle.evaluation.metrics.calibration import NUM_BINS, calibration_error, calibration_interval, log_losses
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
SHARES = st.one_of(st.floats(0.0, 1.0), st.integers(0, NUM_BINS).map(lambda place: place / NUM_BINS))
ROWS = st.lists(st.tuples(SHARES, st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)


@SETTINGS
@given(ROWS)
def test_the_error_is_that_of_each_bin_weighed_by_its_rows(rows: list[tuple[float, float]]) -> None:
    error = 0.0
    for place in range(NUM_BINS):
        low, high = place / NUM_BINS, (place + 1) / NUM_BINS
        held = [row for row in rows if low < row[0] <= high or (place == 0 and row[0] == 0.0)]
        if held:
            sureness, share = (sum(column) / len(held) for column in zip(*held, strict=True))
            error += len(held) / len(rows) * abs(sureness - share)
    probabilities, hits = ([row[side] for row in rows] for side in (0, 1))
    assert calibration_error(probabilities, hits) == pytest.approx(error, abs=1e-9)
    outcomes = [Outcome("a", "yes", "yes" if hit else "no", probability=sure) for sure, hit in rows]
    assert find_metric("calibration_error").value(outcomes) == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(shift: float) -> None:
    generator = np.random.default_rng(7)

    def draw(num_rows: int) -> tuple[np.ndarray, np.ndarray]:
        sureness = generator.beta(5.0, 1.2, size=num_rows)
        return sureness, np.clip(sureness - shift, 0.0, 1.0)

    sureness, chance = draw(400_000)
    bins = np.minimum((sureness * NUM_BINS).astype(int), NUM_BINS - 1)
    truth = np.abs(np.bincount(bins, sureness - chance, NUM_BINS)).sum() / len(sureness)
    holds = 0
    for _ in range(100):
        sureness, chance = draw(200)
        hits = generator.random(200) < chance
        low, high = calibration_interval(sureness.tolist(), hits.astype(float).tolist())
        holds += low <= truth <= high
    # Percentiles and BCa hold a truth near 0 never: chance adds to the error of every resample once more.
    assert holds >= 84


def test_the_interval_holds_the_score_and_leaves_zero_only_when_sure() -> None:
    hits = [1.0, 0.0] * 50
    assert calibration_interval([0.5] * 100, hits)[0] == 0.0
    low, high = calibration_interval([0.9] * 100, hits)
    assert 0.25 < low < calibration_error([0.9] * 100, hits) < high < 0.55


@SETTINGS
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=20))
def test_log_loss_equals_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    expected = [int(is_yes) for _, is_yes in rows]
    chances = np.array([[1.0 - yes, yes] for yes, _ in rows])
    of_expected = chances[np.arange(len(rows)), expected].tolist()
    judge = log_loss(expected, chances, labels=[0, 1])
    assert np.mean(log_losses(of_expected)) == pytest.approx(judge, abs=1e-9)
    outcomes = [Outcome("a", "yes", "yes", expected_probability=chance) for chance in of_expected]
    assert find_metric("log_loss").value(outcomes) == pytest.approx(judge, abs=1e-9)


def test_what_was_held_impossible_costs_much_but_not_everything() -> None:
    assert log_losses([0.0])[0] == pytest.approx(52 * math.log(2.0))
    assert log_losses([1.0]) == [0.0]
