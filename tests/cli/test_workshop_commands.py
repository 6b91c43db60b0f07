"""fettle data check, clean, export, diff, log and gc from the terminal: exit codes, documents, words."""

import json

import pytest

from fettle.cli.main import main


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FETTLE_HOME", str(tmp_path / "home"))
    rows = [
        {"text": f"question number {n} about {topic}", "label": topic} for n in range(4) for topic in ("tea", "cups")
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in [*rows, rows[0]]))
    assert main(["data", "import", "a.jsonl", "--name", "a"]) == 0


def say(capsys, *words):
    capsys.readouterr()
    code = main(["data", *words])
    return code, capsys.readouterr()


def test_check_ends_with_1_where_there_are_errors_and_else_with_0(capsys, tmp_path):
    code, said = say(capsys, "check", "a", "--html", "page.html")
    assert code == 0
    assert "exact-duplicate" in said.out
    assert "try  fettle data clean a deduplicate=exact" in said.out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, said = say(capsys, "check", "--leaks", "a", "a", "--json")
    assert code == 1
    assert {finding["kind"] for finding in json.loads(said.out)["findings"]} == {"leak"}


def test_the_document_has_the_words_of_the_contract(capsys):
    code, said = say(capsys, "check", "a", "--json")
    document = json.loads(said.out)
    assert code == 0
    for finding in document["findings"]:
        assert {"kind", "severity", "rows", "mend"} <= finding.keys()
        assert all({"file", "line"} <= place.keys() for place in finding["rows"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["check", "a", "b"], "2 versions are named"),
        (["check", "--leaks", "a"], "1 versions are named"),
        (["check", "nothing"], "there is no dataset named 'nothing'"),
        (["clean", "a"], "there is nothing to do"),
        (["clean", "a", "repiar"], "there is no operation 'repiar'"),
        (["clean", "a", "--steps", "none.toml"], "there is no such file"),
        (["export", "a", "--to", "csvv", "--out", "x.csv"], "there is no form 'csvv'"),
        (["show", "a", "--where", "wrods > 3"], "there is nothing named 'wrods'"),
        (["gc", "--keep", "0"], "0 versions are to be kept"),
        (["fold", "a", "--folds", "90"], "90 folds"),
        (["split", "a", "--group-by", "nobody"], "nobody"),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_what_is_wrong(capsys, words, problem):
    code, said = say(capsys, *words)
    assert code == 2
    assert problem in said.err
    assert said.err.count(problem) == 1
    assert "Traceback" not in said.err


def test_a_trip_from_check_to_clean_to_diff_to_export(capsys, tmp_path):
    code, said = say(capsys, "clean", "a", "deduplicate=exact", "--save", "steps.toml", "--json")
    cleaned = json.loads(said.out)
    assert (code, cleaned["rows_before"], cleaned["rows_after"]) == (0, 9, 8)
    assert cleaned["changes"][0]["reason"]
    assert "deduplicate" in (tmp_path / "steps.toml").read_text()

    code, said = say(capsys, "diff", cleaned["parent"], cleaned["version"])
    assert code == 0
    assert "1 dropped" in said.out
    assert "because deduplicate=exact" in said.out
    code, said = say(capsys, "log", "a", "--json")
    assert [entry["operation"] for entry in json.loads(said.out)] == ["clean", "import"]
    code, said = say(capsys, "log", "a")
    assert "sha256" in said.out

    code, said = say(capsys, "export", "a", "--to", "csv", "--out", "a.csv", "--json")
    assert (code, json.loads(said.out)["written"]) == (0, 8)
    code, said = say(capsys, "export", "a", "--to", "openai-chat", "--out", "b.jsonl")
    assert code == 2
    assert "0 rows written" in said.out
    code, said = say(capsys, "gc", "--dry-run")
    assert (code, "would free 0.0 MB" in said.out) == (0, True)
