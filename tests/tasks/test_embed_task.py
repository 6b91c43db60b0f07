"""embed: what pairs are to a model, what they cost each other, and what is nearest to what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_kit import make_terms
from torch.nn.functional import cosine_similarity

from fettle.data.records import PlainText, Row, TextPair
from fettle.errors import RequestError
from fettle.models.config import HeadSettings
from fettle.models.head import Head, HeadShape
from fettle.models.load import OpenModel, open_model
from fettle.tasks.embed.pairs import PairEncoder, embedder_of
from fettle.tasks.embed.ranked import RANKED, RankedLosses
from fettle.tasks.embed.scored import SCORED
from fettle.tasks.embed.task import TASK
from fettle.tasks.task import Terms
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch
from fettle.training.config import EmbedSettings

PAIRS = [
    TextPair("where is my parcel", "the parcel is on its way", ("send the money back",)),
    TextPair("please cancel the order", "the card was charged"),
    TextPair("when will it arrive", "the parcel is on its way"),
    TextPair("where is my parcel", "order status"),
]
SCORES = [TextPair("where is it", "where is my parcel", score=score) for score in (4.0, 1.5, 0.0)]


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> OpenModel:
    return open_model(tiny_base, "trunk")


@pytest.fixture
def terms(model: OpenModel) -> Terms:
    return make_terms(model, max_length=24)


def examples_of(terms: Terms, pairs: Sequence[TextPair]) -> list[list[Example]]:
    return [PairEncoder(terms).examples(pair, f"f:{line}") for line, pair in enumerate(pairs, start=1)]


def vectors_of(terms: Terms, model: OpenModel, rows: Sequence[Sequence[Example]]) -> torch.Tensor:
    texts = [terms.tokenizer.decode(example.ids.tolist()) for row in rows for example in row]
    return torch.from_numpy(embedder_of(terms, model)(texts)).double()


def test_a_pair_is_its_texts_and_weighs_once(terms: Terms) -> None:
    row = PairEncoder(terms).examples(PAIRS[0], "f:1")
    assert [int(example.target.values[0]) for example in row] == [0, 1, 2]
    assert [example.target.weight for example in row] == [1.0, 0.0, 0.0]
    assert sum(example.learned_weight for example in row) == 1.0
    assert all(float(example.reads.weight.sum()) == pytest.approx(1.0) for example in row)
    assert PairEncoder(terms).expected(PAIRS[0]) == PAIRS[0].match
    assert PairEncoder(terms).expected(SCORES[1]) == "1.5"
    with pytest.raises(TypeError, match="PlainText"):
        PairEncoder(terms).examples(PlainText("a"), "f:1")


def test_a_long_text_is_cut_and_counted(terms: Terms) -> None:
    [text, match] = PairEncoder(terms).examples(TextPair("parcel " * 60, "short"), "f:1")
    assert text.num_tokens == 24 and text.num_cut_tokens > 10 and match.num_cut_tokens == 0


def test_an_instruction_stands_before_every_text(model: OpenModel) -> None:
    terms = make_terms(model, instruction="find what belongs together")
    [text, match] = PairEncoder(terms).examples(PAIRS[1], "f:1")
    for example, said in ((text, PAIRS[1].text), (match, PAIRS[1].match)):
        assert terms.tokenizer.decode(example.ids.tolist()) == f"find what belongs together\n{said}"
    plain = embedder_of(make_terms(model), model)([f"find what belongs together\n{PAIRS[1].text}"])
    assert np.array_equal(embedder_of(terms, model)([PAIRS[1].text]), plain)


def test_the_loss_of_the_objective_is_that_of_the_vectors_in_use(model: OpenModel, terms: Terms) -> None:
    """By hand: each text beside every other text once that does not belong to it."""
    rows = examples_of(terms, PAIRS)
    examples = [example for row in rows for example in row]
    opened = replace(model, head=Head(HeadShape(0), model.width))
    opened.network.eval()
    objective = RANKED.objective(terms, "padded")
    texts = list(dict.fromkeys(text for pair in PAIRS for text in (pair.text, pair.match, *pair.others)))
    vector = dict(zip(texts, torch.from_numpy(embedder_of(terms, model)(texts)).double(), strict=True))
    candidates = list(dict.fromkeys(text for pair in PAIRS for text in (pair.match, *pair.others)))
    wanted = 0.0
    for pair in PAIRS:
        right = {other.match for other in PAIRS if other.text == pair.text}
        beside = [pair.match, *(text for text in candidates if text not in right)]
        scores = torch.stack([vector[pair.text] @ vector[text] for text in beside]) / 0.05
        wanted += float(scores.logsumexp(0) - scores[0])
    assert objective.weigh(examples) == {"vectors": 4.0}
    found = objective.sums(opened, make_batch(examples, "padded"))["vectors"]
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-4)
    costs = RANKED.reader(terms).losses(opened, rows)
    assert sum(cost.loss for cost in costs) == pytest.approx(wanted, rel=1e-4)
    assert [cost.weight for cost in costs] == [1.0] * 4


def test_sizes_add_the_loss_of_their_beginnings(model: OpenModel, terms: Terms) -> None:
    opened = replace(model, head=Head(HeadShape(0), model.width))
    opened.network.eval()
    examples = [example for row in examples_of(terms, PAIRS) for example in row]
    batch = make_batch(examples, "padded")
    many = replace(terms, head=HeadSettings(sizes=(4, 16, 9999)))
    found = float(RANKED.objective(many, "padded").sums(opened, batch)["vectors"].detach())
    vectors = vectors_of(terms, model, examples_of(terms, PAIRS))
    losses = RankedLosses(terms)
    wanted = sum(float(losses(vectors[:, :size], examples).sum()) for size in (4, 16, model.width))
    assert found == pytest.approx(wanted, rel=1e-3)


words = st.sampled_from(["parcel", "card", "order", "money", "hello there"])


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_the_rank_of_a_match_is_its_place_among_those_that_are_wrong(
    model: OpenModel, pairs: list[tuple[str, str]]
) -> None:
    terms = make_terms(model)
    answers = RANKED.answerer(terms).answers(model, [TextPair(*pair) for pair in pairs])
    embed = embedder_of(terms, model)
    matches = list(dict.fromkeys(match for _, match in pairs))
    for (text, match), answer in zip(pairs, answers, strict=True):
        cosines = (embed([text]) @ embed(matches).T)[0]
        place = matches.index(match)
        wrong = [each for each in range(len(matches)) if (text, matches[each]) not in pairs]
        closer = sum(cosines[each] > cosines[place] + 1e-6 for each in wrong)
        level = sum(abs(cosines[each] - cosines[place]) <= 1e-6 for each in wrong)
        assert 1 + closer <= answer.rank <= 1 + closer + level
        assert cosines[matches.index(answer.text)] == pytest.approx(cosines.max(), abs=1e-6)


def test_scores_are_answered_with_cosines(model: OpenModel, terms: Terms) -> None:
    answers = SCORED.answerer(terms).answers(model, [*SCORES[:1], TextPair("order", "order", score=5.0)])
    embed = embedder_of(terms, model)
    left, right = torch.from_numpy(embed(["where is it", "where is my parcel"]))
    assert float(answers[0].text) == pytest.approx(float(cosine_similarity(left, right, dim=0)), abs=1e-5)
    assert float(answers[1].text) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("method", [RANKED, SCORED])
def test_a_question_is_answered_with_its_vector(model: OpenModel, terms: Terms, method) -> None:
    answers = method.answerer(terms).answers(model, [TASK.question("where is it"), TASK.question("order")])
    wanted = embedder_of(terms, model)(["where is it", "order"])
    assert np.allclose([json.loads(answer.text) for answer in answers], wanted, atol=1e-6)
    assert [answer.rank for answer in answers] == [0, 0]


def test_the_rows_decide_the_method() -> None:
    ranked, scored = ([Row(pair, "f", 1) for pair in pairs] for pairs in (PAIRS, SCORES))
    assert TASK.choose("auto", True, ranked) == "ranked" and TASK.choose("auto", False, scored) == "scored"
    with pytest.raises(RequestError, match="some rows have a score"):
        TASK.choose("auto", True, [*ranked, *scored])
    with pytest.raises(RequestError, match="the rows have no scores"):
        TASK.choose("scored", True, ranked)
    with pytest.raises(RequestError, match="the rows have scores"):
        TASK.choose("ranked", True, scored)
    assert TASK.cannot_learn(PlainText("a")) and not TASK.cannot_learn(PAIRS[0])


def test_a_score_that_is_to_be_a_cosine_must_be_one(terms: Terms) -> None:
    cosines = replace(terms, embed=EmbedSettings(scores="cosine"))
    with pytest.raises(RequestError, match="4 is no cosine") as refused:
        SCORED.encoder(cosines).examples(SCORES[0], "f:7")
    assert refused.value.where == "f:7"
    assert SCORED.encoder(cosines).examples(SCORES[2], "f:8")
