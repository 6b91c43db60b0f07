"""Which rows an expression holds for. It is used to filter, to look, and to score slices.

Names: `text` (what a model is given), `answer` (what it should say), `label`, `part`, `file`, `line`, `length` (in
characters), `words`, `turns`, `score`, `language`, and every field of the rows; `fields.NAME` is a field whose name is
one of these.

What a comparison means: a missing field is empty text. Held against a number, text that is no number is unequal, and
neither less nor more. Text is held against text letter by letter, so that ISO dates compare as dates; `contains`
ignores case. Of several labels one is enough.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fettle.cleaning.detectors import TellLanguage, language_of
from fettle.cleaning.expressions import AllOf, AnyOf, Comparison, Expression, Not, Pattern, names_in, parse_expression
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    LabelledText,
    Message,
    MultiLabelledText,
    Preference,
    Record,
    Row,
    ScoredText,
    TextPair,
    answer_text,
    input_text,
    labels_of,
    texts_of,
)
from fettle.data.splits.times import number_in
from fettle.errors import Fault, RequestError, near_misses

Value: TypeAlias = str | float | tuple[str, ...]
_FIELD = "fields."
_ORDERS: dict[str, Callable[[str | float, str | float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def spoken_text(record: Record) -> str:
    """All that is said in a record, one text under the other, labels left out.

    >>> spoken_text(LabelledText("where is it", "order_status"))
    'where is it'
    """
    match record:
        case LabelledText(text) | MultiLabelledText(text):
            return text
    return "\n".join(texts_of(record))


def labels_in(record: Record) -> tuple[str, ...]:
    """The labels of a record, those of its spans among them; of a judged answer, good or bad."""
    if isinstance(record, JudgedAnswer):
        return ("good" if record.is_good else "bad",)
    return tuple(dict.fromkeys(labels_of(record)))


def _turns(record: Record) -> tuple[Message, ...]:
    match record:
        case Conversation(messages) | GradedPrompt(messages):
            return messages
        case Preference(prompt, chosen):
            return (*prompt, *chosen)
        case JudgedAnswer(prompt, answer):
            return (*prompt, *answer)
    return ()


def _score(record: Record) -> Value:
    match record:
        case ScoredText(_, score):
            return score
        case TextPair(_, _, _, score):
            return "" if score is None else score
    return ""


_NAMES: dict[str, Callable[[Row], Value]] = {
    "text": lambda row: input_text(row.record),
    "answer": lambda row: answer_text(row.record),
    "label": lambda row: labels_in(row.record),
    "part": lambda row: row.part or "train",
    "file": lambda row: row.file,
    "line": lambda row: float(row.line),
    "length": lambda row: float(len(spoken_text(row.record))),
    "words": lambda row: float(len(spoken_text(row.record).split())),
    "turns": lambda row: float(len(_turns(row.record))),
    "score": lambda row: _score(row.record),
}
NAMES = (*_NAMES, "language")


@dataclass(frozen=True)
class Where:
    """An expression, ready to be asked about rows. Rows may come in pieces; ask `check_names` once with all fields."""

    source: str
    expression: Expression
    language: TellLanguage = language_of

    @classmethod
    def parse(cls, source: str, language: TellLanguage = language_of) -> Where:
        """Read an expression; a fault names the character."""
        return cls(source, parse_expression(source), language)

    def check_names(self, fields: Collection[str]) -> None:
        """Refuse names that are neither known nor a field of the rows, all of them together."""
        known = {*NAMES, *fields, *(f"{_FIELD}{name}" for name in fields)}
        strange = [name for name in dict.fromkeys(names_in(self.expression)) if name not in known]
        faults = [
            Fault(self.source, 0, f"there is nothing named {name!r}", "", near_misses(name, [*NAMES, *fields], 3))
            for name in strange
        ]
        if faults:
            raise RequestError(
                " and ".join(fault.problem for fault in faults),
                where=self.source,
                expected=f"one of: {', '.join([*NAMES, *sorted(fields)][:20])}",
                attempt=faults[0].attempt,
                faults=faults if len(faults) > 1 else (),
            )

    def holds(self, rows: Sequence[Row]) -> list[bool]:
        """For which rows it holds.

        >>> rows = [Row(LabelledText("Where is it?", "late"), "f", 1), Row(LabelledText("Thanks", "other"), "f", 2)]
        >>> Where.parse('text contains "where" and label in ["late", "lost"]').holds(rows)
        [True, False]
        """
        return _holds(self.expression, rows, self.language)


def fields_of(rows: Sequence[Row]) -> set[str]:
    """The names of all fields of the rows."""
    return {name for row in rows for name in row.fields}


def _holds(expression: Expression, rows: Sequence[Row], language: TellLanguage) -> list[bool]:
    match expression:
        case Not(part):
            return [not each for each in _holds(part, rows, language)]
        case AllOf(parts):
            return [all(each) for each in zip(*(_holds(part, rows, language) for part in parts), strict=True)]
        case AnyOf(parts):
            return [any(each) for each in zip(*(_holds(part, rows, language) for part in parts), strict=True)]
        case Comparison(name, _, value):
            column = [_value(row, name, language) for row in rows]
            if isinstance(value, Pattern):
                return _matches(column, value)
            return [_compares(each, expression) for each in column]


def _value(row: Row, name: str, language: TellLanguage) -> Value:
    if name == "language":
        return language(spoken_text(row.record))
    if name in _NAMES:
        return _NAMES[name](row)
    if name not in row.fields:
        name = name.removeprefix(_FIELD)
    return row.fields.get(name, "")


def _matches(column: Sequence[Value], pattern: Pattern) -> list[bool]:
    spread = [(place, text) for place, value in enumerate(column) for text in _texts(value)]
    found = pattern.found_in([text for _, text in spread]) if spread else []
    hits = {place for (place, _), hit in zip(spread, found, strict=True) if hit}
    return [place in hits for place in range(len(column))]


def _texts(value: Value) -> tuple[str, ...]:
    """The texts that a value is when it is looked into; without any label there is one, and it is empty."""
    if isinstance(value, float):
        return (f"{value:g}",)
    return (value,) if isinstance(value, str) else value or ("",)


def _compares(value: Value, comparison: Comparison) -> bool:
    each = (value,) if isinstance(value, float) else _texts(value)
    wanted = comparison.value
    if comparison.operator == "contains":
        return any(str(wanted).casefold() in text.casefold() for text in _texts(value))
    if isinstance(wanted, tuple):
        found = any(_is_equal(one, other) for one in each for other in wanted)
        return found is (comparison.operator == "in")
    if isinstance(wanted, Pattern):
        return False
    if comparison.operator in ("=", "!="):
        found = any(_is_equal(one, wanted) for one in each)
        return found is (comparison.operator == "=")
    return any(_is_ordered(one, wanted, comparison.operator) for one in each)


def _is_equal(value: str | float, wanted: str | float) -> bool:
    left, right = _alike(value, wanted)
    return left is not None and left == right


def _is_ordered(value: str | float, wanted: str | float, sign: str) -> bool:
    left, right = _alike(value, wanted)
    return left is not None and right is not None and _ORDERS[sign](left, right)


def _alike(value: str | float, wanted: str | float) -> tuple[str | float | None, str | float | None]:
    """Both as numbers where one is a number, else both as texts; None for a text that is none."""
    if isinstance(value, str) and isinstance(wanted, str):
        return value, wanted
    left = number_in(value) if isinstance(value, str) else value
    right = number_in(wanted) if isinstance(wanted, str) else wanted
    return left, right
