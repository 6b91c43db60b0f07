"""Laws of the metrics of texts and losses, and the packages that already compute them as judges."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_chrf as sacrebleu_corpus_chrf

from fettle.evaluation.metrics.losses import bits_per_byte, perplexity
from fettle.evaluation.metrics.texts import chrf, corpus_chrf, longest_common_subsequence, rouge_l
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
WORDS = st.sampled_from(["the", "cat", "sat", "on", "The", "mat.", "42", "naïve", "x-y", "--", "\n"])
TEXTS = st.one_of(st.lists(WORDS, max_size=15).map(" ".join), st.text(max_size=20))


@pytest.fixture(scope="module")
def rouge_score_rouge_l() -> Callable[[str, str], float]:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    return lambda hypothesis, reference: float(scorer.score(reference, hypothesis)["rougeL"].fmeasure)


@SETTINGS
@given(TEXTS, TEXTS)
def test_chrf_equals_sacrebleu_on_a_corpus_of_one(hypothesis: str, reference: str) -> None:
    judge = sacrebleu_corpus_chrf([hypothesis], [[reference]]).score / 100.0
    assert chrf(hypothesis, reference) == pytest.approx(judge, abs=1e-12)
    assert corpus_chrf([hypothesis], [reference]) == pytest.approx(judge, abs=1e-12)


def test_corpus_chrf_pools_its_rows() -> None:
    hypotheses, references = ["a", "the cat sat on the mat", "no"], ["b", "the cat sat on a mat", "nothing"]
    judge = sacrebleu_corpus_chrf(hypotheses, [references]).score / 100.0
    mean_of_rows = sum(map(chrf, hypotheses, references)) / 3
    assert corpus_chrf(hypotheses, references) == pytest.approx(judge, abs=1e-12)
    assert abs(judge - mean_of_rows) > 0.05


def test_chrf_weighs_recall_above_precision() -> None:
    whole, part = "the cat sat on the mat", "the cat"
    assert chrf(whole, part) > chrf(part, whole) > 0.0


@SETTINGS
@given(TEXTS, TEXTS)
def test_rouge_l_equals_rouge_score(
    rouge_score_rouge_l: Callable[[str, str], float], hypothesis: str, reference: str
) -> None:
    judge = rouge_score_rouge_l(hypothesis, reference)
    assert rouge_l(hypothesis, reference) == pytest.approx(judge, abs=1e-12)
    assert rouge_l(reference, hypothesis) == pytest.approx(judge, abs=1e-12)


def test_rouge_l_of_long_texts_is_right_and_fast(rouge_score_rouge_l: Callable[[str, str], float]) -> None:
    generator = np.random.default_rng(0)
    left, right = (" ".join(f"w{word}" for word in generator.integers(0, 60, size=500)) for _ in range(2))
    assert 0.1 < rouge_l(left, right) < 0.9
    assert rouge_l(left, right) == pytest.approx(rouge_score_rouge_l(left, right), abs=1e-12)
    start = time.perf_counter()
    rouge_l(" ".join([left] * 16), " ".join([right] * 16))
    # 64 million cells of a table: many seconds when they are filled one by one.
    assert time.perf_counter() - start < 1.0


@SETTINGS
@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_the_common_subsequence_is_the_longest_of_all(left: str, right: str) -> None:
    def subsequences(text: str) -> set[tuple[str, ...]]:
        return {chosen for length in range(len(text) + 1) for chosen in combinations(text, length)}

    longest = max(map(len, subsequences(left) & subsequences(right)))
    assert longest_common_subsequence(left, right) == longest


def test_perplexity_undoes_the_logarithm_and_never_raises() -> None:
    assert perplexity(math.log(50_257)) == pytest.approx(50_257)
    assert perplexity(710.0) == perplexity(math.inf) == math.inf
    assert math.isnan(perplexity(math.nan))


def test_bits_per_byte_is_the_loss_in_bits_over_the_bytes() -> None:
    assert bits_per_byte(math.log(256) * 10, 10) == pytest.approx(8)
    assert bits_per_byte(3.0, 0) == 0.0


def test_a_text_counts_by_its_bytes_in_bits_per_byte() -> None:
    rows = [Outcome("a", "", "", math.log(2) * 30, 9.0, num_bytes=10), Outcome("b", "", "", 0.0, 1.0, num_bytes=30)]
    other = [Outcome("a", "", "", math.log(2) * 50, 9.0, num_bytes=10), rows[1]]
    metric = find_metric("bits_per_byte")
    assert not metric.is_higher_better
    assert metric.estimate(rows).value == pytest.approx(30 / 40)
    assert metric.compare(other, rows).value == pytest.approx(20 / 40)


def test_perplexity_stands_on_the_loss_of_all_rows() -> None:
    a = [Outcome("a", "", "", 8.0, 4.0), Outcome("b", "", "", 3.0, 1.0), Outcome("c", "", "", 1.0, 5.0)]
    b = [Outcome("a", "", "", 4.0, 4.0), Outcome("b", "", "", 2.0, 1.0), Outcome("c", "", "", 1.0, 5.0)]
    metric, loss = find_metric("perplexity"), find_metric("loss")
    assert metric.value(a) == pytest.approx(math.exp(12 / 10))
    assert metric.estimate(a).interval == pytest.approx(tuple(math.exp(end) for end in loss.estimate(a).interval))
    difference = metric.compare(a, b)
    assert difference.value == pytest.approx(math.exp(12 / 10) - math.exp(7 / 10))
    assert difference.p == loss.compare(a, b).p


def test_a_perplexity_beyond_what_a_float_holds_is_the_largest_float() -> None:
    rows = [Outcome("a", "", "", 5e5, 1.0)]
    assert find_metric("perplexity").value(rows) == sys.float_info.max
    assert math.isfinite(find_metric("perplexity").estimate(rows).interval[1])


def test_columns_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="pair up"):
        corpus_chrf(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no rows"):
        corpus_chrf([], [])
