"""The one seam through which files come to be: write, fsync, rename, fsync of the folder.

After any crash a published path holds the old bytes or the new bytes, whole. A failed fsync is never tried again:
the kernel may have dropped the dirty pages, so the temporary file is removed and the error is raised.

All that is done to a disk goes through the eight functions from `open_new` to `remove_folder`, one operation each, so
that a test can record, refuse or interrupt every one. They take it that a rename happens or does not.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def publish_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was."""
    with publishing_file(path) as staged:
        write_file(staged, [data])


def publish_json(path: Path, document: object) -> None:
    """Publish a document as readable JSON, keys in the order given. NaN and Infinity are refused."""
    publish_bytes(path, encode_json(document))


def encode_json(document: object) -> bytes:
    """A document as the bytes that are published."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


@contextmanager
def publishing_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, it becomes `path`."""
    make_folders(path.parent)
    staged = _staging_path(path)
    try:
        yield staged
        sync_file(staged)
        rename(staged, path)
        sync_folder(path.parent)
    finally:
        _remove_tree(staged)


def publish_file(staged: Path, path: Path) -> None:
    """Give a finished file of another folder its name in `path`'s, or leave both as they were."""
    make_folders(path.parent)
    sync_file(staged)
    rename(staged, path)
    sync_folder(path.parent)


def publish_folder(staged: Path, path: Path) -> None:
    """The same for a finished folder, with all that is in it; `path` must not exist."""
    make_folders(path.parent)
    sync_tree(staged)
    rename(staged, path)
    sync_folder(path.parent)


@contextmanager
def publishing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; when the block ends well, it becomes `path`, which must not exist.

    Every file in it is on the disk before the folder gets its name, so a folder that is there is whole.
    """
    with staging_folder(path) as staged:
        yield staged
        sync_tree(staged)
        rename(staged, path)
        sync_folder(path.parent)


@contextmanager
def staging_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` for the block to rename; what is still there at the end is removed."""
    make_folders(path.parent)
    staged = _staging_path(path)
    make_folder(staged)
    try:
        yield staged
    finally:
        _remove_tree(staged)


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a new file piece by piece; it is on the disk only after `sync_file`."""
    with open_new(path) as stream:
        for piece in pieces:
            write_piece(stream, piece)


def make_folders(path: Path) -> None:
    """Make a folder and those above it that are missing, each name on the disk before the next."""
    if not path.is_dir():
        make_folders(path.parent)
        make_folder(path)
        sync_folder(path.parent)


def sync_tree(folder: Path) -> None:
    """Have the disk hold a folder: the bytes of every file in it, and every name."""
    for inner in sorted(folder.rglob("*")):
        if inner.is_dir():
            sync_folder(inner)
        else:
            sync_file(inner)
    sync_folder(folder)


def discard(path: Path) -> None:
    """Remove a folder that has a name, if it is there: the name goes first, so that no half of it is ever met."""
    if path.exists():
        nameless = _staging_path(path)
        rename(path, nameless)
        _remove_tree(nameless)


def sweep_partials(folder: Path) -> int:
    """Remove what killed processes left behind in `folder`; what a living process writes is left alone."""
    leftovers = [path for path in folder.glob(".*.partial") if not _is_alive(path.name.split(".")[-3])]
    for leftover in leftovers:
        _remove_tree(leftover)
    return len(leftovers)


def _staging_path(path: Path) -> Path:
    return path.parent / f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.partial"


def _is_alive(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        return True
    return True


def _remove_tree(path: Path) -> None:
    """Remove what is there; what cannot be removed waits for the next sweep, and hides no other error."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            for inner in sorted(path.iterdir()):
                _remove_tree(inner)
            remove_folder(path)
        elif path.exists() or path.is_symlink():
            remove_file(path)


def open_new(path: Path) -> BinaryIO:
    """Make an empty file that was not there, open for writing."""
    return path.open("xb")


def write_piece(stream: BinaryIO, piece: bytes | memoryview) -> None:
    """Write bytes after those that are there; unlike the rest, they may wait in memory until the file is closed."""
    stream.write(piece)


def sync_file(path: Path) -> None:
    """Have the disk hold the file's bytes."""
    _sync(path)


def sync_folder(path: Path) -> None:
    """Have the disk hold the folder's names; without this a rename may be lost with the power."""
    _sync(path)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name on the same disk; a file of that name is replaced."""
    os.replace(old, new)


def make_folder(path: Path) -> None:
    """Make one folder; one that is there already will do."""
    path.mkdir(exist_ok=True)


def remove_file(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    path.rmdir()


def forget_cached(path: Path) -> None:
    """Have the next reader get a file's bytes from the disk and not from memory, where the system can."""
    if sys.platform == "linux":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
