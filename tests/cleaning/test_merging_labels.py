"""Labels in one spelling, and tables of what people decided."""

import msgspec
import pytest
from cleaning_kit import DETECTORS, GIVEN, row_lists
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from test_operation_laws import hold_to_the_laws

from fettle.cleaning.config import RelabelSettings
from fettle.cleaning.operations.labels import one_spelling, resolve
from fettle.cleaning.operations.relabel import Relabel
from fettle.cleaning.steps import make_operations, parse_steps, read_words
from fettle.data.records import (
    JudgedAnswer,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Row,
    Span,
    TaggedText,
)
from fettle.errors import RequestError

TURNS = (Message("user", "hi"),)


def row(text, label="x", line=1, part="", file="a.csv"):
    return Row(LabelledText(text, label), file, line, {}, part)


def test_spellings_of_one_label_become_the_commonest():
    labels = ["late order", "late_order", "Late-Order", "late_order", "other", "ｏther", "OTHER"]
    done = make_operations(read_words(["labels=merge"]), DETECTORS)[0]([row("a", label) for label in labels], GIVEN)
    assert [each.record.label for each in done.rows] == ["late_order"] * 4 + ["OTHER"] * 3
    assert done.changes[0].reason == "'late order' is 'late_order'"
    assert {change.action for change in done.changes} == {"relabelled"}


@given(st.lists(st.text(alphabet="aA_ -b", min_size=1, max_size=4)))
def test_a_spelling_is_never_itself_changed(labels):
    names = one_spelling(labels)
    assert set(names).isdisjoint(names.values())
    assert set(names) | set(names.values()) <= set(labels)


def test_a_map_is_followed_to_its_end_in_every_kind_of_record():
    step = '[[steps]]\noperation = "labels"\nmap = {a = "b", b = "c", d = "d"}'
    records = [
        LabelledText("t", "a"),
        MultiLabelledText("t", ("a", "c", "e")),
        TaggedText("t u", (Span(0, 1, "a"), Span(0, 1, "b"), Span(2, 3, "d"))),
        PlainText("a"),
    ]
    done = make_operations(parse_steps(step, "f"), DETECTORS)[0]([Row(each, "f", 1) for each in records], GIVEN)
    assert [each.record for each in done.rows] == [
        LabelledText("t", "c"),
        MultiLabelledText("t", ("c", "e")),
        TaggedText("t u", (Span(0, 1, "c"), Span(2, 3, "d"))),
        PlainText("a"),
    ]
    assert resolve("a", {"a": "b", "b": "c"}) == "c"


def relabel(path, rows, **more):
    return Relabel(RelabelSettings(file=str(path), **more))(rows, GIVEN)


def test_what_people_decided_is_done(tmp_path):
    table = tmp_path / "review.csv"
    table.write_text(
        "file,line,part,verdict,new_label,note\n"
        "a.csv,1,,keep,,fine\na.csv,2,,,y,\na.csv,3,,drop,,\na.csv,4,test,WRONG,y,\na.csv,5,,relabel,x,\n"
        'b.csv,1,,relabel,"x, y",\nb.csv,2,,relabel,bad,\n'
    )
    rows = [
        row("a"),
        row("b", line=2),
        row("c", line=3),
        row("d", line=4),
        row("d", line=4, part="test"),
        row("e", "y", 5),
    ]
    rows += [Row(MultiLabelledText("m", ()), "b.csv", 1), Row(JudgedAnswer(TURNS, TURNS, True), "b.csv", 2)]
    done = relabel(table, rows)
    assert [each.record.label for each in done.rows[:5]] == ["x", "y", "x", "y", "x"]
    assert done.rows[5].record.labels == ("x", "y")
    assert done.rows[6].record.is_good is False
    assert [(each.place, each.action, each.reason) for each in done.changes] == [
        (1, "relabelled", "'y' by review.csv:3"),
        (2, "dropped", "dropped by review.csv:4"),
        (4, "relabelled", "'y' by review.csv:5"),
        (5, "relabelled", "'x' by review.csv:6"),
        (6, "relabelled", "'x, y' by review.csv:7"),
        (7, "relabelled", "'bad' by review.csv:8"),
    ]
    hold_to_the_laws(rows, Relabel(RelabelSettings(file=str(table))))


