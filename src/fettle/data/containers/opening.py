"""Opening a file: the first look at it, its physical lines, and the decoding of one row.

What is wrong with a file as a whole is said here, once, for all containers; what is wrong with a row is theirs.
Splitting is done on bytes, so that one byte that is no UTF-8 spoils one line, and so that the separators that only
Unicode knows (U+2028, form feed) do not split a row in two.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from fettle.data.containers.protocol import BOM, Sample
from fettle.data.records import BadRecord
from fettle.errors import MissingFile, RequestError

HEAD_BYTES = 262_144
MAX_ROW_BYTES = 10_000_000
"""A longer row is refused. Of such a row one byte more than this is kept, so quarantine never passes for mended."""

MAX_CONTROL_SHARE = 0.1
MAX_UNDECODABLE_SHARE = 0.5
ZIP_MAGIC = b"PK\x03\x04"

FORMS = "CSV, TSV, JSON lines, a JSON array, .xlsx, lines of label and text, or plain text, in UTF-8"
_AS_UTF8 = "save it again as UTF-8"

# What a file begins with, and what it is then. UTF-32 stands before UTF-16, whose mark begins with the same bytes.
_ENCODINGS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_FORMATS = (
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"BZh", "compressed with bzip2", "unpack it first"),
    (b"\xfd7zXZ\x00", "compressed with xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    (b"PAR1", "a Parquet file", "save it as JSON lines"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save it as .xlsx or CSV"),
    (b"%PDF", "a PDF", "save its text as a .txt file"),
    (b"SQLite format 3\x00", "an SQLite database", "save the table as CSV"),
)
_CONTROL_BYTES = bytes(byte for byte in [*range(32), 127] if byte not in b"\t\n\r\f\x1b")


def take_sample(path: Path) -> Sample:
    """Read the beginning of a file, or say what is wrong with all of it."""
    try:
        if path.is_dir():
            raise RequestError("this is a folder", where=str(path), expected="a file", attempt=f"{path}/*")
        if not path.exists():
            raise MissingFile("there is no such file", where=str(path), expected="a file", attempt=_neighbours(path))
        if not path.is_file():
            raise RequestError("this is no ordinary file", where=str(path), expected="a file on a disk")
        with path.open("rb") as file:
            sample = Sample(path, file.read(HEAD_BYTES), path.stat().st_size)
    except (OSError, ValueError) as error:
        # Both errors of the family that are raised above are builtins of these kinds as well.
        if isinstance(error, RequestError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(f"it cannot be read: {reason}", where=str(path), expected="a readable file") from error
    _check_format(sample)
    if not sample.head.startswith(ZIP_MAGIC):
        _check_text(sample)
    return sample


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
    if head.startswith(ZIP_MAGIC) and not _is_workbook(sample.path):
        raise RequestError("the file is a zip archive", where=where, expected=FORMS, attempt="unpack it first")


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


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


def physical_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line, its terminator included; the byte order mark is taken off.

    The rest of an overlong line is passed over without being held, so memory stays bounded whatever the file is.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            tail = line
            while len(tail) > MAX_ROW_BYTES and not tail.endswith(b"\n"):
                tail = file.readline(MAX_ROW_BYTES + 1)
            yield number, line.removeprefix(BOM) if number == 1 else line


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
