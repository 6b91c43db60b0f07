"""The workspace: one folder, made on demand, where FETTLE_HOME says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fettle.errors import RequestError
from fettle.storage.workspace import open_workspace


def test_the_folder_is_the_one_asked_for_then_the_one_in_the_environment_then_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FETTLE_HOME", str(tmp_path / "home"))
    assert open_workspace(tmp_path / "asked").root == tmp_path / "asked"
    assert open_workspace().root == tmp_path / "home"
    monkeypatch.delenv("FETTLE_HOME")
    assert open_workspace().root == tmp_path / ".fettle"


def test_opening_twice_finds_what_was_stored(tmp_path: Path) -> None:
    first = open_workspace(tmp_path / "w")
    name = first.blobs.put(b"rows")
    first.catalogue.add_run("blue-heron", "chat")
    again = open_workspace(tmp_path / "w")
    assert again.blobs.get(name) == b"rows"
    assert again.catalogue.find_run("blue-heron").recipe == "chat"
    assert again.runs.is_dir() and again.bundles.is_dir()


def test_opening_sweeps_what_dead_processes_left(tmp_path: Path) -> None:
    open_workspace(tmp_path)
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    for inner in ("runs", "bundles"):
        (tmp_path / inner / f".x.{finished.pid}.00ff.partial").mkdir()
        (tmp_path / inner / f".x.{os.getpid()}.00ff.partial").mkdir()
    open_workspace(tmp_path)
    for inner in ("runs", "bundles"):
        assert [path.name for path in (tmp_path / inner).iterdir()] == [f".x.{os.getpid()}.00ff.partial"]


def test_a_place_that_cannot_be_a_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        open_workspace(tmp_path / "file" / "w")
    assert caught.value.where.startswith(str(tmp_path))
    assert "FETTLE_HOME" in caught.value.attempt
