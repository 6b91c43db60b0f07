"""Importing: every row is kept or refused by its line, and what is refused can be mended and read again."""

import csv
import json
import os
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_kit import import_files

from fettle.data.intake.quarantine import FAULTS_FILE
from fettle.data.records import Conversation, LabelledText, PlainText
from fettle.errors import MissingFile, RequestError

SHARED = Path(os.environ.get("FETTLE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def real(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the published file {name} is not under {SHARED}")
    return path


GOOD_LINES = st.sampled_from(
    ['{"text": "a", "label": "x"}', '{"text": "b", "label": 2}', '{"label":"y","text":"ü","n":1}']
)
BAD_LINES = st.sampled_from(
    [
        b'{"text": "", "label": "x"}',
        b'{"text": "a"}',
        b'{"text": "a", "label": "x"',
        b'{"text": "a", "label": ["x"]}',
        b'{"text": "a", "text": "b", "label": "x"}',
        b'{"text": "\xff", "label": "x"}',
        b"[]",
        b"null",
        b"\x01",
    ]
)
LINES = st.lists(
    st.one_of(GOOD_LINES.map(lambda line: (True, line.encode())), BAD_LINES.map(lambda line: (False, line)))
)


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\n \n\n"]))
@settings(deadline=None, max_examples=100)
def test_counts_add_up_and_each_fault_names_its_line(tmp_path_factory, lines, line_end):
    # Enough good lines that the file is recognised whatever else is in it.
    lines = [(True, b'{"text": "a", "label": "x"}')] * (len(lines) + 1) + lines
    path = write(tmp_path_factory.mktemp("law"), "a.jsonl", line_end.join(line for _, line in lines))
    imported = import_files([path], {}, None)
    assert imported.rows_read == len(lines) == len(imported.rows) + len(imported.refused)
    step = line_end.count(b"\n")
    assert [row.line for row in imported.rows] == [1 + n * step for n, (good, _) in enumerate(lines) if good]
    assert [refusal.fault.line for refusal in imported.refused] == [
        1 + n * step for n, (good, _) in enumerate(lines) if not good
    ]
    assert [refusal.raw for refusal in imported.refused] == [line for good, line in lines if not good]


def test_a_csv_fault_names_the_line_where_its_record_starts(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\n"one\ntwo",x\n"three\n\nfour",\nfive,y\n\nsix\n"",z\n')
    imported = import_files([path], {}, None)
    assert [(row.line, row.record.label) for row in imported.rows] == [(2, "x"), (7, "y")]
    assert [(refusal.fault.line, refusal.fault.problem) for refusal in imported.refused] == [
        (4, "label is empty"),
        (9, "1 cells under a header of 2"),
        (10, "text is empty"),
    ]
    assert all(refusal.fault.file == str(path) for refusal in imported.refused)


def mend(content: bytes) -> bytes:
    return content.replace(b"MISSING", b"mended").replace(b"\xff", b"").replace(b'"label": null', b'"label": "mended"')


def save_sheet(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b'text;label\na;x\n"b\xff;\nc";y\nd\xff;x\n'),
        ("a.tsv", b"text\tlabel\r\na\tx\r\nb\xff\ty\r\nc, d\tx\r\n"),
        ("a.jsonl", b'{"text": "a", "label": "x"}\n{"text": "b", "label": null}\n{"text": "c\xff", "label": "y"}\n'),
        ("a.json", b'[\n {\n  "text": "a",\n  "label": "x"\n },\n {\n  "text": "b",\n  "label": null\n }\n]'),
        ("a.txt", b"pos good\npos fine\nneg bad\nneg poor\xff\npos great\n"),
    ],
)
def test_quarantine_mended_and_imported_again_gives_the_rows(tmp_path, name, data):
    broken = import_files([write(tmp_path, name, data)], {}, None)
    whole = import_files([write(tmp_path, f"whole/{name}", mend(data))], {}, None)
    assert broken.refused
    assert not whole.refused
    files = broken.quarantine_files()
    assert files.pop(FAULTS_FILE).count(b"\n") == len(broken.refused)
    (again,) = [write(tmp_path / "quarantine", key, mend(content)) for key, content in files.items()]
    returned = import_files([again], {}, None)
    assert not returned.refused
    assert sorted(map(repr, (row.record for row in [*broken.rows, *returned.rows]))) == sorted(
        map(repr, (row.record for row in whole.rows))
    )


