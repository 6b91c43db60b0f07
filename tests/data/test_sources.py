"""Folders of files, and text files that are one document each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fettle.data.containers.plain_text import WholeTextFile
from fettle.data.importing import import_files
from fettle.data.sources import SUFFIXES, find_files
from fettle.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts in a folder and one below it, and what is no text."""
    files = {
        "b.txt": "\n\none\n\ntwo\r\n  three\n\n",
        "a.md": "# title\n\nbody",
        "below/c.TXT": "deep",
        "picture.png": "no text",
        "empty.txt": "",
        ".hidden.txt": "secret",
        ".git/config.txt": "secret",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def test_a_folder_stands_for_its_files_in_order_of_their_paths(folder: Path) -> None:
    found = find_files([folder])
    assert [path.relative_to(folder).as_posix() for path in found.files] == ["a.md", "b.txt", "below/c.TXT"]
    assert [path.name for path in found.passed_over] == ["empty.txt", "picture.png"]


def test_a_file_that_is_named_is_read_whatever_its_name(folder: Path) -> None:
    named = [folder / "picture.png", folder / "none.txt", folder / ".hidden.txt"]
    assert find_files(named).files == named
    assert find_files([folder / "below", folder / "a.md"]).files == [folder / "below" / "c.TXT", folder / "a.md"]


def test_a_folder_without_text_says_what_it_has(folder: Path) -> None:
    (folder / "pictures").mkdir()
    with pytest.raises(RequestError, match="no file to read") as caught:
        find_files([folder / "pictures"])
    assert caught.value.where == str(folder / "pictures")
    assert SUFFIXES[0] in caught.value.expected
    (folder / "pictures" / "sun.png").write_bytes(b"x")
    with pytest.raises(RequestError, match=r"only sun\.png"):
        find_files([folder / "pictures"])


def test_a_whole_file_is_one_document_from_its_first_line_with_text(folder: Path) -> None:
    paths = find_files([folder]).files
    whole = import_files(paths, {}, "text", is_whole=True)
    assert [row.record.text for row in whole.rows] == ["# title\n\nbody", "one\n\ntwo\r\n  three", "deep"]
    assert [row.line for row in whole.rows] == [1, 3, 1]
    assert whole.rows_read == len(whole.rows) == 3
    blocks = import_files(paths, {}, "text")
    assert [row.record.text for row in blocks.rows] == ["# title\n\nbody", "one", "two\r\n  three", "deep"]


def test_what_looks_like_a_table_is_a_document_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("text,label\na,b\nc,d\n")
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    paths = find_files([tmp_path]).files
    found = import_files(paths, {}, "text", is_whole=True)
    assert [row.record.text for row in found.rows] == ["text,label\na,b\nc,d", "one", "two"]


def test_a_whole_file_that_cannot_be_read_is_named_with_its_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "bad.txt").write_bytes(b"fine\n\nbut \xff\n\nhere\n")
    with pytest.raises(RequestError, match="1 of 2 files") as caught:
        import_files([tmp_path / "bad.txt", tmp_path / "good.txt"], {}, "text", is_whole=True)
    [fault] = caught.value.faults
    assert fault.file == str(tmp_path / "bad.txt")
    assert "0xff" in fault.attempt

    monkeypatch.setattr("fettle.data.containers.plain_text.MAX_ROW_BYTES", 10)
    monkeypatch.setattr("fettle.data.containers.opening.MAX_ROW_BYTES", 10)
    (tmp_path / "long.txt").write_text("one line\n" * 9)
    [row] = WholeTextFile().read(tmp_path / "long.txt")
    assert "longer than" in row.fault.problem
