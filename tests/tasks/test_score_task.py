"""score: numbers of texts, learned in units of their spread and answered in their own."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_kit import make_terms

from fettle.data.records import LabelledText, Record, Row, ScoredText
from fettle.evaluation.metrics.numbers import spearman
from fettle.models.head import fresh_head
from fettle.models.load import OpenModel, open_model
from fettle.tasks.score.task import HEAD, TASK, NumberAnswerer, ScoreEncoder, number_as_text, survey_scores
from fettle.tasks.task import Terms
from fettle.tokens.forest import make_batch

SETTINGS = settings(deadline=None, max_examples=100)
numbers = st.floats(-1e6, 1e6)


def rows_of(scores: list[float]) -> list[Row]:
    return [Row(ScoredText("a text", score), "f", line) for line, score in enumerate(scores, start=1)]


@SETTINGS
@given(st.lists(numbers, min_size=2, max_size=20))
def test_center_and_spread_are_mean_and_standard_deviation(scores: list[float]) -> None:
    found = survey_scores(rows_of(scores))
    largest = max(map(abs, scores))
    assert found.center == pytest.approx(statistics.fmean(scores), rel=1e-9, abs=1e-12 * largest)
    if len(set(scores)) == 1:
        assert found.spread == 1.0
    else:
        assert found.spread == pytest.approx(statistics.pstdev(scores), rel=1e-6, abs=1e-12 * largest)
        assert found.spread > 0


@pytest.mark.parametrize("scores", [[0.1] * 7, [3.0], [1e16, 1e16], [-1e-300] * 3])
def test_scores_that_are_all_alike_have_the_spread_one(scores: list[float]) -> None:
    found = survey_scores(rows_of(scores))
    assert (found.center, found.spread) == (scores[0], 1.0)


@pytest.mark.parametrize("scores", [[1e308, -1e308, 1.0], [1e-200, 2e-200, 4e-200], [1.7e9, 1.7e9 + 60.0]])
def test_very_large_and_very_small_scores_have_a_spread_too(scores: list[float]) -> None:
    found = survey_scores(rows_of(scores))
    assert 0 < found.spread < math.inf
    assert found.center == pytest.approx(statistics.fmean(scores), rel=1e-9, abs=1e-9 * max(map(abs, scores)))


@SETTINGS
@given(numbers, st.floats(1e-3, 1e6))
def test_an_answer_reads_well_and_says_the_number(number: float, spread: float) -> None:
    exact, short = number_as_text(number), number_as_text(number, spread)
    assert float(exact) == number
    assert abs(float(short) - number) <= 1e-4 * spread
    assert len(short) <= len(exact) or abs(float(short) - number) > 0
    assert short != "-0"


def test_scores_that_are_no_numbers_cannot_be_learned() -> None:
    assert TASK.cannot_learn(ScoredText("a", 1.0)) == ""
    for bad in (math.nan, math.inf, -math.inf):
        assert "finite" in TASK.cannot_learn(ScoredText("a", bad))
    assert "LabelledText" in TASK.cannot_learn(LabelledText("a", "b"))


def test_other_records_are_our_own_mistake(tiny_base: Path) -> None:
    encoder = ScoreEncoder(make_terms(open_model(tiny_base, "trunk")))
    for call in (encoder.asked, lambda record: encoder.examples(record, "f:1")):
        with pytest.raises(TypeError, match="LabelledText"):
            call(LabelledText("a", "b"))


def opened(folder: Path, scores: list[float]) -> tuple[OpenModel, Terms]:
    model = open_model(folder, "trunk")
    terms = make_terms(model)
    terms = replace(
        terms, survey=survey_scores(rows_of(scores)), head=terms.head.model_copy(update={"pooling": "mean"})
    )
    assert HEAD.head is not None
    model.head = fresh_head(HEAD.head(terms), model.width, seed=0)
    return model, terms


def test_answers_are_in_the_unit_of_the_scores(tiny_base: Path) -> None:
    """What the head reads, times the spread, plus the center."""
    records: list[Record] = [ScoredText("where is my parcel", 0.0), ScoredText("hello", 0.0, "hello there")]
    model, terms = opened(tiny_base, [0.0, 2.0])
    plain = [float(answer.text) for answer in NumberAnswerer(terms).answers(model, records)]
    model, terms = opened(tiny_base, [990.0, 1010.0])
    found = [float(answer.text) for answer in NumberAnswerer(terms).answers(model, records)]
    assert found == pytest.approx([1000.0 + 10.0 * (number - 1.0) for number in plain], abs=1e-3)
    assert len(set(plain)) == 2


GOOD, POOR = ("fine", "quick", "kind"), ("late", "broken", "rude")


def reviews(count: int, seed: int) -> list[ScoredText]:
    """Texts of six words; the score counts the good ones."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        num_good = int(draw.integers(0, 7))
        words = [*draw.choice(GOOD, num_good), *draw.choice(POOR, 6 - num_good)]
        found.append(ScoredText(" ".join(draw.permutation(words)), float(num_good)))
    return found


def learned(folder: Path, rows: list[ScoredText], held_out: list[ScoredText]) -> float:
    """The correlation on rows that were not learned from, after a few dozen steps."""
    model, terms = opened(folder, [row.score for row in rows])
    encoder, objective = ScoreEncoder(terms), HEAD.objective(terms, "tree")
    examples = [one for row in rows for one in encoder.examples(row, "f:1")]
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=3e-3)
    for step in range(40):
        part = examples[step % 4 :: 4]
        (loss,) = objective.sums(model, make_batch(part, "tree")).values()
        (loss / len(part)).backward()
        optimizer.step()
        optimizer.zero_grad()
    answers = NumberAnswerer(terms).answers(model, held_out)
    return spearman([row.score for row in held_out], [float(answer.text) for answer in answers])


def test_scores_are_learned_and_shuffled_scores_are_not(tiny_base: Path) -> None:
    rows, held_out = reviews(80, seed=1), reviews(60, seed=2)
    order = np.random.default_rng(3).permutation(len(rows))
    shuffled = [ScoredText(row.text, rows[other].score) for row, other in zip(rows, order, strict=True)]
    assert learned(tiny_base, rows, held_out) > 0.8
    assert abs(learned(tiny_base, shuffled, held_out)) < 0.5
