"""Whether probabilities mean what they say. Less is better in both.

A system that tells no probabilities (all 0) is scored as one that is never sure of what it answers.

Axes: D draws, R rows, B bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fettle.evaluation.metric import Outcomes, mean_metric, statistic_metric
from fettle.evaluation.metrics.labels import check_rows
from fettle.evaluation.statistics import (
    DRAWS_IN_MEMORY,
    Estimate,
    Interval,
    Statistic,
    plain_value,
    resampled_values,
)

NUM_BINS = 15
_LEAST_PROBABILITY = float(np.finfo(np.float64).eps)


def calibration_error(probabilities: Sequence[float], hits: Sequence[float]) -> float:
    """Expected calibration error: how far sureness and hits lie apart in each of 15 equal bins, averaged over rows.

    A bin holds its upper end, not its lower one. Trap: even a perfect system errs by chance in every bin, so with few
    rows the number lies above the truth (see `calibration_interval`); compare systems on the same rows only.
    Source: Guo et al. 2017, On calibration of modern neural networks.

    >>> calibration_error([0.75, 0.75, 0.75, 0.75], [1.0, 1.0, 1.0, 0.0]), calibration_error([1.0, 1.0], [1.0, 0.0])
    (0.0, 0.5)
    """
    check_rows(probabilities, hits)
    return plain_value(len(hits), _error_statistic(np.asarray(probabilities, float), np.asarray(hits, float)))


def calibration_interval(probabilities: Sequence[float], hits: Sequence[float]) -> Interval:
    """Bound the true calibration error, 95 %.

    What chance adds to the error it adds to every resample once more, so an interval read off the resamples lies above
    the truth and often above the score itself. Here the resamples are mirrored at the score; and where rows drawn from
    a perfect system (each hit with its own probability) err as much in one of forty draws, the interval begins at 0.

    >>> calibration_interval([0.5] * 40, [1.0, 0.0] * 20)[0]
    0.0
    """
    sureness, hit = np.asarray(probabilities, float), np.asarray(hits, float)
    statistic = _error_statistic(sureness, hit)
    value = plain_value(len(hit), statistic)
    low, high = np.quantile(resampled_values(len(hit), statistic), (0.025, 0.975))
    is_surely_wrong = value > np.quantile(_errors_of_the_perfect(sureness), 0.975)
    return max(0.0, float(2.0 * value - high)) if is_surely_wrong else 0.0, float(2.0 * value - low)


def log_losses(probabilities: Sequence[float]) -> list[float]:
    """Score each row by what the expected label cost, -ln p, in nats; the mean over rows is the log loss.

    A label that was held impossible costs 36 nats (p of 2^-52), not infinitely many: the number of scikit-learn.

    >>> [round(loss, 3) for loss in log_losses([1.0, 0.5, 0.0])]
    [0.0, 0.693, 36.044]
    """
    return [0.0 - math.log(max(probability, _LEAST_PROBABILITY)) for probability in probabilities]


def _in_bins(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where a row lies in a bin, rows_RB."""
    bins = np.searchsorted(np.linspace(0.0, 1.0, NUM_BINS + 1)[1:-1], probabilities)
    return np.eye(NUM_BINS)[bins]


def _error_statistic(probabilities: NDArray[np.float64], hits: NDArray[np.float64]) -> Statistic:
    gaps_RB = _in_bins(probabilities) * (probabilities - hits)[:, None]
    return lambda counts_DR: np.abs(counts_DR @ gaps_RB).sum(axis=1) / counts_DR.sum(axis=1)


def _errors_of_the_perfect(probabilities: NDArray[np.float64], num_draws: int = 2000) -> NDArray[np.float64]:
    """The error in `num_draws` draws of hits from a system whose probabilities are true."""
    generator = np.random.default_rng(0)
    rows_RB = _in_bins(probabilities)
    at_once = max(1, DRAWS_IN_MEMORY // len(probabilities))
    errors = []
    for start in range(0, num_draws, at_once):
        chances = generator.random((min(at_once, num_draws - start), len(probabilities)))
        gaps_DB = (probabilities - (chances < probabilities)) @ rows_RB
        errors.append(np.abs(gaps_DB).sum(axis=1) / len(probabilities))
    return np.concatenate(errors)


def _columns(systems: Sequence[Outcomes]) -> tuple[list[float], list[float]]:
    """The probability of each answer, and whether it was right."""
    rows = [row for system in systems for row in system]
    return [row.probability for row in rows], [float(row.answer == row.expected) for row in rows]


def _prepare(*systems: Outcomes) -> Statistic:
    sureness, hits = _columns(systems)
    return _error_statistic(np.array(sureness), np.array(hits))


def _estimate(rows: Outcomes) -> Estimate:
    return Estimate(calibration_error(*_columns([rows])), calibration_interval(*_columns([rows])))


METRICS = (
    replace(statistic_metric("calibration_error", _prepare, is_higher_better=False), estimate=_estimate),
    mean_metric(
        "log_loss", lambda rows: (log_losses([row.expected_probability for row in rows]), None), is_higher_better=False
    ),
)
