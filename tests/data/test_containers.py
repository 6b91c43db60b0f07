"""Containers: every row is found at its line, and a bad row costs itself alone."""

import gzip
import json
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.containers import delimited, json_lines, label_lines, opening, plain_text, spreadsheet
from fettle.data.containers.opening import MAX_ROW_BYTES, physical_lines, take_sample
from fettle.data.containers.protocol import RawRow, RefusedRow
from fettle.data.containers.quoting import join_cells, records, split_cells
from fettle.data.containers.table import CONTAINERS, candidates
from fettle.errors import MissingFile, RequestError


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows_and_faults(container, path):
    found = list(container.read(path))
    rows = [(row.line, row.fields) for row in found if isinstance(row, RawRow)]
    return rows, {row.fault.line: row.fault.problem for row in found if isinstance(row, RefusedRow)}


def form_of(path: Path) -> str:
    return candidates(take_sample(path))[0][0].name


# JSON


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "a", "text": "b"}', "the key 'text' is given twice"),
        ('{"text": {"a": 1, "a": 2}}', "the key 'a' is given twice"),
        ('{"n": NaN}', "NaN is no JSON"),
        ('{"n": -Infinity}', "-Infinity is no JSON"),
        ('{"n": 1e999}', "the number 1e999, which is infinite, is no JSON"),
        ('{"n": ' + "9" * 5000 + "}", "a number has 5000 digits"),
        ('{"text": "\\ud83d"}', "half a surrogate pair"),
        ('{"\\ud83d": "key"}', "half a surrogate pair"),
        ('{"a": ' * 65 + "1" + "}" * 65, "nested too deeply"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ("[1, 2]", "no JSON object"),
        ('"text"', "no JSON object"),
        ('{"text": "a"', "not JSON at character 13"),
        ('{"text": "a"} {"text": "b"}', "not JSON at character 15: extra data"),
        ('{"text": "tab\there"}', "not JSON at character"),
    ],
)
def test_a_bad_json_line_is_refused_by_its_line(tmp_path, line, problem):
    path = write(tmp_path, "a.jsonl", f'{{"text": "good"}}\n\n{line}\n{{"text": "good too"}}\n')
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert [line for line, _ in rows] == [1, 4]
    assert list(faults) == [3]
    assert problem in faults[3]


def test_nesting_up_to_the_limit_and_whole_pairs_are_read(tmp_path):
    deep = '{"a": ' * 64 + "1" + "}" * 64
    path = write(tmp_path, "a.jsonl", f'{deep}\n{{"text": "\\ud83d\\ude00 {{[{{[" }}\n')
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert (len(rows), faults) == (2, {})
    assert rows[1][1]["text"].startswith("😀")


def test_only_line_feeds_split_json_lines(tmp_path):
    path = write(tmp_path, "a.jsonl", '\ufeff{"text": "a\u2028b\x85c"}\r\n{"text": "d"}')
    assert rows_and_faults(json_lines.JsonLines(), path)[0] == [(1, {"text": "a\u2028b\x85c"}), (2, {"text": "d"})]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_an_array_is_read_element_by_element(tmp_path, indent):
    wanted = [{"text": "one }, {"}, {"messages": [{"role": "user"}, {"role": "assistant"}]}, {"text": "три"}]
    path = write(tmp_path, "a.json", json.dumps(wanted, indent=indent))
    assert form_of(path) == "json_lines"
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert [fields for _, fields in rows] == wanted
    assert not faults
    if indent:
        starts = [n for n, line in enumerate(path.read_text().split("\n"), 1) if line.strip() == "{"]
        assert [line for line, _ in rows] == [starts[0], starts[1], starts[-1]]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "bad", ['{"text": NaN}', '{"text" "a"}', "5", '{"text": "a", "text": "b"}', '{"text": "\ud800"}']
)
def test_a_bad_element_costs_itself(tmp_path, indent, bad):
    body = json.dumps([{"text": "a"}, {"BAD": [{"x": 1}]}, {"text": "c"}, {"text": "d"}], indent=indent)
    start, end = (
        body.index('{"BAD"' if indent is None else '{\n  "BAD"'),
        body.index("]}" if indent is None else "]\n }"),
    )
    end += 2 if indent is None else 4
    path = write(tmp_path, "a.json", (body[:start] + bad + body[end:]).encode("utf-8", "surrogatepass"))
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert [fields["text"] for _, fields in rows] == ["a", "c", "d"]
    assert len(faults) == 1


def test_an_open_string_costs_the_neighbour_it_runs_into_and_loses_no_byte(tmp_path):
    path = write(tmp_path, "a.json", '[{"text": "a"}, {"text": "open}, {"text": "c"}, {"text": "d"}]')
    found = list(json_lines.JsonLines().read(path))
    assert [row.raw for row in found] == [b'{"text": "a"}', b'{"text": "open}, {"text": "c"}', b'{"text": "d"}']
    assert [type(row) for row in found] == [RawRow, RefusedRow, RawRow]


