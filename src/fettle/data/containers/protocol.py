"""What a container is: the narrow interface between a file and the rows in it.

A container recognises a file by its content, reads it row by row, and says in what form refused rows can be written so
that they can be mended and read again. It knows nothing of tasks and records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from fettle.data.records import BadRecord
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
    """The beginning of a file, by which it is recognised. `is_whole`: there is nothing after `head`."""

    path: Path
    head: bytes
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether the head is the whole file."""
        return len(self.head) >= self.size_bytes

    @property
    def suffix(self) -> str:
        """The extension in small letters, dot included; evidence that breaks ties and no more."""
        return self.path.suffix.lower()

    def lines(self) -> list[bytes]:
        """The lines of the head that are no blanks, each whole: a line that the head cuts off is left out.

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

    def read(self, path: Path) -> Iterator[RawRow | RefusedRow]:
        """The rows in order. A bad row is a `RefusedRow` and the next is read; only a bad file raises."""
        ...

    def quarantine_form(self, path: Path) -> QuarantineForm:
        """The form in which rows of this file can be read again after they are mended."""
        ...


def refuse(path: Path, line: int, raw: bytes, why: BadRecord) -> RefusedRow:
    """Turn what is wrong with a row into the fault of its line.

    >>> print(refuse(Path("a.csv"), 3, b"", BadRecord("it is empty")).fault)
    a.csv:3: it is empty
    """
    return RefusedRow(raw, Fault(str(path), line, why.problem, why.expected, why.attempt))
