"""The forms that other programs open as tables, the one that people review, and the two that lose nothing.

A table has a column for each part of a record, then `part` where rows have one, then the columns that came with the
rows. Lists stand in a cell as JSON. No cell is altered: text that begins like a formula is text, which a workbook can
say and a CSV file cannot, so who opens a CSV file from strangers in a spreadsheet should import it as text.
"""

from __future__ import annotations

import json

import msgspec

from fettle.data.exports.form import ExportOptions, Form, Kind, Rule
from fettle.data.exports.rules import no_names, no_tools, no_weights, one_turn_answers, one_turn_prompt, some_turns
from fettle.data.exports.texts import score_or_others, some_label, some_text, sound_spans, span_objects
from fettle.data.exports.trainers import judged_steps
from fettle.data.exports.turns import MessageStyle, Turns, messages, system_and_prompt
from fettle.data.records import (
    TASK_OF_RECORD,
    BadRecord,
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    MultiLabelledText,
    PlainText,
    Preference,
    Record,
    Row,
    ScoredText,
    TaggedText,
    TextPair,
    answer_text,
    input_text,
)

CELLS = "cells hold one text each"
REVIEW_COLUMNS = ("file", "line", "part", "text", "answer", "verdict", "new_label")
TABLE_COLUMNS = (
    *("system", "prompt", "messages", "completion", "chosen", "rejected", "completions", "text", "sentence1"),
    *("sentence2", "anchor", "positive", "negative", "label", "labels", "spans", "score", "reference", "tools", "part"),
)
OWN_COLUMNS: dict[Kind, frozenset[str]] = {
    Conversation: frozenset(("messages", "tools", "system", "prompt", "completion")),
    LabelledText: frozenset(("text", "label")),
    MultiLabelledText: frozenset(("text", "labels")),
    TaggedText: frozenset(("text", "spans")),
    ScoredText: frozenset(("text", "sentence1", "sentence2", "score")),
    TextPair: frozenset(("anchor", "positive", "negative", "score")),
    Preference: frozenset(("system", "prompt", "chosen", "rejected", "tools")),
    JudgedAnswer: frozenset(("system", "prompt", "completion", "label")),
    JudgedSteps: frozenset(("system", "prompt", "completions", "labels")),
    GradedPrompt: frozenset(("messages", "system", "prompt", "reference", "tools")),
    PlainText: frozenset(("text",)),
}
"""The columns that records of a kind may use, so that no column that came with a row is taken for one of them."""

# In typed columns a weight that is left out would be null, which is no weight.
_STYLE = MessageStyle(says_weights=True)
_rows = msgspec.json.Decoder(Row)


def write_table(row: Row, options: ExportOptions) -> dict[str, object]:
    """Cells of texts and numbers; what is a list stands as JSON."""
    cells = {name: _as_cell(value) for name, value in _single(row.record).items()}
    return _with_rest(cells, row)


def write_parquet(row: Row, options: ExportOptions) -> dict[str, object]:
    """Columns of their own types: turns, spans and labels are lists."""
    return _with_rest(_columns(row.record), row)


def write_jsonl(row: Row, options: ExportOptions) -> dict[str, object]:
    """The row itself. Law: `read_jsonl_row` undoes it."""
    made: dict[str, object] = msgspec.to_builtins(row)
    return made


def read_jsonl_row(line: bytes) -> Row:
    """The row that a line of the form `jsonl` says, equal in every part.

    >>> line = b'{"record":{"type":"text","text":"Hi"},"file":"a.txt","line":3,"fields":{},"part":"test"}'
    >>> read_jsonl_row(line)
    Row(record=PlainText(text='Hi'), file='a.txt', line=3, fields={}, part='test')
    """
    return _rows.decode(line)


def write_review(row: Row, options: ExportOptions) -> dict[str, object]:
    """What people need to judge a row, and two cells for their judgement."""
    values = (row.file, row.line, row.part, input_text(row.record), given_answer(row.record), "", "")
    return dict(zip(REVIEW_COLUMNS, values, strict=True))


def given_answer(record: Record) -> str:
    """The answer that stands in the data, as people are shown it.

    >>> given_answer(TextPair("a car", "an automobile"))
    'an automobile'
    """
    match record:
        case TextPair(_, match):
            return match
        case Preference(_, _, rejected):
            worse = answer_text(JudgedAnswer((), rejected, False))
            return f"better: {answer_text(record)}\n\nworse: {worse}"
        case JudgedAnswer(_, _, is_good):
            return f"{'good' if is_good else 'bad'}: {answer_text(record)}"
        case JudgedSteps(_, steps, are_right):
            marks = ["right" if is_right else "wrong" for is_right in are_right] + ["not judged"] * len(steps)
            return "\n".join(f"{mark}: {step}" for mark, step in zip(marks, steps, strict=False))
    return answer_text(record)


def _single(record: Record) -> dict[str, object]:
    """The columns of a record as a table has them: one prompt is one text."""
    match record:
        case Conversation(turns):
            return {**system_and_prompt(turns[:-1]), "completion": turns[-1].content}
        case Preference(prompt, chosen, rejected):
            return {**system_and_prompt(prompt), "chosen": chosen[0].content, "rejected": rejected[0].content}
        case JudgedAnswer(prompt, answer, is_good):
            return {**system_and_prompt(prompt), "completion": answer[0].content, "label": is_good}
        case JudgedSteps(prompt, steps, are_right):
            return {**system_and_prompt(prompt), "completions": list(steps), "labels": list(are_right)}
        case GradedPrompt(prompt, reference):
            return {**system_and_prompt(prompt), "reference": reference}
    return _columns(record)