def test_a_broken_element_over_lines_is_not_cut_at_the_objects_in_it(tmp_path):
    wanted = [{"text": "a", "list": [{"n": 1}, {"n": 2}, {"n": 3}]}, {"text": "b"}]
    path = write(tmp_path, "a.json", json.dumps(wanted, indent=1).replace('"text": "a"', '"text" "a"'))
    found = list(json_lines.JsonLines().read(path))
    assert [type(row) for row in found] == [RefusedRow, RawRow]
    assert found[0].raw.endswith(b'{ "n": 3 } ] }')


def test_a_cut_off_array_is_a_fault_and_no_silence(tmp_path):
    path = write(tmp_path, "a.json", '[\n{"text": "a"},\n{"text": "b"},\n')
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert len(rows) == 2
    assert list(faults.values()) == ["the file ends before its array does"]
    path = write(tmp_path, "b.json", '[{"text": "a"}]\n[{"text": "b"}]')
    assert len(rows_and_faults(json_lines.JsonLines(), path)[1]) >= 1


def test_a_quarantined_element_stands_on_one_line(tmp_path):
    path = write(tmp_path, "a.json", '[\n {\n  "text": "a\\nb",\n  "n": NaN\n }\n]')
    refused = next(json_lines.JsonLines().read(path))
    assert refused.raw == b'{ "text": "a\\nb", "n": NaN }'


def test_an_array_that_is_broken_everywhere_is_given_up_in_time(tmp_path):
    broken = ['{"text" "a"}'] * 1_000
    path = write(tmp_path, "a.json", "[" + ",".join([*broken, '{"text": "b"}']) + "]")
    assert [type(row) for row in json_lines.JsonLines().read(path)] == [RefusedRow] * 1_000 + [RawRow]
    path = write(tmp_path, "b.json", "[" + ",".join(broken * 500) + "]")
    start = time.monotonic()
    with pytest.raises(RequestError, match="more than 1,000 elements"):
        list(json_lines.JsonLines().read(path))
    assert time.monotonic() - start < 5


def test_an_array_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path, "a.json", '[{"text": "a"}]')
    monkeypatch.setattr(json_lines, "MAX_ARRAY_BYTES", 15)
    assert len(list(json_lines.JsonLines().read(path))) == 1
    monkeypatch.setattr(json_lines, "MAX_ARRAY_BYTES", 14)
    with pytest.raises(RequestError, match="the array is larger than"):
        list(json_lines.JsonLines().read(path))


def test_one_object_over_several_lines_is_no_json_lines(tmp_path):
    path = write(tmp_path, "a.json", json.dumps({"a": {"text": "x"}, "b": {"text": "y"}}, indent=1))
    with pytest.raises(RequestError, match="one JSON object over several lines"):
        list(json_lines.JsonLines().read(path))


# Delimited


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_record_is_placed_at_the_line_where_it_starts(tmp_path, delimiter, line_end):
    lines = [
        delimiter.join(["text", "label"]),
        delimiter.join(['"two', 'lines ""and quotes"""', "a"]).replace(f"two{delimiter}", f"two{line_end}"),
        "",
        delimiter.join(["x", "b"]),
        delimiter.join(["too", "many", "cells"]),
        delimiter.join(['5" screen', "c"]),
    ]
    path = write(tmp_path, "a.csv", "\ufeff" + line_end.join(lines))
    rows, faults = rows_and_faults(delimited.Delimited(), path)
    assert rows == [
        (2, {"text": f'two{line_end}lines "and quotes"', "label": "a"}),
        (5, {"text": "x", "label": "b"}),
        (7, {"text": '5" screen', "label": "c"}),
    ]
    assert faults == {6: "3 cells under a header of 2"}


def test_a_stray_quote_costs_its_line_and_not_the_rest(tmp_path):
    body = "".join(f"row {n},x\n" for n in range(500))
    for stray in ('"open,x\n', '"shut" late,x\n'):
        path = write(tmp_path, "a.csv", "text,label\n" + stray + body + '"quoted, cell",y\n' + body)
        rows, faults = rows_and_faults(delimited.Delimited(), path)
        assert list(faults) == [2]
        assert len(rows) == 1001
        assert rows[500] == (503, {"text": "quoted, cell", "label": "y"})


def test_a_badly_encoded_record_is_one_refused_row(tmp_path):
    path = write(tmp_path, "a.csv", b'text,label\nok,a\n"caf\xe9\nau lait",b\nok,c\n')
    rows, faults = rows_and_faults(delimited.Delimited(), path)
    assert [line for line, _ in rows] == [2, 5]
    assert faults == {3: "byte 5 of the row (0xe9) is not UTF-8"}


