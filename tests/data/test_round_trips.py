"""What is exported comes back by import as it was, form by form and kind by kind, where the form can say it."""

import pytest
from import_kit import import_files

from fettle.data.exports.exporting import export_rows
from fettle.data.exports.table import FORMS
from fettle.data.records import (
    TASK_OF_RECORD,
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Preference,
    Row,
    ScoredText,
    Span,
    TaggedText,
    TextPair,
)


def asked(text):
    return (Message("user", text),)


def said(text):
    return (Message("assistant", text),)


RECORDS = {
    "conversation": [
        Conversation((*asked("hi there"), *said("hello you"))),
        Conversation(
            (Message("system", "be kind"), *asked("what is it"), *said("a cup"), *asked("now"), *said("a mug"))
        ),
    ],
    "several": [MultiLabelledText("a text of some words", ("x", "y")), MultiLabelledText("another text here", ("x",))],
    "labelled": [LabelledText("a text of some words", "x"), LabelledText("another text here", "y")],
    "tagged": [
        TaggedText("Ada went to Rome today", (Span(0, 3, "PER"), Span(12, 16, "LOC"))),
        TaggedText("nothing in here", ()),
    ],
    "scored": [ScoredText("one text", 0.5, "other text"), ScoredText("a second one", 0.25, "yet another")],
    "pair": [TextPair("a query", "its match", ("not this",)), TextPair("second", "second match", ("nor that",))],
    "preference": [
        Preference(asked("say it"), said("good one"), said("bad one")),
        Preference(asked("again"), said("better"), said("worse")),
    ],
    "judged": [JudgedAnswer(asked("say"), said("good one"), True), JudgedAnswer(asked("more"), said("bad one"), False)],
    "steps": [
        JudgedSteps(asked("what is 2+2"), ("two and two", "is four"), (True, True)),
        JudgedSteps(asked("what is 1+1"), ("one", "is three"), (True, False)),
    ],
    "graded": [
        GradedPrompt(asked("what is it"), '{"answer": "a cup"}'),
        GradedPrompt(asked("and this"), '{"answer": "a mug"}'),
    ],
    "text": [PlainText("some plain text"), PlainText("some more of it")],
}
TABLE = "several labelled tagged scored pair preference judged steps text"
COMES_BACK = {
    "openai-chat": "conversation",
    "openai-preference": "preference",
    "openai-reinforcement": "graded",
    "azure": "conversation preference graded",
    "together": "conversation preference text",
    "fireworks": "conversation preference graded",
    "mistral": "conversation",
    "predibase": "conversation",
    "openpipe": "conversation preference",
    "mlx": "conversation text",
    "alpaca": "conversation preference judged",
    "sharegpt": "conversation preference judged",
    "trl": "conversation preference judged steps graded text",
    "kto": "judged",
    "ms-swift": "conversation preference judged graded text",
    "conll": "tagged",
    "spans": "tagged",
    "text": "text",
    "csv": TABLE,
    "tsv": TABLE,
    "xlsx": TABLE,
    "parquet": f"conversation {TABLE}",
    "jsonl": " ".join(RECORDS),
}
# A form whose readers know labels only by the name of a target, and one for people, whose answers `relabel` reads; the
# two of one turn each are held to what they can say in test_export_shapes.py.
ELSEWHERE = {"mistral-classifier", "review", "oci", "prompt-completion"}


def test_every_form_is_held_to_coming_back():
    assert set(COMES_BACK) | ELSEWHERE == set(FORMS)


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kinds in COMES_BACK.items() for kind in kinds.split()]
)
def test_import_undoes_export(tmp_path, name, kind):
    form = FORMS[name]
    rows = [Row(record, "f", line) for line, record in enumerate(RECORDS[kind], start=1)]
    path = tmp_path / ("out" if form.is_folder else f"out{form.suffixes[0]}")
    exported = export_rows(rows, form, path)
    assert (exported.num_written, exported.num_refused) == (len(rows), 0)
    task = TASK_OF_RECORD[type(rows[0].record)]
    back = import_files([file.path for file in exported.files], {}, task)
    assert [row.record for row in back.rows] == RECORDS[kind]


@pytest.mark.parametrize("kind", RECORDS)
def test_our_own_form_brings_fields_and_parts_back_and_says_its_task(tmp_path, kind):
    rows = [
        Row(record, "f", line, {"customer": "ada", "part": "no part"}, part)
        for line, (record, part) in enumerate(zip(RECORDS[kind], ("train", ""), strict=True), start=1)
    ]
    export_rows(rows, FORMS["jsonl"], tmp_path / "out.jsonl")
    back = import_files([tmp_path / "out.jsonl"], {}, None)
    assert [(row.record, row.fields, row.part) for row in back.rows] == [
        (row.record, row.fields, row.part) for row in rows
    ]
    assert back.task == TASK_OF_RECORD[type(rows[0].record)]


@pytest.mark.parametrize(
    "line",
    [
        '{"record": {"type": "text", "text": 5}, "fields": {}, "part": ""}',
        '{"record": {"type": "text", "text": "a"}, "fields": {"n": 1}, "part": ""}',
        '{"record": {"type": "text", "text": "a"}, "fields": {}, "part": "dev"}',
        '{"record": null, "fields": {}, "part": ""}',
    ],
)
def test_what_only_looks_like_our_own_is_refused_by_its_line(tmp_path, line):
    good = '{"record": {"type": "text", "text": "a"}, "fields": {}, "part": ""}'
    (tmp_path / "a.jsonl").write_text(f"{good}\n{good}\n{line}\n")
    back = import_files([tmp_path / "a.jsonl"], {}, None)
    assert (len(back.rows), [refusal.fault.line for refusal in back.refused]) == (2, [3])


@pytest.mark.parametrize("name", ["openai-chat", "together", "trl", "sharegpt", "alpaca", "parquet", "jsonl"])
def test_a_conversation_has_one_hash_whatever_form_it_came_in(tmp_path, name):
    answer = '{"role": "assistant", "content": "Hello", "weight": 1}'
    (tmp_path / "a.jsonl").write_text('{"messages": [{"role": "user", "content": "Hi there"}, ' + answer + "]}")
    (tmp_path / "b.jsonl").write_text('{"prompt": "Hi there", "completion": "Hello"}')
    (one,) = import_files([tmp_path / "a.jsonl"], {}, None).rows
    (other,) = import_files([tmp_path / "b.jsonl"], {}, None).rows
    assert one.content_key == other.content_key
    form = FORMS[name]
    exported = export_rows([one], form, tmp_path / f"out{form.suffixes[0]}")
    (back,) = import_files([file.path for file in exported.files], {}, "chat").rows
    assert back.content_key == one.content_key
