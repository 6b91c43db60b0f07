"""Files that are odd or meant to harm: a clear answer with its line, nothing lost, nothing run."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import openpyxl
import pytest
from import_kit import Imported, import_files

from fettle.data.containers import opening
from fettle.data.containers.json_lines import JsonLines
from fettle.data.containers.opening import line_blocks, take_sample
from fettle.data.intake.sources import find_files
from fettle.data.records import LabelledText
from fettle.errors import FettleError, MissingFile, RequestError

GOOD = b'{"text": "good", "label": "x"}'
MANY = b"\n".join([GOOD] * 20) + b"\n"


def read(folder: Path, name: str, data: bytes) -> Imported:
    path = folder / name
    path.write_bytes(data)
    imported = import_files(find_files([path]).files, {}, None)
    assert imported.rows_read == len(imported.rows) + len(imported.refused)
    return imported


def faults(imported: Imported) -> dict[int, str]:
    return {refusal.fault.line: refusal.fault.problem for refusal in imported.refused}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b'{"text": "\xff", "label": "x"}', "byte 11 of the row (0xff) is not UTF-8"),
        (b'{"text": "\xed\xa0\x80", "label": "x"}', "is not UTF-8"),
        (b'{"text": "\\ud83d", "label": "x"}', "half a surrogate pair"),
        (b'{"text": "a", "text": "b", "label": "x"}', "'text' is given twice"),
        (b'{"text": "a", "label": "x", "n": NaN}', "NaN is no JSON"),
        (b'{"text": "a", "label": "x", "n": -Infinity}', "-Infinity is no JSON"),
        (b'{"text": "a", "label": "x", "n": 1e999}', "is infinite"),
        (b'{"text": "a", "label": "x", "n": ' + b"9" * 100_000 + b"}", "100000 digits"),
        (b'{"text": "a", "label": "x", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"text": "' + b"a" * 10_000_000 + b'", "label": "x"}', "longer than 10 MB"),
        (b'{"text": "a\x0bb", "label": "x"}', "not JSON at character"),
        (b'{"text": "a"', "not JSON at character"),
    ],
)
def test_a_bad_row_is_refused_at_its_line_and_costs_no_other(tmp_path, row, problem):
    imported = read(tmp_path, "a.jsonl", MANY + row + b"\r\n" + MANY)
    assert len(imported.rows) == 40
    [(line, said)] = faults(imported).items()
    assert line == 21
    assert problem in said
    assert [row.line for row in imported.rows] == [*range(1, 21), *range(22, 42)]


def test_a_byte_that_is_nul_beyond_the_head_costs_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "HEAD_BYTES", 100)
    assert list(faults(read(tmp_path, "a.jsonl", MANY + b'{"text": "a\0b", "label": "x"}\n'))) == [21]
    table = b"text,label\n" + b"a,x\n" * 40
    assert list(faults(read(tmp_path, "a.csv", table + b'"a\0b",x\nc\0,x\nd,x\n'))) == [42, 43]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_and_line_ends_change_nothing(tmp_path, line_end, mark):
    lines = [b'{"text": "a", "label": "x"}', b'{"text": "b\\r\\n\xe2\x80\xa8", "label": "y"}']
    wanted = [LabelledText("a", "x"), LabelledText("b\r\n\u2028", "y")]
    assert [row.record for row in read(tmp_path, "a.jsonl", mark + line_end.join(lines)).rows] == wanted
    table = mark + line_end.join([b"text,label", b"a,x", b'"b",y', b""])
    rows = [row.record for row in read(tmp_path, "a.csv", table).rows]
    assert rows == [LabelledText("a", "x"), LabelledText("b", "y")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("text,label\na,b\n".encode("utf-16"), "UTF-16"),
        ("text,label\na,b\n".encode("utf-32"), "UTF-32"),
        (b"text,label\ra,b\r", "carriage returns alone"),
        (gzip.compress("text,label\na,b\n".encode("utf-16"), mtime=0), "UTF-16"),
        (b"\x7fELF" + bytes(range(256)), "binary"),
    ],
)
def test_a_file_of_another_encoding_is_named_for_what_it_is(tmp_path, data, problem):
    with pytest.raises(RequestError, match=problem):
        read(tmp_path, "a.csv", data)


def test_cells_like_formulas_are_text_and_nothing_is_run(tmp_path):
    cells = ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")']
    table = "text,label\n" + "".join(f'"{cell.replace(chr(34), chr(34) * 2)}",x\n' for cell in cells)
    assert [row.record.text for row in read(tmp_path, "a.csv", table.encode()).rows] == cells
    book = openpyxl.Workbook()
    book.active.append(["text", "label"])
    for cell in cells:
        book.active.append([cell, "x"])
        book.active.cell(book.active.max_row, 1).data_type = "s"
    book.save(tmp_path / "a.xlsx")
    assert [row.record.text for row in import_files([tmp_path / "a.xlsx"], {}, None).rows] == cells


def test_what_is_no_file_is_refused_by_its_name(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(RequestError, match="holds no file to read"):
        find_files([tmp_path / "x.csv"])
    with pytest.raises(RequestError, match="this is a folder"):
        import_files([tmp_path / "x.csv"], {}, None)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(RequestError, match="no ordinary file"):
        import_files(find_files([tmp_path / "pipe.csv"]).files, {}, None)
    (tmp_path / "good.jsonl").write_bytes(MANY)
    assert find_files([tmp_path]).files == [tmp_path / "good.jsonl"]
    with pytest.raises(MissingFile):
        import_files(find_files([tmp_path / "none.csv"]).files, {}, None)
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    with pytest.raises(RequestError):
        import_files(find_files([tmp_path / "loop.csv"]).files, {}, None)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\na\n")
    path.chmod(0)
    with pytest.raises(RequestError, match="cannot be read"):
        import_files([path], {}, None)


def test_a_file_that_cannot_be_opened_or_read_on_says_so(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_bytes(MANY)

    def refuse(self, mode):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(RequestError, match="cannot be read: Permission denied"):
            take_sample(path)

    class Failing:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def read(self, size):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(opening, "open_file", lambda path: Failing())
    with pytest.raises(RequestError, match="Input/output error"):
        list(line_blocks(path))


def test_a_file_that_grows_is_read_to_its_new_end_and_one_that_vanishes_is_missed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(MANY)
    reading = JsonLines().read(path)
    next(reading)
    with path.open("ab") as file:
        file.write(GOOD + b"\n")
    assert len(list(reading)) == 20
    reading = JsonLines().read(path)
    path.unlink()
    with pytest.raises(MissingFile):
        list(reading)


def test_a_file_that_shrinks_is_read_as_far_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "BLOCK_BYTES", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(MANY * 100)
    reading = JsonLines().read(path)
    next(reading)
    os.truncate(path, 20_000)
    assert 600 < len(list(reading)) < 700


HARD = {
    "brackets.jsonl": MANY + b"[" * 5_000_000,
    "braces.json": b"[" + b'{"a":' * 1_000_000,
    "blanks.json": b'[{"a":' + b" " * 5_000_000 + b'"b" 1}]',
    "quotes.csv": b"text,label\n" + b'"' * 5_000_001,
    "quoted.csv": b"text,label\n" + b'"a\n' * 300_000,
    "commas.csv": b"text,label\n" + b"," * 5_000_000,
    "hashes.md": b"# a\n" + b"# " + b" " * 3_000_000 + b"x" + b" #" * 1_000_000,
    "lines.md": b"# a\n" + b"\n" * 500_000 + b"x",
    "tags.html": b"<html>" + b"<" * 1_000_000 + b"<b>x",
    "comments.html": b"<html>" + b"<!-- " * 300_000,
    "attributes.html": b"<html><p " + b"a " * 500_000 + b">x",
    "tags.xml": b"<a>" + b"<b>" * 1_000_000,
    "columns.conll": b"a O\n" * 10 + b"a " * 2_000_000,
    "blanks.txt": b"a" + b" " * 5_000_000 + b"b\n" * 10,
    "labels.txt": b"__label__a " * 500_000,
}


@pytest.mark.parametrize("name", HARD)
def test_nothing_takes_more_time_than_its_size(tmp_path, name):
    began = time.process_time()
    try:
        read(tmp_path, name, HARD[name])
    except FettleError as error:
        json.dumps(error.as_json())
    # A few megabytes, in linear time, on a busy core.
    assert time.process_time() - began < 10
