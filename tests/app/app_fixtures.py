"""A small shop for the tests of this room: three datasets and three runs over the tiny base, made once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from app_kit import SETTINGS, intents, notes, replies

from fettle.app.planning import resolve_plan
from fettle.app.running import RunResult, start_run
from fettle.app.workshop.importing import HowToRead, import_data
from fettle.app.workshop.splitting import split_data
from fettle.data.splits.split import Shares, SplitSettings
from fettle.storage.workspace import Workspace, open_workspace


@pytest.fixture(scope="session")
def one_core() -> Iterator[None]:
    """Plans take as many threads as there are cores; two test processes would then wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _process: {0})
        yield


@dataclass(frozen=True)
class Shop:
    """A workspace that tests read from; what they change, they make in a workspace of their own."""

    workspace: Workspace
    base: Path
    runs: dict[str, RunResult]


def fill(workspace: Workspace, folder: Path) -> None:
    """Import and split the three datasets."""
    for name, task, rows in (
        ("intents", "classify", intents()),
        ("replies", "chat", replies()),
        ("notes", "text", notes()),
    ):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        import_data(workspace, [file], name, HowToRead(task))
        split_data(workspace, name, SplitSettings(Shares(0.7, 0.15, 0.15)), is_near=False)


@pytest.fixture(scope="session")
def shop(one_core: None, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """intents, replies and notes; the runs `full` and `lora` over intents, and `talk` over replies."""
    workspace = open_workspace(tmp_path_factory.mktemp("shop") / "home")
    fill(workspace, tmp_path_factory.mktemp("files"))
    runs = {}
    for name, recipe, data in (
        ("full", "classify", "intents"),
        ("lora", "classify-lora", "intents"),
        ("talk", "chat-lora", "replies"),
    ):
        plan = resolve_plan(recipe, [f"data={data}", f"base={tiny_base}", *SETTINGS])
        runs[name] = start_run(workspace, plan, name)
    return Shop(workspace, tiny_base, runs)


@pytest.fixture
def workspace(one_core: None, tmp_path: Path) -> Workspace:
    """An own workspace with the three datasets, and no run."""
    made = open_workspace(tmp_path / "home")
    (tmp_path / "files").mkdir()
    fill(made, tmp_path / "files")
    return made
