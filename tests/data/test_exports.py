"""Exports: every row is written or refused with its fault, whatever it says; nothing is published half."""

import json
import tracemalloc
from collections import Counter
from dataclasses import replace

import msgspec
import openpyxl
import pyarrow.parquet as pq
import pytest
from export_kit import ASK, SAMPLES, row_lists, row_of, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fettle.data.exports import exporting
from fettle.data.exports.exporting import Exported, check_rows, export_rows
from fettle.data.exports.files import CONTAINERS
from fettle.data.exports.form import KIND_NAMES, ExportOptions
from fettle.data.exports.table import FORMS, find_form, forms_for
from fettle.data.exports.tables import read_jsonl_row
from fettle.data.records import (
    TASK_OF_RECORD,
    Conversation,
    LabelledText,
    Message,
    PlainText,
    ScoredText,
)
from fettle.errors import RequestError, UnknownName

# A file by each of its endings, and a folder.
PLACES = [
    (name, suffix)
    for name, form in FORMS.items()
    for suffix in (*form.suffixes, "")
    if not form.is_folder or not suffix
]


@pytest.mark.parametrize(("name", "suffix"), PLACES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_row_is_lost_and_none_raises(tmp_path_factory, name, suffix, data):
    given_rows = data.draw(row_lists(FORMS[name], 12))
    path = tmp_path_factory.mktemp("out") / f"rows{suffix}"
    told = []
    done = export_rows(iter(given_rows), FORMS[name], path, ExportOptions(on_fault=told.append))
    assert done.num_written + done.num_refused == len(given_rows)
    assert sum(file.num_rows for file in done.files) == done.num_written
    assert len(told) == done.num_faults == len(done.faults) >= done.num_refused
    assert all(fault.problem and fault.expected for fault in told)
    assert all(file.path.stat().st_size == file.num_bytes for file in done.files)
    assert path.exists() == bool(done.num_written), "nothing is published where nothing is written"
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name] * path.exists()
    if path.is_dir():
        assert sorted(path.iterdir()) == sorted(file.path for file in done.files)


@pytest.mark.parametrize(("name", "suffix"), PLACES)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_read_by_its_format(tmp_path_factory, name, suffix, data):
    given_rows = data.draw(row_lists(FORMS[name], 8))
    path = tmp_path_factory.mktemp("out") / f"rows{suffix}"
    done = export_rows(given_rows, FORMS[name], path)
    for file in done.files:
        ending = file.path.suffix
        if ending == ".jsonl":
            lines = file.path.read_text("utf-8").splitlines()
            assert len([json.loads(line, parse_constant=pytest.fail) for line in lines]) == file.num_rows
        elif ending == ".json":
            assert len(json.loads(file.path.read_bytes())) == file.num_rows
        elif ending == ".parquet":
            assert pq.read_table(file.path).num_rows == file.num_rows
        elif ending == ".xlsx":
            book = openpyxl.load_workbook(file.path, read_only=True)
            assert len(list(book.worksheets[0].iter_rows())) == file.num_rows + 1
            book.close()
        elif ending in (".txt", ".md", ".conll", ".bio"):
            assert len([block for block in file.path.read_bytes().split(b"\n\n") if block.strip()]) == file.num_rows


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_check_finds_what_an_export_into_its_usual_place_finds(tmp_path_factory, name, data):
    given_rows = data.draw(row_lists(FORMS[name], 10))
    form = FORMS[name]
    path = tmp_path_factory.mktemp("out") / ("rows" + (form.suffixes[0] if form.says_part else ""))
    found = check_rows(given_rows, form)
    done = export_rows(given_rows, form, path)
    # A fault of the whole names the file of the export, and the form where there is no file yet.
    assert [(f.line, f.problem) for f in found] == [(f.line, f.problem) for f in done.faults]


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_strict_writes_all_or_nothing(tmp_path_factory, name, data):
    given_rows = data.draw(row_lists(FORMS[name], 8))
    form, folder = FORMS[name], tmp_path_factory.mktemp("out")
    path = folder / "rows"
    faults = check_rows(given_rows, form) if not form.says_part else None
    try:
        done = export_rows(given_rows, form, path, ExportOptions(is_strict=True))
    except RequestError as error:
        assert_all_is_told(error)
        assert not list(folder.iterdir())
        assert faults is None or faults
    else:
        assert (done.num_refused, done.num_faults) == (0, 0) and done.num_written == len(given_rows)
        assert not faults


