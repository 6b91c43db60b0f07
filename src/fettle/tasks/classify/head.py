"""Labels read from a layer of their own over the pooled text: one of them, or each for itself.

Axes: N rows, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

from fettle.data.records import LabelledText, MultiLabelledText, Record, labels_of
from fettle.generation.answer import Answer
from fettle.generation.calibration import class_temperature, label_temperature
from fettle.generation.reading import HeadReader, Numbers, Reader, numbers_of_examples
from fettle.models.head import HeadShape
from fettle.models.load import OpenModel
from fettle.tasks.classify.choice import OF_SCOPE, answer_with_one, answer_with_several, labels_as_json
from fettle.tasks.classify.samples import LABELLED_SAMPLES, SAMPLES_OF_SEVERAL
from fettle.tasks.task import Method, Terms
from fettle.tasks.whole import WholeTexts
from fettle.tokens.example import Example, Target
from fettle.tokens.layout import Layout
from fettle.training.losses.heads import class_losses, label_losses
from fettle.training.objective import Objective, RowsByHead


class TextEncoder:
    """A text whole, behind the instruction if there is one; its label's number, or a 1 for each of its labels."""

    def __init__(self, terms: Terms, *, has_several: bool = False) -> None:
        self._is_balanced = terms.head.class_weights == "balanced"
        self._weigh = terms.survey.weight_of
        self._texts = WholeTexts(terms)
        self._number = {label: number for number, label in enumerate(terms.survey.labels)}
        self._has_several = has_several

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, LabelledText | MultiLabelledText):
            raise TypeError(f"classify takes labelled texts, not {type(record).__name__}")
        labels = [label for label in labels_of(record) if label in self._number]
        weight = 1.0
        if not (labels or self._has_several):  # a label that was never learned has no number, and so no loss
            return [self.asked(record, source, Target(np.zeros(1, np.float32), 0.0))]
        if self._is_balanced and labels:
            weight = max(self._weigh(label) for label in labels)
        values = np.asarray([self._number[labels[0]]] if labels else [], np.float32)
        if self._has_several:
            values = np.zeros(len(self._number), np.float32)
            values[[self._number[label] for label in labels]] = 1.0
        return [self.asked(record, source, Target(values, weight))]

    def asked(self, record: Record, source: str = "", target: Target | None = None) -> Example:
        """The record as the model reads it."""
        text = record.text if isinstance(record, LabelledText | MultiLabelledText) else ""
        return self._texts.read(text, "", source, target)

    def expected(self, record: Record) -> str:
        labels = labels_of(record)
        if self._has_several:
            return labels_as_json(labels)
        return labels[0] if labels else ""


class HeadAnswerer:
    """The likeliest label with the probabilities of all, or every label that is likely enough with its own."""

    def __init__(self, terms: Terms, *, has_several: bool = False) -> None:
        self._labels = terms.survey.labels
        self._least = terms.decoding.least_probability
        self._dtype = terms.dtype
        self._has_several = has_several
        self._encoder = TextEncoder(terms, has_several=has_several)

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        scores_NK = self.scores(model, records, progress) / model.temperature
        if self._has_several:
            return [answer_with_several(self._labels, shares_K, self._least) for shares_K in expit(scores_NK)]
        return [answer_with_one(self._labels, shares_K, self._least) for shares_K in softmax(scores_NK, axis=1)]

    def scores(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> Numbers:
        """What the head says of each label, [N, K]."""
        examples = [self._encoder.asked(record) for record in records]
        numbers = numbers_of_examples(model, examples, self._dtype, progress, is_pooled=True)
        return np.concatenate([np.empty((0, len(self._labels))), *numbers])


def _judge_class(numbers: Numbers, example: Example) -> tuple[float, float]:
    assert example.target is not None
    number = int(example.target.values[0])
    weight = example.target.weight
    return -float(log_softmax(numbers[0])[number]) * weight, weight * float(np.argmax(numbers[0]) == number)


def _judge_labels(numbers: Numbers, example: Example) -> tuple[float, float]:
    assert example.target is not None
    wanted, weight = example.target.values, example.target.weight
    losses = -(wanted * log_expit(numbers[0]) + (1 - wanted) * log_expit(-numbers[0]))
    return float(losses.mean()) * weight, weight * float(((numbers[0] >= 0) == (wanted > 0.5)).mean())


def _shape(terms: Terms) -> HeadShape:
    return HeadShape(len(terms.survey.labels), terms.head.dropout)


def _class_objective(terms: Terms, layout: Layout) -> Objective:
    losses = partial(class_losses, smoothing=terms.training.label_smoothing)
    return RowsByHead(layout, losses, Target(np.zeros(1, np.float32)))


def _label_objective(terms: Terms, layout: Layout) -> Objective:
    losses = partial(label_losses, smoothing=terms.training.label_smoothing)
    return RowsByHead(layout, losses, Target(np.zeros(len(terms.survey.labels), np.float32)))


def _class_reader(terms: Terms) -> Reader:
    return HeadReader(_judge_class, terms.dtype, is_pooled=True)


def _label_reader(terms: Terms) -> Reader:
    return HeadReader(_judge_labels, terms.dtype, is_pooled=True)


def _class_temperature(terms: Terms, model: OpenModel, records: Sequence[Record]) -> float:
    known = [record for record in records if set(labels_of(record)) <= set(terms.survey.labels)]
    expected = [terms.survey.labels.index(label) for record in known for label in labels_of(record)]
    return class_temperature(HeadAnswerer(terms).scores(model, known), np.asarray(expected, np.int64))


def _label_temperature(terms: Terms, model: OpenModel, records: Sequence[Record]) -> float:
    names = [labels_of(record) for record in records]
    expected = [[float(label in labels) for label in terms.survey.labels] for labels in names]
    scores_NK = HeadAnswerer(terms, has_several=True).scores(model, records)
    return label_temperature(scores_NK, np.asarray(expected).reshape(scores_NK.shape))


HEAD = Method(
    "head",
    "trunk",
    ("accuracy", "macro_f1", "loss"),
    encoder=TextEncoder,
    objective=_class_objective,
    reader=_class_reader,
    answerer=HeadAnswerer,
    head=_shape,
    looked_at=("accuracy",),
    of_scope=OF_SCOPE,
    temperature=_class_temperature,
    samples=LABELLED_SAMPLES,
)
SEVERAL = Method(
    "several",
    "trunk",
    ("micro_f1", "macro_f1", "exact_match", "loss"),
    encoder=partial(TextEncoder, has_several=True),
    objective=_label_objective,
    reader=_label_reader,
    answerer=partial(HeadAnswerer, has_several=True),
    head=_shape,
    looked_at=("micro_f1",),
    temperature=_label_temperature,
    samples=SAMPLES_OF_SEVERAL,
)
