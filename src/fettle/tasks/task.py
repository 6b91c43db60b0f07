"""What a task is: a frozen record of the pieces that the rooms ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from fettle.data.records import Record, Row
from fettle.generation.answer import Answerer
from fettle.generation.config import DecodingSettings
from fettle.models.tokenizer import ModelTokenizer
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder


@dataclass(frozen=True)
class Task:
    """One kind of work. `metrics` names what evaluation reports, the main one first.

    `labels` gives the closed set of answers that training rows name (empty where answers are free), `encoder` and
    `answerer` are factories, `question` makes a record from the words of a person who asks. With `can_split` a record
    that is too long may be learned in sections. `cannot_learn` says what keeps a record from being learned, in a few
    words, or nothing.
    """

    name: str
    metrics: tuple[str, ...]
    labels: Callable[[Sequence[Row]], tuple[str, ...]]
    encoder: Callable[[ModelTokenizer, PromptSettings, tuple[str, ...]], Encoder]
    answerer: Callable[[ModelTokenizer, DecodingSettings, tuple[str, ...], torch.dtype], Answerer | None]
    question: Callable[[str], Record]
    can_split: bool = False
    cannot_learn: Callable[[Record], str] = lambda _: ""

    @property
    def main_metric(self) -> str:
        """The metric that the task is judged by."""
        return self.metrics[0]
