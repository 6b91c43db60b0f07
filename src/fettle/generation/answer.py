"""What the generation room asks of a task: how prompts become answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fettle.models.load import OpenModel


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to one prompt. `probabilities` is empty where the answer was written, not chosen."""

    text: str
    probabilities: dict[str, float] = field(default_factory=dict)
    is_complete: bool = True


class Answerer(Protocol):
    """Prompts to answers, in the order of the prompts."""

    def answers(
        self, model: OpenModel, prompts: Sequence[Sequence[int]], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """One answer a prompt; `progress` is told how many were just given."""
        ...
