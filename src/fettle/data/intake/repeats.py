"""How often rows say the same: counted over any number of rows in little memory.

Three 64-bit numbers a row are kept (record, input, answer), in memory while they are few and in a temporary file when
they are many, and counted in portions. Two different rows get the same number with a chance of 1 in 10^5 for ten
million rows; counts are for people to read, and nothing is dropped by them.
"""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fettle.data.records import Row, answer_hash

_BUFFERED_ROWS = 65_536
_MOST_BYTES_IN_MEMORY = 96_000_000
_ROWS_A_PORTION = 4_000_000
_ODD = np.int64(-7046029254386353131)

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """`duplicates`: rows whose record an earlier new row has. `conflicts`: inputs with more than one answer.

    `known`: new rows whose record was there before.
    """

    duplicates: int
    conflicts: int
    known: int


class RepeatCounter:
    """Rows in, one by one; counts out. The first `num_known` rows are those that were there before.

    >>> from fettle.data.records import LabelledText
    >>> with RepeatCounter() as counter:
    ...     for text, label in [("a", "x"), ("a", "x"), ("A", "y")]:
    ...         counter.add(row := Row(LabelledText(text, label), "f", 1), row.content_digest)
    ...     counter.count()
    Repeats(duplicates=1, conflicts=1, known=0)
    """

    def __init__(self, num_known: int = 0) -> None:
        self._num_known = num_known
        self._num_rows = 0
        self._buffer = array("q")
        self._spool = tempfile.SpooledTemporaryFile(max_size=_MOST_BYTES_IN_MEMORY)  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def add(self, row: Row, content_digest: bytes) -> None:
        """Take a row, with the digest that its content key is written from."""
        content = int.from_bytes(content_digest[:8], "little", signed=True)
        self._buffer.extend((content, hash(row.squeezed_input), answer_hash(row.record)))
        self._num_rows += 1
        if len(self._buffer) >= 3 * _BUFFERED_ROWS:
            self._flush()

    def count(self) -> Repeats:
        """Count what was taken so far."""
        self._flush()
        num_portions = max(1, math.ceil(self._num_rows / _ROWS_A_PORTION))
        duplicates = conflicts = known = 0
        for portion in range(num_portions):
            contents, is_known = self._portion(0, portion, num_portions)
            new = contents[~is_known, 0]
            uniques = np.unique(new)
            duplicates += len(new) - len(uniques)
            known += int(np.isin(new, contents[is_known, 0]).sum())
            inputs, is_known = self._portion(1, portion, num_portions)
            asked, answered = inputs[~is_known, 1], inputs[~is_known, 2]
            # One number for both: sorting rows of two takes many times as long.
            _, firsts = np.unique(asked * _ODD + answered, return_index=True)
            _, num_answers = np.unique(asked[firsts], return_counts=True)
            conflicts += int((num_answers > 1).sum())
        return Repeats(duplicates, conflicts, known)

    def _flush(self) -> None:
        self._spool.write(self._buffer.tobytes())
        self._buffer = array("q")

    def _portion(self, column: int, portion: int, num_portions: int) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """The rows whose key in a column falls into a portion, and which of them were there before."""
        found, known = [], []
        for start, keys in self._pieces():
            is_here = keys[:, column] % num_portions == portion
            found.append(keys[is_here])
            known.append(np.arange(start, start + len(keys))[is_here] < self._num_known)
        return (
            (np.concatenate(found), np.concatenate(known)) if found else (np.empty((0, 3), np.int64), np.empty(0, bool))
        )

    def _pieces(self) -> Iterator[tuple[int, Keys]]:
        self._spool.seek(0)
        start = 0
        while data := self._spool.read(24 * _BUFFERED_ROWS):
            keys = np.frombuffer(data, np.int64).reshape(-1, 3)
            yield start, keys
            start += len(keys)
