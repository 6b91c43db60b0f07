"""The door: wrong requests name their neighbours without a traceback; exit codes are the contract's."""

import importlib.metadata
import json

import pytest

import fettle.cli.data
from fettle.cli.main import main


def write_tickets(folder):
    """Six texts with labels."""
    path = folder / "tickets.csv"
    lines = ["text,label", *(f"message number {at},{'refund' if at % 2 else 'delivery'}" for at in range(6))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# What is typed, and what the answer must name.
WRONG = [
    (["evalute", "x"], "evaluate"),
    (["nonsense"], "doctor"),
    (["data", "improt", "x.csv"], "import"),
    (["data"], "command"),
    (["train", "clasify", "data=tickets"], "classify"),
    (["plan", "clasify", "data=tickets"], "classify-lora"),
    (["recipes", "show", "clasify"], "classify"),
    (["plan", "classify", "data=tickets", "training.epoch=2"], "training.epochs"),
    (["plan", "classify", "data=tickets", "trainin.epochs=2"], "training.epochs"),
    (["plan", "classify", "data=tickets", "rank=8"], "adapter.rank"),
    (["plan", "classify"], "data is missing"),
    (["plan", "classify", "data"], "KEY=VALUE"),
    (["data", "import", "x.csv", "--nam", "x"], "--name"),
    (["data", "import", "tickets.csv"], "--name"),
    (["data", "show", "tikets"], "tickets"),
    (["data", "show", "tickets@tset"], "test"),
    (["data", "split", "tickets", "--test", "2"], "0 to 1"),
    (["data", "split", "tickets", "--test", "many"], "--test"),
    (["data", "import", "tickets.csv", "--name", "n", "--task", "clasify"], "classify"),
    (["data", "import", "tickets.csv", "--name", "n", "--map", "label"], "COLUMN=FIELD"),
    (["data", "import", "tickets.csv", "--name", "n", "--map", "lable=label"], "label"),
    (["data", "import", "tickets.csv", "--name", "n", "--map", "label=lable"], "label"),
    (["data", "import", "tickets.csv", "--name", "a/b"], "NAME"),
    (["runs", "show", "blue-heron"], "blue-heron"),
    (["evaluate", "blue-heron"], "blue-heron"),
    (["predict", "blue-heron", "tickets.csv", "--out", "o.csv"], "blue-heron"),
    (["chat", "blue-heron"], "blue-heron"),
    (["export", "blue-heron", "--to", "hf", "--out", "o"], "blue-heron"),
    (["models", "show", "nowhere"], "base-v0"),
    (["train"], "RECIPE"),
    (["train", "--resume", "blue-heron"], "blue-heron"),
    (["train", "classify", "data=tickets", "--from", "blue-heron"], "RUN@STEP"),
]


@pytest.fixture
def workspace(tmp_path, monkeypatch, capsys):
    """A workspace with one dataset, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_tickets(tmp_path)
    assert main(["data", "import", "tickets.csv", "--name", "tickets"]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "named"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_request_names_its_neighbours(workspace, capsys, words, named):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert "Traceback" not in err
    assert not [line for line in err.splitlines()[1:] if line.startswith("   ")], "two indented lines a fault"


@pytest.mark.parametrize(
    ("words", "named"),
    [pair for pair in WRONG if pair[0][0] != "chat" and pair[0] != ["data"]],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_document_for_programs(workspace, capsys, words, named):
    assert main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert list(document) == ["error"]
    assert {"problem", "where", "expected", "try"} <= set(document["error"])
    assert document["error"]["problem"]
    assert named in json.dumps(document, ensure_ascii=False)
    assert err == ""


def test_all_faults_of_a_plan_are_told_at_once(capsys):
    assert main(["plan", "classify", "training.epochs=many", "training.sede=1", "adapter.rank=0"]) == 2
    err = capsys.readouterr().err
    for name in ("data is missing", "training.epochs", "training.sede", "adapter.rank"):
        assert name in err


def test_all_faults_of_a_plan_are_in_the_document(capsys):
    assert main(["plan", "classify", "training.epochs=many", "training.sede=1", "--json"]) == 2
    faults = json.loads(capsys.readouterr().out)["error"]["faults"]
    assert len(faults) == 3
    assert all(set(fault) == {"file", "line", "problem", "expected", "try"} for fault in faults)


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(capsys, word):
    assert main([word]) == 0
    assert capsys.readouterr().out == f"fettle {importlib.metadata.version('fettle-llm')}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_the_overview_is_shown(capsys, words):
    assert main(words) == 0
    assert "fettle demo" in capsys.readouterr().out


def test_an_option_that_is_no_option_points_at_the_help_of_its_command(workspace, capsys):
    assert main(["evaluate", "x", "--gates"]) == 2
    assert "fettle evaluate --help" in capsys.readouterr().err


def test_an_option_of_a_verb_points_at_the_help_of_the_verb(workspace, capsys):
    assert main(["data", "import", "x.csv", "--nam", "x"]) == 2
    assert "fettle data import --help" in capsys.readouterr().err


def test_a_negative_number_of_rows_is_refused(workspace, capsys):
    assert main(["data", "show", "tickets", "--rows", "-1"]) == 2


@pytest.mark.xfail(strict=True, reason="a workspace is made in the folder where somebody only looks")
def test_looking_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FETTLE_HOME")
    assert main(["runs", "list"]) == 0
    assert not list(tmp_path.iterdir())


def fail_with(monkeypatch, problem):
    """Let `fettle data list` fail in its middle."""

    def fail(workspace):
        raise problem

    monkeypatch.setattr(fettle.cli.data, "list_data", fail)


def code_of(words):
    """The exit code, whether it is returned or raised."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


def test_an_interrupted_command_ends_with_3(monkeypatch, capsys):
    fail_with(monkeypatch, KeyboardInterrupt())
    assert code_of(["data", "list"]) == 3
    assert "stopped" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_answer(monkeypatch, capsys):
    fail_with(monkeypatch, BrokenPipeError(32, "Broken pipe"))
    assert code_of(["data", "list"]) == 3


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_full_disk_is_said_without_a_traceback(monkeypatch, capsys, problem):
    fail_with(monkeypatch, problem)
    assert code_of(["data", "list", "--json"]) == 3
    assert "error" in json.loads(capsys.readouterr().out)
