"""What people name and which files it means; text files that are one document each."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pytest
from import_kit import import_files

from fettle.data.containers.plain_text import WholeTextFile
from fettle.data.intake.sources import SUFFIXES, find_files
from fettle.errors import MissingFile, RequestError


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


def test_a_readme_beside_data_is_passed_over_and_among_texts_it_is_one_of_them(tmp_path: Path) -> None:
    for name in ("README.md", "LICENSE.txt", "readme_rows.txt", "rows/a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "one"}\n')
    found = find_files([tmp_path])
    assert [path.name for path in found.files] == ["readme_rows.txt", "a.jsonl"]
    assert [path.name for path in found.passed_over] == ["LICENSE.txt", "README.md"]
    assert find_files([tmp_path / "README.md"]).files == [tmp_path / "README.md"]
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("set/README.txt", "Rows.")
        archive.writestr("set/rows.csv", "text,label\na,x\n")
    packed = find_files([tmp_path / "rows.zip"])
    assert [(file.name, other.name) for file, other in zip(packed.files, packed.passed_over, strict=True)] == [
        ("rows.csv", "README.txt")
    ]
    (tmp_path / "rows" / "a.jsonl").unlink()
    (tmp_path / "rows.zip").unlink()
    assert len(find_files([tmp_path]).files) == 3, "a folder of texts alone"


def test_a_schema_and_a_note_of_the_source_beside_data_are_passed_over(tmp_path: Path) -> None:
    names = ("SOURCE.txt", "LICENCES.txt", "schema.json", "dataset_infos.json", "dialogues_001.json", "source_1.txt")
    for name in names:
        (tmp_path / name).write_text('[{"text": "one"}]')
    found = find_files([tmp_path])
    assert [path.name for path in found.files] == ["dialogues_001.json", "source_1.txt"]
    assert [path.name for path in found.passed_over] == ["LICENCES.txt", "SOURCE.txt", *names[3:1:-1]]
    assert find_files([tmp_path / "schema.json"]).files == [tmp_path / "schema.json"], "named itself"
    for name in names[4:]:
        (tmp_path / name).unlink()
    assert len(find_files([tmp_path]).files) == 4, "nothing beside it"


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


LABELLED = b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
SPOILT = LABELLED + b'{"text": "c"}\n'


def test_a_pattern_means_what_matches_it_in_order(folder: Path) -> None:
    assert find_files([str(folder / "*.txt")]).files == [folder / "b.txt", folder / "empty.txt"]
    assert find_files([folder / "**" / "*.TXT"]).files == [folder / "below" / "c.TXT"]
    assert find_files([folder / "b*"]).files == [folder / "b.txt", folder / "below" / "c.TXT"]
    with pytest.raises(MissingFile, match="no file matches"):
        find_files([folder / "*.jsonl"])
    (folder / "odd[1].txt").write_text("a name like a pattern")
    assert find_files([folder / "odd[1].txt"]).files == [folder / "odd[1].txt"]


def test_packed_files_and_archives_in_a_folder_are_found_by_their_names(folder: Path) -> None:
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(LABELLED, mtime=0))
    (folder / "noise.gz").write_bytes(gzip.compress(b"what is it", mtime=0))
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        entries = (
            "in/a.jsonl",
            "__MACOSX/._a.jsonl",
            ".git/b.txt",
            "picture.png",
            "inner.zip",
            "none.txt",
            "./dot.txt",
        )
        for name in entries:
            archive.writestr(name, "" if name == "none.txt" else "x")
    found = find_files([folder])
    names = [str(file).removeprefix(f"{folder}/") for file in found.files]
    assert names == ["a.md", "b.txt", "below/c.TXT", "rows.jsonl.gz", "z.zip!dot.txt", "z.zip!in/a.jsonl"]
    passed_over = ["empty.txt", "noise.gz", "picture.png", "inner.zip", "none.txt", "picture.png"]
    assert [file.name for file in found.passed_over] == passed_over


def test_an_archive_that_is_named_is_opened_whatever_its_name(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:xz") as archive:
        entry = tarfile.TarInfo("deep/rows.jsonl")
        entry.size = len(SPOILT)
        archive.addfile(entry, io.BytesIO(SPOILT))
    path = tmp_path / "download"
    path.write_bytes(sink.getvalue())
    imported = import_files(find_files([path]).files, {}, None)
    where = f"{path}!deep/rows.jsonl"
    assert [(row.file, row.line) for row in imported.rows] == [(where, 1), (where, 2)]
    assert [(refusal.fault.file, refusal.fault.line) for refusal in imported.refused] == [(where, 3)]
    assert sorted(imported.quarantine_files()) == ["faults.jsonl", "rows.jsonl"]


def test_an_archive_without_files_says_what_it_has(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner.tar.gz", "x")
    with pytest.raises(RequestError, match="the archive holds no file to read, only inner") as caught:
        find_files([tmp_path / "a.zip"])
    assert "left closed" in caught.value.attempt


def test_a_workbook_is_no_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    assert find_files([tmp_path / "a.zip"]).files == [tmp_path / "a.zip"]


def test_quarantine_of_members_with_one_stem_does_not_collide(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("one/rows.jsonl", "two/rows.jsonl", "con?.jsonl"):
            archive.writestr(name, SPOILT)
    files = import_files(find_files([tmp_path / "a.zip"]).files, {}, None).quarantine_files()
    assert sorted(files) == ["con-.jsonl", "faults.jsonl", "rows-2.jsonl", "rows.jsonl"]
    assert [json.loads(line)["file"].partition("!")[2] for line in files["faults.jsonl"].splitlines()] == [
        "con?.jsonl",
        "one/rows.jsonl",
        "two/rows.jsonl",
    ]


def test_a_store_and_standard_input_are_imported_like_files(monkeypatch: pytest.MonkeyPatch) -> None:
    class Piped:
        buffer = io.BytesIO(LABELLED)

        def isatty(self) -> bool:
            return False

    memory = fsspec.filesystem("memory")
    memory.pipe({"/shelf/a.jsonl": LABELLED, "/shelf/.hidden.jsonl": b"x", "/shelf/b.png": b"x", "/shelf/c.csv": b""})
    monkeypatch.setattr(sys, "stdin", Piped())
    try:
        # A terminal hands addresses over as paths, one slash short.
        found = find_files([Path("memory://shelf"), "-"])
        assert [str(file) for file in found.files] == ["memory:///shelf/a.jsonl", "stdin"]
        assert [file.name for file in found.passed_over] == ["b.png", "c.csv"]
        imported = import_files(found.files, {}, None)
    finally:
        memory.rm("/shelf", recursive=True)
    assert len(imported.rows) == 4
    assert {row.file for row in imported.rows} == {"memory:///shelf/a.jsonl", "stdin"}


def test_a_member_and_a_file_are_each_read_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rows.jsonl", LABELLED)
    (tmp_path / "rows.jsonl").write_bytes(LABELLED)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "rows.jsonl")
    for twice in (["a.zip", "a.zip"], ["rows.jsonl", "link.jsonl"]):
        with pytest.raises(RequestError) as caught:
            import_files(find_files([tmp_path / name for name in twice]).files, {}, None)
        assert [fault.problem for fault in caught.value.faults] == ["the file is named twice"]
