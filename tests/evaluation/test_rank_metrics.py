"""Laws of the metrics of rankings with one right entry, with scikit-learn as judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric
from fettle.evaluation.statistics import wilson

SETTINGS = settings(deadline=None, max_examples=40, database=None, derandomize=True)
NUM_ENTRIES = 25


def outcomes(ranks: list[int]) -> list[Outcome]:
    return [Outcome(str(place), "right", "other", rank=rank) for place, rank in enumerate(ranks)]


@SETTINGS
@given(st.lists(st.integers(1, NUM_ENTRIES), min_size=1, max_size=30), st.integers(0, 9))
def test_ranks_equal_scikit_learn_on_the_scores_behind_them(ranks: list[int], seed: int) -> None:
    # Entry 0 is the right one: scores of which exactly rank - 1 lie above its own.
    generator = np.random.default_rng(seed)
    scores = np.stack(
        [np.concatenate([[-rank], -generator.permutation(np.delete(np.arange(1, 26), rank - 1))]) for rank in ranks]
    )
    is_right = np.zeros_like(scores)
    is_right[:, 0] = 1
    rows = outcomes(ranks)
    assert find_metric("ndcg_at_10").value(rows) == pytest.approx(ndcg_score(is_right, scores, k=10))
    judge = label_ranking_average_precision_score(is_right, scores)
    assert find_metric("mrr").value(rows) == pytest.approx(judge)
    for most in (1, 3, 10):
        judge = top_k_accuracy_score(np.zeros(len(ranks)), scores, k=most, labels=np.arange(NUM_ENTRIES))
        assert find_metric(f"recall_at_{most}").value(rows) == pytest.approx(judge)


@pytest.mark.parametrize("name", ["recall_at_1", "recall_at_3", "recall_at_10", "ndcg_at_10", "mrr"])
def test_a_row_in_which_nothing_was_ranked_scores_zero(name: str) -> None:
    metric = find_metric(name)
    assert metric.value(outcomes([0, 0])) == 0.0
    assert metric.value(outcomes([1, 1])) == 1.0
    assert metric.value(outcomes([0, 1])) == 0.5


def test_recall_is_a_share_with_the_interval_of_one() -> None:
    estimate = find_metric("recall_at_3").estimate(outcomes([1, 2, 3, 4, 0, 11]))
    assert (estimate.value, estimate.interval) == (0.5, wilson(3, 6))
    assert find_metric("recall_at_3").compare(outcomes([1, 1, 1]), outcomes([4, 4, 4])).p == 0.25
