"""The trip without a base, as people type it: a folder of texts, a kill on the way, a model that goes on with them."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from journey_kit import ASKS, launch, wait_for

from fettle.cli.main import main
from fettle.storage.blobs import sha256_of_file
from fettle.storage.workspace import open_workspace

WEIGHTS = Path("model") / "model.safetensors"
PLAN = (
    "pretrain",
    "data=essays",
    "shape.vocabulary=300",
    "shape.width=32",
    "shape.layers=2",
    "shape.heads=2",
    "shape.context=32",
    "training.tokens_per_step=600",
    "training.learning_rate=1e-2",
    "training.max_steps=60",
    "training.evaluate_every_steps=15",
    "decoding.max_new_tokens=12",
)


@pytest.fixture
def essays(tmp_path: Path) -> Path:
    """A folder of forty texts, many of them longer than the model reads, and a picture."""
    folder = tmp_path / "essays"
    folder.mkdir()
    sentences = [sentence for asked in ASKS.values() for sentence in asked]
    for number in range(40):
        chosen = [sentences[(number * step) % len(sentences)] for step in range(1, 5)]
        (folder / f"{number:02}.txt").write_text("\n\n".join(f"{one}, order {number}." for one in chosen))
    (folder / "sun.png").write_bytes(b"\x89PNG")
    return folder


def say(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Type a command; it must succeed."""
    capsys.readouterr()
    assert main([*words, "--json"]) == 0, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def test_from_a_folder_to_a_model_that_writes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, essays: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0})
    workspace = open_workspace()
    imported = say(capsys, "data", "import-texts", str(essays), "--name", "essays")
    assert (imported["rows_kept"], imported["task"]) == (40, "text")
    assert [Path(path).name for path in imported["passed_over"]] == ["sun.png"]
    say(capsys, "data", "split", "essays")

    plan = say(capsys, "plan", *PLAN)
    assert plan["preflight"]["made_base"]["num_tokens"] == 300
    num_split = plan["preflight"]["rows_split"]
    assert num_split > 10
    assert main(["plan", *PLAN]) == 0
    shown = capsys.readouterr().out
    assert "base: made from the rows: 300 tokens, 0.0 M fresh weights" in shown
    assert f"{num_split} split into {plan['preflight']['sections_of_split_rows']} sections" in shown

    whole = say(capsys, "train", *PLAN, "--name", "whole")
    assert whole["held_out"]["loss"] < 0.65 * math.log(300)
    assert whole["held_out"]["bits_per_byte"] < whole["held_out"]["loss"] / math.log(2)
    process = launch(workspace, "train", *PLAN, "--name", "killed")
    wait_for(workspace, "killed", "checkpoint", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = say(capsys, "train", "--resume", "killed")
    assert sha256_of_file(Path(killed["bundle"]) / WEIGHTS) == sha256_of_file(Path(whole["bundle"]) / WEIGHTS)

    report = say(capsys, "evaluate", "whole")
    systems = report["systems"]
    assert systems["tuned"]["bits_per_byte"]["value"] < 0.75 * systems["base"]["bits_per_byte"]["value"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("where is my\n"))
    assert main(["chat", "whole"]) == 0
    assert capsys.readouterr().out.startswith("tuned> ")
    exported = say(capsys, "export", "whole", "--to", "hf", "--out", str(tmp_path / "hf"))
    assert exported["parity"]["relative_difference"] <= 1e-5
