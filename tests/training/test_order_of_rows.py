"""The order of the first epoch: as it was asked for, once; afterwards, and in all else, as the seed has it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.app.preparing.ordering import keys_of_column
from fettle.tokens.example import Example, TokenReads
from fettle.training.stream import EpochStream, RowsByTokens, ShuffledRows, order_by

KEYS = st.lists(st.one_of(st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.0, math.nan])), min_size=1, max_size=40)
STREAMS: dict[str, Callable[..., EpochStream]] = {
    "rows": lambda rows, seed, first: ShuffledRows(rows, 4, seed, first),
    "tokens": lambda rows, seed, first: RowsByTokens(rows, 25, seed, first),
}


def rows_of(count: int) -> list[list[Example]]:
    """Rows of unlike length, named by place."""
    nothing = TokenReads.of([], [], [])
    return [[Example(np.zeros(1 + place % 7, np.int64), nothing, str(place))] for place in range(count)]


def epoch_of(stream: EpochStream, number: int) -> list[list[int]]:
    first = number * stream.steps_per_epoch
    return [[int(one.source) for one in stream.rows(step)] for step in range(first, first + stream.steps_per_epoch)]


@given(KEYS, st.integers(0, 2**32 - 1))
def test_rows_stand_by_their_keys_and_those_without_one_last(keys: list[float], seed: int) -> None:
    order = order_by(keys, seed)
    assert sorted(order) == list(range(len(keys)))
    sorted_keys = [keys[place] for place in order]
    known = [key for key in sorted_keys if not math.isnan(key)]
    assert known == sorted(known)
    assert all(math.isnan(key) for key in sorted_keys[len(known) :])
    assert order.tolist() == order_by(keys, seed).tolist()


def test_the_seed_orders_what_is_alike() -> None:
    orders = {tuple(order_by([1.0] * 9, seed)) for seed in range(5)}
    assert len(orders) == 5
    assert all(order != tuple(range(9)) for order in orders)


@pytest.mark.parametrize("kind", STREAMS)
@given(count=st.integers(1, 40), seed=st.integers(0, 2**31), draw=st.randoms())
def test_the_first_epoch_is_as_ordered_and_the_others_as_ever(kind: str, count: int, seed: int, draw: object) -> None:
    rows = rows_of(count)
    wanted = list(range(count))
    draw.shuffle(wanted)
    ordered = STREAMS[kind](rows, seed, np.asarray(wanted))
    plain = STREAMS[kind](rows, seed, None)
    assert ordered.steps_per_epoch == plain.steps_per_epoch
    assert [place for step in epoch_of(ordered, 0) for place in step] == wanted
    for number in (1, 2):
        assert epoch_of(ordered, number) == epoch_of(plain, number)
        assert sorted(place for step in epoch_of(ordered, number) for place in step) == list(range(count))
    again = STREAMS[kind](rows, seed, np.asarray(wanted))
    steps = [2 * plain.steps_per_epoch - 1, 0, plain.steps_per_epoch]
    assert [again.rows(step) for step in steps] == [ordered.rows(step) for step in steps]


@given(st.lists(st.one_of(st.just(""), st.floats(-1e6, 1e6).map(repr)), max_size=12))
def test_a_column_of_numbers_is_ordered_as_numbers(values: list[str]) -> None:
    keys = keys_of_column(values)
    for key, value in zip(keys, values, strict=True):
        assert math.isnan(key) if not value else key == float(value)


@given(
    st.lists(st.text(max_size=3), max_size=12).filter(lambda values: any(not is_number(one) for one in values if one))
)
def test_a_column_with_a_word_is_ordered_as_text(values: list[str]) -> None:
    keys = keys_of_column(values)
    said = [(value, key) for value, key in zip(values, keys, strict=True) if value]
    assert all((a < b) == (key_a < key_b) for a, key_a in said for b, key_b in said)
    assert all(math.isnan(key) for value, key in zip(values, keys, strict=True) if not value)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
