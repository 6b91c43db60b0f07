"""Rows of every kind with texts that need mending, and detectors small enough to be seen through."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fettle.cleaning.detectors import Detectors
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Preference,
    Row,
    ScoredText,
    Span,
    TaggedText,
    TextPair,
    ToolCall,
    input_text,
)
from fettle.quality.finding import Finding, Given

FRAGMENTS = [
    *("where", "is", "Ada", "in Rome", "x<y", "#", "ok.", "(", ")", " ", " ", " ", "  ", "\n", "\t"),
    *("\r\n", "\r", "\x00", "\x1b[31m", "\x85", "\u2028", "cafÃ©", "schÃ¶n", "â€™", "e\u0301", "\ufeff"),
    *("<b>", "</b>", "<p>", "<br/>", '<a href="u>v">', "<!--", "-->", "<script>", "</script>", "&lt;", "&amp;", "&gt;"),
    *("**", "*", "_", "__", "`", "```\n", "## ", "> ", "[a](b)", "![c](d)", "~~", "\\*"),
    *(
        "https://x.y/z",
        "www.x.y.",
        "👍",
        "👍🏽",
        "❤\ufe0f",
        "1\ufe0f\u20e3",
        "\u200b",
        "\u202e",
        "\u200d",
        "\u200f",
        "می\u200cخ",
    ),
    *("ada@x.org", "123456789", "\U000e0041", "\ue000", "\ufffd"),
]
LABELS = ["refund", "Refund", "late order", "late_order", "other"]
texts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8).map("".join).filter(str.strip)
labels = st.sampled_from(LABELS)


@st.composite
def tagged(draw):
    """A text of words and the spans of some of them, one over another now and then."""
    text = draw(texts)
    spans = []
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, min(len(text), start + 12)))
        spans.append(Span(start, end, draw(labels)))
    return TaggedText(text, tuple(sorted(spans, key=lambda span: (span.start, span.end, span.label))))


@st.composite
def conversations(draw):
    """A question and an answer, perhaps with a tool call between them."""
    turns = [Message("user", draw(texts))]
    if draw(st.booleans()):
        said = draw(st.sampled_from(["", "one moment"]))
        arguments = draw(
            st.sampled_from(
                ['{"to": "ada@x.org", "n": [1.50, 123456789], "ada@x.org": ""}', '{"q": "a\\"b 👍 <b>"}', "no {json"]
            )
        )
        turns += [
            Message("assistant", said, tool_calls=(ToolCall("send", arguments, "1"),)),
            Message("tool", draw(texts), tool_call_id="1"),
        ]
    return Conversation((*turns, Message("assistant", draw(texts))), tools=('{"name": "send"}',))


def _answers(draw):
    return (Message("assistant", draw(texts)),)


@st.composite
def _preferences(draw):
    return Preference((Message("user", draw(texts)),), _answers(draw), _answers(draw))


@st.composite
def _judged(draw):
    prompt = (Message("user", draw(texts)),)
    if draw(st.booleans()):
        return JudgedAnswer(prompt, _answers(draw), draw(st.booleans()))
    return JudgedSteps(prompt, (draw(texts), draw(texts)), (True, draw(st.booleans())))


@st.composite
def _graded(draw):
    return GradedPrompt((Message("user", draw(texts)),), draw(st.sampled_from(["{}", '{"mail": "ada@x.org"}'])))


records = st.one_of(
    st.builds(LabelledText, texts, labels),
    st.builds(MultiLabelledText, texts, st.lists(labels, max_size=3, unique=True).map(tuple)),
    st.builds(ScoredText, texts, st.sampled_from([0.0, 1.5]), st.one_of(st.just(""), texts)),
    st.builds(TextPair, texts, texts, st.lists(texts, max_size=2).map(tuple)),
    st.builds(PlainText, texts),
    tagged(),
    conversations(),
    _preferences(),
    _judged(),
    _graded(),
)


@st.composite
def row_lists(draw, record=records, max_size=10):
    """Rows of all kinds, some of them twice, each at its own line."""
    found = draw(st.lists(record, min_size=1, max_size=max_size))
    found += draw(st.lists(st.sampled_from(found), max_size=3))
    parts = st.sampled_from(["", "train", "validation", "test"])
    return [
        Row(each, "a.csv", line, {"date": f"2024-01-{draw(st.integers(1, 28)):02}", "who": "ada"}, draw(parts))
        for line, each in enumerate(found, start=2)
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """One private stretch of a text."""

    kind: str
    start: int
    end: int
    confidence: float


_PRIVATE = re.compile(r"(?P<email>\w+@\w+\.\w+)|(?P<phone>(?<!\d)\d{7,12}(?!\d))")


def find_personal(text):
    """Addresses of one form, and long numbers."""
    return [Found(each.lastgroup, each.start(), each.end(), 0.9) for each in _PRIVATE.finditer(text)]


def redact(text, found, how, salt):
    """What is found, from the last to the first, so that no place moves."""
    for each in reversed(found):
        old = text[each.start : each.end]
        digest = hashlib.sha256((salt + old).encode("utf-8", "replace")).hexdigest()[:6]
        put = {"mask": f"[{each.kind}]", "hash": f"#{digest}", "replace": "somebody"}[how]
        text = text[: each.start] + put + text[each.end :]
    return text


def similar_pairs(words, threshold, groups):
    """All pairs of one group whose sets of words have a Jaccard of at least the threshold."""
    sets = [set(text.split()) for text in words]
    for i in range(len(sets)):
        for j in range(i):
            union = sets[i] | sets[j]
            score = len(sets[i] & sets[j]) / len(union) if union else 1.0
            if groups[i] == groups[j] and score >= threshold:
                yield j, i, score


def embed(several):
    """Counts of letters, as vectors of length 1."""
    vectors = np.array([[1 + text.lower().count(letter) for letter in "abcdefgh"] for text in several], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def semantic_pairs(vectors, threshold):
    """All pairs of vectors whose cosine is at least the threshold."""
    near = vectors @ vectors.T
    return [(j, i, float(near[i, j])) for i in range(len(near)) for j in range(i) if near[i, j] >= threshold]


def short_rows(rows, given):
    """A check that finds rows with hardly any input."""
    for place, row in enumerate(rows):
        if len(input_text(row.record)) < 8:
            yield Finding("short", "note", "the input is short", (place,))


DETECTORS = Detectors(
    find_personal, lambda: redact, similar_pairs, semantic_pairs, lambda text: "en", checks={"short": short_rows}
)
GIVEN = Given("chat", embed=embed)
