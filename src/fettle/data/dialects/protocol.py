"""What a dialect is: one way to write an example; and how the single values of its fields are read.

A dialect knows the names of its fields and the shape of their values. It does not know the container that the fields
came from, nor the names that the file's own columns had; `recognise` has renamed them before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from fettle.data.records import BadRecord, Record

Fields: TypeAlias = Mapping[str, object]
MEDIA = ("images", "videos", "audios")
"""Columns of pictures, films and sounds that dialects of turns may have; `refuse_media` looks at them."""

_MOST_SHOWN = 40


def leaves_open(fields: Fields) -> bool | None:
    """Say nothing about a row: what a dialect does that its columns alone make plain."""
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to write an example. `required` and `optional` name the fields that it takes.

    `suits` says of one row whether its values have the shape of this dialect, None where they leave it open; it tells
    dialects of the same columns apart and judges no fault. With `never` among its columns a row is something else.
    `takes_rest`: every other column is part of the record too, and comes to `parse` under its own name. `is_own`: rows
    as fettle itself writes them, with the fields and the part that they had.
    """

    name: str
    task: str
    evidence: str
    parse: Callable[[Fields], Record]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    suits: Callable[[Fields], bool | None] = leaves_open
    never: tuple[str, ...] = ()
    takes_rest: bool = False
    is_own: bool = False

    def matches(self, columns: Collection[str]) -> str | None:
        """The evidence, in words, that columns of these names are this dialect; None where they are not."""
        return self.evidence if set(self.required) <= set(columns) else None


def present(fields: Fields, field: str) -> object:
    """The value of a field that must be there."""
    if field not in fields:
        raise BadRecord(f"there is no {field}", expected=f"a value for {field}", attempt="add it, or leave the row out")
    return fields[field]


def text_of(fields: Fields, field: str) -> str:
    """A string that says something, kept to the character.

    >>> text_of({"text": " a line "}, "text")
    ' a line '
    """
    value = fields.get(field)
    if isinstance(value, str) and value and not value.isspace():
        return value
    if present(fields, field) is None or isinstance(value, str):
        raise BadRecord(f"{field} is empty", expected="some text", attempt="fill it in, or leave the row out")
    raise BadRecord(f"{field} is {kind(value)}", expected="a string", attempt=f"put {field} in double quotes")


def optional_text(fields: Fields, field: str) -> str:
    """A string that may be missing: null and blanks are as good as none."""
    value = fields.get(field)
    return "" if value is None or (isinstance(value, str) and not value.strip()) else text_of(fields, field)


def label_of(value: object, said: str = "label") -> str:
    """A label as a string, however it was written. Blanks around it are no part of it.

    >>> label_of(1), label_of(True), label_of(" a b ")
    ('1', 'true', 'a b')
    """
    if isinstance(value, str) and (label := value.strip()):
        return label
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return decimal(value)
    if value is None or isinstance(value, str):
        raise BadRecord(f"{said} is empty", expected="one label", attempt="fill it in, or leave the row out")
    attempt = "call the field labels, if a text may have several" if isinstance(value, list) else "write it as a string"
    raise BadRecord(f"{said} is {kind(value)}", expected="a string, a whole number, true or false", attempt=attempt)


def list_of(fields: Fields, field: str, of_what: str) -> list[object]:
    """A list that must be there; it may be empty."""
    value = unpacked(present(fields, field))
    if not isinstance(value, list):
        raise BadRecord(f"{field} is {kind(value)}", expected=f"a list of {of_what}")
    return value


def unpacked(value: object) -> object:
    """A list or an object that a table holds as JSON in a cell; every other value as it is.

    >>> unpacked('["a", "b"]'), unpacked("[a]"), unpacked("5")
    (['a', 'b'], '[a]', '5')
    """
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return value


def json_text(value: object, said: str) -> str:
    """A JSON value as one line of text."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRecord(f"{said} cannot be written as JSON", expected="objects, lists, strings and numbers") from error


def decimal(number: int) -> str:
    """The digits of a whole number; Python itself refuses to write very long ones.

    >>> decimal(-7)
    '-7'
    """
    try:
        return str(number)
    except ValueError as error:
        raise BadRecord("a number has thousands of digits", expected="numbers of at most 4,000 digits") from error


def refuse_media(fields: Fields) -> None:
    """Refuse a row with pictures, films or sounds: its placeholders would stand in the text as words."""
    for field in MEDIA:
        value = fields.get(field)
        if value:
            said = f"{len(value)} {field[: -1 if len(value) == 1 else None]}" if isinstance(value, list) else field
            raise BadRecord(
                f"the row holds {said}",
                expected="text only, since models of text are tuned",
                attempt=f"leave the row out, or say in words what the {field} hold",
            )


def shown(value: object) -> str:
    """A value as a fault quotes it: never more than a few words.

    >>> shown("tool"), shown(0.5), shown(["a", "long", "list"])
    ("'tool'", '0.5', 'a list')
    """
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST_SHOWN else value[: _MOST_SHOWN - 3] + "...")
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**_MOST_SHOWN):
        return repr(value)
    return kind(value)


def kind(value: object) -> str:
    """Name a JSON value as people do; the order matters, since true is an int in Python.

    >>> kind(True), kind(5), kind(None)
    ('true or false', 'a number', 'null')
    """
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
