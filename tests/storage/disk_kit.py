"""What the tests of storage share: a watch over the seam, contents to save, a disk that forgets what was not synced.

Nothing here imports torch: the process that saves uses it too.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fettle.storage.publish as publish
from fettle.storage.publish import write_file
from fettle.storage.sealed import Shelf

SEAM = (
    "open_new",
    "write_piece",
    "sync_file",
    "sync_folder",
    "rename",
    "make_folder",
    "remove_file",
    "remove_folder",
)
SYNCS = ("sync_file", "sync_folder")
SHELF = Path("runs") / "blue-heron" / "checkpoints"


@contextmanager
def watched_seam(watch: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Put `watch(name, function)` in the place of each function of the seam, wherever in fettle it was imported."""
    holders = [module for name, module in sorted(sys.modules.items()) if name.startswith("fettle.")]
    changed = []
    for name in SEAM:
        real = getattr(publish, name)
        watching = watch(name, real)
        for module in holders:
            if getattr(module, name, None) is real:
                changed.append((module, name, real))
                setattr(module, name, watching)
    try:
        yield
    finally:
        for module, name, real in changed:
            setattr(module, name, real)


def path_of(argument: Any) -> Path:
    """The path that an operation is about: it was given the path itself, or an open file."""
    return argument if isinstance(argument, Path) else Path(argument.name)


def contents_of(label: str) -> dict[str, bytes]:
    """The files of one save; no two saves have a byte in common, so that a mixture shows."""
    marks = bytes([ord(label)])
    return {"weights": marks * 900, "optimizer": marks.lower() * 700}


def save(folder: Path, number: int, label: str) -> None:
    """Save what the label stands for, each file in two pieces."""

    def writer(data: bytes) -> Callable[[Path], None]:
        return lambda path: write_file(path, [data[:500], data[500:]])

    writers = {name: writer(data) for name, data in contents_of(label).items()}
    Shelf(folder, "step").write(number, writers, {"label": label})


def label_of(folder: Path) -> tuple[str | None, int]:
    """Which save the latest whole folder holds, to the byte, None where there is none; and how many were damaged."""
    sealed, damaged = Shelf(folder, "step").read_latest()
    if sealed is None:
        return None, len(damaged)
    label = str(sealed.facts["label"])
    assert {name: (sealed.path / name).read_bytes() for name in contents_of(label)} == contents_of(label)
    return label, len(damaged)


@contextmanager
def quick_folder(slow: Path) -> Iterator[Path]:
    """A folder for thousands of small files that are soon removed again: in memory, where the system has that."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else slow))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@dataclass(eq=False)
class File:
    """Bytes as written, and as the disk is known to hold them (None: it may hold anything)."""

    written: bytes = b""
    safe: bytes | None = None

    def survivor(self, chance: random.Random) -> bytes:
        """What is there after the power was lost."""
        if self.safe == self.written:
            return self.written
        size = len(self.written)
        cut = chance.randrange(size + 1)
        kept = {
            "all": self.written,
            "nothing": b"",
            "cut": self.written[:cut],
            "zeroed": b"\0" * size,
            "zeroed from": self.written[:cut] + b"\0" * (size - cut),
            "zeroed up to": b"\0" * cut + self.written[cut:],
        }
        return kept[chance.choice(list(kept))]


Names = dict[str, "File | Folder"]


@dataclass(eq=False)
class Folder:
    """Names as they are, as the disk is known to hold them, and the changes between: each may be there or not."""

    names: Names = field(default_factory=dict)
    safe: Names = field(default_factory=dict)
    pending: list[Callable[[Names], None]] = field(default_factory=list)

    def change(self, how: Callable[[Names], None]) -> None:
        """Change names; the disk may or may not hear of it."""
        how(self.names)
        self.pending.append(how)

    def survivors(self, chance: random.Random) -> Names:
        """Names that are there after the power was lost."""
        names = dict(self.safe)
        share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        for how in self.pending:
            if chance.random() < share:
                how(names)
        return names


class SimulatedDisk:
    """Follows the operations of the seam. Within a folder every change of a name is all or nothing, in no order."""

    def __init__(self) -> None:
        self.root = Folder()

    def follow(self, operation: Sequence[str]) -> None:
        """Do what one recorded operation did."""
        verb, path, *rest = operation
        parent, name = self._parent(path), Path(path).name
        if verb in ("open_new", "make_folder"):
            node: File | Folder = File() if verb == "open_new" else Folder()
            parent.change(lambda names: names.__setitem__(name, node))
        elif verb == "write_piece":
            self._node(path).written += bytes.fromhex(rest[0])
        elif verb == "sync_file":
            file = self._node(path)
            file.safe = file.written
        elif verb == "sync_folder":
            folder = self._node(path)
            folder.safe, folder.pending = dict(folder.names), []
        elif verb == "rename":
            assert self._parent(rest[0]) is parent
            parent.change(_renaming(self._node(path), name, Path(rest[0]).name))
        else:
            assert verb in ("remove_file", "remove_folder")
            parent.change(_removing(self._node(path), name))

    def materialise(self, target: Path, chance: random.Random | None) -> None:
        """Write the disk into a folder: as it is, or after a power loss."""
        _materialise(self.root, target, chance)

    def _parent(self, path: str) -> Any:
        return self._node(str(Path(path).parent))

    def _node(self, path: str) -> Any:
        node: Any = self.root
        for part in Path(path).parts:
            node = node.names[part]
        return node


def _renaming(node: File | Folder, old: str, new: str) -> Callable[[Names], None]:
    def rename(names: Names) -> None:
        if names.get(old) is node:
            del names[old]
        names[new] = node

    return rename


def _removing(node: File | Folder, name: str) -> Callable[[Names], None]:
    def remove(names: Names) -> None:
        if names.get(name) is node:
            del names[name]

    return remove


def _materialise(folder: Folder, target: Path, chance: random.Random | None) -> None:
    target.mkdir()
    for name, node in (folder.survivors(chance) if chance else folder.names).items():
        if isinstance(node, Folder):
            _materialise(node, target / name, chance)
        else:
            (target / name).write_bytes(node.survivor(chance) if chance else node.written)


def tree_of(folder: Path) -> Mapping[str, bytes | None]:
    """Everything in a folder: bytes of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }
