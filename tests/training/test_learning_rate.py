"""The schedule: bounds, corners, and that it is a pure function of the step."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.training.config import TrainingSettings
from fettle.training.schedule import learning_rate_at

SETTINGS = st.builds(
    TrainingSettings,
    learning_rate=st.floats(1e-6, 1.0),
    schedule=st.sampled_from(["cosine", "constant", "wsd"]),
    warmup_share=st.floats(0, 0.99),
    final_share=st.floats(0, 1),
)


def cosine_by_hand(step: int, num_steps: int, rate: float, num_warmup: int) -> float:
    """The usual formula: a rise in equal parts, then half a cosine down to nothing."""
    if step < num_warmup:
        return rate * (step + 1) / num_warmup
    return rate * 0.5 * (1 + math.cos(math.pi * (step - num_warmup) / (num_steps - num_warmup)))


@given(SETTINGS, st.integers(1, 400))
def test_rate_is_never_above_the_setting_and_never_below_what_is_left(settings: TrainingSettings, steps: int) -> None:
    rates = [learning_rate_at(step, steps, settings) for step in range(steps)]
    num_warmup = math.ceil(settings.warmup_share * steps)

    assert all(0 < rate <= settings.learning_rate * (1 + 1e-12) for rate in rates)
    assert rates[:num_warmup] == sorted(rates[:num_warmup])
    after = rates[num_warmup:]
    assert after == sorted(after, reverse=True)
    if after:
        assert after[0] == settings.learning_rate
    least = 1.0 if settings.schedule == "constant" else settings.final_share
    assert all(rate >= settings.learning_rate * least * (1 - 1e-12) for rate in after)


@given(st.integers(2, 300), st.floats(0, 0.9))
def test_cosine_is_the_usual_one(steps: int, warmup_share: float) -> None:
    settings = TrainingSettings(learning_rate=0.5, warmup_share=warmup_share)
    num_warmup = math.ceil(warmup_share * steps)

    for step in range(steps):
        wanted = cosine_by_hand(step, steps, 0.5, num_warmup)
        assert math.isclose(learning_rate_at(step, steps, settings), wanted, rel_tol=1e-9, abs_tol=1e-15)


def test_constant_stays() -> None:
    settings = TrainingSettings(learning_rate=0.25, schedule="constant", warmup_share=0.0, final_share=0.1)

    assert {learning_rate_at(step, 9, settings) for step in range(9)} == {0.25}


def test_what_is_left_at_the_end_is_the_final_share() -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup_share=0.0, final_share=0.3)

    assert math.isclose(learning_rate_at(9_999, 10_000, settings), 0.3, rel_tol=1e-6)


@given(st.integers(2, 300), st.floats(0.05, 1.0), st.floats(0.0, 1.0))
def test_wsd_stays_and_falls_in_a_line_to_its_share(num_steps: int, decay_share: float, final_share: float) -> None:
    settings = TrainingSettings(
        learning_rate=1.0, schedule="wsd", warmup_share=0.0, decay_share=decay_share, final_share=final_share
    )
    rates = [learning_rate_at(step, num_steps, settings) for step in range(num_steps)]
    num_falling = max(1, math.ceil(decay_share * num_steps))
    assert all(rate == pytest.approx(1.0) for rate in rates[: num_steps - num_falling + 1])
    falls = [before - after for before, after in itertools.pairwise(rates[num_steps - num_falling :])]
    assert all(fall == pytest.approx((1 - final_share) / num_falling, abs=1e-9) for fall in falls)
    assert rates[-1] == pytest.approx(final_share + (1 - final_share) / num_falling)
