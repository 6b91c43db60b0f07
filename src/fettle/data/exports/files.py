"""Rows that a form has written, to bytes and files: JSON lines, one JSON array, blocks of text, tables, Parquet.

Every row is bytes before it is in a file, so that a limit of bytes is kept and no row waits in memory. A table is
spooled first, since its header names columns that the last row may bring.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from fettle.data.containers.quoting import join_cells
from fettle.data.exports.form import Content, Kind
from fettle.data.records import (
    BadRecord,
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    MultiLabelledText,
    PlainText,
    Preference,
    ScoredText,
    TaggedText,
    TextPair,
)
from fettle.storage.publish import open_new, write_file, write_piece

MAX_CELL_CHARACTERS = 32_767
MAX_SHEET_ROWS = 1_048_575
MAX_SHEET_COLUMNS = 16_384
"""Microsoft, Excel specifications and limits: 1,048,576 rows with the header."""

_BYTES_PER_GROUP = 8_000_000
_ROWS_PER_GROUP = 20_000
# What XML 1.0 cannot hold, the carriage return that its readers turn into a line feed, and Excel's own escapes.
_NOT_IN_SHEETS = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|_x[0-9A-Fa-f]{4}_")
_LINE_SEPARATORS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}

_CALL = pa.struct(
    [
        ("id", pa.string()),
        ("type", pa.string()),
        ("function", pa.struct({"name": pa.string(), "arguments": pa.string()})),
    ]
)
_TURNS = pa.list_(
    pa.struct(
        {
            "role": pa.string(),
            "content": pa.string(),
            "weight": pa.float64(),
            "name": pa.string(),
            "tool_calls": pa.list_(_CALL),
            "tool_call_id": pa.string(),
        }
    )
)
_TEXTS = pa.list_(pa.string())
_SPANS = pa.list_(pa.struct({"start": pa.int64(), "end": pa.int64(), "label": pa.string()}))

COLUMN_TYPES: dict[Kind, dict[str, pa.DataType]] = {
    Conversation: {"messages": _TURNS, "tools": _TEXTS},
    LabelledText: {},
    MultiLabelledText: {"labels": _TEXTS},
    TaggedText: {"spans": _SPANS},
    ScoredText: {"score": pa.float64()},
    TextPair: {"negative": _TEXTS, "score": pa.float64()},
    Preference: {"prompt": _TURNS, "chosen": _TURNS, "rejected": _TURNS, "tools": _TEXTS},
    JudgedAnswer: {"prompt": _TURNS, "completion": _TURNS, "label": pa.bool_()},
    JudgedSteps: {"prompt": _TURNS, "completions": _TEXTS, "labels": pa.list_(pa.bool_())},
    GradedPrompt: {"messages": _TURNS, "tools": _TEXTS},
    PlainText: {},
}
"""The columns of Parquet that are no strings, by the kind of record."""


@dataclass(frozen=True, slots=True)
class Table:
    """A spooled table: the cells of each row as JSON lines, the columns in their order, the kind of its records."""

    spool: Path
    columns: Sequence[str]
    kind: Kind

    def lines(self) -> Iterator[bytes]:
        """The cells of each row, as they were spooled."""
        with self.spool.open("rb") as stream:
            yield from stream

    def rows(self) -> Iterator[dict[str, object]]:
        """The cells of each row."""
        return map(json.loads, self.lines())


@dataclass(frozen=True, slots=True)
class Container:
    """How rows become one file. With `build` they are spooled and it makes the file; else their bytes are the file."""

    encode: Callable[[Content], bytes]
    separator: bytes = b""
    head: bytes = b""
    tail: bytes = b""
    build: Callable[[Table, Path], None] | None = None
    most_rows: int = 0
    most_columns: int = 0


def encode_object(content: Content) -> bytes:
    """One JSON object on one line, even for readers that take U+2028 for the end of a line.

    >>> encode_object({"text": "a\\u2028b"})
    b'{"text":"a\\\\u2028b"}'
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _LINE_SEPARATORS.items():
        text = text.replace(character, escape)
    return text.encode()


def _encode_line(content: Content) -> bytes:
    return encode_object(content) + b"\n"


def _encode_block(content: Content) -> bytes:
    assert isinstance(content, str)
    return content.encode()


def _encode_delimited(content: Content) -> bytes:
    assert isinstance(content, dict)
    for name, value in content.items():
        if "\0" in f"{name}{value}":
            raise BadRecord(f"{name} holds a NUL", expected="text", attempt="repair the text")
    return _encode_line(content)


