"""What the tests of the training room share: rows of random tokens, jobs over them, and watchers that remember."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from fettle.generation.scoring import read_tokens
from fettle.models.config import AdapterSettings
from fettle.models.load import OpenModel, add_adapter, open_model
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.layout import Layout
from fettle.training.checkpoint import CheckpointStore
from fettle.training.config import TrainingSettings
from fettle.training.hooks import HeldOutReport, Probe, StepReport
from fettle.training.loop import TrainingJob
from fettle.training.objective import NextToken
from fettle.training.stream import ShuffledRows, Stream

# peft asks transformers for a property under its old name; neither is ours.
PEFT_WARNING = "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"
VOCABULARY = 300


def open_tiny(folder: Path, *, kind: str = "full", dropout: float = 0.0, seed: int = 0) -> OpenModel:
    """The tiny base, as it is or with adapters; `dropout` goes into the attention and, if there is one, the adapter."""
    model = open_model(folder, dropout=dropout)
    if kind == "lora":
        model = add_adapter(model, AdapterSettings(rank=4, dropout=dropout), seed)
    return model


def random_rows(count: int, *, seed: int = 0, longest: int = 20, least_weight: float = 0.25) -> list[list[Example]]:
    """Rows of unlike length; the reads stand in the back half, with unlike weights. Row n comes from `rows:n`."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        ids = draw.integers(10, VOCABULARY, int(draw.integers(4, longest)))
        at = list(range(len(ids) // 2, len(ids)))
        token = draw.integers(10, VOCABULARY, len(at)).tolist()
        weight = draw.uniform(least_weight, 2.0, len(at)).tolist()
        rows.append([Example(ids.astype(np.int64), TokenReads.of(at, token, weight), f"rows:{number}")])
    return rows


def flat(rows: Iterable[Sequence[Example]]) -> list[Example]:
    """The examples of rows."""
    return [example for row in rows for example in row]


class FixedRows:
    """A stream that is written out step by step."""

    def __init__(self, steps: Sequence[Sequence[Example]]) -> None:
        self._steps = steps

    def rows(self, step: int) -> list[Example]:
        return list(self._steps[step % len(self._steps)])


class HeldOutLoss:
    """A probe: the mean loss of a few rows."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def measure(self, model: OpenModel) -> dict[str, float]:
        read = read_tokens(model, self._examples)
        pairs = list(zip(self._examples, read, strict=True))
        total = -sum(float(one.log_probabilities.astype("f8") @ example.reads.weight) for example, one in pairs)
        return {"loss": total / sum(example.learned_weight for example in self._examples)}


class ScriptedLoss:
    """A probe that says what it was told, look by look."""

    def __init__(self, values: Sequence[float], looks_done: int = 0) -> None:
        self._values = values
        self._next = looks_done

    def measure(self, _model: OpenModel) -> dict[str, float]:
        self._next += 1
        return {"loss": self._values[self._next - 1]}


@dataclass
class Memory:
    """A watcher that keeps every report, and the weights after every step if it is given a model."""

    model: OpenModel | None = None
    steps: list[StepReport] = field(default_factory=list)
    looks: list[HeldOutReport] = field(default_factory=list)
    checkpoints: list[tuple[int, bool]] = field(default_factory=list)
    less_memory: list[tuple[int, int]] = field(default_factory=list)
    weights: list[dict[str, Tensor]] = field(default_factory=list)

    def on_step(self, report: StepReport) -> None:
        self.steps.append(report)
        if self.model is not None:
            self.weights.append(copy_of(self.model))

    def on_held_out(self, report: HeldOutReport) -> None:
        self.looks.append(report)

    def on_checkpoint(self, step: int, is_best: bool) -> None:
        self.checkpoints.append((step, is_best))

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None:
        self.less_memory.append((step, max_tokens_per_call))


def make_job(
    model: OpenModel,
    folder: Path,
    *,
    rows: Sequence[Sequence[Example]] = (),
    stream: Stream | None = None,
    probe: Probe | None = None,
    num_steps: int = 7,
    look_every_steps: int = 2,
    layout: Layout = "packed",
    seed: int = 0,
    watchers: Sequence[Memory] = (),
    should_stop: Callable[[], bool] = lambda: False,
    **settings: object,
) -> TrainingJob:
    """A job over shuffled rows, or over a stream of one's own."""
    chosen = TrainingSettings(**{"rows_per_step": 3, "learning_rate": 5e-3, **settings})
    return TrainingJob(
        model=model,
        stream=stream or ShuffledRows(rows, chosen.rows_per_step, seed),
        objective=NextToken(layout),
        probe=probe,
        settings=chosen,
        num_steps=num_steps,
        look_every_steps=look_every_steps,
        layout=layout,
        seed=seed,
        store=CheckpointStore(folder),
        watchers=watchers,
        should_stop=should_stop,
    )


def stop_after(steps: int) -> Callable[[], bool]:
    """Ask to stop once so many steps are taken: the loop asks once before each."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps


def copy_of(model: OpenModel) -> dict[str, Tensor]:
    """The learning weights, copied."""
    return {name: weight.detach().clone() for name, weight in model.trainable().items()}


def are_same_bits(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal to the bit, NaN and the sign of zero included."""
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype
        and first[name].detach().numpy().tobytes() == second[name].detach().numpy().tobytes()
        for name in first
    )
