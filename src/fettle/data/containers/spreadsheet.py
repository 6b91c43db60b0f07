"""The first sheet of an .xlsx workbook: a header row, then rows. Nothing is computed and no link is followed.

A formula is read by the value stored beside it. A workbook is a zip archive from who knows where, so what it unpacks
to is measured before anything is unpacked.
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import openpyxl

from fettle.data.containers.delimited import name_columns
from fettle.data.containers.opening import decode_row
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.containers.quoting import join_cells
from fettle.data.records import BadRecord
from fettle.data.streams.archives import ZIP_MAGIC, open_seekable
from fettle.data.streams.source import File
from fettle.errors import RequestError

MAX_UNPACKED_BYTES = 2_000_000_000
_ERROR_CELLS = frozenset(("#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#DIV/0!", "#GETTING_DATA"))


class Spreadsheet:
    """An .xlsx file."""

    name = "spreadsheet"

    def recognise(self, sample: Sample) -> str | None:
        if not sample.head.startswith(ZIP_MAGIC):
            return None
        with _rows(sample.path) as rows:
            header = next(rows, None)
        names = [] if header is None else name_columns(header[1], f"{sample.path}:{header[0]}")
        said = f"a workbook whose first sheet has a header ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"
        others = _other_sheets(sample.path)
        return said + (f"; not read: {', '.join(others[:5])}{', ...' if len(others) > 5 else ''}" if others else "")

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        with _rows(path) as rows:
            first = next(rows, None)
            if first is None:
                raise RequestError("the first sheet is empty", where=str(path), expected="a header row and rows")
            columns = name_columns(first[1], f"{path}:{first[0]}")
            for line, cells in rows:
                raw = join_cells(cells).encode("utf-8", "surrogatepass")
                try:
                    _check(cells, columns, raw)
                except BadRecord as bad:
                    yield refuse(path, line, raw, bad)
                else:
                    values = cells[: len(columns)] + [""] * (len(columns) - len(cells))
                    yield RawRow(line, dict(zip(columns, values, strict=True)), raw)

    def quarantine_form(self, path: File) -> QuarantineForm:
        """Refused rows are written as CSV, which people mend more easily than a workbook made by a program."""
        with _rows(path) as rows:
            header = next(rows, (0, []))[1]
        return QuarantineForm(".csv", join_cells(header).encode() + b"\n")


@contextmanager
def _workbook(path: File) -> Iterator[openpyxl.Workbook]:
    with open_seekable(path) as stream:
        with zipfile.ZipFile(stream) as archive:
            size_bytes = sum(member.file_size for member in archive.infolist())
        if size_bytes > MAX_UNPACKED_BYTES:
            raise RequestError(
                f"the workbook unpacks to {size_bytes // 1_000_000} MB",
                where=str(path),
                expected=f"at most {MAX_UNPACKED_BYTES // 1_000_000} MB",
                attempt="save the sheet as CSV",
            )
        with warnings.catch_warnings():
            # openpyxl warns of features that it does not write back, and nothing is written here.
            warnings.simplefilter("ignore")
            workbook = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
            with closing(workbook):
                yield workbook


@contextmanager
def _rows(path: File) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The rows of the first sheet that hold anything, with their numbers; the workbook is closed at the end."""
    try:
        with _workbook(path) as workbook:
            yield _numbered(workbook.worksheets[0]) if workbook.worksheets else iter(())
    except RequestError:
        raise
    except Exception as error:
        # A damaged archive or sheet raises whatever zipfile, expat and openpyxl happen to; they share no family.
        raise RequestError(
            "the workbook cannot be read", where=str(path), expected="a whole .xlsx file", attempt="save it as CSV"
        ) from error


def _other_sheets(path: File) -> list[str]:
    with _workbook(path) as workbook:
        return [str(name) for name in workbook.sheetnames[1:]]


def _numbered(sheet: object) -> Iterator[tuple[int, list[str]]]:
    # The size that a sheet states for itself is often wrong, and rows beyond it would be lost.
    sheet.reset_dimensions()  # type: ignore[attr-defined]
    for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):  # type: ignore[attr-defined]
        cells = [_cell_text(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield line, cells


def _cell_text(value: object) -> str:
    """A cell as people see it: whole numbers without a point, dates as ISO 8601.

    >>> _cell_text(5.0), _cell_text(2.5), _cell_text(True), _cell_text(None)
    ('5', '2.5', 'true', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _check(cells: Sequence[str], columns: Sequence[str], raw: bytes) -> None:
    decode_row(raw)
    if len(cells) > len(columns):
        raise BadRecord(
            f"{len(cells)} cells under a header of {len(columns)}",
            expected=f"{len(columns)} cells: {', '.join(columns[:8])}",
            attempt="name the columns in the first row, or empty the cells beyond them",
        )
    for column, cell in zip(columns, cells, strict=False):
        if cell in _ERROR_CELLS:
            raise BadRecord(f"{column} holds the error {cell}", expected="a value", attempt="mend the formula")
