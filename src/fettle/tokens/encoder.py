"""What the tokens room asks of a task: how a record becomes examples, and what it should be answered with."""

from __future__ import annotations

from typing import Protocol

from fettle.data.records import Record
from fettle.tokens.example import Example


class Encoder(Protocol):
    """Records to examples. An encoder belongs to one tokenizer, one set of settings and one set of labels."""

    def examples(self, record: Record, source: str) -> list[Example]:
        """What is learned from a record; a record with something over the length that cannot be cut later is cut."""
        ...

    def expected(self, record: Record) -> str:
        """The answer that the record holds, as text."""
        ...
