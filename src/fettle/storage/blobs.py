"""Blobs: bytes named by their SHA-256. Written once, checked at every read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fettle.errors import DamagedFile
from fettle.storage.publish import publish_bytes


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

    def get(self, name: str) -> bytes:
        """Read bytes; one changed bit is an error, never a silent load."""
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            raise DamagedFile(
                "a stored file is gone", where=str(self.path(name)), attempt="import the data again"
            ) from None
        if sha256_of_bytes(data) != name:
            raise DamagedFile(
                "the bytes of a stored file have changed", where=str(self.path(name)), attempt="import the data again"
            )
        return data
