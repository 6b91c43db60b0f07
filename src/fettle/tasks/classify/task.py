"""classify: a text gets one label of a closed set.

The model is asked as in a chat and learns to answer with the label. When it is used, every label is scored as a
candidate answer and the likeliest is taken, so it can never answer with anything else, and its probabilities add up
to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import softmax

from fettle.data.records import LabelledText, Record, Row
from fettle.generation.answer import Answer, Answerer
from fettle.generation.config import DecodingSettings
from fettle.generation.scoring import score_candidates
from fettle.models.load import OpenModel
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import Task
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example
from fettle.tokens.template import Turn, encode_prompt, encode_turns, learned_turns


def _cannot_learn(record: Record) -> str:
    return "" if isinstance(record, LabelledText) else "it has several labels, which are not trained yet"


class LabelEncoder:
    """A text as a user's message (behind the instruction, if there is one), its label as the answer."""

    def __init__(self, tokenizer: ModelTokenizer, prompt: PromptSettings, labels: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._system = prompt.system
        self._instruction = prompt.instruction
        if prompt.list_labels:
            self._instruction = f"{prompt.instruction}\nLabels: {', '.join(labels)}".strip()

    def _asked(self, record: Record) -> list[Turn]:
        if not isinstance(record, LabelledText):
            raise TypeError(f"classify takes labelled texts, not {type(record).__name__}")
        text = f"{self._instruction}\n{record.text}" if self._instruction else record.text
        system = [Turn("system", self._system)] if self._system else []
        return [*system, Turn("user", text)]

    def examples(self, record: Record, source: str) -> list[Example]:
        return encode_turns(self._tokenizer, [*self._asked(record), Turn("assistant", self.expected(record))], source)

    def prompt(self, record: Record) -> list[int]:
        return encode_prompt(self._tokenizer, self._asked(record))

    def expected(self, record: Record) -> str:
        return record.label if isinstance(record, LabelledText) else ""


class LabelAnswerer:
    """The likeliest label, with the probabilities of all."""

    def __init__(self, tokenizer: ModelTokenizer, labels: tuple[str, ...], dtype: torch.dtype) -> None:
        self._labels = labels
        self._dtype = dtype
        self._candidates = [
            learned_turns(tokenizer, [Turn("user", "-"), Turn("assistant", label)])[0].answer for label in labels
        ]

    def answers(
        self, model: OpenModel, prompts: Sequence[Sequence[int]], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        scores = score_candidates(model, prompts, self._candidates, self._dtype, progress)
        shares = softmax(scores, axis=1)
        return [
            Answer(self._labels[int(np.argmax(row))], dict(zip(self._labels, row.tolist(), strict=True)))
            for row in shares
        ]


def _labels(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(sorted({row.record.label for row in rows if isinstance(row.record, LabelledText)}))


def _answerer(
    tokenizer: ModelTokenizer, _decoding: DecodingSettings, labels: tuple[str, ...], dtype: torch.dtype
) -> Answerer:
    return LabelAnswerer(tokenizer, labels, dtype)


def _encoder(tokenizer: ModelTokenizer, prompt: PromptSettings, labels: tuple[str, ...]) -> Encoder:
    return LabelEncoder(tokenizer, prompt, labels)


def _question(text: str) -> Record:
    return LabelledText(text, "")


TASK = Task(
    "classify",
    ("accuracy", "macro_f1", "loss", "perplexity"),
    _labels,
    _encoder,
    _answerer,
    _question,
    cannot_learn=_cannot_learn,
)
