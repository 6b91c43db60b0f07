"""score: a text gets a number, or two texts that are compared do. A head of one output reads it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fettle.data.records import Record, Row, ScoredText
from fettle.generation.answer import Answer
from fettle.generation.reading import HeadReader, Numbers, Reader, numbers_of_examples
from fettle.models.head import HeadShape
from fettle.models.load import OpenModel
from fettle.tasks.task import Method, Survey, Task, Terms
from fettle.tasks.whole import WholeTexts
from fettle.tokens.example import Example, Target
from fettle.tokens.layout import Layout
from fettle.training.losses.heads import number_losses
from fettle.training.objective import Objective, RowsByHead

_DIGITS = 5


class ScoreEncoder:
    """One text whole, or two; the score as it lies above the center of all scores, in units of their spread."""

    def __init__(self, terms: Terms) -> None:
        self._texts = WholeTexts(terms)
        self._survey = terms.survey

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, ScoredText):
            raise TypeError(f"score takes scored texts, not {type(record).__name__}")
        above = (record.score - self._survey.center) / self._survey.spread
        return [self.asked(record, source, Target(np.asarray([above], np.float32)))]

    def asked(self, record: Record, source: str = "", target: Target | None = None) -> Example:
        """The record as the model reads it."""
        if not isinstance(record, ScoredText):
            raise TypeError(f"score takes scored texts, not {type(record).__name__}")
        return self._texts.read(record.text, record.other, source, target)

    def expected(self, record: Record) -> str:
        return number_as_text(record.score) if isinstance(record, ScoredText) else ""


class NumberAnswerer:
    """The number that the head reads, brought back to the unit of the scores."""

    def __init__(self, terms: Terms) -> None:
        self._encoder = ScoreEncoder(terms)
        self._dtype = terms.dtype

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        if model.head is None:
            raise TypeError("the model has no head")
        shape = model.head.shape
        examples = [self._encoder.asked(record) for record in records]
        numbers = numbers_of_examples(model, examples, self._dtype, progress, is_pooled=True)
        scores = [shape.center + shape.spread * float(above[0, 0]) for above in numbers]
        return [Answer(number_as_text(score, shape.spread)) for score in scores]


def survey_scores(rows: Sequence[Row]) -> Survey:
    """The mean and the standard deviation of the scores; where all are one number, the deviation counts as 1."""
    scores = np.asarray([row.record.score for row in rows if isinstance(row.record, ScoredText)], np.float64)
    if not len(scores) or scores.min() == scores.max():
        return Survey(center=float(scores[0]) if len(scores) else 0.0)
    largest = float(np.abs(scores).max())  # squares of what is left neither overflow nor vanish
    shares = scores / largest
    return Survey(center=float(shares.mean()) * largest, spread=float(shares.std()) * largest)


def number_as_text(number: float, spread: float | None = None) -> str:
    """A number as people write it; where numbers spread so far, no digits that stand for less than a 100,000th of it.

    >>> number_as_text(3.25), number_as_text(4.0), number_as_text(3.24999981, 1.2), number_as_text(1234567.8, 1e6)
    ('3.25', '4', '3.25', '1234570')
    """
    if spread is not None and math.isfinite(number):
        number = round(number, _DIGITS - math.floor(math.log10(spread)))
    return repr(number + 0.0).removesuffix(".0")  # no minus before a zero


def _judge(numbers: Numbers, example: Example) -> tuple[float, None]:
    assert example.target is not None
    return float((numbers[0, 0] - example.target.values[0]) ** 2) * example.target.weight, None


def _shape(terms: Terms) -> HeadShape:
    return HeadShape(1, terms.head.dropout, terms.survey.center, terms.survey.spread)


def _objective(terms: Terms, layout: Layout) -> Objective:
    """Squared error in units of the spread of the scores, so that learning rates do not depend on their unit."""
    return RowsByHead(layout, number_losses, Target(np.zeros(1, np.float32)))


def _reader(terms: Terms) -> Reader:
    return HeadReader(_judge, terms.dtype, is_pooled=True)


def _cannot_learn(record: Record) -> str:
    if not isinstance(record, ScoredText):
        return f"it is no text with a score ({type(record).__name__})"
    return "" if math.isfinite(record.score) else f"the score {record.score} is no finite number"


def _question(text: str) -> Record:
    return ScoredText(text, 0.0)


def _question_of_two(text: str, other: str) -> Record:
    return ScoredText(text, 0.0, other)


_SAMPLES = (
    ScoredText("A fine kettle, boils fast.", 4.5),
    ScoredText("It drips.", 1.5),
    ScoredText("Broken on arrival.", 1.0),
    ScoredText("Good, but loud.", 3.25),
    ScoredText("The best one I had.", 5.0),
    ScoredText("", 2.0),
    ScoredText("A man is dancing.", 4.75, "A man dances."),
    ScoredText("A man is dancing.", 0.5, "Tea wants fresh water."),
)
HEAD = Method(
    "head",
    "trunk",
    ("pearson", "spearman", "rmse", "mae", "loss"),
    encoder=ScoreEncoder,
    objective=_objective,
    reader=_reader,
    answerer=NumberAnswerer,
    head=_shape,
    looked_at=("pearson", "spearman"),
    samples=_SAMPLES,
)
TASK = Task("score", (HEAD,), survey_scores, _question, cannot_learn=_cannot_learn, question_of_two=_question_of_two)
