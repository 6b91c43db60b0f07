"""Sealed folders: files, and a manifest with the size and SHA-256 of each, some facts, and a digest of its own words.

A sealed folder reads exactly as it was written, or is found damaged. It is written aside, forced to the disk, read
back, and only then gets its name. A `Shelf` is a folder of numbered ones. What the files hold is for others to know.

Where one of the same name is replaced, the old one steps aside as `NAME.old` until the new name is on the disk; so at
every instant one of the two can be read, and `settle` finishes what a crash has cut short.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fettle.errors import DamagedFile
from fettle.storage.blobs import sha256_of_file
from fettle.storage.publish import (
    discard,
    encode_json,
    forget_cached,
    rename,
    staging_folder,
    sweep_partials,
    sync_folder,
    sync_tree,
    write_file,
)

MANIFEST = "manifest.json"
FORMAT = 2
_ASIDE = ".old"

Writers = Mapping[str, Callable[[Path], None]]
Read = TypeVar("Read")


@dataclass(frozen=True)
class Sealed:
    """A sealed folder that was read and found whole."""

    path: Path
    facts: dict[str, Any]


def write_sealed(path: Path, writers: Writers, facts: Mapping[str, object]) -> None:
    """Make `path` a sealed folder of what the writers write, or leave it as it was.

    When this returns, the folder has been read back from the disk and its name is there too. If `path` holds the very
    same already, it is left alone.
    """
    settle(path)
    with staging_folder(path) as staged:
        for name, write in writers.items():
            write(staged / name)
        manifest = _manifest(staged, list(writers), facts)
        if not _holds(path, manifest):
            write_file(staged / MANIFEST, [manifest])
            sync_tree(staged)
            _prove(staged, path)
            _put_in_place(staged, path)
        sync_folder(path.parent)
    discard(_aside(path))


def read_sealed(path: Path) -> dict[str, Any]:
    """Check every byte of a sealed folder and give its facts; a stray, missing or changed file is an error."""
    try:
        document = _read_manifest(path / MANIFEST)
        files, facts = document["files"], document["facts"]
        found = {inner.name for inner in path.iterdir()} - {MANIFEST}
        if found != set(files):
            odd = sorted(found ^ set(files))[0]
            state = "was added to" if odd in found else "is missing from"
            raise _damaged(f"a file {state} a sealed folder", path / odd, f"{len(files)} files and {MANIFEST}")
        for name, told in files.items():
            size = (path / name).stat().st_size
            if size != told["bytes"] or sha256_of_file(path / name) != told["sha256"]:
                raise _damaged(
                    f"the bytes of a sealed file have changed ({size} bytes)",
                    path / name,
                    f"{told['bytes']} bytes with SHA-256 {told['sha256'][:12]}…",
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        if isinstance(problem, DamagedFile):
            raise
        raise _damaged(f"a sealed folder cannot be read: {problem}", path, "a folder as it was written") from None
    return dict(facts)


def is_whole(path: Path) -> bool:
    """Whether there is a sealed folder and every byte of it is as it was written."""
    try:
        read_sealed(path)
    except DamagedFile:
        return False
    return True


def settle(path: Path) -> None:
    """Finish or undo a replacement of `path` that was cut short; does nothing where there was none."""
    aside = _aside(path)
    if not aside.exists():
        return
    if is_whole(path):
        sync_folder(path.parent)  # its name may be in memory only, and then the old one is all that the disk has
        discard(aside)
    elif is_whole(aside):
        discard(path)
        rename(aside, path)
    else:
        discard(aside)


class Shelf:
    """Numbered sealed folders of one kind, each named `KIND-00000040`; the highest number that is whole counts."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind

    def path(self, number: int) -> Path:
        """Where the folder of a number lies."""
        return self._folder / f"{self._kind}-{number:08d}"

    def numbers(self) -> list[int]:
        """Numbers that have a folder, whole or not, in order."""
        pattern = re.compile(rf"{re.escape(self._kind)}-(\d{{8,}})(?:{re.escape(_ASIDE)})?")
        names = [path.name for path in self._folder.iterdir()] if self._folder.exists() else []
        return sorted({int(match[1]) for name in names if (match := pattern.fullmatch(name))})

    def write(self, number: int, writers: Writers, facts: Mapping[str, object]) -> Path:
        """Publish a folder whole; one of the same number that is there already is replaced."""
        write_sealed(self.path(number), writers, {"number": number, **facts})
        return self.path(number)

    def read(self, number: int) -> Sealed:
        """Check and read one; while it is being replaced, the old one or the new one."""
        path = self.path(number)
        try:
            return self._read(path, number)
        except DamagedFile:
            with suppress(DamagedFile):
                return self._read(_aside(path), number)
            raise

    def read_latest(self) -> tuple[Sealed | None, list[DamagedFile]]:
        """The latest that is whole, and what was found damaged on the way to it."""
        return latest_readable(self.numbers(), self.read)

    def prune(self, keep_latest: int, best: int) -> None:
        """Remove all but the latest few and the best, and never the latest that is whole. 0 keeps all.

        Meant for right after a `write`, which has put the names of all that are kept on the disk.
        """
        numbers = self.numbers()
        doomed = [number for number in numbers[:-keep_latest] if number != best] if keep_latest else []
        if doomed:
            whole, _ = self.read_latest()
            for number in doomed:
                if whole is None or number != whole.facts["number"]:
                    discard(self.path(number))
                    discard(_aside(self.path(number)))

    def sweep(self) -> None:
        """Tidy up after killed processes: half-written folders go, replacements are finished or undone."""
        sweep_partials(self._folder)
        for number in self.numbers():
            settle(self.path(number))

    def _read(self, path: Path, number: int) -> Sealed:
        facts = read_sealed(path)
        if facts.get("number") != number:
            raise _damaged(f"a {self._kind} lies under another's name", path, f"number {number}")
        return Sealed(path, facts)


