"""A version of a dataset as bytes, as a hash and as a name.

The bytes are Parquet, so that other programs can open them; the hash is over what the rows say, not over the bytes, so
that it outlives a change of file, of line numbers or of the Parquet writer. Rows stream through in both directions, so
a version may be larger than memory. Where bytes are kept is not known here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fettle.data.records import Record, Row
from fettle.data.splits.split import PARTS
from fettle.errors import DamagedFile, RequestError, UnknownName, near_misses

_SCHEMA = pa.schema(
    [
        pa.field("record", pa.large_string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("fields", pa.large_string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
    ]
)
_ROWS_PER_GROUP = 65_536
_BYTES_PER_GROUP = 24_000_000
_ROWS_PER_READ = 4_096

_encoder = msgspec.json.Encoder()
_fields_encoder = msgspec.json.Encoder(order="sorted")
_records = msgspec.json.Decoder(list[Record])
_fields = msgspec.json.Decoder(list[dict[str, str]])

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class VersionName:
    """`name@part#hash-prefix`: no part is all parts, no prefix is the latest state.

    >>> str(VersionName("tickets", "test", "1a2b"))
    'tickets@test#1a2b'
    """

    name: str
    part: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        return self.name + (f"@{self.part}" if self.part else "") + (f"#{self.prefix}" if self.prefix else "")


def parse_version_name(written: str) -> VersionName:
    """Read a version's name. Law: `str` undoes it.

    >>> parse_version_name("tickets@test#1a2b")
    VersionName(name='tickets', part='test', prefix='1a2b')
    """
    rest, hash_sign, prefix = written.partition("#")
    name, at_sign, part = rest.partition("@")
    form = "NAME, NAME@PART, NAME#HASH or NAME@PART#HASH"
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"{name!r} is no name of a dataset" if name else "the name of the dataset is missing",
            where=written,
            expected=f"{form}, the name of letters, digits, '.', '_' and '-' between letters or digits",
        )
    if at_sign and part not in PARTS:
        raise UnknownName(
            f"there is no part {part!r}",
            where=written,
            expected=f"one of: {', '.join(PARTS)}",
            attempt=f"{name}@{near_misses(part, PARTS, 1).split(', ')[0]}",
        )
    if hash_sign and not _PREFIX.fullmatch(prefix):
        raise RequestError(
            f"{prefix!r} begins no hash",
            where=written,
            expected=f"{form}, the hash as 4 to 64 of the digits 0-9 and a-f",
            attempt="fettle data list",
        )
    return VersionName(name, part, prefix)


def rows_of_part(rows: Sequence[Row], part: str) -> list[Row]:
    """The rows of one part; all rows where no part is named. A row without a part trains.

    >>> from fettle.data.records import PlainText
    >>> rows = [Row(PlainText("a"), "f", 1), Row(PlainText("b"), "f", 2, part="test")]
    >>> [row.line for row in rows_of_part(rows, "train")], [row.line for row in rows_of_part(rows, "test")]
    ([1], [2])
    """
    if not part:
        return list(rows)
    if part not in PARTS:
        raise UnknownName(f"there is no part {part!r}", expected=f"one of: {', '.join(PARTS)}")
    return [row for row in rows if (row.part or "train") == part]


class Sink(Protocol):
    """What rows are written to: a file that is open, or whatever takes bytes as one does."""

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        ...

    def write(self, piece: bytes, /) -> int:
        """Take bytes."""
        ...


class _Notes(Protocol):
    """Who is told of every row that is written, with its content digest."""

    def add(self, row: Row, content_digest: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the hash over what the rows say, and their number."""

    content_hash: str
    num_rows: int


def content_hash(rows: Iterable[Row]) -> str:
    """SHA-256 over what the rows say, in order: record, part and fields, not the file and the line they came from.

    >>> from fettle.data.records import PlainText
    >>> content_hash([Row(PlainText("a"), "x.txt", 1)]) == content_hash([Row(PlainText("a"), "y.txt", 9)])
    True
    """
    digest = hashlib.sha256()
    for row in rows:
        digest.update(_said(row, row.content_digest))
    return digest.hexdigest()


