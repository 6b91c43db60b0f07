"""Quotes in delimited text: where a record ends, what its cells are, how cells are written. RFC 4180, and strict.

A quote opens only at the start of a cell and closes only before a delimiter or the end; a quote elsewhere is a
character like any other. All work is linear, whatever the quotes. The csv module reads what it reads alike, faster.
"""

from __future__ import annotations

import csv
import enum
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fettle.data.containers.opening import MAX_ROW_BYTES
from fettle.data.records import BadRecord

_QUOTED_BYTES = re.compile(rb'(?:[^"]++|"")*+"')
_QUOTED_TEXT = re.compile(r'"((?:[^"]++|"")*+)"')


class _Quotes(enum.Enum):
    CLOSED = enum.auto()
    OPEN = enum.auto()
    BROKEN = enum.auto()


class DelimitedRecord(NamedTuple):
    """One record: the line it starts at, its bytes without the last line end, and whether its quotes are sound.

    `cells` are there where they were found on the way. Law: they are what `split_cells` finds.
    """

    line: int
    raw: bytes
    is_sound: bool
    cells: list[str] | None = None


class LineReader:
    """Cells of one line with quotes, by the csv module: no more than it reads as strictly as `split_cells` does.

    >>> LineReader(",").cells(b'a,"b, ""c"" d",'), LineReader(",").cells(b'a,"b" c')
    (['a', 'b, "c" d', ''], None)
    """

    def __init__(self, delimiter: str) -> None:
        self._waiting: str | None = None
        self._reader = csv.reader(self, delimiter=delimiter, strict=True)

    def __iter__(self) -> LineReader:
        return self

    def __next__(self) -> str:
        line, self._waiting = self._waiting, None
        if line is None:
            raise StopIteration
        return line

    def cells(self, line: bytes) -> list[str] | None:
        """The cells of a line without its end; None where the strict reader has to say what they are."""
        if b"\0" in line or b"\r" in line or b"\n" in line or len(line) > MAX_ROW_BYTES:
            return None
        try:
            self._waiting = line.decode()
            return next(self._reader)
        except (csv.Error, UnicodeDecodeError, StopIteration):
            self._waiting = None
            return None


def records(lines: Iterable[tuple[int, bytes]], delimiter: str) -> Iterator[DelimitedRecord]:
    """Join physical lines into records; a line feed inside quotes is part of its cell. Blank lines are no records.

    Trap: one stray quote opens a cell that swallows every row until the next quote. A record of several lines whose
    quotes are not sound therefore costs its first line alone, and reading goes on at the second.

    >>> [record.line for record in records([(1, b'a,b'), (2, b'"x'), (3, b'y",z'), (4, b'p,q')], ",")]
    [1, 2, 4]
    """
    source = iter(lines)
    given_back: deque[tuple[int, bytes]] = deque()
    mark = delimiter.encode()
    reader = LineReader(delimiter)
    while (item := given_back.popleft() if given_back else next(source, None)) is not None:
        number, line = item
        if b'"' not in line:
            if line.strip(b" \r\n"):
                yield DelimitedRecord(number, line.rstrip(b"\r\n"), True)
            continue
        stripped = line.rstrip(b"\r\n")
        cells = reader.cells(stripped)
        if cells is not None:
            yield DelimitedRecord(number, stripped, True, cells)
            continue
        pieces = [item]
        size_bytes = len(line)
        state = _scan(line, _Quotes.CLOSED, mark)
        while state is _Quotes.OPEN and size_bytes <= MAX_ROW_BYTES:
            following = given_back.popleft() if given_back else next(source, None)
            if following is None:
                break
            pieces.append(following)
            size_bytes += len(following[1])
            state = _scan(following[1], state, mark)
        is_sound = state is _Quotes.CLOSED
        if not is_sound:
            given_back.extendleft(reversed(pieces[1:]))
            del pieces[1:]
        yield DelimitedRecord(number, b"".join(piece for _, piece in pieces).rstrip(b"\r\n"), is_sound)


def _scan(line: bytes, state: _Quotes, mark: bytes) -> _Quotes:
    """The state of the quotes after a line that began in `state` (closed or open)."""
    line = line.rstrip(b"\r\n")
    position, is_inside = 0, state is _Quotes.OPEN
    while True:
        if not is_inside and line[position : position + 1] == b'"':
            position, is_inside = position + 1, True
        if is_inside:
            quoted = _QUOTED_BYTES.match(line, position)
            if quoted is None:
                return _Quotes.OPEN
            position, is_inside = quoted.end(), False
            if position < len(line) and line[position : position + 1] != mark:
                return _Quotes.BROKEN
        position = line.find(mark, position)
        if position < 0:
            return _Quotes.CLOSED
        position += 1


def split_cells(text: str, delimiter: str) -> list[str]:
    """The cells of one record, unquoted. Law: `join_cells` undoes it.

    >>> split_cells('a,"b, ""c"" d",', ",")
    ['a', 'b, "c" d', '']
    """
    if '"' not in text:
        return text.split(delimiter)
    cells: list[str] = []
    position = 0
    while position <= len(text):
        quoted = _QUOTED_TEXT.match(text, position)
        if quoted:
            cells.append(quoted[1].replace('""', '"'))
            position = quoted.end()
            if position < len(text) and text[position] != delimiter:
                raise unsound_quotes()
        else:
            if text[position : position + 1] == '"':
                raise unsound_quotes()
            end = text.find(delimiter, position)
            end = len(text) if end < 0 else end
            cells.append(text[position:end])
            position = end
        position += 1
    return cells


def join_cells(cells: Iterable[str], delimiter: str = ",") -> str:
    """Write cells as one record, with quotes where they are needed and nowhere else.

    >>> join_cells(["a", 'b, "c" d', ""])
    'a,"b, ""c"" d",'
    """
    special = re.compile(rf'["\r\n{re.escape(delimiter)}]')
    return delimiter.join('"' + cell.replace('"', '""') + '"' if special.search(cell) else cell for cell in cells)


def unsound_quotes() -> BadRecord:
    """What is said of every record whose quotes do not close as they open."""
    return BadRecord(
        "a quote opens a cell and does not close it",
        expected='cells in double quotes whole, and quotes inside them doubled: "he ""said"" so"',
        attempt="close the quote, or double the quotes inside the cell",
    )