def latest_readable(numbers: Sequence[int], read: Callable[[int], Read]) -> tuple[Read | None, list[DamagedFile]]:
    """What the highest number that can be read gives, and what was found damaged above it."""
    damaged: list[DamagedFile] = []
    for number in reversed(numbers):
        try:
            return read(number), damaged
        except DamagedFile as problem:
            damaged.append(problem)
    return None, damaged


def _prove(staged: Path, path: Path) -> None:
    """Read a folder back from the disk before it gets its name; from memory, its bytes would prove nothing."""
    for inner in staged.iterdir():
        forget_cached(inner)
    try:
        read_sealed(staged)
    except DamagedFile as problem:
        raise DamagedFile(
            f"what was written cannot be read back: {problem.problem}",
            where=str(path),
            expected=problem.expected,
            attempt="another disk: this one gives back other bytes than it was given",
        ) from None


def _holds(path: Path, manifest: bytes) -> bool:
    """Whether a whole folder with this very manifest is there already."""
    return is_whole(path) and (path / MANIFEST).read_bytes() == manifest


def _put_in_place(staged: Path, path: Path) -> None:
    """Rename the new folder into its place; one that is there steps aside first, and back if the new one cannot."""
    aside = _aside(path)
    if path.exists():
        rename(path, aside)
    try:
        rename(staged, path)
    except BaseException:
        with suppress(OSError):
            rename(aside, path)
        raise


def _aside(path: Path) -> Path:
    return path.with_name(path.name + _ASIDE)


def _manifest(folder: Path, names: Sequence[str], facts: Mapping[str, object]) -> bytes:
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of_file(folder / name)} for name in names}
    return _with_seal({"format": FORMAT, "facts": dict(facts), "files": files})


def _with_seal(told: dict[str, object]) -> bytes:
    """The bytes of a manifest: the words, and at their end the SHA-256 of those words."""
    return encode_json({**told, "manifest_sha256": hashlib.sha256(encode_json(told)).hexdigest()})


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest. Written again it must give the same bytes, so that not even a space can change unseen."""
    data = path.read_bytes()
    told: dict[str, Any] = json.loads(data.decode())
    if told["format"] != FORMAT:
        raise _damaged(f"a sealed folder has format {told['format']}", path, f"format {FORMAT}")
    del told["manifest_sha256"]
    if _with_seal(told) != data:
        raise _damaged("the manifest of a sealed folder has changed", path, "words that match their own digest")
    return told


def _damaged(problem: str, where: Path, expected: str) -> DamagedFile:
    return DamagedFile(problem, where=str(where), expected=expected, attempt="the one before it, or another copy")
