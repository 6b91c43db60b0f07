"""Refused rows as files that can be imported once they are mended, and `faults.jsonl` beside them.

Each file that had a refused row has its own quarantine, named after it; of two with one stem the second is called
`stem-2`. Rows are written as they come, so that a file of any size may be refused row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from fettle.data.containers.protocol import QuarantineForm
from fettle.data.streams.source import stem_of
from fettle.errors import Fault
from fettle.storage.publish import open_new, write_piece

FAULTS_FILE = "faults.jsonl"


class Refusal(msgspec.Struct, frozen=True):
    """A row that was refused: its fault, and its bytes as they go into quarantine."""

    fault: Fault
    raw: bytes


class Quarantine:
    """A folder of refused rows in the making, for a `with`. `form_of` says how rows of a file are written."""

    def __init__(self, folder: Path, form_of: Callable[[str], QuarantineForm]) -> None:
        self._folder = folder
        self._form_of = form_of
        self._files: dict[str, tuple[BinaryIO, QuarantineForm]] = {}
        self._names = {FAULTS_FILE}
        self._stack = ExitStack()
        self._faults: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every file. The last line ends like every other, so that rows can be added below it."""
        with self._stack:
            for stream, _form in self._files.values():
                write_piece(stream, b"\n")

    def add(self, refusal: Refusal) -> None:
        """Write one refused row."""
        if self._faults is None:
            self._faults = self._stack.enter_context(open_new(self._folder / FAULTS_FILE))
        write_piece(self._faults, msgspec.json.encode(refusal.fault.as_json()) + b"\n")
        file = refusal.fault.file
        if file in self._files:
            stream, form = self._files[file]
            write_piece(stream, form.separator + refusal.raw)
            return
        form = self._form_of(file)
        name = free_name(stem_of(file), form.suffix, self._names)
        self._names.add(name)
        stream = self._stack.enter_context(open_new(self._folder / name))
        self._files[file] = stream, form
        write_piece(stream, form.head + refusal.raw)


def free_name(stem: str, suffix: str, taken: Iterable[str]) -> str:
    """A name that no file has yet; compared in small letters, since some disks do not tell capitals apart.

    >>> free_name("a", ".csv", ["A.csv"]), free_name("faults", ".jsonl", ["faults.jsonl"])
    ('a-2.csv', 'faults-2.jsonl')
    """
    names = {name.casefold() for name in taken}
    name, number = stem + suffix, 1
    while name.casefold() in names:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name
