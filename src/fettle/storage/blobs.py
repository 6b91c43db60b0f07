"""Blobs: bytes named by their SHA-256. Written once, checked at every read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fettle.errors import DamagedFile
from fettle.storage.publish import open_new, publish_bytes, publish_file, remove_file, staging_folder, write_piece


class Piecewise:
    """A stream for writers of files that do their own buffering: every write passes through the seam and is hashed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._stream.closed

    def write(self, piece: bytes | memoryview) -> int:
        """Take bytes; how many."""
        self.digest.update(piece)
        write_piece(self._stream, piece)
        return len(piece)

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._stream.flush()

    def close(self) -> None:
        """End the file."""
        self._stream.close()


class Growing:
    """A blob that is being written: a stream, and its name once the block has ended."""

    def __init__(self, stream: Piecewise) -> None:
        self.stream = stream
        self.name = ""


def sha256_of_bytes(data: bytes) -> str:
    """The name of a blob."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file of any size, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class BlobStore:
    """A folder of blobs, fanned out by the first two digits of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where a blob lies, whether or not it is there."""
        return self._folder / name[:2] / name

    def put(self, data: bytes) -> str:
        """Store bytes; storing the same bytes again writes nothing."""
        name = sha256_of_bytes(data)
        if not self.path(name).exists():
            publish_bytes(self.path(name), data)
        return name

    @contextmanager
    def growing(self) -> Iterator[Growing]:
        """Give a stream to write a blob of any size to; when the block ends well, the blob is there under its name."""
        with staging_folder(self._folder / "growing") as staged:
            with open_new(staged / "blob") as stream:
                piecewise = Piecewise(stream)
                blob = Growing(piecewise)
                yield blob
            blob.name = piecewise.digest.hexdigest()
            if not self.path(blob.name).exists():
                publish_file(staged / "blob", self.path(blob.name))

    def checked(self, name: str) -> Path:
        """Where a blob lies, after all of its bytes were read and found to be those that were written."""
        path = self.path(name)
        try:
            found = sha256_of_file(path)
        except FileNotFoundError:
            raise self._gone(name) from None
        if found != name:
            raise self._changed(name)
        return path

    def get(self, name: str) -> bytes:
        """Read bytes; one changed bit is an error, never a silent load."""
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            raise self._gone(name) from None
        if sha256_of_bytes(data) != name:
            raise self._changed(name)
        return data

    def names(self) -> Iterator[str]:
        """The names of all blobs that are there."""
        return (path.name for path in sorted(self._folder.glob("??/*")) if not path.name.startswith("."))

    def facts(self, name: str) -> tuple[int, float]:
        """The size of a blob in bytes, and when it was written, in seconds since 1970."""
        found = self.path(name).stat()
        return found.st_size, found.st_mtime

    def remove(self, name: str) -> None:
        """Remove a blob that nothing refers to any more."""
        remove_file(self.path(name))

    def _gone(self, name: str) -> DamagedFile:
        return DamagedFile("a stored file is gone", where=str(self.path(name)), attempt="import the data again")

    def _changed(self, name: str) -> DamagedFile:
        place = str(self.path(name))
        return DamagedFile("the bytes of a stored file have changed", where=place, attempt="import the data again")
