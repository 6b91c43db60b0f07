"""Files of word vectors: word2vec's text and binary forms, GloVe's text, fastText's .vec. Bytes in, one table out.

Text has a word and its numbers on each line, with a header (how many, how long) or without one. A word may hold blanks
(glove.840B has some); the numbers are then those at the end. What is wrong with a line is a fault of that line, and the
line is left out; what is wrong with the file, such as an end before the number of words that its header promises,
raises. Files are in order of frequency, so `most` keeps the commonest words, and what follows them is not read.

Where bytes come from, and whether they were packed, is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from fettle.errors import Fault, RequestError

MOST_FAULTS_KEPT = 1_000
"""As many faults are held for people to read; all are counted."""

_BLOCK_BYTES = 8_000_000
_MOST_WORD_BYTES = 10_000
_SAMPLED_LINES = 50
_FORMS = "a file of word2vec (text or binary), GloVe (text) or fastText (.vec): a word and its numbers on each line"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VectorFile:
    """What a file held: words in its order, each once, and `vectors_VD`, finite; `faults` are the first of those."""

    words: list[str]
    vectors_VD: Floats
    form: str
    num_refused: int
    faults: list[Fault]


@dataclass(frozen=True)
class _Rows:
    """Rows of the file side by side: the number of the line (or entry) of each, its word, its numbers."""

    lines: Sequence[int]
    words: Sequence[bytes]
    numbers_ND: Floats


def read_vectors(stream: BinaryIO, where: str, most: int) -> VectorFile:
    """Read a file of vectors, whatever its form; `where` is what people call it.

    Raises `RequestError` where it is no such file, is cut off, or no line of it can be used.
    """
    source = _Source(stream, where)
    first, after = source.first_lines()
    header = _header(first, after)
    if header is not None:
        source.drop_line()
    size = header[1] if header else _size_of(after)
    if size is None:
        raise RequestError("this is no file of word vectors", where=f"{where}:1", expected=_FORMS)
    table = _Table(where, size, most)
    if header is not None and _size_of(after[1:]) is None:
        form, num_read = "word2vec binary", _read_binary(source, table, header[0])
    else:
        form, num_read = ("word2vec text" if header else "GloVe text"), _read_text(source, table, header is not None)
    if header is not None and num_read < min(header[0], most):
        raise RequestError(
            f"the file ends after {num_read:,} of {header[0]:,} vectors",
            where=where,
            expected="as many as its first line says",
            attempt="fetch it again",
        )
    return table.finish(form)


class _Source:
    """The bytes of a file from the front, with a look ahead."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._stream = stream
        self.where = where
        self.ahead = b""
        self.is_at_end = False

    def fill(self, num_bytes: int) -> None:
        """Have at least so many bytes ahead, or all that are left."""
        pieces, size = [self.ahead], len(self.ahead)
        while size < num_bytes and not self.is_at_end:
            pieces.append(self._stream.read(num_bytes - size))
            size += len(pieces[-1])
            self.is_at_end = not pieces[-1]
        self.ahead = b"".join(pieces)

    def first_lines(self) -> tuple[bytes, list[bytes]]:
        """The first line, and the first lines, itself included, that are whole within one block."""
        self.fill(_BLOCK_BYTES)
        self.ahead = self.ahead.removeprefix(b"\xef\xbb\xbf")
        lines = self.ahead.split(b"\n", _SAMPLED_LINES)
        if len(lines) > _SAMPLED_LINES or (len(lines) > 1 and not self.is_at_end):
            lines.pop()
        return lines[0], lines

    def drop_line(self) -> None:
        """Pass over a line that is ahead."""
        self.ahead = self.ahead.partition(b"\n")[2]

    def line_blocks(self) -> Iterator[bytes]:
        """All that is left, in blocks that end where a line ends."""
        while True:
            self.fill(_BLOCK_BYTES)
            end = len(self.ahead) if self.is_at_end else self.ahead.rfind(b"\n") + 1
            if not end and self.ahead:
                raise RequestError(f"a line is longer than {_BLOCK_BYTES:,} bytes", where=self.where, expected=_FORMS)
            block, self.ahead = self.ahead[:end], self.ahead[end:]
            if not block:
                return
            yield block


