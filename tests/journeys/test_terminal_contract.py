"""The command line as programs meet it: exit codes, one JSON document on stdout, the keys that were promised."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from journey_kit import FEW, write_intents

from fettle.cli.main import main

ESTIMATE = {"value", "interval"}
COMPARISON = {"a", "b", "difference", "interval", "p"}
FAULT = {"file", "line", "problem", "expected", "try"}
ERROR = {"problem", "where", "expected", "try"}


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0})


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """The exit code, and the one JSON document on stdout."""
    capsys.readouterr()
    code = main([*words, "--json"])
    out = capsys.readouterr().out
    assert out.endswith("\n")
    assert out.count("\n") == 1, "one document, on one line"

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return code, json.loads(out, parse_constant=refuse)


def test_the_whole_trip_in_documents(capsys: pytest.CaptureFixture[str], tiny_base: Path, tmp_path: Path) -> None:
    code, imported = run(capsys, "data", "import", str(write_intents(tmp_path / "intents.jsonl")), "--name", "intents")
    assert code == 0
    assert (imported["rows_read"], imported["rows_kept"], imported["rows_refused"]) == (61, 60, 1)
    assert [fault.keys() for fault in imported["refused"]] == [FAULT]
    assert (imported["refused"][0]["line"], imported["task"]) == (61, "classify")
    assert Path(imported["quarantine"]).is_dir()

    code, split = run(capsys, "data", "split", "intents")
    assert code == 0
    assert sum(split["parts"].values()) == 60

    plan_words = ("classify-lora", "data=intents", f"base={tiny_base}", *FEW)
    code, plan = run(capsys, "plan", *plan_words)
    assert code == 0
    assert plan.keys() >= {"recipe", "settings", "origins", "base", "preflight"}
    assert plan["origins"]["training.max_steps"] == "command line"
    assert sum(plan["preflight"]["rows"].values()) + sum(plan["preflight"]["rows_lost"].values()) == 60

    code, trained = run(capsys, "train", *plan_words, "--name", "first")
    assert code == 0
    assert trained.keys() >= {"run", "state", "bundle", "steps", "kept_step", "seconds", "learned_tokens", "held_out"}
    assert (trained["run"], trained["state"], trained["steps"]) == ("first", "done", 6)

    code, report = run(capsys, "evaluate", "first")
    assert code == 0
    assert report.keys() >= {"bundle", "task", "data", "n", "systems", "paired", "notes"}
    for system in ("base", "tuned"):
        assert all(estimate.keys() == ESTIMATE for estimate in report["systems"][system].values())
    assert all(pair.keys() >= COMPARISON for pair in report["paired"])
    assert run(capsys, "evaluate", "first", "--show") == (0, report)

    (tmp_path / "new.csv").write_text("text\nhello\n")
    code, answered = run(capsys, "predict", "first", str(tmp_path / "new.csv"), "--out", str(tmp_path / "out.xlsx"))
    assert (code, answered["rows"], answered["rows_refused"]) == (0, 1, 0)
    assert Path(answered["out"]).exists()

    code, exported = run(capsys, "export", "first", "--to", "hf", "--out", str(tmp_path / "hf"))
    assert code == 0
    assert exported["parity"]["relative_difference"] <= 1e-5
    assert (Path(exported["out"]) / "config.json").exists()
    code, packed = run(capsys, "export", "first", "--to", "file", "--out", str(tmp_path / "first-v1"))
    assert code == 0
    assert Path(packed["out"]).is_file()

    code, shown = run(capsys, "runs", "show", "first")
    assert (code, shown["state"], shown["name"]) == (0, "done", "first")
    assert [look["step"] for look in shown["held_out"]] == [3, 6]
    assert [one["name"] for one in run(capsys, "runs", "list")[1]] == ["first"]

    code, forked = run(capsys, "train", *plan_words, "seed=5", "--from", "first@3", "--name", "second")
    assert (code, forked["run"], forked["state"], forked["steps"]) == (0, "second", "done", 6)
    names = {card["name"] for card in run(capsys, "models", "list")[1]}
    assert {"first", "second", "base-v0"} <= names


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command",),
        ("plan", "clasify", "data=x"),
        ("plan", "classify", "data=none"),
        ("plan", "classify", "data=none", "training.epoch=1"),
        ("plan", "classify", "nonsense"),
        ("train",),
        ("train", "classify", "data=none"),
        ("train", "--resume", "nobody"),
        ("train", "classify", "data=none", "--from", "nobody"),
        ("train", "--no-such-option"),
        ("evaluate", "nobody"),
        ("evaluate", "nobody", "--show"),
        ("predict", "nobody", "none.csv", "--out", "out.pdf"),
        ("export", "nobody", "--to", "hf", "--out", "x"),
        ("data", "import", "none.csv", "--name", "x"),
        ("data", "show", "none"),
        ("runs", "show", "nobody"),
        ("recipes", "show", "nothing"),
        ("models", "show", "/none/at/all"),
    ],
)
def test_wrong_requests_end_with_two(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, document = run(capsys, *words)

    assert code == 2
    assert document.keys() == {"error"}
    assert document["error"].keys() - {"faults"} == ERROR
    assert document["error"]["problem"]
    assert all(fault.keys() == FAULT for fault in document["error"].get("faults", []))
    assert main(list(words)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert document["error"]["problem"].splitlines()[0] in shown.err
    assert "Traceback" not in shown.err


def test_what_fails_ends_with_three(capsys: pytest.CaptureFixture[str], tiny_base: Path, tmp_path: Path) -> None:
    main(["data", "import", str(write_intents(tmp_path / "intents.jsonl")), "--name", "intents"])
    main(["data", "split", "intents"])
    main(["train", "classify-lora", "data=intents", f"base={tiny_base}", *FEW, "--name", "first"])
    home = Path(os.environ["FETTLE_HOME"])
    path = home / "bundles" / "first" / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")

    code, document = run(capsys, "evaluate", "first")

    assert code == 3
    assert document["error"]["where"] == str(path)
    assert document["error"].keys() == ERROR


def test_help_ends_with_nought(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "fettle demo" in capsys.readouterr().out
    assert main(["--version"]) == 0
