"""What a container is: the narrow interface between a file and the rows in it.

A container recognises a file by its content, reads it row by row, and says in what form refused rows can be written so
that they can be mended and read again. It knows nothing of tasks and records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from fettle.data.records import BadRecord
from fettle.data.streams.packed import suffix_inside
from fettle.data.streams.source import File
from fettle.errors import Fault

BOM = b"\xef\xbb\xbf"


class RawRow(msgspec.Struct, frozen=True):
    """A row as its file holds it. `line` is where it starts, `raw` what goes into quarantine should it be refused."""

    line: int
    fields: dict[str, object]
    raw: bytes


class RefusedRow(msgspec.Struct, frozen=True):
    """A row that could not even be taken apart, and why."""

    raw: bytes
    fault: Fault


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a file, by which it is recognised. `size_bytes` is more than the head where more follows.

    Trap: what a disk says of a size holds for no packed file and for none that grows; hence "more", not how much.
    """

    path: File
    head: bytes
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether the head is the whole file."""
        return len(self.head) >= self.size_bytes

    @property
    def suffix(self) -> str:
        """The extension in small letters, that of the packing left out; evidence that breaks ties and no more."""
        return suffix_inside(self.path)

    def lines(self) -> list[bytes]:
        """The lines of the head that are no blanks, each whole: a line that the head cuts off is left out.

        >>> from pathlib import Path
        >>> Sample(Path("a.txt"), b"one\\r\\n\\ntwo\\nthr", 99).lines()
        [b'one', b'two']
        """
        lines = self.head.removeprefix(BOM).split(b"\n")
        if not self.is_whole and len(lines) > 1:
            lines.pop()
        return [line.rstrip(b"\r") for line in lines if line.strip()]


@dataclass(frozen=True, slots=True)
class QuarantineForm:
    """How refused rows are written: `head`, then their raw bytes with `separator` between them."""

    suffix: str
    head: bytes = b""
    separator: bytes = b"\n"


class Container(Protocol):
    """One form of file."""

    name: str

    def recognise(self, sample: Sample) -> str | None:
        """The evidence, in words, that a file is of this form; None where it is not."""
        ...

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        """The rows in order. A bad row is a `RefusedRow` and the next is read; only a bad file raises."""
        ...

    def quarantine_form(self, path: File) -> QuarantineForm:
        """The form in which rows of this file can be read again after they are mended."""
        ...


def refuse(path: File, line: int, raw: bytes, why: BadRecord) -> RefusedRow:
    """Turn what is wrong with a row into the fault of its line.

    >>> from pathlib import Path
    >>> print(refuse(Path("a.csv"), 3, b"", BadRecord("it is empty")).fault)
    a.csv:3: it is empty
    """
    return RefusedRow(raw, Fault(str(path), line, why.problem, why.expected, why.attempt))
