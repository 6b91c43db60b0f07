"""tag: what is learned of a tagged text, and what is found in one."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_kit import make_terms
from tokenizers import processors
from torch import Tensor
from transformers import AutoModelForTokenClassification, BertConfig, BertModel

from conftest import write_tiny_base
from fettle.data.records import PlainText, Row, Span, TaggedText
from fettle.errors import RequestError
from fettle.models.head import fresh_head
from fettle.models.load import OpenModel, open_model
from fettle.tasks.tag.encoder import TagEncoder, spans_as_json
from fettle.tasks.tag.task import HEAD, TASK
from fettle.tasks.task import Terms
from fettle.tokens.batch import batch_examples
from fettle.tokens.config import Scheme, TagSettings
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import layout_for
from precision_kit import Lifted
from tagging_kit import texts, word_pieces, wrapped

SETTINGS = settings(deadline=None, max_examples=25)
LABELS = ("NAME", "PLACE")
TEXTS = (
    TaggedText("Ada Byron wrote to Mr. O'Hara, in London.", (Span(0, 9, "NAME"), Span(34, 40, "PLACE"))),
    TaggedText("where is my parcel and when will it arrive", ()),
    TaggedText("Mr. King cancels the order Ada placed", (Span(4, 8, "NAME"), Span(27, 30, "NAME"))),
)


def write_tiny_encoder(folder: Path) -> Path:
    """A two-layer BERT with random weights and word pieces, in the Hugging Face layout."""
    inner = word_pieces()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer = wrapped(inner)
    tokenizer.pad_token = "[UNK]"
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        config = BertConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=64,
            initializer_range=0.3,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            **sizes,
        )
        BertModel(config).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = tmp_path_factory.mktemp("bases")
    return {"bert": write_tiny_encoder(made / "bert"), "llama": write_tiny_base(made / "llama")}


@pytest.fixture(scope="module", params=["bert", "llama"])
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> OpenModel:
    return open_model(folders[request.param], "trunk")


def terms_for(model: OpenModel, max_length: int = 60, scheme: Scheme = "bio") -> Terms:
    made = replace(make_terms(model, LABELS, max_length), tag=TagSettings(scheme=scheme))
    return replace(made, head=made.head.model_copy(update={"dropout": 0.0}))


def with_head(model: OpenModel, terms: Terms) -> OpenModel:
    assert HEAD.head is not None
    return replace(model, head=fresh_head(HEAD.head(terms), 32, seed=1))


def open_by_transformers(folder: Path, model: OpenModel, num_tags: int) -> Any:
    """Transformers' own model of this kind, with the same head."""
    network: Any = AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=num_tags, attn_implementation="eager"
    )
    assert model.head is not None
    classifier = network.classifier if hasattr(network, "classifier") else network.score
    classifier.load_state_dict(model.head.state_dict())
    return network.double().eval()


def learn_by_transformers(network: Any, model: OpenModel, names: tuple[str, ...]) -> tuple[float, dict[str, Tensor]]:
    """Its loss and gradient, labels put to words that are cut by hand."""
    spelt = ["B-NAME I-NAME O O O O O O O O O B-PLACE O", " ".join("O" * 9), "O O B-NAME O O O B-NAME O"]
    losses, counts = [], 0
    for record, tags in zip(TEXTS, spelt, strict=True):
        words = record.text.replace(".", " .").replace("'", " ' ").replace(",", " ,").split()
        encoded = model.tokenizer.inner(record.text, return_offsets_mapping=True)
        labels = torch.full((len(encoded["input_ids"]),), -100)
        place = 0
        for word, tag in zip(words, tags.split(), strict=True):
            start = record.text.index(word, place)
            place = start + len(word)
            own = [
                token
                for token, (low, high) in enumerate(encoded["offset_mapping"])
                if low < place and high > start and low < high
            ]
            labels[own[-1] if model.attention == "causal" else own[0]] = names.index(tag)
        found = network(input_ids=torch.tensor([encoded["input_ids"]]), labels=labels[None])
        losses.append(found.loss * len(words))
        counts += len(words)
    loss = torch.stack(losses).sum() / counts
    loss.backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return float(loss.detach()), gradients


