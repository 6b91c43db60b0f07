"""tag: spans are found in a text, such as the names of people and places. A head reads a tag for each word."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import log_softmax

from fettle.data.records import Record, Row, Span, TaggedText, labels_of
from fettle.generation.reading import HeadReader, Numbers, Reader
from fettle.models.head import HeadShape
from fettle.tasks.tag.answerer import SpanAnswerer
from fettle.tasks.tag.encoder import TagEncoder
from fettle.tasks.task import Method, Survey, Task, Terms, survey_labels
from fettle.tokens.example import Example
from fettle.tokens.layout import Layout
from fettle.tokens.tagging.tags import Tags, overlapping
from fettle.training.losses.heads import class_losses
from fettle.training.objective import Objective, ReadsByHead


def _survey(rows: Sequence[Row]) -> Survey:
    return survey_labels(label for row in rows for label in labels_of(row.record))


def _question(text: str) -> Record:
    return TaggedText(text, ())


def _cannot_learn(record: Record) -> str:
    if not isinstance(record, TaggedText):
        return f"it is no tagged text ({type(record).__name__})"
    pair = overlapping(record.spans)
    if pair is None:
        return ""
    first, second = (f"{span.label} from {span.start} to {span.end}" for span in pair)
    return f"{first} and {second} overlap, and a word gets one tag"


def _shape(terms: Terms) -> HeadShape:
    return HeadShape(len(Tags(terms.survey.labels, terms.tag.scheme).names), terms.head.dropout)


def _objective(terms: Terms, layout: Layout) -> Objective:
    return ReadsByHead(layout, partial(class_losses, smoothing=terms.training.label_smoothing))


def _judge(numbers: Numbers, example: Example) -> tuple[float, float]:
    expected, weight = example.reads.token, example.reads.weight.astype(np.float64)
    losses = -log_softmax(numbers, axis=1)[np.arange(len(expected)), expected]
    return float(losses @ weight), float((numbers.argmax(1) == expected) @ weight)


def _reader(terms: Terms) -> Reader:
    return HeadReader(_judge, terms.dtype, is_pooled=False)


def _sample(text: str, **found: str) -> TaggedText:
    spans = (Span(text.index(part), text.index(part) + len(part), label) for label, part in found.items())
    return TaggedText(text, tuple(sorted(spans, key=lambda span: span.start)))


_SAMPLES = (
    _sample("Ada lives in Rome", person="Ada", place="Rome"),
    _sample("I met Ben Okri in Lagos.", person="Ben Okri", place="Lagos"),
    _sample("Is Chen here?", person="Chen"),
    _sample("New York is large", place="New York"),
    _sample("nothing to see"),
    _sample("Dora went to Oslo", person="Dora", place="Oslo"),
    _sample("Paris!", place="Paris"),
    _sample("ask Eve", person="Eve"),
)
HEAD = Method(
    "head",
    "trunk",
    ("entity_f1", "entity_precision", "entity_recall", "loss"),
    encoder=TagEncoder,
    objective=_objective,
    reader=_reader,
    answerer=SpanAnswerer,
    head=_shape,
    looked_at=("entity_f1",),
    samples=_SAMPLES,
)

TASK = Task("tag", (HEAD,), _survey, _question, cannot_learn=_cannot_learn)
