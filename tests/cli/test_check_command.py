"""`fettle data check`, `log` and `split` for people: labels stand beside doubted rows, and what is to be tried runs."""

import json
import shlex

import pytest

from fettle.app.workshop.importing import import_data
from fettle.cli.main import main
from fettle.storage.workspace import open_workspace

ENGLISH = (
    "Where is the parcel that I ordered on Monday",
    "My card was swallowed by the machine in town",
    "Please tell me how much the transfer will cost",
    "The lid of the kettle came off when I opened it",
    "Can the address be changed after it was sent",
    "I would like to have my money back this week",
)
GERMAN = "Wo ist meine Bestellung geblieben, die ich vor zwei Wochen bezahlt habe?"


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Import texts with labels and fields as a dataset."""
    monkeypatch.chdir(tmp_path)

    def bring_rows(name, rows):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        import_data(open_workspace(), [file], name)

    return bring_rows


def many(num_rows):
    """Rows that differ, of two labels."""
    return [
        {"text": f"{ENGLISH[n % 6]}, number {n * 37}.", "label": "ab"[n % 2], "shop": "xy"[n % 2]}
        for n in range(num_rows)
    ]


def test_every_command_to_try_runs_as_it_is_printed(bring, capsys):
    rows = [
        *many(60),
        {"text": GERMAN, "label": "a"},
        {"text": "Write to jo@example.org\u200b about it.", "label": "b"},
    ]
    bring("mixed", [*rows, rows[0], {**rows[1], "label": "a"}])
    main(["data", "check", "mixed"])
    tries = [line.split("try", 1)[1].strip() for line in capsys.readouterr().out.splitlines() if "  try  " in line]
    assert any("drop=language" in command for command in tries) and len(tries) >= 4
    for command in tries:
        assert main([*shlex.split(command)[1:], "--dry-run"]) == 0, command
        assert "nothing to do" not in capsys.readouterr().out, command


def test_rows_that_contradict_each_other_are_shown_with_their_labels(bring, capsys):
    bring("said", [*many(40), {"text": "Is it sent?", "label": "delivery"}, {"text": "is it sent", "label": "refund"}])
    main(["data", "check", "said"])
    out = capsys.readouterr().out
    assert "said.jsonl:41  Is it sent?  ->  delivery" in out and "said.jsonl:42  is it sent  ->  refund" in out


def test_a_leak_is_shown_with_the_row_that_it_stands_beside(bring, capsys):
    bring("ours", many(20))
    bring("theirs", [{"text": "Nothing of the kind is here.", "label": "a"}, many(20)[3]])
    assert main(["data", "check", "--leaks", "ours", "theirs"]) == 1
    out = capsys.readouterr().out
    assert "ours.jsonl:4  " in out and "in theirs: " in out and "theirs.jsonl:2  " in out
    assert "try" not in out, "no operation looks at two versions"


def test_what_is_private_is_not_printed(bring, capsys):
    bring("mail", [*many(20), {"text": "Write to jo.doe@example.org about it.", "label": "a"}])
    main(["data", "check", "mail"])
    out = capsys.readouterr().out
    assert "personal-data" in out and "[EMAIL]" in out and "jo.doe" not in out


def test_where_an_import_came_from_is_told(bring, capsys):
    bring("set", many(5))
    assert main(["data", "log", "set"]) == 0
    assert "set.jsonl" in capsys.readouterr().out


def test_a_split_into_too_few_groups_says_which_part_is_empty(bring, capsys):
    bring("shops", many(40))
    assert main(["data", "split", "shops", "--group-by", "shop"]) == 0
    told = capsys.readouterr().out
    assert main(["data", "split", "shops", "--group-by", "shop", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    empty = [part for part, count in document["parts"].items() if not count]
    assert document["empty_parts"] == empty and empty
    assert f"no row fell to {' and '.join(empty)}: the rows make 2 groups that stay whole" in " ".join(told.split())
    bring("one", many(40))
    assert main(["data", "split", "one", "--test", "0", "--validation", "0"]) == 0
    assert "no row fell" not in capsys.readouterr().out


def test_a_split_by_a_field_says_that_the_field_holds_rows_together(bring, capsys):
    bring("shops", many(40))
    assert main(["data", "split", "shops", "--group-by", "shop"]) == 0
    assert "20 rows stand on one side because they have one shop" in capsys.readouterr().out
