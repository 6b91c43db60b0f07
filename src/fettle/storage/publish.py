"""The one seam through which files come to be: write, fsync, rename, fsync of the folder.

After any crash a published path holds the old bytes or the new bytes, whole. A failed fsync is never tried again:
the kernel may have dropped the dirty pages, so the temporary file is removed and the error is raised.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def publish_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was."""
    with publishing_file(path) as staged:
        staged.write_bytes(data)


def publish_json(path: Path, document: object) -> None:
    """Publish a document as readable JSON, keys in the order given. NaN and Infinity are refused."""
    publish_bytes(path, (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextmanager
def publishing_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends well, it becomes `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _staging_path(path)
    try:
        yield staged
        sync_file(staged)
        os.replace(staged, path)
        sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def publishing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; when the block ends well, it becomes `path`, which must not exist.

    Every file in it is on the disk before the folder gets its name, so a folder that is there is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _staging_path(path)
    staged.mkdir()
    try:
        yield staged
        for inner in sorted(staged.rglob("*")):
            if inner.is_dir():
                sync_folder(inner)
            else:
                sync_file(inner)
        sync_folder(staged)
        os.rename(staged, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def sweep_partials(folder: Path) -> int:
    """Remove what killed processes left behind in `folder`; what a living process writes is left alone."""
    leftovers = [path for path in folder.glob(".*.partial") if not _is_alive(path.name.split(".")[-3])]
    for leftover in leftovers:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
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


def sync_file(path: Path) -> None:
    """Have the disk hold the file's bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the disk hold the folder's names; without this a rename may be lost with the power."""
    sync_file(path)