def write_rows(stream: Sink, rows: Iterable[Row], notes: _Notes | None = None) -> Written:
    """Write rows as a Parquet file. Law: `read_rows` gives them back; the same rows give the same bytes.

    The same bytes only from the same release of pyarrow, which writes its name into the file; hence `content_hash`.
    """
    digest = hashlib.sha256()
    num_rows = 0
    # Packing and compressing leave the interpreter free, so the next rows are made ready meanwhile.
    with (
        pq.ParquetWriter(
            stream,
            _SCHEMA,
            compression="zstd",
            compression_level=1,
            version="2.6",
            use_dictionary=["file", "part"],
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
        ThreadPoolExecutor(1) as helper,
    ):
        being_written: Future[None] | None = None
        group = _Group()
        for row in rows:
            encoded = _encoder.encode(row.record)
            content_digest = hashlib.sha256(encoded).digest()
            digest.update(_said(row, content_digest))
            if notes is not None:
                notes.add(row, content_digest)
            group.add(row, encoded)
            num_rows += 1
            if group.is_full():
                if being_written is not None:
                    being_written.result()
                being_written = helper.submit(writer.write_batch, group.as_batch())
                group = _Group()
        if being_written is not None:
            being_written.result()
        if group.lines:
            writer.write_batch(group.as_batch())
    return Written(digest.hexdigest(), num_rows)


class _Group:
    """Rows that are in memory at once, column by column; plain text can be megabytes a row."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.files: list[str] = []
        self.lines: list[int] = []
        self.fields: list[bytes] = []
        self.parts: list[str] = []
        self._num_bytes = 0

    def add(self, row: Row, encoded: bytes) -> None:
        self.records.append(encoded)
        self.files.append(row.file)
        self.lines.append(row.line)
        self.fields.append(_fields_encoder.encode(row.fields) if row.fields else b"{}")
        self.parts.append(row.part)
        self._num_bytes += len(encoded)

    def is_full(self) -> bool:
        return len(self.lines) >= _ROWS_PER_GROUP or self._num_bytes > _BYTES_PER_GROUP

    def as_batch(self) -> pa.RecordBatch:
        columns: list[pa.Array] = [
            # JSON out of the encoder is UTF-8 by its making, so the bytes are text without being decoded.
            pa.array(self.records, pa.large_binary()).view(pa.large_string()),
            pa.array(self.files, pa.string()),
            pa.array(self.lines, pa.int64()),
            pa.array(self.fields, pa.large_binary()).view(pa.large_string()),
            pa.array(self.parts, pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def read_rows(source: Path | BinaryIO) -> Iterator[Row]:
    """The rows that `write_rows` wrote, one after the other, or `DamagedFile` at the place where they end."""
    try:
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_SCHEMA):
                raise ValueError("the columns are others")
            for batch in file.iter_batches(batch_size=_ROWS_PER_READ, use_threads=False):
                columns = [batch.column(name).to_pylist() for name in _SCHEMA.names]
                records = _records.decode(f"[{','.join(columns[0])}]")
                fields = _fields.decode(f"[{','.join(columns[3])}]")
                for parts in zip(records, columns[1], columns[2], fields, columns[4], strict=True):
                    yield Row(*parts)
    # pyarrow's errors are ValueError, KeyError, OSError or NotImplementedError; msgspec's are ValueError.
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, NotImplementedError) as error:
        raise DamagedFile(
            "these bytes are no rows of a dataset",
            where=str(source) if isinstance(source, Path) else "",
            expected="the Parquet file that an import wrote",
            attempt="import the examples again",
        ) from error


def _said(row: Row, content_digest: bytes) -> bytes:
    # JSON frames the three, so that no two different rows run together into the same bytes.
    return _encoder.encode((content_digest.hex(), row.part, sorted(row.fields.items())))