def test_loss_and_gradient_are_those_of_transformers(folders: dict[str, Path], model: OpenModel) -> None:
    terms = terms_for(model)
    folder = folders["llama" if model.attention == "causal" else "bert"]
    whole = with_head(open_model(folder, "trunk"), terms)
    encoder = HEAD.encoder(terms)
    names = TagEncoder(terms).tags.names
    examples = [example for record in TEXTS for example in encoder.examples(record, "f:1")]
    layout, _ = layout_for(model.attention)
    objective = HEAD.objective(terms, layout)
    theirs = open_by_transformers(folder, whole, len(names))
    whole.network.double()
    assert whole.head is not None
    whole.head.double()
    with Lifted(only_softmax=False):
        wanted, gradients = learn_by_transformers(theirs, whole, names)
        weight = objective.weigh(examples)["reads"]
        loss = objective.sums(whole, make_batch(examples, layout))["reads"] / weight
        loss.backward()
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-9)
    of_trunk = {name.partition(".")[2]: grad for name, grad in gradients.items()}
    learned = dict(whole.network.named_parameters())
    assert learned
    for name, weight_of in learned.items():
        assert weight_of.grad is not None
        torch.testing.assert_close(weight_of.grad, of_trunk[name], rtol=1e-9, atol=1e-12)
    for name, weight_of in whole.head.named_parameters():
        torch.testing.assert_close(weight_of.grad, of_trunk[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
def test_a_reader_gives_the_loss_that_is_learned(model: OpenModel, scheme: Scheme) -> None:
    terms = terms_for(model, scheme=scheme)
    whole = with_head(model, terms)
    encoder = HEAD.encoder(terms)
    rows = [encoder.examples(record, "f:1") for record in TEXTS]
    costs = HEAD.reader(terms).losses(whole, rows)
    objective = HEAD.objective(terms, "padded")
    for row, cost in zip(rows, costs, strict=True):
        with torch.no_grad():
            assert cost.loss == pytest.approx(float(objective.sums(whole, batch_examples(row))["reads"]), rel=1e-5)
        assert cost.weight == sum(len(example.reads) for example in row)
        assert 0 <= cost.right <= cost.weight


@st.composite
def tagged(draw: st.DrawFn) -> TaggedText:
    """A text, and spans anywhere in it."""
    text = draw(texts)
    edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    spans = [Span(*pair, draw(st.sampled_from(LABELS))) for pair in pairwise(edges) if draw(st.booleans())]
    return TaggedText(text, tuple(spans))


@SETTINGS
@given(tagged(), st.integers(6, 30))
def test_each_unit_is_learned_once_whatever_the_length(model: OpenModel, record: TaggedText, most: int) -> None:
    long, short = TagEncoder(terms_for(model, 10_000)), TagEncoder(terms_for(model, most))
    whole, cut = long.read(record.text, record.spans), short.read(record.text, record.spans)
    assert all(example.num_tokens <= most for example in cut.examples)
    assert len(whole.examples) <= 1
    assert np.array_equal(expected_of(cut.examples), expected_of(whole.examples))
    assert len(expected_of(whole.examples)) == len(whole.units)
    told = [example.remark for example in whole.examples[:1]]
    read = long.tags.read(expected_of(whole.examples), whole.units)
    if told == [""]:
        assert read == sorted(record.spans, key=lambda span: span.start)
    if told and told != [""]:
        assert read != sorted(record.spans, key=lambda span: span.start)
    before, behind = model.tokenizer.surroundings
    for example in cut.examples:
        assert example.ids.tolist()[: len(before)] == before.tolist()
        assert example.ids.tolist()[example.num_tokens - len(behind) :] == behind.tolist()


def expected_of(examples: list[Example]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.empty(0, np.int64), *(example.reads.token for example in examples)])


def test_a_span_inside_a_word_is_learned_where_tokens_allow(folders: dict[str, Path]) -> None:
    encoder = TagEncoder(terms_for(open_model(folders["bert"], "trunk")))
    text = "theorder arrive"
    pieces = encoder._tokenizer.encode_with_offsets(text)[1].tolist()
    inner = pieces[1][0]
    (fits,) = encoder.examples(TaggedText(text, (Span(inner, 8, "NAME"),)), "f:1")
    assert fits.remark == ""
    assert [encoder.tags.names[tag] for tag in fits.reads.token] == ["O", "B-NAME", "O"]
    swallowed = "\u4e00" * 3 + " arrive"
    (moved,) = encoder.examples(TaggedText("please", (Span(0, 1, "NAME"),)), "f:1")
    assert "other ends" in moved.remark
    assert encoder.tags.names[int(moved.reads.token[0])] == "B-NAME"
    assert encoder.examples(TaggedText(swallowed, (Span(0, 3, "NAME"),)), "f:1")[0].remark == ""


def test_a_label_that_was_never_learned_has_no_weight(model: OpenModel) -> None:
    encoder = TagEncoder(terms_for(model))
    record = TaggedText("Ada in London", (Span(0, 3, "NAME"), Span(7, 13, "RIVER")))
    (found,) = encoder.examples(record, "f:1")
    assert found.reads.weight.tolist() == [1.0, 1.0, 0.0]
    assert json.loads(encoder.expected(record)) == [[0, 3, "NAME"], [7, 13, "RIVER"]]


def test_rows_without_any_span_teach_nothing(model: OpenModel) -> None:
    with pytest.raises(RequestError, match="no row has a span"):
        TagEncoder(make_terms(model))


def test_a_length_without_room_is_refused(folders: dict[str, Path]) -> None:
    model = open_model(folders["bert"], "trunk")
    with pytest.raises(RequestError, match="no room"):
        TagEncoder(terms_for(model, 2))


def test_spans_that_overlap_cannot_be_learned() -> None:
    assert TASK.cannot_learn(TEXTS[0]) == ""
    assert "overlap" in TASK.cannot_learn(TaggedText("Ada Byron", (Span(0, 9, "NAME"), Span(4, 9, "NAME"))))
    assert TASK.cannot_learn(PlainText("Ada"))


@pytest.mark.parametrize("scheme", ["bio", "bilou"])
def test_answers_are_spans_of_the_text_as_it_was_given(model: OpenModel, scheme: Scheme) -> None:
    terms = terms_for(model, scheme=scheme)
    answerer = HEAD.answerer(terms)
    assert answerer is not None
    told: list[int] = []
    asked = [TASK.question(text) for text in ("  Ada\u200b Byron's ﬁrst 東京", "", " \n", "\u0301")]
    answers = answerer.answers(with_head(model, terms), asked, told.append)
    assert sum(told) == len(asked)
    for record, answer in zip(asked, answers, strict=True):
        assert isinstance(record, TaggedText)
        found = json.loads(answer.text)
        assert all(0 <= start < end <= len(record.text) and label in LABELS for start, end, label in found)
        assert all(not record.text[edge].isspace() for start, end, _ in found for edge in (start, end - 1))
        assert 0 < answer.probabilities[answer.text] <= 1 + 1e-12
    assert [answer.text for answer in answers[1:3]] == ["[]", "[]"]


@pytest.mark.parametrize("max_length", [60, 14])
def test_eight_rows_are_learned_by_heart(folders: dict[str, Path], max_length: int) -> None:
    """Names at the ends and in the middle; with the smaller length texts are read in several windows."""
    model = open_model(folders["bert"], "trunk")
    words = ["please", "cancel", "the", "order", "where", "is", "my", "parcel", "when", "will", "it", "arrive"]
    records = []
    for number in range(8):
        said = [*words[number : number + 4], "Ada", "Byron", *words[: number + 1], "London"]
        text = " ".join(said)
        place = text.index("Ada")
        records.append(TaggedText(text, (Span(place, place + 9, "NAME"), Span(len(text) - 6, len(text), "PLACE"))))
    survey = TASK.survey([Row(record, "f", 1) for record in records])
    assert survey.labels == LABELS
    terms = replace(terms_for(model, max_length), survey=survey)
    whole = with_head(model, terms)
    rows = [HEAD.encoder(terms).examples(record, "f:1") for record in records]
    assert (max(map(len, rows)) > 1) == (max_length == 14)
    objective = HEAD.objective(terms, "packed")
    batch = batch_examples([example for row in rows for example in row])
    optimizer = torch.optim.AdamW(whole.trainable().values(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        objective.sums(whole, batch)["reads"].backward()
        torch.nn.utils.clip_grad_norm_(whole.trainable().values(), 1.0)
        optimizer.step()
    answerer = HEAD.answerer(terms)
    assert answerer is not None
    answers = answerer.answers(whole, [TASK.question(record.text) for record in records])
    assert [answer.text for answer in answers] == [spans_as_json(record.spans) for record in records]
    assert "Ada Byron: NAME, London: PLACE" in {answer.in_words for answer in answers}
