"""Temperatures: what scores are divided by, so that their probabilities are as sure as the rows give reason to be.

One number for all classes or labels, fitted on rows that were not learned from; no answer changes by it. Source: Guo et
al. 2017, On calibration of modern neural networks.

Axes: N rows, K classes or labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.1, 10.0

Scores = NDArray[np.float64]


def class_temperature(scores_NK: Scores, expected_N: NDArray[np.int64]) -> float:
    """The temperature of the least cross-entropy, where each row has one right class.

    >>> round(class_temperature(np.log([[0.9, 0.1]] * 4), np.asarray([0, 0, 0, 1])), 3)
    2.0
    """
    rows = np.arange(len(expected_N))

    def loss(temperature: float) -> float:
        return -float(log_softmax(scores_NK / temperature, axis=1)[rows, expected_N].mean())

    others = scores_NK.copy()
    others[rows, expected_N] = -np.inf
    return _fit(loss, scores_NK[rows, expected_N] - others.max(axis=1, initial=-np.inf))


def label_temperature(scores_NK: Scores, expected_NK: Scores) -> float:
    """The temperature of the least binary cross-entropy over all labels, each of which is there, 1, or not, 0."""
    margins_NK = np.where(expected_NK > 0.5, scores_NK, -scores_NK)

    def loss(temperature: float) -> float:
        return float(np.logaddexp(0.0, -margins_NK / temperature).mean())

    return _fit(loss, margins_NK)


def _fit(loss: Callable[[float], float], margins: Scores) -> float:
    """The temperature of the least loss. `margins`: how far what is right lies above what is not.

    Where all that is right lies above, the least loss is that of certainty, for which rows that are all right are no
    reason: then it is 1, as where there is no row.
    """
    if (margins > 0).all():
        return 1.0
    bounds = (math.log(LEAST_TEMPERATURE), math.log(MOST_TEMPERATURE))
    # In 1 / temperature the loss is convex, so there is one least.
    found = minimize_scalar(lambda power: loss(math.exp(power)), bounds=bounds, options={"xatol": 1e-7})
    temperature = math.exp(found.x)
    return temperature if loss(temperature) < loss(1.0) else 1.0
