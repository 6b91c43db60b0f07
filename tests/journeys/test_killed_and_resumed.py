"""Real processes, real signals: a run that was interrupted or killed ends as one that was left alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from journey_kit import DEADLINE_SECONDS, launch, wait_for, write_intents
from safetensors.numpy import load_file

from fettle.app.planning import resolve_plan
from fettle.app.running import start_run
from fettle.app.workshop.importing import import_data
from fettle.app.workshop.splitting import split_data
from fettle.data.splits.split import Shares, SplitSettings
from fettle.storage.blobs import sha256_of_file
from fettle.storage.workspace import Workspace, open_workspace

PLAN = (
    "classify-lora",
    "data=intents",
    "training.epochs=40",
    "training.rows_per_step=8",
    "training.evaluate_every_steps=10",
    "training.dropout=0.1",
    "training.keep=last",
    "adapter.dropout=0.1",
    "adapter.rank=4",
    "seed=3",
)
ADAPTER = Path("adapter") / "adapter_model.safetensors"


@pytest.fixture(scope="module")
def unbroken(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """A workspace with the data, a run `whole` that nobody disturbed, and the SHA-256 of its adapter."""
    workspace = open_workspace(tmp_path_factory.mktemp("journey") / "home")
    import_data(workspace, [write_intents(tmp_path_factory.mktemp("files") / "intents.jsonl")], "intents")
    split_data(workspace, "intents", SplitSettings(Shares(0.7, 0.1, 0.2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _process: {0})
        start_run(workspace, resolve_plan(PLAN[0], [*PLAN[1:], f"base={tiny_base}"]), "whole")
    return workspace, sha256_of_file(workspace.bundles / "whole" / ADAPTER)


def hash_of_tensors(path: Path) -> str:
    """SHA-256 over the names and bytes of all tensors in a file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(name.encode() + tensor.tobytes())
    return digest.hexdigest()


def events_of(workspace: Workspace, run: str) -> list[dict]:
    return [json.loads(line) for line in (workspace.runs / run / "events.jsonl").read_text().splitlines()]


def test_interrupted_it_says_how_to_go_on_and_ends_with_the_same_adapter(
    unbroken: tuple[Workspace, str], tiny_base: Path
) -> None:
    workspace, wanted = unbroken
    process = launch(workspace, "train", *PLAN, f"base={tiny_base}", "--name", "asked")
    wait_for(workspace, "asked", "step", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 0, err
    assert "fettle train --resume asked" in out
    assert "Traceback" not in err
    assert workspace.catalogue.find_run("asked").state == "paused"
    assert not (workspace.bundles / "asked").exists()

    process = launch(workspace, "train", "--resume", "asked", "--json")
    out, err = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 0, err
    result = json.loads(out)
    assert (result["run"], result["state"]) == ("asked", "done")
    assert sha256_of_file(Path(result["bundle"]) / ADAPTER) == wanted
    steps = [event["step"] for event in events_of(workspace, "asked") if event["event"] == "step"]
    assert steps == list(range(1, result["steps"] + 1)), "no step is lost and none is taken twice"


def test_killed_it_goes_on_from_its_last_checkpoint_and_ends_with_the_same_adapter(
    unbroken: tuple[Workspace, str], tiny_base: Path
) -> None:
    workspace, wanted = unbroken
    process = launch(workspace, "train", *PLAN, f"base={tiny_base}", "--name", "killed")
    wait_for(workspace, "killed", "checkpoint", process)
    process.kill()
    process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == -signal.SIGKILL

    process = launch(workspace, "train", "--resume", "killed", "--json")
    out, err = process.communicate(timeout=DEADLINE_SECONDS)

    assert process.returncode == 0, err
    assert sha256_of_file(Path(json.loads(out)["bundle"]) / ADAPTER) == wanted
    started = [event["step"] for event in events_of(workspace, "killed") if event["event"] == "started"]
    assert started[0] == 0
    assert started[1] > 0
    assert workspace.catalogue.find_run("killed").state == "done"
    whole, killed = (
        {event["step"]: event["loss"] for event in events_of(workspace, run) if event["event"] == "step"}
        for run in ("whole", "killed")
    )
    assert whole == killed


@dataclass
class Deaths:
    """How many kills are wanted within the `seconds` that a run takes; how many were had, and how many while saving."""

    wanted: int
    seconds: float
    had: int = 0
    while_saving: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(0))


def live_and_die(workspace: Workspace, run: str, words: Sequence[str], deaths: Deaths) -> None:
    """One run, killed at random instants and gone on with until it is done; once no more kills are wanted, in peace."""
    lives, is_done = 0, False
    while not is_done:
        process = launch(workspace, "train", *(("--resume", run) if lives else (*words, "--name", run)))
        lives += 1
        wait_for(workspace, run, "started", process, lives)
        is_left_alone = deaths.had >= deaths.wanted
        try:
            life = DEADLINE_SECONDS if is_left_alone else deaths.chance.uniform(0, deaths.seconds)
            _, err = process.communicate(timeout=life)
            assert process.returncode == 0, err
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            deaths.had += 1
            deaths.while_saving += any((workspace.runs / run / "checkpoints").glob(".*.partial"))
        is_done = workspace.catalogue.find_run(run).state == "done"


def test_killed_at_random_instants_it_ends_with_the_same_tensors(
    unbroken: tuple[Workspace, str], tiny_base: Path, pytestconfig: pytest.Config
) -> None:
    workspace, _ = unbroken
    words, whole = [*PLAN, f"base={tiny_base}"], "whole"
    if pytestconfig.getoption("compiled"):
        words, whole = [*words, "training.compile=on"], "compiled"
        live_and_die(workspace, "compiled-first", words, Deaths(0, 0))  # slow: the compiler's own store is empty
        live_and_die(workspace, whole, words, Deaths(0, 0))
        assert json.loads((workspace.runs / whole / "plan.json").read_text())["machine"]["is_compiled"]
    [wanted] = {hash_of_tensors(run / ADAPTER) for run in workspace.bundles.glob(f"{whole}*")}
    moments = [float(event["at"]) for event in events_of(workspace, whole)]
    deaths = Deaths(pytestconfig.getoption("kills"), moments[-1] - moments[0])
    runs = []
    while deaths.had < deaths.wanted:
        runs.append(f"torn-{len(runs)}")
        live_and_die(workspace, runs[-1], words, deaths)
        assert hash_of_tensors(workspace.bundles / runs[-1] / ADAPTER) == wanted
        sys.stdout.write(f"\n{len(runs)} runs, {deaths.had} kills, {deaths.while_saving} while saving: {wanted[:16]}")
