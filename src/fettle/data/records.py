"""The nouns of the data room: records, and the rows that carry them.

A record is one example as its task sees it. A row is a record with the place it came from. Nothing here knows of
tokens or models.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TypeAlias

import msgspec

from fettle.errors import RequestError

ROLES = ("system", "user", "assistant")


class BadRecord(RequestError):
    """What makes no record: the bytes or the fields of one row. It becomes the fault of that row and stops no file."""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn. `weight` says how much an assistant turn is learned: 1 learned, 0 only read."""

    role: str
    content: str
    weight: float = 1.0


class Conversation(msgspec.Struct, frozen=True, tag="conversation"):
    """Turns in order, an optional system turn first; the task `chat`."""

    messages: tuple[Message, ...]


class LabelledText(msgspec.Struct, frozen=True, tag="labelled"):
    """A text and the one label it should get; the task `classify`."""

    text: str
    label: str


class PlainText(msgspec.Struct, frozen=True, tag="text"):
    """A document; the task `text`."""

    text: str


Record: TypeAlias = Conversation | LabelledText | PlainText

TASK_OF_RECORD: dict[type[Conversation] | type[LabelledText] | type[PlainText], str] = {
    Conversation: "chat",
    LabelledText: "classify",
    PlainText: "text",
}


class Row(msgspec.Struct, frozen=True):
    """A record, where it came from (`line` counts from 1), and the columns that no part of the record took."""

    record: Record
    file: str
    line: int
    fields: dict[str, str] = {}
    part: str = ""

    @property
    def content_key(self) -> str:
        """SHA-256 over the record alone: two rows with one key say the same thing."""
        return hashlib.sha256(msgspec.json.encode(self.record)).hexdigest()

    @property
    def input_key(self) -> str:
        """SHA-256 over what a model would be given, case, spacing and Unicode form aside.

        Splits and leak checks use this key, so one question never stands on both sides with two answers.
        """
        squeezed = " ".join(unicodedata.normalize("NFKC", input_text(self.record)).casefold().split())
        return hashlib.sha256(squeezed.encode("utf-8", "surrogatepass")).hexdigest()


def input_text(record: Record) -> str:
    """What a model is given before its first learned answer.

    >>> input_text(LabelledText("where is it", "order_status"))
    'where is it'
    """
    if isinstance(record, Conversation):
        given = []
        for message in record.messages:
            if message.role == "assistant" and message.weight > 0:
                break
            given.append(f"{message.role}: {message.content}")
        return "\n".join(given)
    return record.text


def texts_of(record: Record) -> list[str]:
    """All that people wrote in a record: what a vocabulary is learned from.

    >>> texts_of(LabelledText("where is it", "order_status"))
    ['where is it', 'order_status']
    """
    if isinstance(record, Conversation):
        return [message.content for message in record.messages]
    return [record.text, record.label] if isinstance(record, LabelledText) else [record.text]


def answer_text(record: Record) -> str:
    """What a model should say to `input_text`: the label, or all from the first learned turn on.

    Trap: plain text has no answer, and so two documents never contradict each other.

    >>> answer_text(LabelledText("where is it", "order_status"))
    'order_status'
    """
    if isinstance(record, LabelledText):
        return record.label
    if isinstance(record, PlainText):
        return ""
    learned = (place for place, turn in enumerate(record.messages) if turn.role == "assistant" and turn.weight > 0)
    first = next(learned, len(record.messages))
    return "\n".join(f"{turn.role}: {turn.content}" for turn in record.messages[first:])