class _Table:
    """The table in the making: sound rows are kept, each word once, until there are as many as are wanted."""

    def __init__(self, where: str, size: int, most: int) -> None:
        self.size = size
        self._where = where
        self._vectors_VD = np.empty((most, size), np.float32)
        self._words: dict[str, None] = {}
        self._num_refused = 0
        self._faults: list[Fault] = []

    @property
    def is_full(self) -> bool:
        """Whether no more words are wanted."""
        return len(self._words) == len(self._vectors_VD)

    def refuse(self, line: int, problem: str, expected: str) -> None:
        """Count a line that is left out."""
        self._num_refused += 1
        if len(self._faults) < MOST_FAULTS_KEPT:
            self._faults.append(Fault(self._where, line, problem, expected, "mend the line, or fetch the file again"))

    def add(self, rows: _Rows) -> int:
        """Take rows over; returns how many were looked at: fewer than all where the table is full."""
        is_finite_N = np.isfinite(rows.numbers_ND.sum(axis=1, dtype=np.float64))
        kept: list[int] = []
        room = len(self._vectors_VD) - len(self._words)
        num_seen = 0
        for place, (line, raw) in enumerate(zip(rows.lines, rows.words, strict=True)):
            if len(kept) == room:
                break
            num_seen += 1
            word = self._sound_word(line, raw, bool(is_finite_N[place]))
            if word is not None:
                self._words[word] = None
                kept.append(place)
        first = len(self._words) - len(kept)
        self._vectors_VD[first : len(self._words)] = rows.numbers_ND[kept]
        return num_seen

    def _sound_word(self, line: int, raw: bytes, is_finite: bool) -> str | None:
        try:
            word = raw.decode()
        except UnicodeDecodeError:
            self.refuse(line, f"the word {raw[:40]!r} is not UTF-8", "UTF-8")
            return None
        if not word.strip():
            self.refuse(line, "there is no word before the numbers", "a word")
        elif not is_finite:
            self.refuse(line, f"the vector of {word[:40]!r} holds what is no finite number", "finite numbers")
        elif word in self._words:
            self.refuse(line, f"the word {word[:40]!r} stands a second time", "each word once; the first is kept")
        else:
            return word
        return None

    def finish(self, form: str) -> VectorFile:
        """The table as it is, or an error where nothing is in it."""
        if not self._words:
            raise RequestError(
                f"none of the {self._num_refused:,} lines can be used",
                where=self._where,
                expected=_FORMS,
                faults=self._faults,
            )
        vectors_VD = self._vectors_VD[: len(self._words)]
        return VectorFile(list(self._words), vectors_VD, form, self._num_refused, self._faults)


def _header(first: bytes, lines: Sequence[bytes]) -> tuple[int, int] | None:
    """How many words of how many numbers a header promises; None where the first line is none.

    A word and one number look like a header as well: it is none where the lines below are of that length too.
    """
    cells = first.split()
    if len(cells) != 2 or not all(cell.isdigit() and len(cell) < 15 for cell in cells):
        return None
    count, size = int(cells[0]), int(cells[1])
    return (count, size) if size == 1 or (size and _size_of(lines[1:]) != 1) else None


def _size_of(lines: Sequence[bytes]) -> int | None:
    """How many numbers most of the lines end with; None where most end with none."""
    sizes = Counter(_num_numbers(_cells(line)) for line in lines if line.strip())
    size = sizes.most_common(1)[0][0] if sizes else 0
    return size or None


def _cells(line: bytes) -> list[bytes]:
    return line.rstrip().split(b"\t" if b"\t" in line else b" ")


def _num_numbers(cells: Sequence[bytes]) -> int:
    """How many cells at the end are numbers; the first is a word whatever it looks like."""
    count = 0
    for cell in reversed(cells[1:]):
        if _number(cell) is None:
            break
        count += 1
    return count


def _number(cell: bytes) -> float | None:
    try:
        return None if b"_" in cell else float(cell)
    except ValueError:
        return None