def test_a_refused_row_of_a_sheet_comes_back_as_csv(tmp_path):
    path = save_sheet(tmp_path / "a.xlsx", [["text", "label", "n"], ["a", 1, 5.0], ["b, c", None, 2], ["d", 2, 3]])
    imported = import_files([path], {}, None)
    assert [(row.record, row.fields) for row in imported.rows] == [
        (LabelledText("a", "1"), {"n": "5"}),
        (LabelledText("d", "2"), {"n": "3"}),
    ]
    assert imported.quarantine_files()["a.csv"] == b'text,label,n\n"b, c",,2\n'


def test_plain_text_comes_back_as_blocks(tmp_path):
    path = write(tmp_path, "a.txt", b"good one\n\nbad \xff\nlines\n\ngood two\n\nbad too \xff\n")
    imported = import_files([path], {}, None)
    assert [row.record for row in imported.rows] == [PlainText("good one"), PlainText("good two")]
    assert imported.quarantine_files()["a.txt"] == b"bad \xff\nlines\n\nbad too \xff\n"


def test_files_of_one_stem_do_not_collide(tmp_path):
    lines = '{"text": "a", "label": "x"}\n{"text": "MISSING"}\n'
    names = ["one/a.jsonl", "two/a.ndjson", "two/A.json", "faults.jsonl"]
    paths = [write(tmp_path, name, lines) for name in names]
    files = import_files(paths, {}, None).quarantine_files()
    assert sorted(files) == ["A-3.jsonl", "a-2.jsonl", "a.jsonl", "faults-2.jsonl", "faults.jsonl"]
    assert [json.loads(line)["file"] for line in files[FAULTS_FILE].splitlines()] == [str(path) for path in paths]


