"""A version of a dataset as bytes, as a hash and as a name.

The bytes are Parquet, so that other programs can open them; the hash is over what the rows say, not over the bytes, so
that it outlives a change of file, of line numbers or of the Parquet writer. Where bytes are kept is not known here.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fettle.data.records import Record, Row
from fettle.data.split import PARTS
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
_DIGEST_KEY = b"fettle.digest"

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


def content_hash(rows: Iterable[Row]) -> str:
    """SHA-256 over what the rows say, in order: record, part and fields, not the file and the line they came from.

    >>> from fettle.data.records import PlainText
    >>> content_hash([Row(PlainText("a"), "x.txt", 1)]) == content_hash([Row(PlainText("a"), "y.txt", 9)])
    True
    """
    digest = hashlib.sha256()
    for row in rows:
        # JSON frames the three, so that no two different rows run together into the same bytes.
        digest.update(msgspec.json.encode((row.content_key, row.part, sorted(row.fields.items()))))
    return digest.hexdigest()


def encode_rows(rows: Sequence[Row]) -> bytes:
    """The rows as a Parquet file. Law: `decode_rows` undoes it; the same rows give the same bytes.

    The same bytes only from the same release of pyarrow, which writes its name into the file; hence `content_hash`.
    """
    columns: list[list[object]] = [
        [msgspec.json.encode(row.record).decode() for row in rows],
        [row.file for row in rows],
        [row.line for row in rows],
        [msgspec.json.encode(row.fields, order="sorted").decode() for row in rows],
        [row.part for row in rows],
    ]
    schema = _SCHEMA.with_metadata({_DIGEST_KEY: _digest(columns)})
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema),
        sink,
        row_group_size=_ROWS_PER_GROUP,
        compression="zstd",
        compression_level=3,
        version="2.6",
        use_dictionary=["file", "part"],
        write_statistics=False,
        write_page_checksum=True,
    )
    return sink.getvalue()


def decode_rows(data: bytes) -> list[Row]:
    """The rows that `encode_rows` wrote, or `DamagedFile`: the columns are held against the digest beside them."""
    try:
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True, use_threads=False)
        if not table.schema.equals(_SCHEMA):
            raise ValueError("the columns are others")
        columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
        if (table.schema.metadata or {}).get(_DIGEST_KEY) != _digest(columns):
            raise ValueError("the digest does not match the columns")
        records = _records.decode(f"[{','.join(columns[0])}]")
        fields = _fields.decode(f"[{','.join(columns[3])}]")
    # pyarrow's errors are ValueError, KeyError, OSError or NotImplementedError; msgspec's are ValueError.
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError, NotImplementedError) as error:
        raise DamagedFile(
            "these bytes are no rows of a dataset",
            expected="the Parquet file that an import wrote",
            attempt="import the examples again",
        ) from error
    return [Row(*parts) for parts in zip(records, columns[1], columns[2], fields, columns[4], strict=True)]


def _digest(columns: list[list[object]]) -> bytes:
    return hashlib.sha256(msgspec.json.encode(columns)).hexdigest().encode()
