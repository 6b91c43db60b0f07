"""The noun of the room: a source of bytes, with a name to tell people, that can be opened again and again.

A file on a disk is a `Path` and needs no more. Everything else (a member of an archive, an address, standard input) is
a `Source`, which answers the few questions that are asked of paths: `str`, `name`, `suffix`.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeAlias, cast

from fettle.errors import FullDisk, MissingFile, RequestError

BLOCK_BYTES = 1 << 20
PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_MAX_STEM_CHARACTERS = 60
MEMBER_MARK = "!"
"""Between an archive and the name of a file in it: `mail.zip!2024/may.jsonl`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes with a name. `where` is what people read in a fault; two sources of one `where` are the same.

    >>> source = Source("mail.zip!2024/may.jsonl", lambda: io.BytesIO(b"{}"))
    >>> source.name, source.suffix, str(source)
    ('may.jsonl', '.jsonl', 'mail.zip!2024/may.jsonl')
    """

    where: str
    opener: Callable[[], BinaryIO] = field(compare=False, repr=False)
    size_bytes: int | None = field(default=None, compare=False)

    def open(self) -> BinaryIO:
        """A stream of its own at the first byte."""
        return self.opener()

    @property
    def name(self) -> str:
        """The last part of where it lies."""
        return _last_part(self.where)

    @property
    def suffix(self) -> str:
        """The extension, dot included."""
        return PurePosixPath(self.name).suffix

    def __str__(self) -> str:
        return self.where


File: TypeAlias = Path | Source


def stem_of(where: str) -> str:
    """A name for a file that is made from what lies at `where`: the last part without extensions, safe on every disk.

    Names inside archives and of addresses are chosen by others; a name that is made of them leads nowhere.

    >>> stem_of("data/mail.csv"), stem_of("all.zip!2024/may.jsonl.gz"), stem_of("https://host/a.jsonl?key=1")
    ('mail', 'may', 'a')
    >>> stem_of("x.zip!.."), stem_of("x.zip!a:b<c>.txt")
    ('rows', 'a-b-c-')
    """
    path = PurePosixPath(re.split(r"[/\\]", _last_part(where))[-1])
    stem = path.stem if path.suffix.lower() not in PACKED_SUFFIXES else PurePosixPath(path.stem).stem
    kept = "".join(letter if letter.isalnum() or letter in "._- " else "-" for letter in stem)
    return kept.lstrip(". ")[:_MAX_STEM_CHARACTERS].rstrip(". ") or "rows"


def _last_part(where: str) -> str:
    inner = where.partition("?")[0] if "://" in where else where
    inner = inner.rpartition(MEMBER_MARK)[2]
    return PurePosixPath(inner).name or inner


def identity_of(file: File) -> str:
    """What two namings of one file have in common: where it lies in the end.

    >>> identity_of(Path("a.csv")) == identity_of(Path("./x/../a.csv"))
    True
    """
    if isinstance(file, Source):
        return file.where
    try:
        return os.path.realpath(file)
    except (OSError, ValueError):
        # A name that no disk can have; what is wrong with it is said where it is opened.
        return str(file)


def open_as_it_lies(file: File) -> BinaryIO:
    """The bytes as they are stored, packed or not; what the disk says is an error of the family."""
    if isinstance(file, Source):
        return file.open()
    try:
        return file.open("rb")
    except FileNotFoundError as error:
        raise MissingFile("there is no such file", where=str(file), expected="a file") from error
    except (OSError, ValueError) as error:
        raise unreadable(file, error) from error


def unreadable(file: File, error: Exception) -> RequestError:
    """What is said of a file that the machine cannot read."""
    reason = getattr(error, "strerror", None) or str(error)
    return RequestError(f"it cannot be read: {reason}", where=str(file), expected="a readable file")


class Window(io.RawIOBase):
    """A part of a file as a file: `num_bytes` from `start` on. It closes the file with itself."""

    def __init__(self, file: BinaryIO, start: int, num_bytes: int) -> None:
        super().__init__()
        self._file, self._start, self._num_bytes, self._at = file, start, num_bytes, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fill the buffer from where the window stands."""
        view = memoryview(cast("bytearray", buffer)).cast("B")
        wanted = min(len(view), self._num_bytes - self._at)
        if wanted <= 0:
            return 0
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place, never before the first byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._num_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Where the window stands."""
        return self._at

    def close(self) -> None:
        """Close the file too."""
        if not self.closed:
            self._file.close()
        super().close()


class Spool:
    """Bytes that come only once, or in one order, kept in a file of their own for as long as anybody holds the spool.

    `fill` is called at the first opening and writes all of them.
    """

    def __init__(self, fill: Callable[[BinaryIO], object]) -> None:
        self._fill = fill
        self._path: Path | None = None

    def open(self) -> BinaryIO:
        """A stream of its own at the first byte; the first call waits until all is there."""
        if self._path is None:
            handle, name = tempfile.mkstemp(prefix="fettle-")
            path = Path(name)
            try:
                with os.fdopen(handle, "wb") as file:
                    self._fill(file)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno is None or isinstance(error, RequestError):
                    raise
                raise FullDisk(
                    f"what is unpacked or fetched cannot be kept: {error.strerror}",
                    where=str(path.parent),
                    expected="space for it on the disk of temporary files",
                    attempt="set TMPDIR to a larger disk",
                ) from error
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            self._path = path
            weakref.finalize(self, path.unlink, missing_ok=True)
        return self._path.open("rb")


def copy_all(stream: BinaryIO, target: BinaryIO) -> None:
    """Copy to the end, block by block."""
    while block := stream.read(BLOCK_BYTES):
        target.write(block)