def test_names_of_columns(tmp_path):
    path = write(tmp_path, "a.csv", " text , label,\na,b,c\n")
    assert rows_and_faults(delimited.Delimited(), path)[0] == [(2, {"text": "a", "label": "b", "column_3": "c"})]
    with pytest.raises(RequestError, match="'text' more than once"):
        list(delimited.Delimited().read(write(tmp_path, "b.csv", "text,text\na,b\n")))


cells = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=4)


@given(cells, st.sampled_from([",", "\t", ";", "|"]))
@settings(deadline=None, max_examples=150)
def test_split_undoes_join(row, delimiter):
    assert split_cells(join_cells(row, delimiter), delimiter) == row


@given(st.lists(cells, max_size=5), st.sampled_from([",", ";"]))
@settings(deadline=None, max_examples=100)
def test_written_records_are_found_again(rows, delimiter):
    rows = [[*row, "end"] for row in rows]
    data = "".join(join_cells(row, delimiter) + "\r\n" for row in rows).encode()
    lines = list(enumerate(_lines(data), start=1))
    found = list(records(lines, delimiter))
    assert [split_cells(record.raw.decode(), delimiter) for record in found] == rows
    assert all(record.is_sound for record in found)


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


@given(st.lists(st.sampled_from([b'"', b'""', b",", b"a", b"\n", b'"a"'])))
@settings(deadline=None, max_examples=200)
def test_no_byte_of_any_soup_of_quotes_is_lost(pieces):
    data = b"".join(pieces) + b"\n"
    found = list(records(enumerate(_lines(data), start=1), ","))
    kept = b"".join(record.raw for record in found).replace(b"\n", b"")
    assert kept == data.replace(b"\n", b"")
    assert [record.line for record in found] == sorted({record.line for record in found})


def test_unclosed_quotes_take_no_quadratic_time():
    lines = [(number, b'x,"\n' if number % 2 else b"y\n") for number in range(1, 60_000)]
    start = time.monotonic()
    assert list(records([(0, b'"a,b\n'), *lines], ","))
    assert time.monotonic() - start < 5


# Spreadsheet


def workbook(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            if value is not None:
                book.active.cell(number, column, value)
    book.create_sheet("second").append(["not", "read"])
    book.save(path)
    return path


def test_a_sheet_is_read_by_row_number(tmp_path):
    rows = [["text", "label", "n"], ["a", 5.0, 2.5], [], ["b", True], ["c", "x", 1, "beyond"], ["d", "#N/A"], ["e", 7]]
    path = workbook(tmp_path / "a.xlsx", rows)
    assert form_of(path) == "spreadsheet"
    found, faults = rows_and_faults(spreadsheet.Spreadsheet(), path)
    assert found == [
        (2, {"text": "a", "label": "5", "n": "2.5"}),
        (4, {"text": "b", "label": "true", "n": ""}),
        (7, {"text": "e", "label": "7", "n": ""}),
    ]
    assert faults == {5: "4 cells under a header of 3", 6: "label holds the error #N/A"}
    assert spreadsheet.Spreadsheet().quarantine_form(path).head == b"text,label,n\n"


def test_a_sheet_that_understates_its_size_and_a_whole_number_with_a_point(tmp_path):
    whole = workbook(tmp_path / "a.xlsx", [["text", "n"], ["a", 1], ["b", 2]])
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(b'ref="A1:B3"', b'ref="A1:A2"').replace(b"<v>2</v>", b"<v>2.0</v>")
                assert b'ref="A1:A2"' in content
                assert b"2.0" in content
            changed.writestr(name, content)
    rows, _ = rows_and_faults(spreadsheet.Spreadsheet(), tmp_path / "b.xlsx")
    assert rows == [(2, {"text": "a", "n": "1"}), (3, {"text": "b", "n": "2"})]


def test_a_formula_without_a_stored_value_is_empty(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["text", "n"], ["a", "=1+1"]])
    assert rows_and_faults(spreadsheet.Spreadsheet(), path)[0] == [(2, {"text": "a", "n": ""})]


