"""Sealed folders read as they were written or not at all, and what replaces one never leaves a gap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_kit import contents_of, label_of, save

import fettle.storage.sealed as sealed
from fettle.errors import DamagedFile
from fettle.storage.publish import write_file
from fettle.storage.sealed import MANIFEST, Shelf, is_whole, read_sealed, write_sealed


def write(path: Path, label: str = "A", **facts: object) -> None:
    writers = {name: lambda staged, data=data: write_file(staged, [data]) for name, data in contents_of(label).items()}
    write_sealed(path, writers, {"label": label, **facts})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_facts_and_files_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    facts = {"step": 3, "text": "é\n", "loss": [0.1, 1e300, -0.0], "none": None}
    write(tmp_path / "a", **facts)

    assert read_sealed(tmp_path / "a") == {"label": "A", **facts}
    assert {name: (tmp_path / "a" / name).read_bytes() for name in contents_of("A")} == contents_of("A")
    assert names(tmp_path / "a") == [MANIFEST, "optimizer", "weights"]


def test_the_same_contents_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def swap(folder: Path) -> None:
    (folder / "weights").rename(folder / "x")
    (folder / "optimizer").rename(folder / "weights")
    (folder / "x").rename(folder / "optimizer")


def make_folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rewrite_manifest(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / MANIFEST
    path.write_text(change(path.read_text()))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a stray file": (lambda folder: (folder / "extra").write_bytes(b""), "extra"),
    "a stray folder": (lambda folder: (folder / "extra").mkdir(), "extra"),
    "a file missing": (lambda folder: (folder / "weights").unlink(), "weights"),
    "a file grown": (lambda folder: (folder / "weights").write_bytes(contents_of("A")["weights"] + b"A"), "weights"),
    "a folder for a file": (lambda folder: make_folder_of(folder / "weights"), "weights"),
    "files swapped": (swap, "weights"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), ""),
    "an empty manifest": (lambda folder: (folder / MANIFEST).write_bytes(b""), ""),
    "another document": (lambda folder: (folder / MANIFEST).write_bytes(b"[1]"), ""),
    "a space more": (lambda folder: rewrite_manifest(folder, lambda text: text + " "), MANIFEST),
    "another order": (lambda folder: rewrite_manifest(folder, lambda text: text.replace(": ", ":  ", 1)), MANIFEST),
    "another format": (lambda folder: rewrite_manifest(folder, lambda text: text.replace('t": 2', 't": 1')), MANIFEST),
    "a file where the folder was": (lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"x")), ""),
    "nothing at all": (shutil.rmtree, ""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_with_its_place_and_what_to_try(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a"
    write(path)
    work, where = DAMAGES[damage]
    work(path)

    with pytest.raises(DamagedFile) as caught:
        read_sealed(path)
    assert caught.value.where == str(path / where)
    assert caught.value.problem and caught.value.expected and caught.value.attempt
    assert not is_whole(path)


def test_every_byte_of_the_folder_matters(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path)
    for file in sorted(path.iterdir()):
        data = file.read_bytes()
        for place in range(0, len(data), 1 if file.name == MANIFEST else 50):
            file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert not is_whole(path), (file.name, place)
        file.write_bytes(data)
    assert is_whole(path)


def test_a_writer_that_fails_and_facts_that_json_cannot_hold_change_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sealed(tmp_path / "a", {"weights": fail}, {})
    for facts in ({"loss": float("nan")}, {"loss": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_sealed(tmp_path / "a", {}, facts)
    assert names(tmp_path) == ["a"]
    assert read_sealed(tmp_path / "a")["label"] == "A"


def test_another_of_the_same_name_replaces_it_and_the_very_same_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path)
    before = path.stat().st_ino
    write(path)
    assert path.stat().st_ino == before

    write(path, "A", step=2)
    assert read_sealed(path) == {"label": "A", "step": 2}
    (path / "weights").write_bytes(b"")
    write(path, "A", step=2)
    assert is_whole(path)
    assert names(tmp_path) == ["a"]


def test_what_the_disk_does_not_give_back_never_gets_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write(path)

    def lose_a_byte(file: Path) -> None:
        if file.name == "weights":
            file.write_bytes(file.read_bytes()[:-1] + b"?")

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "forget_cached", lose_a_byte)
        with pytest.raises(DamagedFile, match="read back") as caught:
            write(path, "B")
    assert caught.value.where == str(path)
    assert "another disk" in caught.value.attempt
    assert read_sealed(path) == {"label": "A"}
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rename_that_fails_leaves_the_old_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    save(tmp_path, 1, "A")
    calls = iter(range(100))

    def rename(old: Path, new: Path) -> None:
        if next(calls) == failing:
            raise OSError(5, "the disk is gone")
        os.replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "rename", rename)
        with pytest.raises(OSError, match="the disk is gone"):
            save(tmp_path, 1, "B")
    assert names(tmp_path) == ["step-00000001"]
    assert label_of(tmp_path) == ("A", 0)


def test_a_name_that_may_not_be_on_the_disk_costs_neither_the_old_one_nor_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, "A")

    def fail(_path: Path) -> None:
        raise OSError(5, "the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(sealed, "sync_folder", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            save(tmp_path, 1, "B")
    assert names(tmp_path) == ["step-00000001", "step-00000001.old"]
    assert all(is_whole(path) for path in tmp_path.iterdir())
    save(tmp_path, 1, "C")
    assert names(tmp_path) == ["step-00000001"]
    assert label_of(tmp_path) == ("C", 0)


@pytest.mark.parametrize(
    ("new", "old", "found"),
    [
        ("whole", "whole", "B"),
        ("damaged", "whole", "A"),
        ("none", "whole", "A"),
        ("whole", "damaged", "B"),
        ("none", "damaged", None),
        ("damaged", "damaged", None),
        ("whole", "none", "B"),
    ],
)
def test_a_replacement_that_was_cut_short_is_read_and_settled(
    tmp_path: Path, new: str, old: str, found: str | None
) -> None:
    """The one in its place if it is whole, or else the one that stepped aside."""
    shelf = Shelf(tmp_path, "step")
    for label, state, name in (("A", old, "step-00000001.old"), ("B", new, "step-00000001")):
        if state != "none":
            save(tmp_path / label, 1, label)
            shutil.copytree(tmp_path / label / "step-00000001", tmp_path / name)
            if state == "damaged":
                (tmp_path / name / "weights").write_bytes(b"")
            shutil.rmtree(tmp_path / label)

    assert label_of(tmp_path)[0] == found
    shelf.sweep()
    assert label_of(tmp_path)[0] == found
    assert names(tmp_path) == ["step-00000001"] * ((new, old) != ("none", "damaged"))
    save(tmp_path, 1, "C")
    assert label_of(tmp_path) == ("C", 0)
    assert names(tmp_path) == ["step-00000001"]


def test_a_shelf_passes_over_names_that_are_not_its_own(tmp_path: Path) -> None:
    for name in ("step-1", "step-00000002 copy", "notes.txt", ".step-00000004.1.aa.partial", "look-00000005"):
        (tmp_path / name).mkdir()
    shelf = Shelf(tmp_path, "step")
    save(tmp_path, 3, "A")
    save(tmp_path, 123_456_789, "B")

    assert shelf.numbers() == [3, 123_456_789]
    assert label_of(tmp_path) == ("B", 0)
    assert Shelf(tmp_path / "none", "step").read_latest() == (None, [])
    shutil.copytree(shelf.path(3), shelf.path(4))
    with pytest.raises(DamagedFile, match="another's name"):
        shelf.read(4)