def _encode_sheet_row(content: Content) -> bytes:
    assert isinstance(content, dict)
    for name, value in content.items():
        for text in (name, str(value)):
            if len(text.encode("utf-16-le")) > 2 * MAX_CELL_CHARACTERS:
                raise BadRecord(
                    f"{name} has more characters than a cell of a workbook holds",
                    expected=f"at most {MAX_CELL_CHARACTERS:,}",
                    attempt="export it as csv or jsonl, or cut the text",
                )
            found = _NOT_IN_SHEETS.search(text)
            if found:
                raise BadRecord(
                    f"{name} holds {found[0]!r}, which a workbook cannot",
                    expected="text without control characters and carriage returns",
                    attempt="repair the text, or export it as csv or jsonl",
                )
    return _encode_line(content)


def _cell_text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else repr(value)


def _build_delimited(delimiter: str) -> Callable[[Table, Path], None]:
    def lines(table: Table) -> Iterator[bytes]:
        yield (join_cells(table.columns, delimiter) + "\n").encode()
        for row in table.rows():
            cells = (_cell_text(row.get(column)) for column in table.columns)
            yield (join_cells(cells, delimiter) + "\n").encode()

    return lambda table, path: write_file(path, lines(table))


def _build_workbook(table: Table, path: Path) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")

    def cell(value: object) -> WriteOnlyCell:
        # openpyxl writes 16 digits of a number, and some need 17.
        is_number = isinstance(value, int | float) and float(f"{value:.16g}") == value
        made = WriteOnlyCell(sheet, value=value if is_number else _cell_text(value))
        if not is_number:
            made.data_type = "s"  # openpyxl would make a formula of a text that begins with "="
        return made

    sheet.append([cell(column) for column in table.columns])
    for row in table.rows():
        sheet.append([cell(row.get(column)) for column in table.columns])
    book.save(path)


def _build_parquet(table: Table, path: Path) -> None:
    types = COLUMN_TYPES[table.kind]
    schema = pa.schema([(column, types.get(column, pa.string())) for column in table.columns])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(table.lines()):
            arrays = [pa.array([row.get(each.name) for row in group], each.type) for each in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _groups(lines: Iterable[bytes]) -> Iterator[list[dict[str, object]]]:
    group: list[dict[str, object]] = []
    num_bytes = 0
    for line in lines:
        group.append(json.loads(line))
        num_bytes += len(line)
        if len(group) == _ROWS_PER_GROUP or num_bytes > _BYTES_PER_GROUP:
            yield group
            group, num_bytes = [], 0
    if group:
        yield group


_BLOCKS = Container(_encode_block, separator=b"\n")
CONTAINERS: dict[str, Container] = {
    ".jsonl": Container(_encode_line),
    ".json": Container(encode_object, separator=b",\n", head=b"[\n", tail=b"\n]\n"),
    ".txt": _BLOCKS,
    ".md": _BLOCKS,
    ".conll": _BLOCKS,
    ".bio": _BLOCKS,
    ".csv": Container(_encode_delimited, build=_build_delimited(",")),
    ".tsv": Container(_encode_delimited, build=_build_delimited("\t")),
    ".xlsx": Container(
        _encode_sheet_row, build=_build_workbook, most_rows=MAX_SHEET_ROWS, most_columns=MAX_SHEET_COLUMNS
    ),
    ".parquet": Container(_encode_line, build=_build_parquet),
}
"""How a file is written, by its ending."""


@dataclass(slots=True)
class PartFile:
    """One file that is being written. `target` is where its bytes go, `spool` where a table waits for its columns."""

    container: Container
    target: Path
    spool: Path
    kind: Kind
    num_rows: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    _stream: BinaryIO | None = None

    def add(self, content: Content, encoded: bytes) -> None:
        """Write one row."""
        if self._stream is None:
            self._stream = open_new(self.spool if self.container.build else self.target)
            write_piece(self._stream, self.container.head)
        else:
            write_piece(self._stream, self.container.separator)
        write_piece(self._stream, encoded)
        if self.container.build and isinstance(content, dict):
            self.columns.update(dict.fromkeys(content))
        self.num_rows += 1

    def finish(self, order: Sequence[str]) -> None:
        """Write what is left: the end of the file, or the table whose columns are all known now."""
        assert self._stream is not None
        write_piece(self._stream, self.container.tail)
        self.close()
        if self.container.build:
            ranks = {column: rank for rank, column in enumerate(order)}
            columns = sorted(self.columns, key=lambda column: ranks.get(column, len(ranks)))
            self.container.build(Table(self.spool, columns, self.kind), self.target)

    def close(self) -> None:
        """Close the stream, whatever became of the rows."""
        if self._stream is not None:
            self._stream.close()