def test_damaged_and_swollen_workbooks_are_errors(tmp_path, monkeypatch):
    whole = workbook(tmp_path / "a.xlsx", [["text"], ["a"]])
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as broken:
        for name in archive.namelist():
            broken.writestr(name, archive.read(name)[:-30] if "sheet1" in name else archive.read(name))
    with pytest.raises(RequestError, match="cannot be read"):
        list(spreadsheet.Spreadsheet().read(tmp_path / "b.xlsx"))
    monkeypatch.setattr(spreadsheet, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(RequestError, match="unpacks to"):
        list(spreadsheet.Spreadsheet().read(whole))


# Plain text and label lines


def test_blocks_between_blank_lines_are_documents(tmp_path):
    path = write(tmp_path, "a.txt", b"\n\none\ntwo\n \t\nbad \xff\nblock\n\n\nthree")
    rows, faults = rows_and_faults(plain_text.PlainTextFile(), path)
    assert rows == [(3, {"text": "one\ntwo"}), (10, {"text": "three"})]
    assert list(faults) == [6]


def test_label_lines(tmp_path):
    path = write(
        tmp_path, "a.txt", "1 good film\n0\tbad film\n\n1\n1 fine , really\n0 no\n__label__0 __label__1 both\n"
    )
    assert form_of(path) == "label_lines"
    rows, faults = rows_and_faults(label_lines.LabelLines(), path)
    assert [(line, fields["label"], fields["text"]) for line, fields in rows] == [
        (1, "1", "good film"),
        (2, "0", "bad film"),
        (5, "1", "fine , really"),
        (6, "0", "no"),
    ]
    assert faults == {4: "there is no text after the label", 7: "the line has two labels or more (0, 1)"}


def test_a_label_of_blanks_or_none_is_refused_by_its_line(tmp_path):
    path = write(tmp_path, "a.txt", "__label__a text\n__label__\n__label__\u3000\n__label__ text\n")
    rows, faults = rows_and_faults(label_lines.LabelLines(), path)
    assert [line for line, _ in rows] == [1]
    assert faults == dict.fromkeys((2, 3, 4), "the line has no label")


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("a.txt", "She went.\nHe stayed.", "plain_text"),
        ("a.txt", "__label__x only one", "label_lines"),
        ("a", "ham\tsee you, soon\nspam\twin now\nham\tok\nham\tyes", "delimited"),
        ("a.csv", '{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n', "json_lines"),
        ("a.csv", "text\nhello\n", "delimited"),
        ("a.txt", "text;label\na, b;c\nd;e\n", "delimited"),
        ("a.jsonl", '{"text": broken\n', "json_lines"),
    ],
)
def test_content_decides_and_extensions_break_ties(tmp_path, name, data, form):
    assert form_of(write(tmp_path, name, data)) == form


def test_every_container_is_found_under_its_name():
    assert all(entry.factory().name == name for name, entry in CONTAINERS.items())


# Whole files


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n\n", "empty"),
        ("text,label\na,b\n".encode("utf-16"), "UTF-16"),
        ("text,label\na,b\n".encode("utf-16-le"), "UTF-16 without a mark"),
        ("text\na\n".encode("utf-32"), "UTF-32"),
        (b"text,label\na\0b,c\n", "binary"),
        (bytes(range(1, 32)) * 4, "binary"),
        (gzip.compress(gzip.compress(b"text,label", mtime=0), mtime=0), "packed twice"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(b"text,label", mtime=0)[:-9], "gzip stream is damaged or cut off"),
        (b"FEA1abc", "Feather file of the first version"),
        (b"PK\x03\x04 torn", "zip archive"),
        (b"text,label\ra,b\rc,d\r", "carriage returns"),
        ("été,a\nnoël,b\ncafé,c\n".encode("latin-1"), "3 of the first 3 lines are not UTF-8"),
    ],
)
def test_a_file_that_is_no_text_says_what_it_is(tmp_path, data, problem):
    path = write(tmp_path, "a.csv", data)
    with pytest.raises(RequestError, match=problem) as caught:
        take_sample(path)
    assert caught.value.where == str(path)
    assert caught.value.expected


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(MissingFile):
        take_sample(tmp_path / "nope.csv")
    with pytest.raises(FileNotFoundError):
        take_sample(tmp_path / "no" / "such" / "folder.csv")
    with pytest.raises(RequestError, match="folder"):
        take_sample(tmp_path)
    with pytest.raises(RequestError):
        take_sample(Path("a\0b"))
    write(tmp_path, "tickets.csv", "a")
    with pytest.raises(MissingFile) as caught:
        take_sample(tmp_path / "tickets.json")
    assert caught.value.attempt.endswith("tickets.csv")


def test_an_overlong_row_is_refused_and_the_next_is_read(tmp_path, monkeypatch):
    assert MAX_ROW_BYTES == 10_000_000
    monkeypatch.setattr(opening, "MAX_ROW_BYTES", 100)
    path = write(tmp_path, "a.jsonl", f'{{"text": "a"}}\n{{"text": "{"x" * 1000}"}}\n{{"text": "b"}}\n')
    assert [(number, len(line)) for number, line in physical_lines(path)] == [(1, 14), (2, 101), (3, 14)]
    rows, faults = rows_and_faults(json_lines.JsonLines(), path)
    assert [line for line, _ in rows] == [1, 3]
    assert "longer than" in faults[2]
    exact = write(tmp_path, "b.jsonl", '{"text": "' + "x" * 88 + '"}\r\n')
    assert len(rows_and_faults(json_lines.JsonLines(), exact)[0]) == 1
