"""What the tokens room asks of a task: how a record becomes examples, and what the model is asked."""

from __future__ import annotations

from typing import Protocol

from fettle.data.records import Record
from fettle.tokens.example import Example


class Encoder(Protocol):
    """Records to examples. An encoder belongs to one tokenizer, one set of prompt settings and one set of labels."""

    def examples(self, record: Record, source: str) -> list[Example]:
        """What is learned from a record, uncut."""
        ...

    def prompt(self, record: Record) -> list[int]:
        """The ids that the model is given when it should answer; empty where the task asks nothing."""
        ...

    def expected(self, record: Record) -> str:
        """The answer that the record holds, as text."""
        ...
