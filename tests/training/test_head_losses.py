"""Losses of heads: equal to their formulas, with gradients that finite differences confirm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fettle.training.losses.heads import class_losses, label_losses, number_losses


def drawn(seed: int, rows: int, width: int) -> tuple[Tensor, np.random.Generator]:
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.normal(size=(rows, width)) * 3), draw


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 7), st.sampled_from([0.0, 0.1, 0.5]))
def test_classes_cost_what_the_formula_says(seed: int, rows: int, width: int, smoothing: float) -> None:
    numbers, draw = drawn(seed, rows, width)
    expected = torch.from_numpy(draw.integers(0, width, (rows, 1)))
    found = class_losses(numbers, expected, smoothing)
    for row in range(rows):
        shares = [math.exp(float(number)) for number in numbers[row]]
        costs = [-math.log(share / sum(shares)) for share in shares]
        wanted = (1 - smoothing) * costs[int(expected[row])] + smoothing * sum(costs) / width
        assert float(found[row]) == pytest.approx(wanted, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 7), st.sampled_from([0.0, 0.2]))
def test_labels_cost_what_the_formula_says(seed: int, rows: int, width: int, smoothing: float) -> None:
    numbers, draw = drawn(seed, rows, width)
    expected = torch.from_numpy(draw.integers(0, 2, (rows, width)))
    found = label_losses(numbers, expected, smoothing)
    for row in range(rows):
        costs = []
        for number, wanted in zip(numbers[row].tolist(), expected[row].tolist(), strict=True):
            share = 1 / (1 + math.exp(-number))
            asked = wanted * (1 - smoothing) + smoothing / 2
            costs.append(-asked * math.log(share) - (1 - asked) * math.log(1 - share))
        assert float(found[row]) == pytest.approx(sum(costs) / width, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
def test_numbers_cost_their_squared_distance(seed: int, rows: int, width: int) -> None:
    numbers, draw = drawn(seed, rows, width)
    expected = torch.from_numpy(draw.normal(size=(rows, width)))
    wanted = ((numbers.numpy() - expected.numpy()) ** 2).mean(axis=1)
    np.testing.assert_allclose(number_losses(numbers, expected).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_are_those_of_finite_differences(smoothing: float) -> None:
    numbers, draw = drawn(0, 4, 3)
    numbers.requires_grad_()
    classes = torch.from_numpy(draw.integers(0, 3, (4, 1)))
    labels = torch.from_numpy(draw.integers(0, 2, (4, 3)))
    scores = torch.from_numpy(draw.normal(size=(4, 3)))
    assert torch.autograd.gradcheck(lambda given: class_losses(given, classes, smoothing), numbers)
    assert torch.autograd.gradcheck(lambda given: label_losses(given, labels, smoothing), numbers)
    assert torch.autograd.gradcheck(lambda given: number_losses(given, scores), numbers)
