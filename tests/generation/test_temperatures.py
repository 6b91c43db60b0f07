"""A temperature is that of the least loss, changes no answer, and is 1 where the rows give no reason for another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from fettle.generation.calibration import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    class_temperature,
    label_temperature,
)

SETTINGS = settings(deadline=None, max_examples=40)
GRID = np.exp(np.linspace(np.log(LEAST_TEMPERATURE), np.log(MOST_TEMPERATURE), 2001))


def drawn(seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [N, K] that are so many times too sharp for the classes [N], and labels [N, K], drawn from them."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(0, 1.5, (int(draw.integers(1, 60)), int(draw.integers(2, 6))))
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    classes = np.array([draw.choice(len(row), p=row) for row in shares])
    labels = (draw.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(float)
    return scores * sharpness, classes, labels


def class_loss(scores: np.ndarray, classes: np.ndarray, temperature: float) -> float:
    return float(cross_entropy(torch.from_numpy(scores) / temperature, torch.from_numpy(classes)))


def label_loss(scores: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(binary_cross_entropy_with_logits(torch.from_numpy(scores) / temperature, torch.from_numpy(labels)))


@SETTINGS
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 4.0]))
def test_no_temperature_of_a_fine_grid_has_a_smaller_loss(seed: int, sharpness: float) -> None:
    """Unless all rows are right: then it is 1, and colder ones would only be surer."""
    scores, classes, labels = drawn(seed, sharpness)
    own = scores[np.arange(len(classes)), classes]
    fits = (
        (class_loss, class_temperature, classes, (own == scores.max(1)).all()),
        (label_loss, label_temperature, labels, ((scores > 0) == (labels > 0.5)).all()),
    )
    for loss, fit, wanted, are_all_right in fits:
        found = fit(scores, wanted)
        assert loss(scores, wanted, found) <= loss(scores, wanted, 1.0)
        if are_all_right:
            assert found == 1.0
            continue
        least = min(loss(scores, wanted, temperature) for temperature in GRID)
        assert loss(scores, wanted, found) <= least + 1e-7


def test_the_temperature_is_that_of_plain_torch() -> None:
    """Newton's steps on the inverse temperature, over many rows."""
    draw = np.random.default_rng(1)
    scores = draw.normal(0, 2, (4000, 5))
    shares = np.exp(scores / 2.5) / np.exp(scores / 2.5).sum(1, keepdims=True)
    classes = (shares.cumsum(1) > draw.random((4000, 1))).argmax(1)
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    for _ in range(30):
        loss = cross_entropy(torch.from_numpy(scores) * inverse, torch.from_numpy(classes))
        (slope,) = torch.autograd.grad(loss, inverse, create_graph=True)
        (bend,) = torch.autograd.grad(slope, inverse)
        with torch.no_grad():
            inverse -= slope / bend
    found = class_temperature(scores, classes)
    assert found == pytest.approx(1 / float(inverse.detach()), rel=1e-5)
    assert found == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_scores_that_are_so_many_times_sharper_get_so_many_times_the_temperature(factor: float) -> None:
    scores, classes, labels = drawn(3, 1.0)
    assert class_temperature(scores * factor, classes) == pytest.approx(
        factor * class_temperature(scores, classes), rel=1e-4
    )
    assert label_temperature(scores * factor, labels) == pytest.approx(
        factor * label_temperature(scores, labels), rel=1e-4
    )


def test_without_rows_or_with_rows_that_are_all_right_it_is_one() -> None:
    assert class_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1.0
    assert label_temperature(np.empty((0, 3)), np.empty((0, 3))) == 1.0
    assert class_temperature(np.eye(3) * 0.1, np.arange(3)) == 1.0
    assert label_temperature(np.eye(3) - 0.5, np.eye(3)) == 1.0
    assert class_temperature(np.zeros((4, 1)), np.zeros(4, np.int64)) == 1.0, "one class is always right"
    assert class_temperature(np.zeros((4, 2)), np.array([0, 1, 0, 1])) == 1.0, "no temperature changes anything"
