"""Splitting: a row's side is its own affair, and one question never stands on two sides."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.records import LabelledText, Row
from fettle.data.splits.split import PARTS, Shares, carve_validation, part_of, shared_inputs, split_rows
from fettle.errors import RequestError


def row(text: str, label: str = "x", part: str = "") -> Row:
    return Row(LabelledText(text, label), "a.csv", 1, {}, part)


ROWS = [row(f"question {n}") for n in range(6_000)]
FROZEN = "test train train test validation train validation test train validation test train"
row_lists = st.lists(st.builds(row, st.sampled_from("abcdefgh"), st.sampled_from("xy")), max_size=30)


@pytest.mark.parametrize("shares", [Shares(), Shares(0.5, 0.0, 0.5), Shares(0.98, 0.01, 0.01), Shares(0.0, 0.3, 0.7)])
def test_shares_are_kept_within_three_sigma(shares):
    counts = Counter(found.part for found in split_rows(ROWS, shares))
    for part in PARTS:
        share = getattr(shares, part)
        sigma = math.sqrt(len(ROWS) * share * (1 - share))
        assert abs(counts[part] - len(ROWS) * share) <= 3 * sigma


@given(row_lists, row_lists)
@settings(deadline=None, max_examples=60)
def test_a_part_does_not_depend_on_other_rows(rows, others):
    alone = split_rows(rows, Shares(0.4, 0.3, 0.3))
    among = split_rows([*others, *rows], Shares(0.4, 0.3, 0.3))
    assert among[len(others) :] == alone
    assert [found.record for found in alone] == [found.record for found in rows]


@given(row_lists)
@settings(deadline=None, max_examples=60)
def test_rows_of_one_input_stand_on_one_side(rows):
    doubled = [*rows, *(row(f" {each.record.text.upper()}  ", "another") for each in rows)]
    found = split_rows(doubled, Shares(0.4, 0.3, 0.3))
    sides = [[each for each in found if each.part == part] for part in PARTS]
    assert not shared_inputs(sides[0], sides[1])
    assert not shared_inputs(sides[0], sides[2])
    assert not shared_inputs(sides[1], sides[2])


def test_a_part_once_given_is_kept_and_followed():
    for part in PARTS:
        found = split_rows([row("Q", "b"), row("q", "a", part)], Shares())
        assert [each.part for each in found] == [part, part]
    torn = [row("q", "a", "test"), row("q", "b", "train"), row("q", "c")]
    assert [each.part for each in split_rows(torn, Shares())] == ["test", "train", "train"]


def test_more_training_rows_never_move_a_test_row():
    before = split_rows(ROWS, Shares(0.6, 0.2, 0.2))
    after = split_rows(ROWS, Shares(0.75, 0.05, 0.2))
    assert [each.part == "test" for each in before] == [each.part == "test" for each in after]
    assert all(b.part == "train" for a, b in zip(before, after, strict=True) if a.part == "train")


def test_the_sides_are_frozen():
    # Were these to change with a release, rows that were held out would be trained on.
    keys = [each.input_key for each in ROWS[:12]]
    assert " ".join(part_of(key, Shares(0.4, 0.3, 0.3)) for key in keys) == FROZEN


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.2), (1.1, -0.1, 0.0), (0.5, 0.4, 0.0), (math.nan, 0.5, 0.5), (math.inf, 0, 0)]
)
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(RequestError, match="the shares"):
        Shares(*shares)
    assert Shares(0.7, 0.2, 0.1).train == 0.7


def test_validation_is_carved_from_training_rows():
    rows = split_rows(ROWS, Shares(0.8, 0.0, 0.2))
    train, validation = carve_validation(rows)
    assert len(train) + len(validation) == sum(each.part == "train" for each in rows)
    expected = 0.1 * (len(train) + len(validation))
    assert abs(len(validation) - expected) <= 3 * math.sqrt(expected * 0.9)
    assert {each.part for each in [*train, *validation]} == {"train"}
    assert not shared_inputs(train, validation)


def test_given_validation_rows_are_the_validation():
    rows = [row("a", part="train"), row("b", part="validation"), row("c", part="test"), row("d")]
    train, validation = carve_validation(rows)
    assert ([each.record.text for each in train], [each.record.text for each in validation]) == (["a", "d"], ["b"])


@given(row_lists, st.sampled_from([0.01, 0.1, 0.5, 0.99]))
@settings(deadline=None, max_examples=80)
def test_neither_side_of_a_carve_is_empty_where_two_inputs_are(rows, share):
    train, validation = carve_validation(rows, share)
    assert sorted(map(repr, [*train, *validation])) == sorted(map(repr, rows))
    assert not shared_inputs(train, validation)
    if len({each.input_key for each in rows}) > 1:
        assert train
        assert validation
    else:
        assert len(train) in (0, len(rows))


def test_a_carve_of_nothing_and_of_everything():
    assert carve_validation(ROWS[:50], 0.0) == (ROWS[:50], [])
    for share in (1.0, -0.1, math.nan):
        with pytest.raises(RequestError, match="validation share"):
            carve_validation(ROWS, share)


def test_a_leak_is_shown_by_its_rows():
    train = [row("Where is it?"), row("other"), row("WHERE  is it?", "y")]
    test = [row("new"), row("where is it?", "z"), row("where is it?", "z")]
    assert shared_inputs(train, test) == [(train[0], test[1]), (train[0], test[2])]
    assert shared_inputs([], test) == []
