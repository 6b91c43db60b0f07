"""`fettle data import` on good and bad files: four parts, the right exit code, counts that add up."""

import json

import pytest

from fettle.cli.main import main

GOOD = "text,label\nhello,greeting\nwhere is it,delivery\ngive it back,refund\n"
ONE_BAD = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n{"text": "c"\n{"text": "d", "label": "x"}\n'
CONTENTS = {
    "missing": None,
    "empty": b"",
    "blank": b"\n\n  \n",
    "binary": bytes(range(256)) * 16,
    "utf16": GOOD.encode("utf-16"),
    "utf16-no-mark": GOOD.encode("utf-16-le"),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(40),
    "pdf": b"%PDF-1.7\n" + b"x" * 40,
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file into the present folder; its name is returned."""
    monkeypatch.chdir(tmp_path)

    def write_file(name, content):
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write_file


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_bad_file_is_refused_with_its_name(write, capsys, kind):
    name = write(f"{kind}.csv", CONTENTS[kind])
    assert main(["data", "import", name, "--name", "set"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{name}: ")
    assert "\n  expected  " in err
    assert "Traceback" not in err
    assert main(["data", "list"]) == 0
    assert "no datasets yet" in capsys.readouterr().out


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_bad_file_is_one_document_for_programs(write, capsys, kind):
    name = write(f"{kind}.csv", CONTENTS[kind])
    assert main(["data", "import", name, "--name", "set", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["where"] == name
    assert error["problem"]
    assert error["expected"]


# Kinds of bad file whose error does not say what to try. The list may shrink and never grow.
NOTHING_TO_TRY = {"missing", "empty", "blank", "binary"}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_bad_file_says_what_to_try(write, capsys, kind):
    main(["data", "import", write(f"{kind}.csv", CONTENTS[kind]), "--name", "set"])
    assert ("\n  try       " in capsys.readouterr().err) == (kind not in NOTHING_TO_TRY)


def test_a_misspelt_file_names_its_neighbour(write, capsys):
    write("tickets.csv", GOOD)
    assert main(["data", "import", "tickets.tsv", "--name", "set"]) == 2
    assert "tickets.csv" in capsys.readouterr().err


def test_a_folder_is_no_file(tmp_path, capsys):
    assert main(["data", "import", str(tmp_path), "--name", "set"]) == 2
    assert "folder" in capsys.readouterr().err


def test_one_bad_line_is_refused_and_the_rest_kept(write, capsys):
    name = write("one.jsonl", ONE_BAD)
    assert main(["data", "import", name, "--name", "set"]) == 0
    out = capsys.readouterr().out
    assert f"{name}:3: " in out
    assert "\n  expected  " in out
    assert "\n  try       " in out
    assert "4 rows read, 3 kept, 1 refused" in out
    assert "quarantine" in out


def test_the_counts_of_one_bad_line_add_up(write, capsys, tmp_path):
    name = write("one.jsonl", ONE_BAD)
    assert main(["data", "import", name, "--name", "set", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows_read"] == 4
    assert document["rows_kept"] + document["rows_refused"] == document["rows_read"]
    assert len(document["refused"]) == document["rows_refused"] == 1
    fault = document["refused"][0]
    assert list(fault) == ["file", "line", "problem", "expected", "try"]
    assert (fault["file"], fault["line"]) == (name, 3)
    assert all(fault[part] for part in ("problem", "expected", "try"))
    assert document["quarantine"]


def test_a_file_without_any_good_row_is_refused_whole(write, capsys):
    name = write("all.jsonl", '{"text": "", "label": "x"}\n{"text": "a", "label": ""}\n')
    assert main(["data", "import", name, "--name", "set", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert [fault["line"] for fault in error["faults"]] == [1, 2]


def test_of_several_files_all_bad_ones_are_told_and_nothing_is_imported(write, capsys):
    words = ["data", "import", write("good.csv", GOOD), write("empty.csv", b""), "gone.csv", "--name", "set", "--json"]
    assert main(words) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert [fault["file"] for fault in error["faults"]] == ["empty.csv", "gone.csv"]
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_mended_rows_come_back_by_the_same_door(write, capsys):
    main(["data", "import", write("one.jsonl", ONE_BAD), "--name", "set", "--json"])
    folder = json.loads(capsys.readouterr().out)["quarantine"]
    mended = write("mended.jsonl", '{"text": "c", "label": "y"}\n')
    assert main(["data", "import", f"{folder}/one.jsonl", "--name", "set", "--json"]) == 2
    capsys.readouterr()
    assert main(["data", "import", mended, "--name", "set", "--json"]) == 0
    assert main(["data", "show", "set", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == 4


def test_what_was_imported_is_split_listed_and_shown(write, capsys):
    assert main(["data", "import", write("good.csv", GOOD), "--name", "set"]) == 0
    assert main(["data", "split", "set", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sum(document["parts"].values()) == 3
    assert main(["data", "list", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert [version["operation"] for version in versions] == ["import", "split"]
    assert main(["data", "show", "set", "--rows", "1"]) == 0
    assert "3 rows for classify, made by split" in capsys.readouterr().out


def test_lines_stay_whole_where_there_is_no_terminal(write, capsys):
    name = write("a-rather-long-name-for-a-file-of-tickets-from-the-shop.csv", GOOD)
    assert main(["data", "import", name, "--name", "set"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("values in 3 rows")