def test_faults_are_written_in_the_words_of_the_contract(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a", "label": "x"}\n{"text": "a"}\n')
    (line,) = import_files([path], {}, None).quarantine_files()[FAULTS_FILE].splitlines()
    assert json.loads(line) == {
        "file": str(path),
        "line": 2,
        "problem": "there is no label",
        "expected": "a value for label",
        "try": "add it, or leave the row out",
    }
    assert import_files([write(tmp_path, "b.jsonl", '{"text": "a", "label": "x"}')], {}, None).quarantine_files() == {}


def test_faults_of_all_files_are_collected_before_anything_stops(tmp_path):
    good = write(tmp_path, "good.csv", "text,label\na,x\n")
    empty = write(tmp_path, "empty.csv", "")
    with pytest.raises(RequestError) as caught:
        import_files([good, empty, tmp_path / "missing.csv", tmp_path], {}, None)
    assert caught.value.problem == "3 of 4 files cannot be imported"
    assert [(fault.file, fault.line) for fault in caught.value.faults] == [
        (str(empty), 0),
        (str(tmp_path / "missing.csv"), 0),
        (str(tmp_path), 0),
    ]
    with pytest.raises(MissingFile):
        import_files([tmp_path / "missing.csv"], {}, None)
    with pytest.raises(RequestError, match="no file"):
        import_files([], {}, None)
    with pytest.raises(RequestError) as caught:
        import_files([good, good], {}, None)
    assert [fault.problem for fault in caught.value.faults] == ["the file is named twice"]


def test_files_of_several_tasks_are_refused(tmp_path):
    labelled = write(tmp_path, "a.csv", "text,label\na,x\n")
    asked = write(tmp_path, "b.csv", "question,answer\na,x\n")
    with pytest.raises(RequestError, match=r"several tasks: chat \(1\), classify \(1\)") as caught:
        import_files([labelled, asked], {}, None)
    assert [fault.file for fault in caught.value.faults] == [str(asked), str(labelled)]


def test_among_files_of_several_tasks_the_odd_ones_are_named_first(tmp_path):
    many = [write(tmp_path, f"{number}.csv", "question,answer\na,x\n") for number in range(12)]
    odd = write(tmp_path, "notes.txt", "One day.\n\nAnother day.\n")
    with pytest.raises(RequestError, match=r"chat \(12\), text \(1\)") as caught:
        import_files([*many, odd], {}, None)
    assert [fault.file for fault in caught.value.faults] == [str(odd), *map(str, many)]


def test_several_forms_of_one_task_make_one_import(tmp_path):
    paths = [
        write(tmp_path, "a.csv", "text,label\na,x\n"),
        write(tmp_path, "b.jsonl", '{"utterance": "b", "intent": 5}\n'),
        write(tmp_path, "c.txt", "__label__y c\n"),
    ]
    imported = import_files(paths, {}, None)
    assert imported.task == "classify"
    assert [row.record for row in imported.rows] == [
        LabelledText("a", "x"),
        LabelledText("b", "5"),
        LabelledText("c", "y"),
    ]
    assert [row.file for row in imported.rows] == [str(path) for path in paths]
    assert [file for file, _ in imported.recognised] == [str(path) for path in paths]


def test_when_no_row_is_left_every_fault_is_told(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\n,x\nb,\n")
    with pytest.raises(RequestError, match="none of the 2 rows") as caught:
        import_files([path], {}, None)
    assert [fault.line for fault in caught.value.faults] == [2, 3]


def test_other_columns_are_kept_as_text(tmp_path):
    line = {"text": "a", "label": "x", "n": 1, "f": 2.5, "list": [1, "ü"], "none": None, "big": 10**30, "yes": True}
    (row,) = import_files([write(tmp_path, "a.jsonl", json.dumps(line))], {"f": "-"}, None).rows
    assert row.fields == {"n": "1", "list": '[1, "ü"]', "none": "", "big": str(10**30), "yes": "true"}


def test_a_column_that_is_missing_is_named_as_the_file_names_it(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "a", "intent": "x"}\n{"text": "b", "intnet": "x"}\n')
    (refusal,) = import_files([path], {}, None).refused
    assert refusal.fault.problem == "there is no intent"
    assert refusal.fault.expected == "a value for intent, which is read as label"


def test_duplicates_and_conflicts_are_counted_and_kept(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\na,x\na,x\nA,x\nb,x\nB ,y\nb,z\n")
    imported = import_files([path], {}, None)
    assert (len(imported.rows), imported.duplicates, imported.conflicts) == (6, 1, 1)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    other = [turns[0], {"role": "assistant", "content": "Bye"}]
    lines = [json.dumps({"messages": messages}) for messages in (turns, turns, other)]
    imported = import_files([write(tmp_path, "b.jsonl", "\n".join(lines))], {}, None)
    assert (imported.duplicates, imported.conflicts) == (1, 1)
    imported = import_files([write(tmp_path, "c.jsonl", '{"text": "a"}\n{"text": "A"}')], {}, None)
    assert (imported.duplicates, imported.conflicts) == (0, 0)


def test_progress_ends_at_the_rows_read(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\n" + "a,x\n" * 2_500)
    told: list[int] = []
    import_files([path], {}, None, told.append)
    assert told == [1000, 2000, 2500]


def test_published_intents():
    imported = import_files([real("banking77/train.csv")], {}, None)
    assert (len(imported.rows), imported.refused) == (10_003, [])
    assert imported.recognised[0][1].why == (
        "CSV with a header (text, category); category is read as label: 77 distinct values in 10,003 rows"
    )
    with real("banking77/train.csv").open(newline="", encoding="utf-8") as file:
        wanted = [LabelledText(row["text"], row["category"]) for row in csv.DictReader(file)]
    assert [row.record for row in imported.rows] == wanted


def test_published_sentiments():
    imported = import_files([real("sst2/stsa.binary.train")], {}, None)
    assert (len(imported.rows), imported.refused) == (6_920, [])
    assert imported.recognised[0][1].container.name == "label_lines"
    assert {row.record.label for row in imported.rows} == {"0", "1"}
    first = real("sst2/stsa.binary.train").read_text().splitlines()[0]
    assert f"{imported.rows[0].record.label} {imported.rows[0].record.text}" == first.strip()


def test_published_questions_and_instructions():
    imported = import_files([real("gsm8k/train.jsonl")], {}, None)
    assert (len(imported.rows), imported.task) == (7_473, "chat")
    imported = import_files([real("alpaca_demo/alpaca_en_demo.json")], {}, None)
    wanted = json.loads(real("alpaca_demo/alpaca_en_demo.json").read_text())
    assert imported.rows_read == len(wanted)
    by_line = [row.record.messages[0].content for row in imported.rows if isinstance(row.record, Conversation)]
    asked = [row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "") for row in wanted if row["output"]]
    assert by_line == asked
