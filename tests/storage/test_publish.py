"""Publishing: after any failure a path holds the old bytes or the new bytes, whole, and nothing lies about."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fettle.storage import publish
from fettle.storage.publish import (
    publish_bytes,
    publish_json,
    publishing_file,
    publishing_folder,
    sweep_partials,
)

OLD, NEW = b"old" * 5000, b"new!" * 6000


def refuse(*_arguments: object, **_words: object) -> None:
    raise OSError(5, "the disk is gone")


def everything_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_when_the_disk_fails_the_old_bytes_stand_and_no_partial_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, before: bytes | None
) -> None:
    path = tmp_path / "state.json"
    if before is not None:
        publish_bytes(path, before)
    with monkeypatch.context() as broken:
        broken.setattr(os, failing, refuse)
        with pytest.raises(OSError, match="the disk is gone"):
            publish_bytes(path, NEW)
    assert everything_in(tmp_path) == ([] if before is None else ["state.json"])
    if before is not None:
        assert path.read_bytes() == before
    publish_bytes(path, NEW)
    assert path.read_bytes() == NEW


def test_when_the_writer_fails_the_old_bytes_stand_and_no_partial_is_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    publish_bytes(path, OLD)

    def fail_while_writing() -> None:
        with publishing_file(path) as staged:
            staged.write_bytes(NEW[:100])
            assert path.read_bytes() == OLD
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_while_writing()
    assert everything_in(tmp_path) == ["state.json"]
    assert path.read_bytes() == OLD


def test_bytes_are_on_the_disk_before_they_get_their_name_and_the_name_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    paths = {"file": publish.sync_file, "folder": publish.sync_folder}

    def noting(what: str, work: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            done.append(what)
            return work(*arguments)

        return wrapped

    monkeypatch.setattr(publish, "sync_file", noting("file", paths["file"]))
    monkeypatch.setattr(publish, "sync_folder", noting("folder", lambda path: None))
    monkeypatch.setattr(os, "replace", noting("name", os.replace))
    publish_bytes(tmp_path / "a", NEW)
    assert done == ["file", "name", "folder"]


def test_a_document_that_json_cannot_hold_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    publish_json(path, {"b": 1, "a": "é"})
    assert list(json.loads(path.read_text(encoding="utf-8")).items()) == [("b", 1), ("a", "é")]
    for document in ({"loss": float("nan")}, {"loss": float("inf")}, {"loss": object()}):
        with pytest.raises((ValueError, TypeError)):
            publish_json(path, document)
    assert everything_in(tmp_path) == ["report.json"]
    assert json.loads(path.read_text(encoding="utf-8")) == {"b": 1, "a": "é"}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle"

    def write(staged: Path, is_broken: bool = False) -> None:
        assert not path.exists()
        (staged / "inner").mkdir()
        (staged / "inner" / "weights").write_bytes(NEW)
        (staged / "manifest.json").write_bytes(OLD)
        if is_broken:
            raise RuntimeError

    with pytest.raises(RuntimeError), publishing_folder(path) as staged:
        write(staged, is_broken=True)
    assert everything_in(tmp_path) == []
    for failing in ("fsync", "replace"):
        with monkeypatch.context() as broken:
            broken.setattr(os, failing, refuse)
            with pytest.raises(OSError, match="the disk is gone"), publishing_folder(path) as staged:
                write(staged)
        assert everything_in(tmp_path) == []
    with publishing_folder(path) as staged:
        write(staged)
    assert everything_in(tmp_path) == ["bundle"]
    assert (path / "inner" / "weights").read_bytes() == NEW


def test_every_file_and_folder_inside_is_on_the_disk_before_the_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(publish, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(publish, "sync_folder", lambda path: synced.append(path.name + "/"))
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (synced.append("NAMED"), rename(old, new)))
    with publishing_folder(tmp_path / "bundle") as staged:
        (staged / "inner").mkdir()
        (staged / "inner" / "weights").write_bytes(NEW)
        (staged / "top").write_bytes(OLD)
        staging_name = staged.name
    before, after = synced[: synced.index("NAMED")], synced[synced.index("NAMED") + 1 :]
    assert set(before) == {"inner/", "weights", "top", staging_name + "/"}
    assert after == [tmp_path.name + "/"]


def test_a_folder_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with publishing_folder(path) as staged:
        (staged / "a").write_bytes(OLD)
    with pytest.raises(OSError), publishing_folder(path) as staged:
        (staged / "a").write_bytes(NEW)
    assert (path / "a").read_bytes() == OLD
    assert everything_in(tmp_path) == ["bundle"]


CHILD = """
import sys
from pathlib import Path
from fettle.storage.publish import publish_bytes
path = Path(sys.argv[1])
while True:
    for letter in (b"a", b"b"):
        publish_bytes(path, letter * 400_000)
"""


def test_a_process_killed_at_any_instant_leaves_old_or_new_bytes(tmp_path: Path) -> None:
    path = tmp_path / "state"
    chance = random.Random(0)
    num_partials = 0
    for _ in range(20):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)])
        try:
            deadline = time.monotonic() + 20
            while not any(f".{child.pid}." in path.name for path in tmp_path.iterdir()):
                assert time.monotonic() < deadline, "the child never wrote"
                time.sleep(0.001)
            time.sleep(chance.random() * 0.03)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        if path.exists():
            assert path.read_bytes() in (b"a" * 400_000, b"b" * 400_000)
        partials = [name for name in everything_in(tmp_path) if name != "state"]
        assert len(partials) <= 1
        num_partials += len(partials)
        assert sweep_partials(tmp_path) == len(partials)
        assert everything_in(tmp_path) in ([], ["state"])
    assert path.exists()
    assert num_partials > 0, "no kill fell into a write, so this test has shown nothing"


def test_sweeping_leaves_what_a_living_process_writes(tmp_path: Path) -> None:
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    dead_file = tmp_path / f".a.b.{finished.pid}.00ff.partial"
    dead_file.write_bytes(OLD)
    dead_folder = tmp_path / f".bundle.{finished.pid}.00ff.partial"
    (dead_folder / "inner").mkdir(parents=True)
    strangers = [".x.partial", ".x.no-number.00ff.partial", f".x.{10**30}.00ff.partial", "x.1.2.partial"]
    for name in strangers:
        (tmp_path / name).write_bytes(OLD)
    with publishing_file(tmp_path / "a.b") as staged, publishing_folder(tmp_path / "bundle") as folder:
        staged.write_bytes(NEW)
        (folder / "x").write_bytes(NEW)
        assert sweep_partials(tmp_path) == 2
        assert staged.exists()
        assert folder.exists()
    assert everything_in(tmp_path) == sorted([*strangers, "a.b", "bundle"])
