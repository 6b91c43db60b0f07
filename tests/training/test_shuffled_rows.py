"""Which rows a step has: each row once an epoch, by seed and step alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fettle.tokens.example import Example, TokenReads
from fettle.training.stream import ShuffledRows


def rows_of(count: int, parts: int = 1) -> list[list[Example]]:
    """Rows of a few examples each, named by row."""
    nothing = TokenReads.of([], [], [])
    return [[Example(np.zeros(1, np.int64), nothing, str(row)) for _ in range(parts)] for row in range(count)]


def sources(stream: ShuffledRows, steps: range) -> list[list[str]]:
    return [[example.source for example in stream.rows(step)] for step in steps]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**40), st.integers(0, 5))
def test_every_row_once_an_epoch(count: int, rows_per_step: int, seed: int, epoch: int) -> None:
    stream = ShuffledRows(rows_of(count), rows_per_step, seed)
    first = epoch * stream.steps_per_epoch

    seen = sources(stream, range(first, first + stream.steps_per_epoch))

    assert sorted((source for step in seen for source in step), key=int) == [str(row) for row in range(count)]
    assert all(len(step) == rows_per_step for step in seen[:-1])
    assert 1 <= len(seen[-1]) <= rows_per_step


@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 2**31), st.lists(st.integers(0, 60), max_size=8))
def test_a_step_depends_on_seed_and_number_alone(count: int, rows_per_step: int, seed: int, asked: list[int]) -> None:
    rows = rows_of(count)
    walked = ShuffledRows(rows, rows_per_step, seed)
    in_order = sources(walked, range(61))

    jumping = ShuffledRows(rows, rows_per_step, seed)
    assert [sources(jumping, range(step, step + 1))[0] for step in asked] == [in_order[step] for step in asked]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    rows = rows_of(50)
    orders = set()
    for seed in (0, 1, 2):
        stream = ShuffledRows(rows, 50, seed)
        orders |= {tuple(step) for step in sources(stream, range(3))}

    assert len(orders) == 9


def test_examples_of_one_row_stay_in_one_step() -> None:
    stream = ShuffledRows(rows_of(11, parts=3), 4, seed=5)

    for step in sources(stream, range(stream.steps_per_epoch)):
        assert all(step.count(source) == 3 for source in step)
