"""How the fields of one row become a record: the four dialects that examples are written in.

A dialect knows the names of its fields and the shape of their values. It does not know the container that the fields
came from, nor the names that the file's own columns had; `recognise` has renamed them before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from fettle.data.records import ROLES, BadRecord, Conversation, LabelledText, Message, PlainText, Record
from fettle.errors import near_misses

MESSAGE_KEYS = ("role", "content", "weight")
ROLE_ALIASES = {"developer": "system"}
_TURNS = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


class Dialect(Protocol):
    """One way to write an example. `required` and `optional` name the fields that it takes."""

    name: str
    task: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    def matches(self, columns: Collection[str]) -> str | None:
        """The evidence, in words, that columns of these names are this dialect; None where they are not."""
        ...

    def parse(self, fields: Mapping[str, object]) -> Record:
        """The record, or `BadRecord`."""
        ...


class Chat:
    """`messages`: a list of turns, each with role and content; the assistant speaks last and is learned."""

    name = "chat"
    task = "chat"
    required: tuple[str, ...] = ("messages",)
    optional: tuple[str, ...] = ()

    def matches(self, columns: Collection[str]) -> str | None:
        return "messages holds the turns of a conversation" if "messages" in columns else None

    def parse(self, fields: Mapping[str, object]) -> Record:
        """Read the turns.

        >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        >>> Chat().parse({"messages": turns}).messages[1].content
        'Hello'
        """
        turns = _present(fields, "messages")
        if not isinstance(turns, list):
            raise BadRecord(f"messages is {_kind(turns)}", expected=f"a list of turns: {_TURNS}")
        if not turns:
            raise BadRecord("messages is empty", expected=f"at least two turns: {_TURNS}")
        messages = tuple(_message(turn, number) for number, turn in enumerate(turns, start=1))
        _check_order(messages)
        return Conversation(messages)


class PromptCompletion:
    """`prompt` and `completion`, with `system` before and `context` after the prompt where there are any."""

    name = "prompt_completion"
    task = "chat"
    required: tuple[str, ...] = ("prompt", "completion")
    optional: tuple[str, ...] = ("system", "context")

    def matches(self, columns: Collection[str]) -> str | None:
        return "prompt and completion make one turn each" if set(self.required) <= set(columns) else None

    def parse(self, fields: Mapping[str, object]) -> Record:
        """Make a conversation of two turns; an empty system or context is as good as none.

        >>> [turn.role for turn in PromptCompletion().parse({"prompt": "2+2?", "completion": "4"}).messages]
        ['user', 'assistant']
        """
        prompt, completion = _text(fields, "prompt"), _text(fields, "completion")
        system, context = _optional_text(fields, "system"), _optional_text(fields, "context")
        turns = [Message("user", f"{prompt}\n\n{context}" if context else prompt), Message("assistant", completion)]
        return Conversation((Message("system", system), *turns) if system else tuple(turns))


class Labelled:
    """`text` and its one `label`. Blanks around a label are no part of it; a whole number or true/false is a label."""

    name = "labelled"
    task = "classify"
    required: tuple[str, ...] = ("text", "label")
    optional: tuple[str, ...] = ()

    def matches(self, columns: Collection[str]) -> str | None:
        return "every text has a label" if set(self.required) <= set(columns) else None

    def parse(self, fields: Mapping[str, object]) -> Record:
        """Read text and label; the label becomes a string, however it was written.

        >>> Labelled().parse({"text": "fine", "label": 1}).label
        '1'
        """
        return LabelledText(_text(fields, "text"), _label(_present(fields, "label")))


class Plain:
    """`text`: one document."""

    name = "text"
    task = "text"
    required: tuple[str, ...] = ("text",)
    optional: tuple[str, ...] = ()

    def matches(self, columns: Collection[str]) -> str | None:
        return "every text is a document" if "text" in columns else None

    def parse(self, fields: Mapping[str, object]) -> Record:
        """Keep the document to the character.

        >>> Plain().parse({"text": " a line "}).text
        ' a line '
        """
        return PlainText(_text(fields, "text"))


TIERS: tuple[tuple[Dialect, ...], ...] = ((Chat(),), (PromptCompletion(), Labelled()), (Plain(),))
"""All dialects, the more telling tier first: a file with text and label has a text too, but is no plain text."""


def dialects(task: str | None = None) -> list[Dialect]:
    """The dialects of one task, or all of them.

    >>> [dialect.name for dialect in dialects("chat")]
    ['chat', 'prompt_completion']
    """
    return [dialect for tier in TIERS for dialect in tier if task is None or dialect.task == task]


def _present(fields: Mapping[str, object], field: str) -> object:
    if field not in fields:
        raise BadRecord(f"there is no {field}", expected=f"a value for {field}", attempt="add it, or leave the row out")
    return fields[field]


def _text(fields: Mapping[str, object], field: str) -> str:
    value = _present(fields, field)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRecord(f"{field} is empty", expected="some text", attempt="fill it in, or leave the row out")
    if not isinstance(value, str):
        raise BadRecord(f"{field} is {_kind(value)}", expected="a string", attempt=f"put {field} in double quotes")
    return value


def _optional_text(fields: Mapping[str, object], field: str) -> str:
    value = fields.get(field)
    return "" if value is None or (isinstance(value, str) and not value.strip()) else _text(fields, field)


def _label(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRecord("label is empty", expected="one label", attempt="fill it in, or leave the row out")
    if not isinstance(value, str):
        attempt = "one row for each label" if isinstance(value, list) else "write the label as a string"
        raise BadRecord(f"label is {_kind(value)}", expected="a string, a whole number, true or false", attempt=attempt)
    return value.strip()


def _message(turn: object, number: int) -> Message:
    if not isinstance(turn, dict):
        raise BadRecord(f"turn {number} is {_kind(turn)}", expected='an object: {"role": "user", "content": "..."}')
    for key in turn:
        if key not in MESSAGE_KEYS:
            raise BadRecord(
                f"turn {number} has the unknown key {key!r}",
                expected="role, content, and weight on an assistant turn",
                attempt=f"remove {key!r}, or write it as one of: {near_misses(str(key), MESSAGE_KEYS)}",
            )
    role, content = turn.get("role"), turn.get("content")
    role = ROLE_ALIASES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        said = f"the role {role!r}" if "role" in turn else "no role"
        raise BadRecord(f"turn {number} has {said}", expected=f"one of: {', '.join(ROLES)}")
    if not isinstance(content, str) or not content.strip():
        said = "empty" if content is None or isinstance(content, str) else _kind(content)
        said = f"the content of turn {number} is {said}" if "content" in turn else f"turn {number} has no content"
        raise BadRecord(said, expected="some text", attempt="fill it in, or remove the turn")
    if "weight" not in turn:
        return Message(str(role), content)
    weight = turn["weight"]
    if isinstance(weight, bool) or weight not in (0, 1):
        raise BadRecord(f"turn {number} has the weight {weight!r}", expected="1 (learned) or 0 (only read)")
    if role != "assistant":
        raise BadRecord(
            f"turn {number} is a {role} turn with a weight",
            expected="a weight on assistant turns only, since no other turn is learned",
            attempt="remove the weight",
        )
    return Message(str(role), content, float(weight))


def _check_order(messages: Sequence[Message]) -> None:
    """Hold the turns to the order that chat templates take: a system turn perhaps, then user and assistant by turns.

    Trap: many templates refuse a conversation that the assistant opens, so it is refused here, by its line.
    """
    spoken = messages[1:] if messages[0].role == "system" else messages
    first_number = len(messages) - len(spoken) + 1
    for place, message in enumerate(spoken):
        expected_role = "assistant" if place % 2 else "user"
        if message.role != expected_role:
            number = first_number + place
            raise BadRecord(
                f"turn {number} is {_article(message.role)} turn where {_article(expected_role)} turn belongs",
                expected="one system turn at most, then user and assistant by turns",
                attempt="join turns of one role, or remove the turn",
            )
    if len(spoken) % 2 or not spoken:
        raise BadRecord(
            f"the conversation ends with a {messages[-1].role} turn",
            expected="the assistant to speak last, since only its turns are learned",
            attempt="add the answer, or remove the last turn",
        )
    if not any(message.weight > 0 for message in spoken if message.role == "assistant"):
        raise BadRecord(
            "every assistant turn has weight 0",
            expected="at least one assistant turn that is learned",
            attempt="remove the weight of the turn to learn",
        )


def _article(role: str) -> str:
    return f"an {role}" if role == "assistant" else f"a {role}"


def _kind(value: object) -> str:
    """Name a JSON value as people do; the order matters, since true is an int in Python.

    >>> _kind(True), _kind(5), _kind(None)
    ('true or false', 'a number', 'null')
    """
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else kinds.get(type(value), type(value).__name__)