def test_a_spreadsheet_and_json_lines_say_the_same(tmp_path):
    cells = [("File", "Line", "new_label"), ("a.csv", 2, "y"), ("a.csv", 3.0, "x")]
    book = Workbook()
    for each in cells:
        book.active.append(each)
    book.save(tmp_path / "review.xlsx")
    lines = [msgspec.json.encode(dict(zip(cells[0], each, strict=True))) for each in cells[1:]]
    (tmp_path / "review.jsonl").write_bytes(b"\n".join(lines))
    rows = [row("a", "x", 2), row("b", "y", 3)]
    for name in ("review.xlsx", "review.jsonl"):
        assert [each.record.label for each in relabel(tmp_path / name, rows).rows] == ["y", "x"]


def test_all_faults_of_a_table_are_told_with_their_lines(tmp_path):
    table = tmp_path / "review.csv"
    table.write_text(
        "file,line,verdict,new_label\n"
        "a.csv,1,,refnd\na.csv,99,,refund\nb.csv,1,,refund\na.csv,one,,refund\na.csv,1,kep,\na.csv,1,wrong,\n"
        "a.csv,2,keep,refund\na.csv,3,,refund\na.csv,3,drop,\n,4,drop,\nplain.txt,1,,refund\na.csv,77,drop,\n"
    )
    rows = [
        *(row("a", label, line) for line, label in enumerate(["refund", "x", "x"], start=1)),
        Row(PlainText("p"), "plain.txt", 1),
    ]
    with pytest.raises(RequestError) as caught:
        relabel(table, rows)
    found = [(fault.line, fault.problem, fault.attempt) for fault in caught.value.faults]
    assert found == [
        (2, "no row has the label 'refnd'", "refund"),
        (3, "there is no row a.csv:99", ""),
        (4, "there is no row b.csv:1", "a.csv"),
        (5, "the line is 'one'", ""),
        (6, "'kep' is no verdict", "keep"),
        (7, "it says wrong and names no new label", ""),
        (8, "it says keep and names a new label", ""),
        (10, "it says otherwise than line 9 about the same row", ""),
        (11, "there is no file", ""),
        (12, "the row has no label that could be another", ""),
    ]
    assert all(fault.file == str(table) for fault in caught.value.faults)


def test_unknown_rows_and_new_labels_are_taken_where_that_is_asked_for(tmp_path):
    table = tmp_path / "review.jsonl"
    table.write_text(
        '{"file": "a.csv", "line": 1, "new_label": "new"}\n{"file": "a.csv", "line": 9, "new_label": "x"}\n'
    )
    with pytest.raises(RequestError, match="2 rows of the table"):
        relabel(table, [row("a")])
    assert relabel(table, [row("a")], new_labels=("new",), unknown_rows="skip").rows[0].record.label == "new"


@given(rows=row_lists(), seed=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_laws_hold_for_any_table(tmp_path, rows, seed):
    decisions = []
    for each in rows:
        verdict = seed.choice(["keep", "drop", "relabel"])
        if verdict == "relabel" and not isinstance(each.record, LabelledText | MultiLabelledText):
            verdict = "drop"
        label = seed.choice(["refund", "other"]) if verdict == "relabel" else ""
        decisions.append({"file": each.file, "line": each.line, "verdict": verdict, "new_label": label})
    table = tmp_path / "review.jsonl"
    table.write_bytes(b"\n".join(map(msgspec.json.encode, decisions)))
    hold_to_the_laws(rows, Relabel(RelabelSettings(file=str(table), new_labels=("refund", "other"))))
