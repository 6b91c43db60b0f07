"""Which container a file is, which dialect its rows are written in, and which column is which field.

Content decides and an extension breaks ties; names of columns decide, then common synonyms; a user's map goes before
both. Every guess comes with its evidence in words, and where two columns could be one field nothing is guessed.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from fettle.data.containers.opening import FORMS, take_sample
from fettle.data.containers.protocol import Container, RawRow, RefusedRow
from fettle.data.containers.table import candidates
from fettle.data.dialects import TIERS, Dialect, dialects
from fettle.data.records import BadRecord
from fettle.data.streams.source import File
from fettle.errors import Fault, RequestError, near_misses

DROPPED = "-"
SYNONYMS: dict[str, tuple[str, ...]] = {
    "label": ("category", "intent", "class", "sentiment", "target", "labels"),
    "text": ("sentence", "message", "review", "utterance", "content", "body"),
    "prompt": ("question", "instruction", "input"),
    "completion": ("answer", "response", "output", "reply"),
    "context": ("input",),
}
SAMPLE_ROWS = 20_000
SAMPLE_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Recognised:
    """How a file is read. `columns` leads from field to column; `why` is the evidence in one sentence."""

    container: Container
    dialect: Dialect
    columns: Mapping[str, str]
    why: str
    dropped: frozenset[str] = frozenset()

    def fields_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """The fields that the dialect reads, under its own names; a missing column is named as the file names it."""
        for name in self.dialect.required:
            if self.columns[name] not in row:
                column = self.columns[name]
                raise BadRecord(
                    f"there is no {column}",
                    expected=f"a value for {column}" + (f", which is read as {name}" if name != column else ""),
                    attempt="add it, or leave the row out",
                )
        return {name: row[column] for name, column in self.columns.items() if column in row}

    def rest_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """The columns that no field takes and nobody dropped."""
        taken = self.dropped.union(self.columns.values())
        return {column: value for column, value in row.items() if column not in taken}


@dataclass(slots=True)
class _Look:
    """The first rows of a file as one container reads them."""

    container: Container
    evidence: str
    rows: list[RawRow] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    is_all: bool = True

    def counts(self) -> dict[str, int]:
        """In how many rows each column stands, in order of first sight."""
        return Counter(column for row in self.rows for column in row.fields)

    def columns(self) -> list[str]:
        """All columns, those of at least half the rows first."""
        counts = self.counts()
        return sorted(counts, key=lambda column: 2 * counts[column] < len(self.rows))

    def usual_columns(self) -> list[str]:
        """The columns of at least half the rows: one misspelt key in one row must not decide for all."""
        return [column for column, count in self.counts().items() if 2 * count >= len(self.rows)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A dialect whose fields were all found: `guessed` of them by a synonym, `doubtful` by more than one."""

    dialect: Dialect
    columns: dict[str, str]
    guessed: tuple[str, ...]
    doubtful: Mapping[str, Sequence[str]]


def recognise(
    path: File, column_map: Mapping[str, str], task: str | None = None, *, is_whole: bool = False
) -> Recognised:
    """Find container, dialect and columns of one file. `column_map` leads from column to field, or to "-" (drop it).

    With `is_whole` a plain text is one document, whatever stands in it.
    """
    _check_fields(column_map, task)
    sample = take_sample(path)
    looks = [_look(path, container, evidence) for container, evidence in candidates(sample, is_whole)]
    if not looks:
        raise RequestError("the form of the file is not recognised", where=str(path), expected=FORMS)
    for look in looks:
        if set(column_map) <= set(look.columns()):
            reading = _choose(look, column_map, task)
            if reading is not None:
                _check_doubt(path, reading)
                dropped = frozenset(column for column, name in column_map.items() if name == DROPPED)
                why = _why(look, reading)
                return Recognised(look.container, reading.dialect, reading.columns, why, dropped)
    raise _nothing_fits(path, looks[0], column_map, task)


def _look(path: File, container: Container, evidence: str) -> _Look:
    look = _Look(container, evidence)
    size_bytes = 0
    with closing(_closable(container.read(path))) as found:
        for row in itertools.islice(found, SAMPLE_ROWS):
            size_bytes += len(row.raw)
            if isinstance(row, RawRow):
                look.rows.append(row)
            else:
                look.refused.append(row)
            if size_bytes > SAMPLE_BYTES:
                break
        look.is_all = next(found, None) is None
    return look


def _closable(found: Iterator[RawRow | RefusedRow]) -> Generator[RawRow | RefusedRow, None, None]:
    # A generator of our own around any iterator, so that stopping early closes the file at once.
    yield from found


def _check_fields(column_map: Mapping[str, str], task: str | None) -> None:
    if task is not None and not dialects(task):
        tasks = sorted({dialect.task for dialect in dialects()})
        raise RequestError(f"there is no task {task!r} to import for", expected=f"one of: {', '.join(tasks)}")
    known = {name for dialect in dialects(task) for name in (*dialect.required, *dialect.optional)}
    for column, name in column_map.items():
        if name != DROPPED and name not in known:
            raise RequestError(
                f"there is no field {name!r}",
                where=f"--map {column}={name}",
                expected=f"one of: {', '.join(sorted(known))}, or {DROPPED} to drop the column",
                attempt=f"--map {column}={near_misses(name, known, 1).split(', ')[0]}",
            )
    named = [name for name in column_map.values() if name != DROPPED]
    for name in named:
        if named.count(name) > 1:
            columns = [column for column, other in column_map.items() if other == name]
            raise RequestError(
                f"{' and '.join(columns)} are both mapped to {name}",
                where="--map",
                expected="one column for each field",
                attempt=f"--map {columns[-1]}={DROPPED}",
            )


def _choose(look: _Look, column_map: Mapping[str, str], task: str | None) -> _Reading | None:
    """The most telling dialect that fits the usual columns, or else all columns; fewer guesses go first."""
    mapped = {name for name in column_map.values() if name != DROPPED}
    for columns in (look.usual_columns(), look.columns()):
        columns = list(dict.fromkeys([*columns, *column_map]))
        for tier in TIERS:
            readings = [
                _read_columns(dialect, columns, column_map)
                for dialect in tier
                if task in (None, dialect.task) and mapped <= {*dialect.required, *dialect.optional}
            ]
            fitting = [reading for reading in readings if reading is not None]
            if fitting:
                return min(fitting, key=lambda reading: len(reading.guessed))
    return None


def _read_columns(dialect: Dialect, columns: Sequence[str], column_map: Mapping[str, str]) -> _Reading | None:
    found: dict[str, str] = {}
    guessed: list[str] = []
    doubtful: dict[str, Sequence[str]] = {}
    by_field = {name: column for column, name in column_map.items()}
    free = [column for column in columns if column not in column_map]
    for name in (*dialect.required, *dialect.optional):
        if name in by_field:
            found[name] = by_field[name]
        elif name in free:
            found[name] = name
        else:
            likely = [
                column
                for column in free
                if column.casefold() in (name, *SYNONYMS.get(name, ())) and column not in found.values()
            ]
            if len(likely) > 1:
                # `input` beside another prompt is what goes with it; `context` takes it below.
                likely = [column for column in likely if column.casefold() != "input"]
            if likely:
                found[name] = likely[0]
                guessed.append(name)
            if len(likely) > 1:
                doubtful[name] = likely
    return None if dialect.matches(found) is None else _Reading(dialect, found, tuple(guessed), doubtful)


def _check_doubt(path: File, reading: _Reading) -> None:
    for name, columns in reading.doubtful.items():
        raise RequestError(
            f"{' and '.join(columns)} could each be the {name}",
            where=str(path),
            expected=f"one column for {name}",
            attempt=" or ".join(f"--map {column}={name}" for column in columns),
        )


