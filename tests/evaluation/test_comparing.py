"""Laws of paired comparisons: scipy, brute force and simulation as judges."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fettle.evaluation import comparing
from fettle.evaluation.comparing import (
    Difference,
    compare_paired,
    compare_statistic,
    mcnemar_exact,
    paired_permutation,
)
from fettle.evaluation.statistics import bootstrap_mean

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
HIT_PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)
GRADES = st.floats(-100.0, 100.0, allow_subnormal=False)
SCORES = st.one_of(st.sampled_from([0.0, 1.0]), GRADES)


def columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [left for left, _ in pairs], [right for _, right in pairs]


def mean_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The mean as a statistic of both systems' rows."""
    values = np.concatenate([a, b])
    return lambda counts_DR: counts_DR @ values / counts_DR.sum(axis=1)


@SETTINGS
@given(HIT_PAIRS)
def test_mcnemar_is_the_binomial_on_discordant_pairs(pairs: list[tuple[float, float]]) -> None:
    only_a, only_b = pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0))
    p = mcnemar_exact(*columns(pairs))
    if only_a + only_b == 0:
        assert p == 1.0
    else:
        assert p == pytest.approx(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


@SETTINGS
@given(st.lists(st.tuples(GRADES, st.floats(0.1, 10.0)), min_size=1, max_size=9))
def test_the_permutation_test_counts_every_flip(rows: list[tuple[float, float]]) -> None:
    differences, weights = columns(rows)
    shifts = [difference * weight for difference, weight in rows]
    reach = abs(sum(shifts)) - 1e-12 * sum(map(abs, shifts))
    flips = [
        abs(sum(s * shift for s, shift in zip(signs, shifts, strict=True))) >= reach
        for signs in product([-1, 1], repeat=len(shifts))
    ]
    assert paired_permutation(differences, weights) == pytest.approx(sum(flips) / len(flips), abs=1e-12)


@SETTINGS
@given(HIT_PAIRS.filter(lambda pairs: sum(left != right for left, right in pairs) <= 12))
def test_flipping_binary_differences_is_mcnemar(pairs: list[tuple[float, float]]) -> None:
    differences = [left - right for left, right in pairs]
    assert paired_permutation(differences) == pytest.approx(mcnemar_exact(*columns(pairs)), abs=1e-12)


def test_drawn_flips_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(6).normal(0.4, 1.0, size=12).tolist()
    counted = paired_permutation(differences)
    monkeypatch.setattr(comparing, "_MAX_ENUMERATED_DIFFERENCES", 0)
    drawn = paired_permutation(differences)
    assert 0.02 < counted < 0.8
    assert drawn != counted
    assert drawn == pytest.approx(counted, abs=0.02)
    monkeypatch.setattr(comparing, "DRAWS_IN_MEMORY", 1200)
    assert paired_permutation(differences) == pytest.approx(counted, abs=0.02)


def test_drawn_p_is_never_zero_and_counts_the_data_as_a_flip() -> None:
    assert paired_permutation([1.0] * 60, resamples=99) == 1 / 100
    assert paired_permutation([1.0, -1.0] * 30, resamples=99) == 1.0
    assert paired_permutation([0.0] * 60) == 1.0


def test_p_is_uniform_when_nothing_differs() -> None:
    generator = np.random.default_rng(11)
    ps = [paired_permutation(generator.normal(size=30).tolist(), resamples=199) for _ in range(400)]
    assert stats.kstest(ps, "uniform").pvalue > 0.01


@SETTINGS
@given(st.lists(st.tuples(SCORES, SCORES, st.floats(0.1, 9.0)), min_size=1, max_size=25), st.booleans())
def test_swapping_a_and_b_negates_the_difference_and_keeps_p(
    rows: list[tuple[float, float, float]], is_weighted: bool
) -> None:
    a, b, weights = ([row[column] for row in rows] for column in range(3))
    given_weights = weights if is_weighted else None
    ahead = compare_paired(a, b, weights=given_weights, is_binary=False)
    behind = compare_paired(b, a, weights=given_weights, is_binary=False)
    assert behind.p == ahead.p
    assert behind.value == -ahead.value
    assert behind.interval == pytest.approx((-ahead.interval[1], -ahead.interval[0]), abs=1e-9)


def test_a_comparison_is_a_minus_b_with_the_test_that_fits() -> None:
    a, b = [1.0] * 18 + [0.0] * 12, [1.0] * 5 + [0.0] * 23 + [1.0] * 2
    weights = [1.0, 3.0] * 15
    differences = [left - right for left, right in zip(a, b, strict=True)]
    binary = compare_paired(a, b, is_binary=True)
    graded = compare_paired(a, b, is_binary=False)
    weighted = compare_paired(a, b, weights=weights, is_binary=True)
    assert binary.value == pytest.approx(18 / 30 - 7 / 30)
    assert binary.interval == bootstrap_mean(differences).interval
    assert binary.p == mcnemar_exact(a, b)
    behind = compare_paired(b, a, is_binary=True)
    assert (-behind.interval[1], -behind.interval[0], behind.p) == pytest.approx((*binary.interval, binary.p))
    assert graded.p == paired_permutation(differences) != binary.p
    assert weighted.p == paired_permutation(differences, weights)
    assert weighted.value == pytest.approx(np.average(differences, weights=weights))


def test_pairing_sees_what_two_separate_intervals_hide() -> None:
    hardness = np.random.default_rng(9).normal(0.0, 5.0, size=80)
    better = hardness + 0.5 + np.random.default_rng(10).normal(0.0, 0.2, size=80)
    comparison = compare_paired(better.tolist(), hardness.tolist(), is_binary=False)
    assert comparison.interval[0] > 0.0
    assert comparison.p < 0.001
    assert bootstrap_mean(better.tolist()).interval[0] < bootstrap_mean(hardness.tolist()).interval[1]


def test_a_mean_compares_alike_as_a_mean_and_as_a_statistic() -> None:
    generator = np.random.default_rng(21)
    b = generator.normal(size=60)
    a = b + generator.normal(0.25, 1.0, size=60)
    judge = compare_paired(a.tolist(), b.tolist(), is_binary=False)
    found = compare_statistic(60, mean_of(a, b))
    assert found.value == pytest.approx(judge.value, abs=1e-12)
    assert found.interval == pytest.approx(judge.interval, abs=1e-9)
    assert 0.02 < judge.p < 0.5
    assert found.p == pytest.approx(judge.p, abs=0.03)


def test_swapping_the_systems_of_a_statistic_negates_the_difference_and_keeps_p() -> None:
    generator = np.random.default_rng(22)
    a, b = generator.exponential(size=(2, 40)) ** 2
    ahead, behind = compare_statistic(40, mean_of(a, b)), compare_statistic(40, mean_of(b, a))
    assert behind.value == pytest.approx(-ahead.value, abs=1e-12)
    assert behind.interval == pytest.approx((-ahead.interval[1], -ahead.interval[0]), abs=1e-9)
    assert behind.p == ahead.p < 1.0


def test_p_of_swaps_is_uniform_when_the_systems_are_alike() -> None:
    generator = np.random.default_rng(23)

    def p() -> float:
        squares = generator.normal(size=(2, 30)) ** 2
        values = np.concatenate(squares)
        root = compare_statistic(
            30, lambda counts_DR: np.sqrt(counts_DR @ values / counts_DR.sum(axis=1)), resamples=199
        )
        return root.p

    assert stats.kstest([p() for _ in range(300)], "uniform").pvalue > 0.01


def test_p_of_swaps_is_never_zero_and_one_where_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    ones, zeros = np.ones(60), np.zeros(60)
    assert compare_statistic(60, mean_of(ones, zeros), resamples=99).p == 1 / 100
    assert compare_statistic(60, mean_of(ones, ones), resamples=99) == Difference(0.0, (0.0, 0.0), 1.0)
    whole = compare_statistic(60, mean_of(ones, np.linspace(0.0, 2.0, 60)))
    monkeypatch.setattr(comparing, "DRAWS_IN_MEMORY", 60)
    assert compare_statistic(60, mean_of(ones, np.linspace(0.0, 2.0, 60))).p == pytest.approx(whole.p, abs=0.05)


@pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
def test_p_does_not_know_the_unit(scale: float) -> None:
    generator = np.random.default_rng(24)
    a, b = generator.normal(size=(2, 25))
    assert compare_statistic(25, mean_of(scale * a, scale * b)).p == compare_statistic(25, mean_of(a, b)).p


def test_a_difference_becomes_plain_data() -> None:
    assert Difference(0.1, (-0.1, 0.3), 0.4).as_json() == {"difference": 0.1, "interval": [-0.1, 0.3], "p": 0.4}


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar_exact([1.0], [1.0, 0.0]),
        lambda: mcnemar_exact([0.5], [1.0]),
        lambda: paired_permutation([1.0, 2.0], [1.0]),
        lambda: paired_permutation([1.0] * 20, resamples=0),
        lambda: compare_paired([1.0, 0.0], [1.0], is_binary=False),
        lambda: compare_statistic(0, mean_of(np.ones(0), np.ones(0))),
        lambda: compare_statistic(1, mean_of(np.ones(1), np.ones(1)), resamples=0),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()
