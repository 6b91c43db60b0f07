"""What the generation room asks of a task: how records become answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fettle.data.records import Record
from fettle.models.load import OpenModel


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to one record. `probabilities` is empty where the answer was written, not chosen.

    `rank` is the place of the right one among those that were ranked; 0 where nothing was. `in_words` is the answer as
    people read it, where the text is made for programs.
    """

    text: str
    probabilities: dict[str, float] = field(default_factory=dict)
    is_complete: bool = True
    rank: int = 0
    in_words: str | None = None


class Answerer(Protocol):
    """Records to answers, in the order of the records; what the records themselves say should come is not looked at."""

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """One answer a record; `progress` is told how many were just given."""
        ...