def _why(look: _Look, reading: _Reading) -> str:
    """The evidence in one sentence: the container, the columns that were mapped or guessed, the labels counted."""
    renamed = [
        f"{column} is read as {name}" for name, column in reading.columns.items() if column != name or name == "context"
    ]
    said = ", ".join(renamed) or reading.dialect.matches(reading.columns) or ""
    num_rows = len(look.rows) + len(look.refused)
    rows = f"{num_rows:,} rows" if look.is_all else f"the first {num_rows:,} rows"
    if "label" in reading.columns:
        labels = {str(row.fields.get(reading.columns["label"], "")).strip() for row in look.rows}
        labels.discard("")
        return f"{look.evidence}; {said}: {len(labels):,} distinct value{'s' * (len(labels) != 1)} in {rows}"
    if reading.dialect.task == "text" and (kept := [c for c in look.columns() if c not in reading.columns.values()]):
        said += f", and {', '.join(kept[:5])} {'is' if len(kept) == 1 else 'are'} kept beside it"
    return f"{look.evidence}; {said}"


def _nothing_fits(path: File, look: _Look, column_map: Mapping[str, str], task: str | None) -> RequestError:
    """Say why no dialect was found: no rows, a mapped column that is not there, or columns that nobody knows."""
    if not look.rows:
        return _no_rows(path, look)
    columns = look.columns()
    for column in column_map:
        if column not in columns:
            return RequestError(
                f"there is no column {column!r}",
                where=str(path),
                expected=f"one of: {near_misses(column, columns)}",
                attempt=f"--map {near_misses(column, columns, 1).split(', ')[0]}={column_map[column]}",
            )
    attempt = _likely_map(look, column_map, dialects(task))
    if any(len(column) > 40 or column.replace(".", "", 1).isdigit() for column in columns):
        attempt = "add a first line that names the columns; these look like the values of a row"
    shapes = "; ".join(f"{' and '.join(dialect.required)} ({dialect.task})" for dialect in dialects(task))
    return RequestError(
        f"its columns do not say what is what: {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}",
        where=str(path),
        expected=f"{shapes}; this is {look.evidence}",
        attempt=attempt,
    )


def _no_rows(path: File, look: _Look) -> RequestError:
    if not look.refused:
        return RequestError("there are no rows in the file", where=str(path), expected=f"rows; this is {look.evidence}")
    faults: tuple[Fault, ...] = tuple(row.fault for row in look.refused)
    return RequestError(
        f"none of {'its' if look.is_all else 'the first'} {len(faults):,} rows can be read",
        where=str(path),
        expected=f"rows; this is {look.evidence}",
        attempt=f"mend them; the first: {faults[0].problem}",
        faults=faults,
    )


def _likely_map(look: _Look, column_map: Mapping[str, str], known: Sequence[Dialect]) -> str:
    """A map to try, for a form of two fields: the longest column is a text, the one with the fewest values a label."""
    texts: dict[str, list[str]] = {column: [] for column in look.columns() if column not in column_map}
    for row in look.rows[:1_000]:
        for column, value in row.fields.items():
            if column in texts:
                texts[column].append(str(value))
    by_length = sorted(texts, key=lambda column: -sum(map(len, texts[column])))
    if "classify" not in (dialect.task for dialect in known):
        fields = ("prompt", "completion") if known[0].task == "chat" else ("text",)
        return " ".join(f"--map {column}={name}" for column, name in zip(by_length, fields, strict=False))
    if "text" in column_map.values() or "text" in texts:
        by_length = [column for column in by_length if column != "text"]
        return f"--map {min(by_length, key=lambda column: len(set(texts[column])), default='COLUMN')}=label"
    label = min(by_length[1:], key=lambda column: len(set(texts[column])), default="")
    return " ".join(
        [f"--map {by_length[0] if by_length else 'COLUMN'}=text", *([f"--map {label}=label"] if label else [])]
    )
