"""What a task is, and what a method is: frozen records of the pieces that the rooms ask for.

A task says what is done; a method says how a model does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from fettle.data.records import Record, Row
from fettle.errors import RequestError, near_misses
from fettle.generation.answer import Answerer
from fettle.generation.config import DecodingSettings
from fettle.generation.embedding import TextEmbedder
from fettle.generation.reading import Reader
from fettle.models.config import HeadSettings
from fettle.models.head import HeadShape
from fettle.models.load import Network, OpenModel
from fettle.models.tokenizer import ModelTokenizer
from fettle.tokens.config import MaskingSettings, PromptSettings, TagSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.layout import Layout
from fettle.tokens.pooled import Pooling
from fettle.training.config import EmbedSettings, TrainingSettings
from fettle.training.objective import Objective
from fettle.training.stream import Vary

AUTO = "auto"


@dataclass(frozen=True)
class Survey:
    """What the rows to learn from say together: the closed set of answers, with how many rows have each, or the mean
    and the spread of their numbers."""

    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    center: float = 0.0
    spread: float = 1.0

    def weight_of(self, label: str) -> float:
        """What balances a label: 1 where all are equally common, more where one is rarer than most."""
        known = dict(zip(self.labels, self.counts, strict=False))
        return sum(self.counts) / (len(self.labels) * known[label]) if known.get(label) else 1.0


@dataclass(frozen=True)
class Terms:
    """All that the pieces of a method are made from. `attention` and `is_decoder` are the base's."""

    tokenizer: ModelTokenizer
    survey: Survey
    attention: str
    max_length: int
    dtype: torch.dtype = torch.float32
    prompt: PromptSettings = field(default_factory=PromptSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    masking: MaskingSettings = field(default_factory=MaskingSettings)
    tag: TagSettings = field(default_factory=TagSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @property
    def pooling(self) -> Pooling:
        """Which hidden states stand for a text."""
        if self.head.pooling != "auto":
            return self.head.pooling
        return "last" if self.attention == "causal" else "mean"


@dataclass(frozen=True)
class Method:
    """One way of doing a task. `metrics` names what evaluation reports, the main one first.

    `looked_at` names those of them that looks at held-out rows give, from answers; the loss is always among the scores.
    `answerer` gives None where nothing is asked, `prompt` what a model that writes is sent, `embedder` the vectors of
    texts, where it learns any, cut to so many numbers (0: whole).
    `vary` makes a row anew for each step that it is in, where it is not learned as it is encoded.
    `of_scope` names further ones for rows that may belong to no label. `temperature` says what the scores of a trained
    model are to be divided by, from records that were not learned.
    `samples` are a few short records that it learns: what it is proved on (`fettle.tasks.contract`).
    """

    name: str
    network: Network
    metrics: tuple[str, ...]
    encoder: Callable[[Terms], Encoder]
    objective: Callable[[Terms, Layout], Objective]
    reader: Callable[[Terms], Reader]
    answerer: Callable[[Terms], Answerer | None]
    head: Callable[[Terms], HeadShape] | None = None
    prompt: Callable[[Terms, Record], list[int]] | None = None
    embedder: Callable[[Terms, OpenModel, int], TextEmbedder] | None = None
    looked_at: tuple[str, ...] = ()
    vary: Callable[[Terms], Vary] | None = None
    of_scope: tuple[str, ...] = ()
    temperature: Callable[[Terms, OpenModel, Sequence[Record]], float] | None = None
    samples: tuple[Record, ...] = ()

    @property
    def main_metric(self) -> str:
        """The metric that the task is judged by."""
        return self.metrics[0]


@dataclass(frozen=True)
class Task:
    """One kind of work. `survey` reads the rows to learn from, `question` makes a record of what a person asks, and
    `question_of_two` of two texts that are compared.

    `choose` names the method for the one that was asked for (or `auto`), a base that writes or not, and the rows. With
    `can_split` a record that is too long may be learned in sections. `cannot_learn` says what keeps a record from being
    learned, or nothing.
    """

    name: str
    methods: tuple[Method, ...]
    survey: Callable[[Sequence[Row]], Survey]
    question: Callable[[str], Record]
    choose: Callable[[str, bool, Sequence[Row]], str] = lambda wanted, _is_decoder, _rows: (
        "" if wanted == AUTO else wanted
    )
    can_split: bool = False
    cannot_learn: Callable[[Record], str] = lambda _: ""
    question_of_two: Callable[[str, str], Record] | None = None

    def method(self, name: str) -> Method:
        """The method of that name; the first where none is named."""
        for method in self.methods:
            if name in (method.name, ""):
                return method
        known = [method.name for method in self.methods]
        raise RequestError(
            f"{self.name} has no method {name!r}", where="method", expected=f"one of: {near_misses(name, known)}"
        )


def no_survey(_rows: Sequence[Row]) -> Survey:
    """For tasks whose answers are free."""
    return Survey()


def survey_labels(labels: Iterable[str]) -> Survey:
    """The labels that occur, in order, and how often each does."""
    counts = Counter(labels)
    names = sorted(counts)
    return Survey(tuple(names), tuple(counts[name] for name in names))
