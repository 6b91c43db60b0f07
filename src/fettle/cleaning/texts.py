"""Mending the texts of a record, whatever kind it is, and what becomes of the row.

Every text that people wrote is mended by itself, a conversation turn by turn. Labels, roles, names, tools and ids are
no texts. What a tool is called with is JSON: only menders that ask for it see it, value by value, so that it stays
JSON. A row is mended again and again until nothing changes; what never comes to rest is left as it was. A row of which
one text would be nothing but blanks is dropped. How one text is mended is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from fettle.cleaning.operation import Change, Cleaned, replace_rows
from fettle.cleaning.spans import CannotFollow, Mended, mend_tagged
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    Message,
    Preference,
    Record,
    Row,
    ScoredText,
    TaggedText,
    TextPair,
    ToolCall,
)

_MOST_ROUNDS = 8
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[-+.\deE]*')
_JSON_KEY_END = re.compile(r"\s*:")
_RecordT = TypeVar("_RecordT", bound=msgspec.Struct)


class TextMender(Protocol):
    """One text in, the mended one out."""

    @property
    def reads_json(self) -> bool:
        """Whether the values in the arguments of tool calls and in references are mended too."""
        ...

    @property
    def may_leave(self) -> bool:
        """Whether a row that cannot be mended is left as it was; else it is dropped."""
        ...

    def __call__(self, text: str) -> Mended:
        """The mended text. Never asked about an empty one."""
        ...


@dataclass(frozen=True)
class MendedRecord:
    """A record after mending, what was done to it, and which text is gone (empty where none is)."""

    record: Record
    deeds: tuple[str, ...] = ()
    gone: str = ""


def mend_rows(rows: Sequence[Row], mender: TextMender, done: str, fields: Sequence[str] = ()) -> Cleaned:
    """Mend the texts of all rows, and of `fields` the values; `done` begins the reasons ("repaired", then what was)."""
    mended: dict[int, tuple[Row, Change]] = {}
    dropped: dict[int, str] = {}
    for place, row in enumerate(rows):
        try:
            found = mend_record(row.record, mender)
        except CannotFollow as why:
            if mender.may_leave:
                mended[place] = (row, Change(place, "left", f"not {done}: {why}"))
            else:
                dropped[place] = f"not {done}: {why}"
            continue
        values, deeds = _mend_fields(row, mender, fields)
        reason = f"{done}: {', '.join(dict.fromkeys([*found.deeds, *deeds]))}"
        if found.gone:
            dropped[place] = f"{reason}; nothing is left of {found.gone}"
        elif found.record != row.record or values != row.fields:
            after = msgspec.structs.replace(row, record=found.record, fields=values)
            mended[place] = (after, Change(place, "changed", reason))
    return replace_rows(rows, mended, dropped)


def mend_record(record: Record, mender: TextMender) -> MendedRecord:
    """Mend all texts of a record until they rest. Law: what comes out, mended again, stays as it is.

    Raises `CannotFollow` where the spans of a text cannot be moved with their words, or where it never rests.
    """
    deeds: dict[str, None] = {}
    for _ in range(_MOST_ROUNDS):
        pen = _Pen(mender)
        after = pen.rewrite(record)
        deeds |= pen.deeds
        if pen.gone or after == record:
            return MendedRecord(after, tuple(deeds), pen.gone)
        record = after
    raise CannotFollow("each time that it is mended it changes again")


def _mend_fields(row: Row, mender: TextMender, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    values, deeds = dict(row.fields), []
    for name in names:
        for _ in range(_MOST_ROUNDS if values.get(name) else 0):
            mended = mender(values[name])
            if mended.text == values[name]:
                break
            values[name] = mended.text
            deeds += [f"{deed} in the field {name}" for deed in mended.deeds]
    return values, deeds


class _Pen:
    """One round over one record; it remembers what was done."""

    def __init__(self, mender: TextMender) -> None:
        self.mender = mender
        self.deeds: dict[str, None] = {}
        self.gone = ""

    def rewrite(self, record: Record) -> Record:
        match record:
            case Conversation(messages):
                return _replace(record, messages=self._turns(messages))
            case GradedPrompt(messages, reference):
                return _replace(record, messages=self._turns(messages), reference=self._json(reference))
            case Preference(prompt, chosen, rejected):
                turns = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
                return _replace(record, **{name: self._turns(each) for name, each in turns.items()})
            case JudgedAnswer(prompt, answer):
                return _replace(record, prompt=self._turns(prompt), answer=self._turns(answer))
            case JudgedSteps(prompt, steps):
                written = tuple(self._text(step, f"step {number}") for number, step in enumerate(steps, start=1))
                return _replace(record, prompt=self._turns(prompt), steps=written)
            case ScoredText(text, _, other):
                return _replace(record, text=self._text(text), other=self._text(other, "the other text"))
            case TextPair(text, match, others):
                written = tuple(self._text(each, f"other {number}") for number, each in enumerate(others, start=1))
                return _replace(record, text=self._text(text), match=self._text(match, "the match"), others=written)
            case TaggedText():
                return self._tagged(record)
        return _replace(record, text=self._text(record.text))

    def _text(self, text: str, what: str = "the text", may_be_empty: bool = False) -> str:
        if not text:
            return text
        mended = self.mender(text)
        self._note(mended, text)
        if text.strip() and not mended.text.strip() and not may_be_empty:
            self.gone = self.gone or what
        return mended.text

    def _tagged(self, record: TaggedText) -> TaggedText:
        if not record.text:
            return record
        mended = self.mender(record.text)
        self._note(mended, record.text)
        if record.text.strip() and not mended.text.strip():
            self.gone = "the text"
            return record
        return mend_tagged(record, mended, self.mender)

    def _turns(self, turns: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(
            _replace(
                turn,
                content=self._text(turn.content, f"turn {number}", may_be_empty=bool(turn.tool_calls)),
                tool_calls=tuple(self._call(call) for call in turn.tool_calls),
            )
            for number, turn in enumerate(turns, start=1)
        )

    def _call(self, call: ToolCall) -> ToolCall:
        return _replace(call, arguments=self._json(call.arguments))

    def _json(self, text: str) -> str:
        if not self.mender.reads_json:
            return text
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return self._text(text, "the arguments", may_be_empty=True)
        return _JSON_VALUE.sub(self._json_value, text)

    def _json_value(self, found: re.Match[str]) -> str:
        """One string or number of a JSON text. What is not changed keeps its spelling; a changed number is a string."""
        written = found.group()
        is_string = written.startswith('"')
        if is_string and _JSON_KEY_END.match(found.string, found.end()):
            return written
        value = json.loads(written) if is_string else written
        after = self._text(value, "an argument", may_be_empty=True)
        return written if after == value else json.dumps(after, ensure_ascii=False)

    def _note(self, mended: Mended, text: str) -> None:
        if mended.text != text:
            self.deeds |= dict.fromkeys(mended.deeds)


def _replace(record: _RecordT, **parts: object) -> _RecordT:
    return msgspec.structs.replace(record, **parts)
