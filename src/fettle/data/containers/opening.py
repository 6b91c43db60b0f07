"""Opening a file: the first look at it, its physical lines, and the decoding of one row.

What is wrong with a file as a whole is said here, once, for all containers; what is wrong with a row is theirs.
Splitting is done on bytes, so that one byte that is no UTF-8 spoils one line, and so that the separators that only
Unicode knows (U+2028, form feed) do not split a row in two.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fettle.data.containers.protocol import BOM, Sample
from fettle.data.records import BadRecord
from fettle.data.streams.archives import ZIP_MAGIC, is_archive, is_workbook
from fettle.data.streams.packed import open_file
from fettle.data.streams.source import BLOCK_BYTES, File, unreadable
from fettle.errors import MissingFile, RequestError

HEAD_BYTES = 262_144
MAX_ROW_BYTES = 10_000_000
"""A longer row is refused. Of such a row one byte more than this is kept, so quarantine never passes for mended."""

MAX_CONTROL_SHARE = 0.1
MAX_UNDECODABLE_SHARE = 0.5
COLUMNAR_MAGICS = (b"PAR1", b"ARROW1\x00\x00", b"\xff\xff\xff\xff")
"""Parquet, an Arrow file (Feather is one), an Arrow stream."""

FORMS = (
    "CSV, TSV, JSON lines, a JSON array, .xlsx, Parquet, Arrow, CoNLL, XML, HTML, Markdown, lines of label and text, "
    "or plain text, in UTF-8"
)
_AS_UTF8 = "save it again as UTF-8"

# What a file begins with, and what it is then. UTF-32 stands before UTF-16, whose mark begins with the same bytes.
_ENCODINGS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_FORMATS = (
    (b"\x1f\x8b", "packed twice", "unpack it first"),
    (b"BZh", "packed twice", "unpack it first"),
    (b"\xfd7zXZ\x00", "packed twice", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed twice", "unpack it first"),
    (b"FEA1", "a Feather file of the first version", "save it again as Parquet"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save it as .xlsx or CSV"),
    (b"%PDF", "a PDF", "save its text as a .txt file"),
    (b"SQLite format 3\x00", "an SQLite database", "save the table as CSV"),
)
_CONTROL_BYTES = bytes(byte for byte in [*range(32), 127] if byte not in b"\t\n\r\f\x1b")


def take_sample(path: File) -> Sample:
    """Read the beginning of a file, or say what is wrong with all of it."""
    try:
        if isinstance(path, Path):
            _check_path(path)
        with open_file(path) as file:
            head = _read_up_to(file, HEAD_BYTES + 1)
    except (OSError, ValueError) as error:
        # The errors of the family that are raised inside are builtins of these kinds as well.
        if isinstance(error, RequestError):
            raise
        raise unreadable(path, error) from error
    sample = Sample(path, head[:HEAD_BYTES], len(head))
    _check_format(sample)
    if not head.startswith((ZIP_MAGIC, *COLUMNAR_MAGICS)):
        _check_text(sample)
    return sample


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise RequestError("this is a folder", where=str(path), expected="a file", attempt=f"{path}/*")
    if not path.exists():
        raise MissingFile("there is no such file", where=str(path), expected="a file", attempt=_neighbours(path))
    if not path.is_file():
        raise RequestError("this is no ordinary file", where=str(path), expected="a file on a disk")


def _read_up_to(file: BinaryIO, num_bytes: int) -> bytes:
    pieces: list[bytes] = []
    while num_bytes and (piece := file.read(num_bytes)):
        pieces.append(piece)
        num_bytes -= len(piece)
    return b"".join(pieces)


def _neighbours(path: Path) -> str:
    folder = path.parent
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file()) if folder.is_dir() else []
    close = [name for name in names if name.casefold().split(".")[0] == path.name.casefold().split(".")[0]]
    return ", ".join(str(folder / name) for name in close[:3])


def _check_format(sample: Sample) -> None:
    where, head = str(sample.path), sample.head
    if not head.removeprefix(BOM).strip() and sample.is_whole:
        raise RequestError("the file is empty", where=where, expected=FORMS)
    for mark, encoding in _ENCODINGS:
        if head.startswith(mark):
            raise RequestError(f"the file is {encoding}", where=where, expected="UTF-8", attempt=_AS_UTF8)
    for mark, kind, attempt in _FORMATS:
        if head.startswith(mark):
            raise RequestError(f"the file is {kind}", where=where, expected=FORMS, attempt=attempt)
    if is_archive(head) and not (head.startswith(ZIP_MAGIC) and is_workbook(sample.path)):
        kind = "a zip" if head.startswith(b"PK") else "a tar"
        raise RequestError(f"the file is {kind} archive", where=where, expected=FORMS, attempt="unpack it first")


def _check_text(sample: Sample) -> None:
    where, head = str(sample.path), sample.head
    num_nul = head.count(b"\0")
    if num_nul > len(head) // 4:
        raise RequestError(
            "the file is binary, or UTF-16 without a mark", where=where, expected=FORMS, attempt=_AS_UTF8
        )
    num_control = len(head) - len(head.translate(None, _CONTROL_BYTES))
    if num_nul or num_control > MAX_CONTROL_SHARE * len(head):
        raise RequestError("the file is binary", where=where, expected=FORMS)
    if b"\r" in head and b"\n" not in head:
        raise RequestError(
            "its lines end with carriage returns alone",
            where=where,
            expected="lines that end with a line feed",
            attempt="save it again with Unix or Windows line ends",
        )
    lines = sample.lines()
    num_bad = sum(not _is_utf8(line) for line in lines)
    # One line may be a whole array, in which one bad byte is the fault of one element.
    if len(lines) > 1 and num_bad > MAX_UNDECODABLE_SHARE * len(lines):
        raise RequestError(
            f"{num_bad} of the first {len(lines)} lines are not UTF-8",
            where=where,
            expected="UTF-8; this looks like Latin-1 or another older encoding",
            attempt=_AS_UTF8,
        )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_blocks(path: File) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of a file in blocks, each with the number of its first line; terminators stay, the BOM is taken off.

    The rest of an overlong line is passed over without being held, so memory stays bounded whatever the file is.
    """
    number, first = 1, True
    for block in _whole_line_blocks(path):
        lines = io.BytesIO(block.removeprefix(BOM) if first else block).readlines()
        first = False
        if len(block) > MAX_ROW_BYTES:
            lines = [line[: MAX_ROW_BYTES + 1] for line in lines]
        yield number, lines
        number += len(lines)