def assert_all_is_told(error):
    assert error.faults and error.exit_code == 2
    assert error.problem.endswith(error.faults[0].problem)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_rows=st.lists(rows, min_size=1, max_size=6))
def test_fettles_own_lines_lose_nothing(tmp_path_factory, given_rows):
    path = tmp_path_factory.mktemp("out") / "rows.jsonl"
    done = export_rows(given_rows, FORMS["jsonl"], path)
    back = [read_jsonl_row(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    refused = Counter((fault.file, fault.line) for fault in done.faults if fault.line)
    whole = [row for row in given_rows if is_whole(row)]
    assert back == whole
    assert sum(refused.values()) == len(given_rows) - len(whole)


def is_whole(row):
    """Whether a row is made of characters and numbers at all."""
    try:
        said = msgspec.json.encode(row)
    except UnicodeEncodeError:
        return False
    return msgspec.json.decode(said, type=type(row)) == row if not has_nan(row) else False


def has_nan(row):
    plain = msgspec.to_builtins(row)
    found, waiting = False, [plain]
    while waiting:
        item = waiting.pop()
        waiting += (
            list(item.values()) if isinstance(item, dict) else list(item) if isinstance(item, list | tuple) else []
        )
        found |= isinstance(item, float) and (item != item or item in (float("inf"), float("-inf")))
    return found


def test_every_form_takes_its_sample_of_every_kind_that_it_names(tmp_path):
    for name, form in FORMS.items():
        for kind in form.rules:
            sample = SAMPLES[kind.__struct_config__.tag]
            one = SAMPLES["graded"] if kind.__struct_config__.tag == "graded" else sample
            done = export_rows([row_of(one)], form, tmp_path / f"{name}-{kind.__name__}")
            assert done.num_written == 1, (name, kind, done.faults)


def test_every_kind_has_a_name_and_forms():
    assert set(KIND_NAMES) == {kind.__struct_config__.tag for kind in TASK_OF_RECORD}
    assert set(SAMPLES) == set(KIND_NAMES)
    for kind in TASK_OF_RECORD:
        assert {"parquet", "jsonl", "review"} <= set(forms_for(kind))
    assert {suffix for form in FORMS.values() for suffix in form.suffixes} == set(CONTAINERS)


def test_an_unknown_form_names_its_neighbours():
    with pytest.raises(UnknownName) as caught:
        find_form("openai-chats")
    assert "openai-chat" in caught.value.expected


def test_a_kind_without_a_place_is_told_where_there_is_one(tmp_path):
    done = export_rows([row_of(SAMPLES["scored"], line=7)], FORMS["openai-chat"], tmp_path / "out.jsonl")
    fault = done.faults[0]
    assert (fault.file, fault.line) == ("rows.jsonl", 7)
    assert fault.problem == "openai-chat has no place for texts with a score"
    assert fault.expected == "conversations"
    assert fault.attempt == "export them as one of: csv, tsv, xlsx, parquet, jsonl, review"
    assert not (tmp_path / "out.jsonl").exists()


def test_records_of_two_kinds_do_not_share_a_file(tmp_path):
    given_rows = [row_of(SAMPLES["text"]), row_of(SAMPLES["conversation"], line=2), row_of(SAMPLES["text"], line=3)]
    done = export_rows(given_rows, FORMS["together"], tmp_path / "out.jsonl")
    assert (done.num_written, done.num_refused) == (2, 1)
    assert done.faults[0].problem == "the rows before it are plain texts, this is one of conversations"
    assert {tuple(json.loads(line)) for line in (tmp_path / "out.jsonl").read_text().splitlines()} == {("text",)}


def test_a_refused_row_does_not_settle_the_kind_or_the_part(tmp_path):
    given_rows = [row_of(PlainText(" "), part="test"), row_of(SAMPLES["conversation"], part="train")]
    assert export_rows(given_rows, FORMS["together"], tmp_path / "out.jsonl").num_written == 1


def test_a_file_holds_one_part_and_a_folder_a_file_for_each(tmp_path):
    given_rows = [row_of(PlainText(part or "none"), part=part) for part in ("test", "", "train", "validation", "test")]
    one = export_rows(given_rows, FORMS["trl"], tmp_path / "one.jsonl")
    assert (one.num_written, one.num_refused) == (2, 3)
    assert one.faults[0].problem == "the rows before it are of test, this one of train"
    each = export_rows(given_rows, FORMS["trl"], tmp_path / "each")
    assert {file.path.name: file.num_rows for file in each.files} == {
        "train.jsonl": 2,
        "validation.jsonl": 1,
        "test.jsonl": 2,
    }
    assert json.loads((tmp_path / "each" / "validation.jsonl").read_text()) == {"text": "validation"}
    elsewhere = export_rows([row_of(PlainText("a"), part="dev")], FORMS["trl"], tmp_path / "other")
    assert elsewhere.faults[0].problem == "the form knows no part 'dev'"


def test_mlx_is_a_folder_with_its_own_names(tmp_path):
    given_rows = [row_of(PlainText(part), part=part) for part in ("train", "validation", "test")]
    done = export_rows(given_rows, FORMS["mlx"], tmp_path / "mlx.data")
    assert sorted(file.path.name for file in done.files) == ["test.jsonl", "train.jsonl", "valid.jsonl"]
    assert not done.faults
    with pytest.raises(RequestError, match=r"not written as \.jsonl") as caught:
        export_rows(given_rows, FORMS["mlx"], tmp_path / "mlx.jsonl")
    assert caught.value.attempt == str(tmp_path / "mlx")
    less = export_rows(given_rows[:1], FORMS["mlx"], tmp_path / "less")
    assert [fault.problem for fault in less.faults] == ["there are no rows for validation"]


@pytest.mark.parametrize(
    ("name", "least"), [("openai-chat", 10), ("azure", 10), ("fireworks", 3), ("oci", 32), ("together", 1)]
)
def test_too_few_rows_are_a_fault_of_the_file(tmp_path, name, least):
    given_rows = [row_of(SAMPLES["conversation"], line=line + 1) for line in range(least)]
    assert not check_rows(given_rows, FORMS[name])
    fault = check_rows(given_rows[1:], FORMS[name])[-1]
    assert fault.line == 0
    assert fault.problem == (f"{least - 1} rows to train on" if least > 1 else "there is no row to write")
    done = export_rows(given_rows[1:], FORMS[name], tmp_path / "out.jsonl")
    assert (done.num_written, done.num_refused, done.num_faults) == (least - 1, 0, 1)


def test_the_least_number_counts_the_rows_that_train(tmp_path):
    given_rows = [
        row_of(Conversation((ASK, Message("assistant", f"{part} {number}"))), part=part)
        for part, count in (("validation", 2), ("train", 10))
        for number in range(count)
    ]
    assert not check_rows(given_rows, FORMS["openai-chat"])
    assert [fault.problem for fault in check_rows(given_rows[:-1], FORMS["openai-chat"])] == ["9 rows to train on"]


def test_a_row_on_two_sides_is_refused_where_the_service_forbids_it(tmp_path):
    given_rows = [row_of(SAMPLES["conversation"], part=part) for part in ("train", "train", "validation")]
    done = export_rows(given_rows, FORMS["openai-chat"], tmp_path / "out")
    assert (done.num_written, done.num_refused) == (2, 1)
    assert done.faults[0].problem == "the same row stands in train"
    assert export_rows(given_rows, FORMS["trl"], tmp_path / "trl").num_refused == 0


def limited(name, **limits):
    """A form under limits that a test can reach."""
    return replace(FORMS[name], limits=replace(FORMS[name].limits, **limits))


def test_a_full_file_takes_no_more(tmp_path):
    given_rows = [row_of(SAMPLES["conversation"], line=line) for line in range(1, 6)]
    done = export_rows(given_rows, limited("fireworks", most_rows=3), tmp_path / "out.jsonl")
    assert (done.num_written, done.num_refused) == (3, 2)
    assert [fault.line for fault in done.faults] == [4, 5]
    assert FORMS["fireworks"].limits.most_rows == 3_000_000


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_no_file_is_larger_than_its_limit_and_none_a_byte_smaller_than_it_could_be(tmp_path, suffix):
    given_rows = [row_of(PlainText("word " * line), line=line) for line in range(1, 30)]
    whole = export_rows(given_rows[:10], FORMS["trl"], tmp_path / f"whole{suffix}").files[0].num_bytes
    for limit, num_rows in ((whole, 10), (whole - 1, 9)):
        done = export_rows(given_rows, limited("trl", most_bytes=limit), tmp_path / f"{limit}{suffix}")
        assert done.num_written == num_rows
        assert done.files[0].num_bytes <= limit
        assert done.num_refused == 29 - num_rows


def test_a_sheet_holds_so_many_rows_and_columns(tmp_path, monkeypatch):
    small = replace(CONTAINERS[".xlsx"], most_rows=2, most_columns=3)
    monkeypatch.setitem(CONTAINERS, ".xlsx", small)
    given_rows = [row_of(SAMPLES["labelled"]), row_of(SAMPLES["labelled"], a="1"), row_of(SAMPLES["labelled"])]
    assert export_rows(given_rows, FORMS["xlsx"], tmp_path / "a.xlsx").num_refused == 1
    wide = [row_of(SAMPLES["labelled"], a="1"), row_of(SAMPLES["labelled"], b="1")]
    done = export_rows(wide, FORMS["xlsx"], tmp_path / "b.xlsx")
    assert (done.num_written, done.faults[0].problem) == (1, "the table is too wide")


def test_rows_that_are_too_long_are_told_where_a_counter_is_given():
    given_rows = [row_of(PlainText("a b c"), line=1), row_of(PlainText("a b"), line=2)]
    options = ExportOptions(num_tokens=lambda record: len(record.text.split()), most_tokens=2)
    faults = check_rows(given_rows, FORMS["trl"], options)
    assert [(fault.line, fault.problem, fault.expected) for fault in faults] == [(1, "it has 3 tokens", "at most 2")]
    assert not check_rows(given_rows, FORMS["trl"])


def test_columns_without_a_place_are_counted(tmp_path):
    given_rows = [row_of(SAMPLES["conversation"], id="1", source="x"), row_of(SAMPLES["conversation"], id="2")]
    done = export_rows([*given_rows, row_of(PlainText("x"), id="3")], FORMS["predibase"], tmp_path / "out.jsonl")
    assert done.left_out == {"id": 2, "source": 1}
    assert export_rows(given_rows, FORMS["csv"], tmp_path / "out.csv").left_out == {}


def test_every_fault_of_a_row_is_told_and_each_once(tmp_path):
    turns = (Message("user", "a", 0.5), Message("system", "b"), Message("user", "<image>"))
    told = []
    done = export_rows(
        [row_of(Conversation(turns))], FORMS["alpaca"], tmp_path / "a.json", ExportOptions(on_fault=told.append)
    )
    problems = [fault.problem for fault in told if fault.line]
    assert len(problems) == len(set(problems)) >= 5
    assert done.num_refused == 1


def test_faults_beyond_the_first_are_counted_and_told_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "MAX_KEPT_FAULTS", 3)
    told = []
    given_rows = [row_of(PlainText(""), line=line) for line in range(1, 8)]
    done = export_rows(given_rows, FORMS["trl"], tmp_path / "a.jsonl", ExportOptions(on_fault=told.append))
    assert len(done.faults) == 3
    assert done.num_faults == len(told) == 8, "seven rows, and the file that has none"


@pytest.mark.parametrize("name", ["together", "csv", "xlsx", "parquet", "alpaca", "conll"])
def test_a_stream_that_breaks_leaves_nothing(tmp_path, name):
    def broken():
        for line in range(50):
            yield row_of(SAMPLES["tagged"] if name == "conll" else SAMPLES["conversation"], line=line + 1)
        raise OSError("the source is gone")

    for path in (tmp_path / f"a{FORMS[name].suffixes[0]}", tmp_path / "folder"):
        with pytest.raises(OSError, match="the source is gone"):
            export_rows(broken(), FORMS[name], path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("before")
    with pytest.raises(RequestError):
        export_rows([row_of(PlainText(""))], FORMS["trl"], path, ExportOptions(is_strict=True))
    assert export_rows([row_of(PlainText(""))], FORMS["trl"], path).files == ()
    assert path.read_text() == "before"
    assert export_rows([row_of(PlainText("after"))], FORMS["trl"], path).num_written == 1
    assert json.loads(path.read_text()) == {"text": "after"}


@pytest.mark.parametrize(
    ("name", "file"), [("openai-chat", "a.csv"), ("csv", "a.tsv"), ("text", "a.jsonl"), ("conll", "a.v2")]
)
def test_a_name_with_another_ending_is_refused(tmp_path, name, file):
    with pytest.raises(RequestError, match="is not written as") as caught:
        export_rows([], FORMS[name], tmp_path / file)
    assert caught.value.attempt.endswith(FORMS[name].suffixes[0])


def test_what_is_there_is_not_written_over_by_another_kind(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "b.jsonl").mkdir()
    with pytest.raises(RequestError, match="there is a file or folder"):
        export_rows([row_of(PlainText("a"))], FORMS["trl"], tmp_path / "there")
    with pytest.raises(RequestError, match="there is a folder"):
        export_rows([row_of(PlainText("a"))], FORMS["trl"], tmp_path / "b.jsonl")


@pytest.mark.parametrize("name", ["trl", "jsonl", "csv", "parquet"])
def test_rows_are_never_held(tmp_path, name):
    """Sixty megabytes of rows pass through; a fraction of that is ever in memory."""
    given_rows = (row_of(PlainText(f"{number} " + "x" * 20_000), line=number + 1) for number in range(3_000))
    tracemalloc.start()
    try:
        done = export_rows(given_rows, FORMS[name], tmp_path / f"out{FORMS[name].suffixes[0]}")
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert done.num_written == 3_000
    assert most_bytes < (45_000_000 if name == "parquet" else 5_000_000)


def test_what_came_of_an_export_is_plain_data(tmp_path):
    done = export_rows([row_of(ScoredText("a", 0.5), line=3)], FORMS["csv"], tmp_path / "a.csv")
    assert isinstance(done, Exported)
    assert (done.files[0].path, done.files[0].num_rows) == (tmp_path / "a.csv", 1)
    assert done.files[0].num_bytes == (tmp_path / "a.csv").stat().st_size


def test_formulas_stay_texts(tmp_path):
    given_rows = [row_of(LabelledText(text, "=1+1"), note="@SUM(A1)") for text in ("=HYPERLINK(1)", "+1", "-1", "@x")]
    export_rows(given_rows, FORMS["xlsx"], tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    cells = [cell for line in book.worksheets[0].iter_rows(min_row=2) for cell in line]
    assert {cell.data_type for cell in cells} == {"s"}
    assert [cell.value for cell in cells[:3]] == ["=HYPERLINK(1)", "=1+1", "@SUM(A1)"]
    export_rows(given_rows, FORMS["csv"], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == "=HYPERLINK(1),=1+1,@SUM(A1)"
