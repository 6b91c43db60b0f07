"""Labels as candidate answers, for models that write.

The model is asked as in a chat and learns to answer with the label. When it is used, every label is scored as a
candidate answer and the likeliest is taken, so it can never answer with anything else, and its probabilities add up
to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from fettle.data.records import NONE_OF_THESE, LabelledText, Record, labels_of
from fettle.generation.answer import Answer
from fettle.generation.calibration import MOST_TEMPERATURE, Scores, class_temperature
from fettle.generation.scoring import score_candidates
from fettle.models.load import OpenModel
from fettle.tasks.classify.choice import OF_SCOPE, answer_with_one
from fettle.tasks.classify.samples import LABELLED_SAMPLES
from fettle.tasks.task import Method, Terms
from fettle.tasks.words import next_token, room_for_prompt, word_reader
from fettle.tokens.example import Example
from fettle.tokens.template import encode_prompt, encode_turns, learned_turns
from fettle.tokens.tools import Turn


class LabelEncoder:
    """A text as a user's message (behind the instruction, if there is one), its label as the answer."""

    def __init__(self, terms: Terms) -> None:
        self._tokenizer = terms.tokenizer
        self._system = terms.prompt.system
        self._instruction = terms.prompt.instruction
        self._labels = terms.survey.labels
        self._weigh = terms.survey.weight_of if terms.head.class_weights == "balanced" else None
        if terms.prompt.list_labels:
            self._instruction = f"{terms.prompt.instruction}\nLabels: {', '.join(terms.survey.labels)}".strip()

    def _asked(self, record: Record) -> list[Turn]:
        if not isinstance(record, LabelledText):
            raise TypeError(f"classify takes labelled texts, not {type(record).__name__}")
        text = f"{self._instruction}\n{record.text}" if self._instruction else record.text
        system = [Turn("system", self._system)] if self._system else []
        return [*system, Turn("user", text)]

    def examples(self, record: Record, source: str) -> list[Example]:
        label = self.expected(record)
        if label == NONE_OF_THESE and label not in self._labels:
            return []
        answer = Turn("assistant", label, self._weigh(label) if self._weigh else 1.0)
        return encode_turns(self._tokenizer, [*self._asked(record), answer], source)

    def prompt(self, record: Record) -> list[int]:
        """What the model is asked."""
        return encode_prompt(self._tokenizer, self._asked(record))

    def expected(self, record: Record) -> str:
        return record.label if isinstance(record, LabelledText) else ""


class LabelAnswerer:
    """The likeliest label, with the probabilities of all."""

    def __init__(self, terms: Terms) -> None:
        self._labels = terms.survey.labels
        self._least = terms.decoding.least_probability
        self._dtype = terms.dtype
        self._encoder = LabelEncoder(terms)
        self._room = room_for_prompt(terms)
        self._candidates = [
            learned_turns(terms.tokenizer, [Turn("user", "-"), Turn("assistant", label)])[0].answer
            for label in self._labels
        ]

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        shares_NK = softmax(self.scores(model, records, progress) / model.temperature, axis=1)
        return [answer_with_one(self._labels, shares_K, self._least) for shares_K in shares_NK]

    def scores(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> Scores:
        """The log-probability of each label as an answer, [N, K]."""
        prompts = [self._encoder.prompt(record)[-self._room :] for record in records]
        return score_candidates(model, prompts, self._candidates, self._dtype, progress)


def _temperature(terms: Terms, model: OpenModel, records: Sequence[Record]) -> float:
    """Scores are followed down to where the highest temperature would still let them count."""
    known = [record for record in records if set(labels_of(record)) <= set(terms.survey.labels)]
    expected = [terms.survey.labels.index(label) for record in known for label in labels_of(record)]
    scores_NK = LabelAnswerer(terms).scores(replace(model, temperature=MOST_TEMPERATURE), known)
    return class_temperature(scores_NK, np.asarray(expected, np.int64))


CANDIDATES = Method(
    "candidates",
    "causal",
    ("accuracy", "macro_f1", "loss", "perplexity"),
    encoder=LabelEncoder,
    objective=next_token,
    reader=word_reader,
    answerer=LabelAnswerer,
    prompt=lambda terms, record: LabelEncoder(terms).prompt(record),
    looked_at=("accuracy",),
    of_scope=OF_SCOPE,
    temperature=_temperature,
    samples=LABELLED_SAMPLES,
)