def _columns(record: Record) -> dict[str, object]:
    """The columns of a record by its own parts; what a record may lack and does lack is left out."""
    match record:
        case Conversation(turns, tools):
            return {"messages": _turns(turns), **_if_any("tools", list(tools))}
        case LabelledText(text, label):
            return {"text": text, "label": label}
        case MultiLabelledText(text, labels):
            return {"text": text, "labels": list(labels)}
        case TaggedText(text, spans):
            return {"text": text, "spans": span_objects(spans)}
        case ScoredText(text, score, other):
            texts = {"sentence1": text, "sentence2": other} if other else {"text": text}
            return {**texts, "score": score}
        case TextPair(text, match, others, score):
            scored = {} if score is None else {"score": score}
            return {"anchor": text, "positive": match, **_if_any("negative", list(others)), **scored}
        case Preference(prompt, chosen, rejected, tools):
            better, worse = _after(prompt, chosen), _after(prompt, rejected)
            return {"prompt": _turns(prompt), "chosen": better, "rejected": worse, **_if_any("tools", list(tools))}
        case JudgedAnswer(prompt, answer, is_good):
            return {"prompt": _turns(prompt), "completion": _after(prompt, answer), "label": is_good}
        case JudgedSteps(prompt, steps, are_right):
            return {"prompt": _turns(prompt), "completions": list(steps), "labels": list(are_right)}
        case GradedPrompt(turns, reference, tools):
            return {"messages": _turns(turns), "reference": reference, **_if_any("tools", list(tools))}
        case PlainText(text):
            return {"text": text}


def _if_any(name: str, value: str | list[str]) -> dict[str, object]:
    return {name: value} if value else {}


def _turns(turns: Turns) -> list[dict[str, object]]:
    return messages(turns, _STYLE)


def _after(prompt: Turns, answer: Turns) -> list[dict[str, object]]:
    return _turns(prompt + answer)[len(prompt) :]


def _with_rest(cells: dict[str, object], row: Row) -> dict[str, object]:
    """The cells, the part and the row's own columns, which must not bear the same names."""
    if row.part:
        cells["part"] = row.part
    taken = OWN_COLUMNS[type(row.record)].union(cells)
    for name, value in row.fields.items():
        if name in taken or not name or name != name.strip():
            raise BadRecord(
                f"its column {name!r} cannot stand in the table",
                expected="columns with names, none of them one that the form uses",
                attempt="rename it, or drop it at the import",
            )
        cells[name] = value
    return cells


def _as_cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


_ONE_PROMPT = (some_turns(CELLS), one_turn_prompt(CELLS), no_tools(), no_weights(), no_names())
_TABLE_RULES: dict[Kind, tuple[Rule, ...]] = {
    Conversation: _ONE_PROMPT,
    Preference: (*_ONE_PROMPT, one_turn_answers(CELLS)),
    JudgedAnswer: (*_ONE_PROMPT, one_turn_answers(CELLS)),
    JudgedSteps: (*_ONE_PROMPT, judged_steps(CELLS)),
    GradedPrompt: _ONE_PROMPT,
    LabelledText: (some_text(CELLS), some_label(CELLS)),
    MultiLabelledText: (some_text(CELLS), some_label(CELLS)),
    TaggedText: (some_text(CELLS), sound_spans(CELLS)),
    ScoredText: (some_text(CELLS),),
    TextPair: (some_text(CELLS), score_or_others(CELLS)),
    PlainText: (some_text(CELLS),),
}
_EVERY_KIND: dict[Kind, tuple[Rule, ...]] = dict.fromkeys(TASK_OF_RECORD, ())


def _table(name: str, summary: str) -> Form:
    return Form(
        name,
        summary,
        write_table,
        _TABLE_RULES,
        suffixes=(f".{name}",),
        says_part=True,
        says_fields=True,
        columns=TABLE_COLUMNS,
    )


TABLE_FORMS: tuple[Form, ...] = (
    _table("csv", "a table with commas; lists as JSON in a cell"),
    _table("tsv", "a table with tabs; lists as JSON in a cell"),
    _table("xlsx", "a workbook; lists as JSON in a cell"),
    Form(
        "parquet",
        "typed columns for other programs: turns, spans and labels as lists",
        write_parquet,
        _EVERY_KIND,
        suffixes=(".parquet",),
        says_part=True,
        says_fields=True,
        columns=TABLE_COLUMNS,
    ),
    Form(
        "jsonl",
        "fettle's own lines, which lose nothing",
        write_jsonl,
        _EVERY_KIND,
        says_part=True,
        says_fields=True,
        mixes_kinds=True,
    ),
    Form(
        "review",
        "a table for people to judge rows in, with empty columns for verdict and new_label",
        write_review,
        _EVERY_KIND,
        suffixes=(".xlsx", ".csv", ".tsv"),
        says_part=True,
        mixes_kinds=True,
        columns=REVIEW_COLUMNS,
    ),
)
