"""How a run may be watched and probed. Who watches hands these in; the loop knows nothing of who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fettle.models.load import OpenModel


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimizer step, as it is shown: the loss is a mean over learned weight, in nats.

    `bits_per_byte` is the same loss for each byte of text; None where the rows are no plain text.
    """

    step: int
    num_steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    learned_tokens: int
    seconds: float
    bits_per_byte: float | None = None


@dataclass(frozen=True, slots=True)
class HeldOutReport:
    """One look at the held-out rows: `scores` has `loss`, and what the task measures."""

    step: int
    scores: dict[str, float]
    is_best: bool


class Watcher(Protocol):
    """Sees what happens; must not change anything."""

    def on_step(self, report: StepReport) -> None:
        """A step was taken: the weights have changed."""
        ...

    def on_held_out(self, report: HeldOutReport) -> None:
        """The held-out rows were looked at."""
        ...

    def on_checkpoint(self, step: int, is_best: bool) -> None:
        """A checkpoint is whole on disk."""
        ...

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None:
        """Memory ran out at this step; from it on, calls hold no more than so many tokens."""
        ...


class Probe(Protocol):
    """Measures the model on rows that it is not trained on."""

    def measure(self, model: OpenModel) -> dict[str, float]:
        """Scores by name. Weights, order of rows and noise must be the same after it as before."""
        ...
