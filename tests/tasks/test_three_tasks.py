"""chat, classify and text: what each makes of its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks_kit import make_terms

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Row
from fettle.generation.decoding import complete
from fettle.generation.scoring import NEGLIGIBLE_NATS, read_tokens
from fettle.models.load import OpenModel, open_model
from fettle.tasks.chat.task import ChatAnswerer, ChatEncoder
from fettle.tasks.classify.candidates import LabelAnswerer, LabelEncoder
from fettle.tasks.classify.task import TASK as CLASSIFY
from fettle.tasks.task import Survey
from fettle.tasks.text.task import DocumentEncoder
from fettle.tokens.config import PromptSettings

SETTINGS = settings(deadline=None, max_examples=40)
LABELS = ("card", "card payment", "order", "order status", "<|im_end|>", "ünknown")
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> OpenModel:
    return open_model(tiny_base)


@SETTINGS
@given(st.lists(texts, min_size=1, max_size=3), st.sampled_from([1.0, 0.5, 8.0]))
def test_a_label_is_the_likeliest_and_the_shares_are_those_of_what_is_learned(
    model: OpenModel, asked: list[str], temperature: float
) -> None:
    terms = make_terms(model, LABELS, instruction="which is it?")
    encoder = LabelEncoder(terms)
    calmed = replace(model, temperature=temperature)
    answers = LabelAnswerer(terms).answers(calmed, [LabelledText(text, "") for text in asked])
    for text, answer in zip(asked, answers, strict=True):
        assert list(answer.probabilities) == list(LABELS)
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
        assert answer.probabilities[answer.text] == max(answer.probabilities.values())
        learned = [encoder.examples(LabelledText(text, label), "f:1")[0] for label in LABELS]
        sums = np.array([scores.log_probabilities.sum(dtype=np.float64) for scores in read_tokens(model, learned)])
        shares = np.exp((sums - sums.max()) / temperature)
        wanted = shares / shares.sum()
        allowed = len(LABELS) * np.exp(-NEGLIGIBLE_NATS)
        np.testing.assert_allclose(list(answer.probabilities.values()), wanted, rtol=2e-4, atol=allowed)


def test_the_labels_are_those_of_the_rows_in_one_order() -> None:
    rows = [Row(LabelledText("x", label), "f", 1) for label in ("b", "a", "b", "c")]
    assert CLASSIFY.survey(rows) == CLASSIFY.survey(rows[::-1]) == Survey(("a", "b", "c"), (1, 2, 1))


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (PromptSettings(), "hello"),
        (PromptSettings(instruction="say which"), "say which\nhello"),
        (PromptSettings(instruction="say which", list_labels=True), "say which\nLabels: a, b\nhello"),
        (PromptSettings(list_labels=True), "Labels: a, b\nhello"),
    ],
)
def test_the_instruction_stands_before_the_text(model: OpenModel, prompt: PromptSettings, wanted: str) -> None:
    terms = replace(make_terms(model, ("a", "b")), prompt=prompt)
    ids = LabelEncoder(terms).prompt(LabelledText("hello", "a"))
    text = model.tokenizer.decode(ids, with_control=True)
    assert text == f"<|im_start|>user\n{wanted}<|im_end|>\n<|im_start|>assistant\n"


CHAT = Conversation(
    (
        Message("user", "one"),
        Message("assistant", "two"),
        Message("user", "three"),
        Message("assistant", "four"),
        Message("user", "five"),
        Message("assistant", "six", 0.0),
    )
)


def test_a_chat_is_asked_for_its_last_learned_turn(model: OpenModel) -> None:
    encoder = ChatEncoder(model.tokenizer, PromptSettings())
    asked = model.tokenizer.decode(encoder.prompt(CHAT), with_control=True)
    assert asked.endswith("three<|im_end|>\n<|im_start|>assistant\n")
    assert encoder.expected(CHAT) == "four"
    (found,) = encoder.examples(CHAT, "f:1")
    assert model.tokenizer.decode(found.reads.token.tolist()) == "twofour"
    only_asked = Conversation(CHAT.messages[:1])
    assert encoder.examples(only_asked, "f:1") == []
    assert encoder.expected(only_asked) == ""
    assert "one" in model.tokenizer.decode(encoder.prompt(only_asked))


def test_a_system_message_is_put_where_there_is_none(model: OpenModel) -> None:
    encoder = ChatEncoder(model.tokenizer, PromptSettings(system="be kind"))
    own = Conversation((Message("system", "be short"), *CHAT.messages))
    assert [turn.content for turn in encoder.turns(CHAT)][:2] == ["be kind", "one"]
    assert [turn.content for turn in encoder.turns(own)][:2] == ["be short", "one"]
    assert all(turn.role == "system" for turn in (encoder.turns(CHAT)[0], encoder.turns(own)[0]))


def test_a_written_answer_is_the_text_of_what_was_written(model: OpenModel) -> None:
    terms = make_terms(model)
    decoding = terms.decoding
    records = [CHAT, Conversation(CHAT.messages[:1])]
    answers = ChatAnswerer(terms).answers(model, records)
    prompts = [ChatEncoder(model.tokenizer, PromptSettings()).prompt(record) for record in records]
    written = complete(model, prompts, decoding)
    assert [answer.text for answer in answers] == [model.tokenizer.decode(one.ids).strip() for one in written]
    assert [answer.is_complete for answer in answers] == [one.is_complete for one in written]


@SETTINGS
@given(texts)
def test_every_token_of_a_document_is_learned_and_its_end_too(model: OpenModel, text: str) -> None:
    tokenizer = model.tokenizer
    (found,) = DocumentEncoder(tokenizer).examples(PlainText(text), "f:1")
    wanted = [tokenizer.end_id, *tokenizer.encode_plain(text), tokenizer.end_id]
    assert found.reads.token.tolist() == wanted[1:]
    assert found.ids.tolist() == wanted[:-1]
    assert found.reads.at.tolist() == list(range(found.num_tokens))
    assert found.num_bytes(tokenizer.bytes_of_tokens) == len(text.encode())
