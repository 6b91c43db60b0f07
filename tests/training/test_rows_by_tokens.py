"""Steps by tokens: each row once an epoch, no step empty, all within one row of the mean, by seed and step alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fettle.tokens.example import Example, TokenReads
from fettle.training.stream import RowsByTokens

lengths = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=2), min_size=1, max_size=40)


def rows_of(sizes: list[list[int]]) -> list[list[Example]]:
    """Rows whose examples have so many tokens, named by row."""
    nothing = TokenReads.of([], [], [])
    return [[Example(np.zeros(size, np.int64), nothing, str(row)) for size in row_] for row, row_ in enumerate(sizes)]


def steps_of(stream: RowsByTokens, epoch: int) -> list[list[Example]]:
    first = epoch * stream.steps_per_epoch
    return [stream.rows(step) for step in range(first, first + stream.steps_per_epoch)]


@given(lengths, st.integers(1, 200), st.integers(0, 2**31), st.integers(0, 5))
def test_every_row_once_an_epoch_in_steps_of_like_size(
    sizes: list[list[int]], tokens_per_step: int, seed: int, epoch: int
) -> None:
    stream = RowsByTokens(rows_of(sizes), tokens_per_step, seed)
    steps = steps_of(stream, epoch)

    seen = [example.source for step in steps for example in step]
    assert sorted(seen, key=int) == [str(row) for row, parts in enumerate(sizes) for _ in parts]
    longest, total = max(map(sum, sizes)), sum(map(sum, sizes))
    mean = total / len(steps)
    for step in steps:
        assert step, "a step without rows would learn nothing"
        assert abs(sum(example.num_tokens for example in step) - mean) < longest
        for source in {example.source for example in step}:
            assert sum(example.source == source for example in step) == len(sizes[int(source)]), "a row stays together"
    if longest <= tokens_per_step:
        assert len(steps) == max(1, round(total / tokens_per_step)) or mean >= longest


@given(lengths, st.integers(1, 90), st.integers(0, 2**31), st.lists(st.integers(0, 60), max_size=8))
def test_a_step_depends_on_seed_and_number_alone(
    sizes: list[list[int]], tokens_per_step: int, seed: int, asked: list[int]
) -> None:
    rows = rows_of(sizes)
    walked = RowsByTokens(rows, tokens_per_step, seed)
    in_order = [walked.rows(step) for step in range(61)]

    jumping = RowsByTokens(rows, tokens_per_step, seed)
    assert [jumping.rows(step) for step in asked] == [in_order[step] for step in asked]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    rows = rows_of([[3]] * 50)
    orders = set()
    for seed in (0, 1, 2):
        stream = RowsByTokens(rows, 30, seed)
        orders |= {tuple(one.source for step in steps_of(stream, epoch) for one in step) for epoch in range(3)}

    assert len(orders) == 9
