"""Tables of inputs for a model to answer, and the same tables with the answers beside them.

Whatever a container reads can be answered: a spreadsheet in, a spreadsheet out, every column kept. What a cell says is
data: text that begins like a formula is written as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

from fettle.data.containers.opening import take_sample
from fettle.data.containers.protocol import RawRow
from fettle.data.containers.table import candidates
from fettle.data.intake.columns import SYNONYMS
from fettle.errors import Fault, RequestError, near_misses
from fettle.storage.publish import publish_bytes, publishing_file

OUTPUT_SUFFIXES = (".csv", ".tsv", ".xlsx", ".jsonl")
_QUESTION_FIELDS = ("text", "prompt", "sentence1")
_OTHER_FIELDS = ("sentence2", "other")
Cells = dict[str, object]


@dataclass(frozen=True)
class InputTable:
    """Rows as their file holds them. `question` is the column that the model is given, `other` the one that holds
    what it is compared with; empty where there is none.
    """

    columns: list[str]
    rows: list[Cells]
    question: str
    refused: list[Fault]
    other: str = ""

    def questions(self) -> list[str]:
        """What the model is given, row by row."""
        return [str(row.get(self.question, "")) for row in self.rows]

    def pairs(self) -> list[tuple[str, str]]:
        """What the model is given and what that is compared with, row by row."""
        return list(zip(self.questions(), [str(row.get(self.other) or "") for row in self.rows], strict=True))


def read_inputs(path: Path, column_map: Mapping[str, str]) -> InputTable:
    """Read a table and find the column with the questions: mapped to `text`, so named, or the only one."""
    found = candidates(take_sample(path))
    if not found:
        raise RequestError("the form of the file is not recognised", where=str(path), expected="a table or JSON Lines")
    rows: list[Cells] = []
    refused: list[Fault] = []
    columns: dict[str, None] = {}
    for item in found[0][0].read(path):
        if isinstance(item, RawRow):
            rows.append(item.fields)
            columns.update(dict.fromkeys(item.fields))
        else:
            refused.append(item.fault)
    if not rows:
        raise RequestError("there is no row to answer", where=str(path), expected="at least one row", faults=refused)
    other = _named_column(path, list(columns), column_map, _OTHER_FIELDS)
    return InputTable(list(columns), rows, _question_column(path, list(columns), column_map), refused, other)


def write_outputs(path: Path, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    """Publish a table in the form that the file's name asks for."""
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        raise RequestError(
            f"no table is written as {path.suffix or 'a file without an ending'}",
            where=str(path),
            expected=f"one of: {', '.join(OUTPUT_SUFFIXES)}",
        )
    if path.suffix.lower() == ".xlsx":
        _write_workbook(path, columns, rows)
    elif path.suffix.lower() == ".jsonl":
        publish_bytes(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    else:
        text = io.StringIO(newline="")
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[row.get(column, "") for column in columns] for row in rows])
        publish_bytes(path, text.getvalue().encode())


def check_output(path: Path) -> None:
    """Refuse an output that could not be written, before any work is done for it."""
    if path.suffix.lower() not in OUTPUT_SUFFIXES:
        write_outputs(path, [], [])
    if not path.absolute().parent.is_dir():
        raise RequestError("there is no such folder", where=str(path.parent), expected="a folder to write into")


def _write_workbook(path: Path, columns: Sequence[str], rows: Sequence[Cells]) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("answers")

    def cell(value: object) -> WriteOnlyCell:
        made = WriteOnlyCell(sheet, value=value if isinstance(value, int | float) else str(value))
        if isinstance(value, str):
            made.data_type = "s"  # openpyxl would make a formula of a text that begins with "="
        return made

    sheet.append([cell(column) for column in columns])
    for row in rows:
        sheet.append([cell(row.get(column, "")) for column in columns])
    with publishing_file(path) as staged:
        book.save(staged)


def _question_column(path: Path, columns: Sequence[str], column_map: Mapping[str, str]) -> str:
    named = _named_column(path, columns, column_map, _QUESTION_FIELDS)
    if named or len(columns) == 1:
        return named or columns[0]
    raise RequestError(
        "it is not clear which column the model should read",
        where=str(path),
        expected=f"a column named text, among: {', '.join(columns)}",
        attempt=f"--map {columns[0]}=text",
    )


def _named_column(path: Path, columns: Sequence[str], column_map: Mapping[str, str], fields: Sequence[str]) -> str:
    """The column that is mapped to one of the fields, or has its name or a synonym of it; empty where there is none.

    A field without synonyms is one that is only found by a map: columns are called `other` for many reasons.
    """
    mapped = [column for column, field in column_map.items() if field in fields]
    for column in mapped:
        if column not in columns:
            raise RequestError(
                f"there is no column {column!r}", where=str(path), expected=f"one of: {near_misses(column, columns)}"
            )
    names = [name for field in fields if field in SYNONYMS for name in (field, *SYNONYMS[field])]
    named = [column for name in names for column in columns if column.lower() == name]
    return next(iter([*mapped, *named]), "")
