"""Laws of the metrics of labels, one or several a row, with scikit-learn as judge."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from fettle.data.records import NONE_OF_THESE
from fettle.evaluation.metrics.labels import (
    accuracy_hits,
    exact_match_hits,
    label_counts,
    labels_of,
    macro_f1,
    macro_f1_statistic,
    micro_f1,
)
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric
from fettle.evaluation.statistics import wilson

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
LABELS = st.sampled_from(["spam", "ham", "Ham", "", "other"])
ROWS = st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30)
LABEL_SETS = st.frozensets(st.sampled_from(["a", "b", "c", "[d]", "é", ""]), max_size=4)
SET_ROWS = st.lists(st.tuples(LABEL_SETS, LABEL_SETS), min_size=1, max_size=20)


def written(labels: frozenset[str]) -> str:
    """Several labels as an outcome holds them."""
    return json.dumps(sorted(labels), ensure_ascii=False)


def written_columns(rows: list[tuple[frozenset[str], frozenset[str]]]) -> tuple[list[str], list[str]]:
    return [written(want) for want, _ in rows], [written(got) for _, got in rows]


@SETTINGS
@given(ROWS)
def test_the_mean_of_hits_is_the_accuracy(rows: list[tuple[str, str]]) -> None:
    expected, predicted = [list(column) for column in zip(*rows, strict=True)]
    hits = accuracy_hits(expected, predicted)
    assert set(hits) <= {0.0, 1.0}
    assert sum(hits) / len(hits) == pytest.approx(accuracy_score(expected, predicted))


@SETTINGS
@given(ROWS)
def test_macro_f1_equals_scikit_learn(rows: list[tuple[str, str]]) -> None:
    expected, predicted = [list(column) for column in zip(*rows, strict=True)]
    judge = f1_score(expected, predicted, average="macro", zero_division=0)
    assert macro_f1(expected, predicted) == pytest.approx(judge, abs=1e-12)


def test_macro_f1_counts_a_class_that_is_only_predicted() -> None:
    assert macro_f1(["a", "b"], ["a", "b"]) == 1.0
    assert macro_f1(["a", "b", "b"], ["a", "b", "c"]) == pytest.approx((1.0 + 2 / 3 + 0.0) / 3)


def test_labels_that_differ_only_by_a_trailing_nul_stay_two() -> None:
    assert macro_f1(["a", "a\x00"], ["a", "a"]) == pytest.approx((2 / 3 + 0.0) / 2)


@SETTINGS
@given(SET_ROWS)
def test_f1_of_several_labels_equals_scikit_learn(rows: list[tuple[frozenset[str], frozenset[str]]]) -> None:
    # scikit-learn counts a class that no row has as well: give it those that occur.
    occurring = sorted({label for row in rows for side in row for label in side})
    if not occurring:
        return
    binary = MultiLabelBinarizer(classes=occurring).fit([])
    expected, predicted = (binary.transform([sorted(side) for side in column]) for column in zip(*rows, strict=True))
    for measure, average in ((macro_f1, "macro"), (micro_f1, "micro")):
        judge = f1_score(expected, predicted, average=average, zero_division=0)
        assert measure(*written_columns(rows)) == pytest.approx(judge, abs=1e-12)
    judge = accuracy_score(expected, predicted)
    assert np.mean(exact_match_hits(*written_columns(rows))) == pytest.approx(judge, abs=1e-12)


@SETTINGS
@given(ROWS)
def test_one_label_a_row_is_a_set_of_one(rows: list[tuple[str, str]]) -> None:
    expected, predicted = [list(column) for column in zip(*rows, strict=True)]
    as_sets = [[written(frozenset([label])) for label in column] for column in (expected, predicted)]
    assert macro_f1(*as_sets) == macro_f1(expected, predicted)
    assert exact_match_hits(*as_sets) == accuracy_hits(expected, predicted)
    assert micro_f1(expected, predicted) == pytest.approx(np.mean(accuracy_hits(expected, predicted)), abs=1e-12)


@SETTINGS
@given(LABEL_SETS)
def test_what_is_written_as_labels_is_read_back_in_whatever_order(labels: frozenset[str]) -> None:
    assert labels_of(written(labels)) == labels_of(json.dumps(sorted(labels, reverse=True))) == labels


def test_labels_are_right_in_whatever_order_they_are_answered() -> None:
    expected, answered = ['["a", "b"]', '["c"]'], ['["b","a","b"]', '["c"]']
    assert exact_match_hits(expected, answered) == [1.0, 1.0]
    assert macro_f1(expected, answered) == micro_f1(expected, answered) == 1.0


def test_a_draw_that_lost_a_class_is_not_charged_for_it() -> None:
    drawn = macro_f1_statistic(["a", "a", "b"], ["a", "b", "b"])(np.array([[2.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    assert drawn.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("text", ["a", "", "[", '["a"', "[1, 2]", '[["a"]]', "{}", "null", ' ["a"]'])
def test_whatever_is_no_list_of_texts_is_one_label(text: str) -> None:
    assert labels_of(text) == {text}


def test_an_answer_that_is_no_list_is_one_wrong_label() -> None:
    assert micro_f1(['["a", "b"]'], ["a and b"]) == 0.0
    assert micro_f1(['["a", "b"]', '["a"]'], ["a and b", '["a"]']) == 2 / 5
    assert micro_f1(['["a"]'], ["a"]) == 1.0


def test_no_label_anywhere_scores_zero_but_is_an_exact_match() -> None:
    assert macro_f1(["[]"], ["[]"]) == micro_f1(["[]"], ["[]"]) == 0.0
    assert exact_match_hits(["[]", "[]"], ["[]", '["a"]']) == [1.0, 0.0]


def test_labels_of_two_systems_share_one_numbering() -> None:
    a = [Outcome("a", '["x"]', '["x"]'), Outcome("b", '["y"]', '["only a"]')] * 6
    b = [Outcome("a", '["x"]', '["only b"]'), Outcome("b", '["y"]', '["y"]')] * 6
    for name in ("macro_f1", "micro_f1"):
        metric = find_metric(name)
        # Each is right on its own half: a sees x, "only a" and y, and so does b the other way round.
        assert metric.value(a) == metric.value(b) > 0.0
        assert metric.compare(a, b).value == 0.0
        assert metric.compare(a, b).p == 1.0


def test_labels_out_of_scope_and_in_scope_are_scored_apart() -> None:
    none = NONE_OF_THESE
    rows = [
        Outcome(str(place), *pair)
        for place, pair in enumerate([(none, none), (none, "a"), (none, none), ("a", "a"), ("a", none)])
    ]
    outside, inside = find_metric("out_of_scope_recall"), find_metric("in_scope_accuracy")
    assert outside.estimate(rows).value == outside.value(rows) == 2 / 3
    assert inside.estimate(rows).value == inside.value(rows) == 1 / 2
    assert outside.estimate(rows).interval == wilson(2, 3)
    all_outside = [Outcome(row.source, row.expected, none) for row in rows]
    assert outside.compare(all_outside, rows).value == pytest.approx(1 / 3)
    assert inside.compare(all_outside, rows).value == -1 / 2


def test_where_no_row_is_out_of_scope_nothing_is_known() -> None:
    rows = [Outcome("a", "x", "x"), Outcome("b", "y", "x")]
    metric = find_metric("out_of_scope_recall")
    assert metric.value(rows) == 0.0
    assert metric.estimate(rows).interval == (0.0, 1.0)
    assert metric.compare(rows, rows).as_json() == {"difference": 0.0, "interval": [-1.0, 1.0], "p": 1.0}


@pytest.mark.parametrize("metric", [accuracy_hits, exact_match_hits, macro_f1, micro_f1, label_counts])
def test_columns_of_labels_that_do_not_pair_up_are_refused(metric: Callable[[list[str], list[str]], object]) -> None:
    with pytest.raises(ValueError, match="pair up"):
        metric(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no rows"):
        metric([], [])
