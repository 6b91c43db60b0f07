"""CSV and its kin: a header, then records of as many cells, with commas, tabs, semicolons or bars between them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

from fettle.data.containers.opening import decode_row, physical_lines, take_sample
from fettle.data.containers.protocol import BOM, QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.containers.quoting import DelimitedRecord, records, split_cells, unsound_quotes
from fettle.data.records import BadRecord
from fettle.data.streams.source import File
from fettle.errors import RequestError

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SUFFIXES = (".csv", ".tsv", ".tab")
_SAMPLED_RECORDS = 200
_LEAST_CONSISTENT_SHARE = 0.9
_MAX_HEADER_CELL = 60


class Delimited:
    """A .csv, .tsv or other file of delimited cells under a header."""

    name = "delimited"

    def recognise(self, sample: Sample) -> str | None:
        delimiter, share = _sniff(sample)
        header = _header_cells(sample, delimiter)
        if header is None:
            return None
        if sample.suffix in SUFFIXES:
            # A header without any delimiter is a file of one column.
            is_likely = not any(cell.startswith(("{", "[")) for cell in header)
        else:
            is_likely = len(header) > 1 and share >= _LEAST_CONSISTENT_SHARE and _reads_as_names(header)
        if not is_likely:
            return None
        kind = {",": "CSV", "\t": "TSV"}.get(delimiter, f"CSV with {DELIMITERS[delimiter]}")
        names = ", ".join(header[:8]) + (", ..." if len(header) > 8 else "")
        return f"{kind} {'and' if ' with ' in kind else 'with'} a header ({names})"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        delimiter, _ = _sniff(take_sample(path))
        found = records(physical_lines(path), delimiter)
        columns = _columns(path, next(found, None), delimiter)
        for record in found:
            try:
                cells = record.cells or _cells_of(record, delimiter)
                if len(cells) != len(columns):
                    raise _wrong_count(cells, columns, delimiter)
            except BadRecord as bad:
                yield refuse(path, record.line, record.raw, bad)
            else:
                yield RawRow(record.line, dict(zip(columns, cells, strict=True)), record.raw)

    def quarantine_form(self, path: File) -> QuarantineForm:
        delimiter, _ = _sniff(take_sample(path))
        header = next(records(physical_lines(path), delimiter))
        return QuarantineForm(".tsv" if delimiter == "\t" else ".csv", header.raw + b"\n")


def name_columns(header: list[str], where: str) -> list[str]:
    """The names of the columns, blanks around them taken off; a column without one is called by its number.

    >>> name_columns(["", " text "], "a.csv")
    ['column_1', 'text']
    """
    names = [cell.strip() or f"column_{number}" for number, cell in enumerate(header, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RequestError(
            f"the header names {', '.join(map(repr, twice))} more than once",
            where=where,
            expected="each column under a name of its own",
            attempt="rename one of them",
        )
    return names


def _columns(path: File, header: DelimitedRecord | None, delimiter: str) -> list[str]:
    if header is None:
        raise RequestError("the file is empty", where=str(path), expected="a header and rows")
    try:
        return name_columns(_cells_of(header, delimiter), f"{path}:{header.line}")
    except BadRecord as bad:
        raise RequestError(
            f"the header cannot be read: {bad.problem}",
            where=f"{path}:{header.line}",
            expected=bad.expected,
            attempt=bad.attempt,
        ) from bad


def _cells_of(record: DelimitedRecord, delimiter: str) -> list[str]:
    if not record.is_sound:
        raise unsound_quotes()
    return split_cells(decode_row(record.raw), delimiter)


def _wrong_count(cells: list[str], columns: list[str], delimiter: str) -> BadRecord:
    one = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}[delimiter]
    return BadRecord(
        f"{len(cells)} cells under a header of {len(columns)}",
        expected=f"{len(columns)} cells: {', '.join(columns[:8])}",
        attempt=f"put a cell that holds {one} in double quotes"
        if len(cells) > len(columns)
        else "add the cells that are missing",
    )


def _sampled(sample: Sample, delimiter: str) -> list[DelimitedRecord]:
    lines = io.BytesIO(sample.head.removeprefix(BOM)).readlines()
    if not sample.is_whole and len(lines) > 1:
        lines.pop()
    return list(itertools.islice(records(enumerate(lines, start=1), delimiter), _SAMPLED_RECORDS))


def _cells(record: DelimitedRecord, delimiter: str) -> list[str] | None:
    try:
        return _cells_of(record, delimiter)
    except BadRecord:
        return None


def _header_cells(sample: Sample, delimiter: str) -> list[str] | None:
    found = _sampled(sample, delimiter)
    cells = _cells(found[0], delimiter) if found else None
    return None if cells is None else [cell.strip() for cell in cells]


def _sniff(sample: Sample) -> tuple[str, float]:
    """The delimiter whose header the most records agree with in number of cells, and the share that agrees.

    Trap: commas occur in every prose, so how often a mark occurs says nothing; only agreement with the header does.
    """
    best, best_rank = ",", (False, 0.0, 0)
    for delimiter in DELIMITERS:
        found = _sampled(sample, delimiter)
        header = _cells(found[0], delimiter) if found else None
        if header is None:
            continue
        rows = [_cells(record, delimiter) for record in found[1:]]
        share = sum(cells is not None and len(cells) == len(header) for cells in rows) / len(rows) if rows else 0.0
        rank = (len(header) > 1, share, len(header))
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best, best_rank[1]


def _reads_as_names(header: list[str]) -> bool:
    """Whether cells look like the names of columns rather than like a first row.

    >>> _reads_as_names(["text", "label"]), _reads_as_names(["1", "a stirring"])
    (True, False)
    """
    named = [cell for cell in header if cell]
    return (
        bool(named)
        and len(set(named)) == len(named)
        and all(len(cell) <= _MAX_HEADER_CELL and not set(cell) & set('{}[]"') for cell in named)
        and not any(cell.replace(".", "", 1).lstrip("-").isdigit() for cell in named)
    )