def _read_text(source: _Source, table: _Table, has_header: bool) -> int:
    """Fill the table from lines; returns how many lines there were, those that were refused too."""
    line = 2 if has_header else 1
    num_read = 0
    for block in source.line_blocks():
        # Some writers end each line with a blank, others with Windows' two characters.
        lean = block.replace(b"\r\n", b"\n").replace(b" \n", b"\n").rstrip(b" \r\n")
        num_lines = lean.count(b"\n") + 1
        rows = _rows_at_once(lean, num_lines, line, table.size)
        if rows is None:
            rows, num_refused = _rows_one_by_one(lean, line, table)
            num_read += num_refused
        num_read += table.add(rows)
        if table.is_full:
            break
        line += block.count(b"\n")
    return num_read


def _rows_at_once(block: bytes, num_lines: int, first_line: int, size: int) -> _Rows | None:
    """The rows of a block in which every line is a word without blanks and its numbers; None where one is not."""
    mark = "\t" if b"\t" in block[: block.find(b"\n") + 1 or None] else " "
    names = [str(place) for place in range(size + 1)]
    types = {name: pa.float32() for name in names[1:]}
    try:
        table = csv.read_csv(
            pa.py_buffer(block),
            csv.ReadOptions(column_names=names, block_size=len(block) + 1),
            csv.ParseOptions(delimiter=mark, quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types={"0": pa.binary(), **types}, null_values=[], check_utf8=False),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != num_lines:
        return None
    numbers_ND = np.empty((num_lines, size), np.float32)
    for place, name in enumerate(names[1:]):
        numbers_ND[:, place] = table[name].to_numpy()
    return _Rows(range(first_line, first_line + num_lines), table["0"].to_pylist(), numbers_ND)


def _rows_one_by_one(block: bytes, first_line: int, table: _Table) -> tuple[_Rows, int]:
    """The rows of a block that holds a line of another kind, and how many lines were refused."""
    lines: list[int] = []
    words: list[bytes] = []
    numbers: list[list[float]] = []
    num_refused = 0
    for line, text in enumerate(block.split(b"\n"), start=first_line):
        if not text.strip():
            continue
        cells = _cells(text)
        found = _num_numbers(cells)
        if found != table.size:
            problem = f"{found} numbers end the line where others have {table.size}"
            table.refuse(line, problem, f"a word and {table.size} numbers")
            num_refused += 1
            continue
        lines.append(line)
        words.append(b" ".join(cells[: -table.size]))
        numbers.append([float(cell) for cell in cells[-table.size :]])
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        numbers_ND = np.asarray(numbers, np.float32).reshape(-1, table.size)
    return _Rows(lines, words, numbers_ND), num_refused


def _read_binary(source: _Source, table: _Table, num_words: int) -> int:
    """Fill the table from entries of a word, a blank and the numbers as they lie in memory; returns how many."""
    num_bytes = 4 * table.size
    num_read = 0
    while num_read < num_words and not table.is_full:
        source.fill(_BLOCK_BYTES + _MOST_WORD_BYTES + num_bytes)
        ahead, place = source.ahead, 0
        first = num_read + 1
        words: list[bytes] = []
        starts: list[int] = []
        while num_read < num_words:
            blank = ahead.find(b" ", place, place + _MOST_WORD_BYTES)
            if blank < 0 or blank + 1 + num_bytes > len(ahead):
                break
            words.append(ahead[place:blank].lstrip(b"\n"))
            starts.append(blank + 1)
            place = blank + 1 + num_bytes
            num_read += 1
        if not words:
            if len(ahead) > _MOST_WORD_BYTES + num_bytes:
                raise RequestError(f"entry {first:,} has no word", where=source.where, expected=_FORMS)
            return num_read
        whole = np.frombuffer(b"".join(ahead[start : start + num_bytes] for start in starts), "<f4")
        source.ahead = ahead[place:]
        table.add(_Rows(range(first, num_read + 1), words, whole.reshape(len(words), table.size)))
    source.fill(2)
    if num_read == num_words and source.ahead.strip():
        table.refuse(0, f"bytes follow the last of {num_words:,} vectors", "an end where the first line says")
    return num_read
