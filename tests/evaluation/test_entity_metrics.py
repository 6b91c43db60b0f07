"""Laws of the metrics of found spans, with nervaluate, seqeval and a full matching as judges."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate import Evaluator
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import BILOU, IOB2

from fettle.evaluation.metrics.entities import (
    Entity,
    TypeScore,
    entities_of,
    entity_f1,
    entity_scores_by_type,
    overlap_hits,
    strict_hits,
)
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric

SETTINGS = settings(deadline=None, max_examples=60, database=None, derandomize=True)
KINDS = ("PER", "LOC", "MISC")
NUM_TOKENS = 9


@st.composite
def runs(draw: st.DrawFn) -> list[Entity]:
    """Spans of tokens that do not overlap, in order: what a tagging can say."""
    lengths = draw(st.lists(st.integers(1, 3), max_size=4))
    spans, at = [], 0
    for length in lengths:
        start = at + draw(st.integers(0, 2))
        if start + length <= NUM_TOKENS:
            spans.append((start, start + length, draw(st.sampled_from(KINDS))))
            at = start + length
    return spans


ANY_SPANS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 6), st.sampled_from(KINDS)).map(
        lambda span: (span[0], span[0] + span[1], span[2])
    ),
    max_size=7,
)
ROWS = st.lists(st.tuples(runs(), runs()), min_size=1, max_size=6)


def written(spans: Sequence[Entity]) -> str:
    return json.dumps(spans)


def columns(rows: Sequence[tuple[Sequence[Entity], Sequence[Entity]]]) -> tuple[list[str], list[str]]:
    return [written(want) for want, _ in rows], [written(got) for _, got in rows]


def outcomes(rows: Sequence[tuple[Sequence[Entity], Sequence[Entity]]]) -> list[Outcome]:
    return [Outcome(str(place), *pair) for place, pair in enumerate(zip(*columns(rows), strict=True))]


def iob2(spans: Sequence[Entity]) -> list[str]:
    tags = ["O"] * NUM_TOKENS
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
    return tags


def bilou(spans: Sequence[Entity]) -> list[str]:
    tags = ["O"] * NUM_TOKENS
    for start, end, kind in spans:
        inner = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 2) + [f"L-{kind}"]
        tags[start:end] = [f"U-{kind}"] if end - start == 1 else inner
    return tags


def spans_of(tags: Sequence[str]) -> list[Entity]:
    """Spans of a sound IOB2 tagging."""
    starts = [place for place, tag in enumerate(tags) if tag.startswith("B-")]
    ends = [next((at for at in range(start + 1, len(tags)) if tags[at][0] != "I"), len(tags)) for start in starts]
    return [(start, end, tags[start][2:]) for start, end in zip(starts, ends, strict=True)]


def nervaluate_strict(rows: Sequence[tuple[Sequence[Entity], Sequence[Entity]]], tags: Sequence[str]) -> dict:
    sides = [
        [[{"start": start, "end": end - 1, "label": kind} for start, end, kind in side] for side in column]
        for column in zip(*rows, strict=True)
    ]
    return Evaluator(*sides, tags=list(tags), loader="dict").evaluate()


@SETTINGS
@given(ROWS)
def test_strict_scores_equal_nervaluate(rows: list[tuple[list[Entity], list[Entity]]]) -> None:
    found = nervaluate_strict(rows, KINDS)
    overall = found["overall"]["strict"]
    assert entity_f1(*columns(rows)) == pytest.approx(overall.f1, abs=1e-12)
    assert find_metric("entity_precision").value(outcomes(rows)) == pytest.approx(overall.precision, abs=1e-12)
    assert find_metric("entity_recall").value(outcomes(rows)) == pytest.approx(overall.recall, abs=1e-12)
    by_type = entity_scores_by_type(*columns(rows))
    judged = {kind: scores["strict"] for kind, scores in found["entities"].items()}
    assert by_type.keys() == judged.keys()
    for kind, score in by_type.items():
        judge = (judged[kind].precision, judged[kind].recall, judged[kind].f1, judged[kind].possible)
        assert score == pytest.approx(judge, abs=1e-12)


@pytest.mark.parametrize(("encode", "scheme"), [(iob2, IOB2), (bilou, BILOU)])
def test_strict_scores_equal_seqeval(encode: Callable[[Sequence[Entity]], list[str]], scheme: type) -> None:
    @SETTINGS
    @given(ROWS)
    def check(rows: list[tuple[list[Entity], list[Entity]]]) -> None:
        tags = [[encode(side) for side in column] for column in zip(*rows, strict=True)]
        how = {"mode": "strict", "scheme": scheme, "zero_division": 0}
        if not any(side for row in rows for side in row):
            return
        assert entity_f1(*columns(rows)) == pytest.approx(f1_score(*tags, **how), abs=1e-12)
        precision, recall = find_metric("entity_precision"), find_metric("entity_recall")
        assert precision.value(outcomes(rows)) == pytest.approx(precision_score(*tags, **how), abs=1e-12)
        assert recall.value(outcomes(rows)) == pytest.approx(recall_score(*tags, **how), abs=1e-12)
        report = classification_report(*tags, output_dict=True, **how)
        for kind, score in entity_scores_by_type(*columns(rows)).items():
            judge = (*(report[kind][name] for name in ("precision", "recall", "f1-score")), report[kind]["support"])
            assert score == pytest.approx(judge, abs=1e-12)

    check()


# The examples that the two packages introduce themselves with: rows of tags, and the strict F1 that they tell.
SHOWN = [
    (
        [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
        0.5,
    ),
    (
        [
            ["O", "B-PER", "I-PER", "O", "O", "O", "B-ORG", "I-ORG"],
            ["O", "B-LOC", "B-PER", "I-PER", "O", "O", "B-DATE"],
        ],
        [
            ["O", "B-PER", "I-PER", "O", "O", "O", "B-ORG", "I-ORG"],
            ["O", "B-LOC", "I-LOC", "B-PER", "O", "O", "B-DATE"],
        ],
        0.6,
    ),
]


@pytest.mark.parametrize(("expected", "found", "f1"), SHOWN)
def test_their_own_examples_come_out_alike(expected: list[list[str]], found: list[list[str]], f1: float) -> None:
    rows = [(spans_of(want), spans_of(got)) for want, got in zip(expected, found, strict=True)]
    kinds = {kind for row in rows for side in row for _, _, kind in side}
    assert entity_f1(*columns(rows)) == pytest.approx(f1)
    assert nervaluate_strict(rows, sorted(kinds))["overall"]["strict"].f1 == pytest.approx(f1)
    assert f1_score(expected, found, mode="strict", scheme=IOB2) == pytest.approx(f1)


@SETTINGS
@given(ANY_SPANS, ANY_SPANS)
def test_overlaps_are_paired_as_often_as_can_be(expected: list[Entity], found: list[Entity]) -> None:
    wanted, given_ = sorted(set(expected)), sorted(set(found))
    can_pair = [
        [want[2] == got[2] and max(want[0], got[0]) < min(want[1], got[1]) for got in given_] for want in wanted
    ]
    judge = 0
    if wanted and given_:
        judge = int((maximum_bipartite_matching(csr_array(np.array(can_pair)), perm_type="column") >= 0).sum())
    hits = overlap_hits(frozenset(expected), frozenset(found))
    assert hits == judge == overlap_hits(frozenset(found), frozenset(expected))
    assert hits >= strict_hits(frozenset(expected), frozenset(found))


def test_a_find_that_covers_everything_is_one_hit() -> None:
    rows = [([(0, 2, "PER"), (3, 5, "PER"), (6, 8, "PER")], [(0, 8, "PER")])]
    assert entity_f1(*columns(rows), overlap_hits) == 2 / 4
    assert find_metric("entity_f1_relaxed").value(outcomes(rows)) == 2 / 4
    assert find_metric("entity_f1").value(outcomes(rows)) == 0.0


@SETTINGS
@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_repetition_of_entities_change_nothing(
    rows: list[tuple[list[Entity], list[Entity]]], random: object
) -> None:
    shuffled = [tuple(random.sample(side + side[:1], len(side + side[:1])) for side in row) for row in rows]
    for name in ("entity_f1", "entity_f1_relaxed", "entity_precision", "entity_recall"):
        assert find_metric(name).value(outcomes(shuffled)) == find_metric(name).value(outcomes(rows))


def test_an_answer_that_cannot_be_read_is_one_wrong_find() -> None:
    rows = [Outcome("a", '[[0, 3, "PER"]]', '[[0, 3, "PER"]]'), Outcome("b", "[]", "nobody is named here")]
    assert find_metric("entity_precision").value(rows) == 1 / 2
    assert find_metric("entity_recall").value(rows) == 1.0
    by_type = entity_scores_by_type([row.expected for row in rows], [row.answer for row in rows])
    assert by_type == {"PER": TypeScore(1.0, 1.0, 1.0, 1), "unreadable answer": TypeScore(0.0, 0.0, 0.0, 0)}


@pytest.mark.parametrize("text", ["", "PER", '[[0, "3", "PER"]]', '[{"start": 0}]', "[[0, 3]]"])
def test_an_expected_text_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no list of"):
        entities_of(text)
    with pytest.raises(ValueError, match="no list of"):
        entity_f1([text], ["[]"])


def test_nothing_to_find_and_nothing_found_scores_zero() -> None:
    rows = [Outcome("a", "[]", "[]")]
    for name in ("entity_f1", "entity_f1_relaxed", "entity_precision", "entity_recall"):
        assert find_metric(name).estimate(rows).as_json() == {"value": 0.0, "interval": [0.0, 0.0]}