def _whole_line_blocks(path: File) -> Iterator[bytes]:
    """The file in pieces that end where a line ends, the last one aside; an overlong line is cut to the limit."""
    kept: list[bytes] = []
    num_kept = 0
    with open_file(path) as file:
        while block := _read_block(file, path):
            cut = block.rfind(b"\n") + 1
            if not cut:
                if num_kept <= MAX_ROW_BYTES:
                    kept.append(block)
                    num_kept += len(block)
                continue
            if kept:
                end = block.index(b"\n") + 1
                kept.append(block[:end])
                line = b"".join(kept)
                yield line if len(line) <= MAX_ROW_BYTES else line[: MAX_ROW_BYTES + 1]
                if end < cut:
                    yield block[end:cut]
            else:
                yield block[:cut]
            kept, num_kept = ([block[cut:]], len(block) - cut) if cut < len(block) else ([], 0)
    if kept:
        yield b"".join(kept)[: MAX_ROW_BYTES + 1]


def _read_block(file: BinaryIO, path: File) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except OSError as error:
        if isinstance(error, RequestError):
            raise
        raise unreadable(path, error) from error


def physical_lines(path: File) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line, its terminator included; the byte order mark is taken off."""
    for first, lines in line_blocks(path):
        yield from enumerate(lines, start=first)


def decode_row(raw: bytes) -> str:
    """The text of a row, or what keeps it from being text.

    >>> decode_row(b"na\\xc3\\xafve")
    'naïve'
    """
    if len(raw) > MAX_ROW_BYTES:
        raise BadRecord(
            f"the row is longer than {MAX_ROW_BYTES // 1_000_000} MB",
            expected="one example a row",
            attempt="cut the text into several rows, or find the quote or line end that is missing",
        )
    if b"\0" in raw:
        raise BadRecord("the row holds a NUL byte", expected="text", attempt="remove the byte")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRecord(
            f"byte {error.start + 1} of the row (0x{raw[error.start]:02x}) is not UTF-8",
            expected="UTF-8",
            attempt="save the row again as UTF-8",
        ) from error
