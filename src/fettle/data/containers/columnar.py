"""Parquet and Arrow files (Feather is one), batch by batch: a row of named columns each.

Rows are numbered from 1, since there are no lines. What a file says of itself is checked before it is believed: an
Arrow file whose offsets lead elsewhere would have other memory read as text.
"""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fettle.data.containers.delimited import name_columns
from fettle.data.containers.opening import COLUMNAR_MAGICS, MAX_ROW_BYTES, decode_row
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.archives import open_seekable
from fettle.data.streams.source import File
from fettle.errors import RequestError

BATCH_ROWS = 1_024
MAX_GROUP_BYTES = 4_000_000_000
"""A row group is unpacked as one, so this bounds the memory that a Parquet file can ask for."""

_PARQUET, _ARROW_FILE, _ARROW_STREAM = COLUMNAR_MAGICS
_NAMES = {_PARQUET: "a Parquet file", _ARROW_FILE: "an Arrow file", _ARROW_STREAM: "an Arrow stream"}


class Columnar:
    """A .parquet, .arrow or .feather file."""

    name = "columnar"

    def recognise(self, sample: Sample) -> str | None:
        kind = _kind(sample.head)
        if kind is None:
            return None
        with _batches(sample.path) as (schema, _):
            names = name_columns(schema.names, str(sample.path))
        return f"{_NAMES[kind]} with the columns ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        with _batches(path) as (schema, batches):
            columns = name_columns(schema.names, str(path))
            number = 0
            for batch in batches:
                for values in _rows(batch):
                    number += 1
                    yield _row(path, number, columns, values)

    def quarantine_form(self, path: File) -> QuarantineForm:
        """Refused rows are written as JSON lines, which people can mend."""
        return QuarantineForm(".jsonl")


def _kind(head: bytes) -> bytes | None:
    return next((magic for magic in COLUMNAR_MAGICS if head.startswith(magic)), None)


@contextmanager
def _batches(path: File) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """The columns and the batches of a file; whatever the library says of damage is an error of the family."""
    try:
        with open_seekable(path) as stream:
            kind = _kind(stream.read(len(_ARROW_FILE)))
            stream.seek(0)
            if kind == _PARQUET:
                with closing(pq.ParquetFile(stream, pre_buffer=False)) as parquet:
                    _check_groups(path, parquet.metadata)
                    yield parquet.schema_arrow, parquet.iter_batches(BATCH_ROWS)
            elif kind == _ARROW_FILE:
                with pa.ipc.open_file(stream) as arrow:
                    batches = (arrow.get_batch(number) for number in range(arrow.num_record_batches))
                    yield arrow.schema, _slices(batches)
            else:
                with pa.ipc.open_stream(stream) as arrow:
                    yield arrow.schema, _slices(iter(arrow))
    except RequestError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, MemoryError) as error:
        said = str(error).splitlines()
        raise RequestError(
            f"the file is damaged or cut off: {said[0][:200] if said else type(error).__name__}",
            where=str(path),
            expected="a whole Parquet or Arrow file",
            attempt="write it again, or save it as JSON lines",
        ) from error


def _check_groups(path: File, metadata: pq.FileMetaData) -> None:
    largest = max((metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)), default=0)
    if largest > MAX_GROUP_BYTES:
        raise RequestError(
            f"a row group unpacks to {largest // 1_000_000} MB",
            where=str(path),
            expected=f"row groups of at most {MAX_GROUP_BYTES // 1_000_000} MB",
            attempt="write the file with smaller row groups",
        )


def _slices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        batch.validate(full=True)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    columns = [_values(column) for column in batch.columns]
    # A file of no columns has rows all the same, and each is refused for what it lacks.
    return zip(*columns, strict=True) if columns else iter([()] * batch.num_rows)


def _values(column: pa.Array) -> list[object]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        # One bad value in a column costs its row and not the batch.
        return [_value(each) for each in column]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return BadRecord(f"a value cannot be read: {error}", expected="text in UTF-8, dates within the calendar")


def _row(path: File, number: int, columns: list[str], values: tuple[object, ...]) -> RawRow | RefusedRow:
    fields: dict[str, object] = {}
    bad: BadRecord | None = None
    for column, value in zip(columns, values, strict=True):
        try:
            fields[column] = value if value.__class__ is str else _plain(value)
        except BadRecord as error:
            bad = bad or BadRecord(f"{column}: {error.problem}", expected=error.expected, attempt=error.attempt)
            fields[column] = None
    raw = msgspec.json.encode(fields)
    try:
        if bad is not None:
            raise bad
        if len(raw) > MAX_ROW_BYTES:
            decode_row(raw[: MAX_ROW_BYTES + 1])
    except BadRecord as error:
        return refuse(path, number, raw[: MAX_ROW_BYTES + 1], error)
    return RawRow(number, fields, raw)


def _plain(value: Any) -> object:
    """A value as JSON has it: dates as ISO 8601, decimals and durations as text, NaN (a hole in a column) as nothing.

    >>> _plain([1.5, float("nan"), datetime.date(2024, 5, 1), b"text", ("key", 2)])
    [1.5, None, '2024-05-01', 'text', ['key', 2]]
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, BadRecord):
        raise value
    if isinstance(value, float):
        if math.isinf(value):
            raise BadRecord("the number is infinite", expected="finite numbers")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta | decimal.Decimal):
        return str(value)
    raise BadRecord(f"a value is of the kind {type(value).__name__}", expected="text, numbers, dates, lists, objects")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(
            f"it holds {len(value):,} bytes that are no text", expected="text", attempt="leave the column out"
        ) from error
