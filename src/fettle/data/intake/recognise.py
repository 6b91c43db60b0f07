"""Which container a file is, which dialect its rows are written in, and which column is which field.

Content decides and an extension breaks ties; names of columns decide, then common synonyms; a user's map goes before
both. Of dialects with the same columns the values of the first rows decide. Every guess comes with its evidence in
words, and where two columns could be one field nothing is guessed.
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
from fettle.data.dialects.protocol import Dialect
from fettle.data.dialects.table import DIALECTS, TIERS, dialects
from fettle.data.dialects.texts import TEXT
from fettle.data.intake.columns import DROPPED, Reading, check_map, follow, read_columns, words_for
from fettle.data.intake.paths import MISSING, JsonPath, parse_path
from fettle.data.records import BadRecord
from fettle.data.streams.source import File
from fettle.errors import Fault, RequestError, near_misses

SAMPLE_ROWS = 20_000
SAMPLE_BYTES = 4_000_000
VOTING_ROWS = 200
"""So many rows say by their values which of several dialects they are."""

_LIKELY = {
    "chat": ("prompt", "completion"),
    "prefer": ("chosen", "rejected"),
    "embed": ("anchor", "positive"),
    "reinforce": ("messages",),
    "score": ("text", "score"),
    "tag": ("text", "spans"),
}
_COMMONEST = ("chat", "prompt_completion", "labelled", "span_tagged", "scored", "pair", "preference", "text")


@dataclass(frozen=True, slots=True)
class Recognised:
    """How a file is read. `columns` leads from field to column, or to one of `paths`; `why` is the evidence.

    `known` are the columns that were looked at when the dialect was chosen; a row with others may be of another format.
    """

    container: Container
    dialect: Dialect
    columns: Mapping[str, str]
    why: str
    dropped: frozenset[str] = frozenset()
    paths: Mapping[str, JsonPath] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    _needed: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _wanted: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _followed: tuple[tuple[str, JsonPath], ...] = field(init=False, repr=False, compare=False)
    _taken: frozenset[str] = field(init=False, repr=False, compare=False)
    _telling: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = [(name, column) for name, column in self.columns.items() if column not in self.paths]
        required = self.dialect.required
        taken = self.dropped.union(column for _, column in plain)
        telling = {
            word
            for dialect in dialects("prefer")
            for name in dialect.required
            for word in words_for(dialect, name)
            if dialect.task != self.dialect.task
        }
        set_once = object.__setattr__
        set_once(self, "_needed", tuple(pair for pair in plain if pair[0] in required))
        set_once(self, "_wanted", tuple(pair for pair in plain if pair[0] not in required))
        followed = [(name, self.paths[column]) for name, column in self.columns.items() if column in self.paths]
        set_once(self, "_followed", tuple(followed))
        set_once(self, "_taken", taken)
        set_once(self, "_telling", frozenset(telling) - taken - self.known)

    def fields_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """The fields that the dialect reads, under its own names; a missing column is named as the file names it.

        A row of another format is refused: its answer may be there to be avoided.
        """
        try:
            fields = {name: row[column] for name, column in self._needed}
        except KeyError:
            raise self._missing(row) from None
        for name, column in self._wanted:
            if column in row:
                fields[name] = row[column]
        for name, path in self._followed:
            value = follow(path, name, row)
            if value is not MISSING:
                fields[name] = value
            elif name in self.dialect.required:
                raise self._missing(row)
        if self.dialect.takes_rest:
            for column, value in row.items():
                if column not in self._taken:
                    fields.setdefault(column, value)
        if not self._telling.isdisjoint(row):
            self._check_format(row)
        return fields

    def rest_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """The columns that no field takes and nobody dropped. A column that a path leads into is kept whole."""
        if self._taken.issuperset(row) or self.dialect.takes_rest:
            return {}
        return {column: value for column, value in row.items() if column not in self._taken}

    def _missing(self, row: Mapping[str, object]) -> BadRecord:
        other = _written_as(row, [dialect for dialect in DIALECTS.values() if dialect not in (self.dialect, TEXT)])
        if other is not None:
            return self._of_other_format(other)
        for name in self.dialect.required:
            column = self.columns[name]
            path = self.paths.get(column)
            if (path.find(row) if path else row.get(column, MISSING)) is MISSING:
                attempt = "add it, or leave the row out"
                if path and (near := path.neighbours([row])[1]):
                    attempt += f"; there is {', '.join(near[:3])}"
                return BadRecord(
                    f"there is no {column}",
                    expected=f"a value for {column}" + (f", which is read as {name}" if name != column else ""),
                    attempt=attempt,
                )
        raise AssertionError("a row misses nothing")

    def _check_format(self, row: Mapping[str, object]) -> None:
        other = _written_as(row, dialects("prefer"))
        if other is not None:
            raise self._of_other_format(other)

    def _of_other_format(self, other: Dialect) -> BadRecord:
        wanted = [self.columns[name] for name in self.dialect.required]
        return BadRecord(
            f"the row is of another format than its file: {other.evidence}",
            expected=f"{' and '.join(wanted)}, like most rows: {self.dialect.evidence}",
            attempt="put the rows of each format into a file of their own",
        )


def _written_as(row: Mapping[str, object], known: Sequence[Dialect]) -> Dialect | None:
    """The dialect that one row is written in, if it is one of these; a row is too little to guess plain text by."""
    for dialect in known:
        reading = read_columns(dialect, list(row), {}, {})
        if reading is not None and dialect.suits(reading.fields_of(row)) is not False:
            return dialect
    return None


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

    def extent(self) -> str:
        """How much of the file was looked at, in words."""
        num_rows = len(self.rows) + len(self.refused)
        return f"{num_rows:,} rows" if self.is_all else f"the first {num_rows:,} rows"

    def usual_columns(self) -> list[str]:
        """The columns of at least half the rows: one misspelt key in one row must not decide for all."""
        return [column for column, count in self.counts().items() if 2 * count >= len(self.rows)]

    def suits(self, reading: Reading) -> bool:
        """Whether as many rows speak for a dialect as against it."""
        votes = [reading.dialect.suits(reading.fields_of(row.fields)) for row in self.rows[:VOTING_ROWS]]
        return votes.count(False) <= votes.count(True)

    def settle_doubt(self, reading: Reading) -> None:
        """Where several columns could be one field, take the only one whose values do not speak against it."""
        for name, columns in list(reading.doubtful.items()):
            likely = [column for column in columns if self._suits_with(reading, name, column)]
            if len(likely) == 1:
                reading.columns[name] = likely[0]
                del reading.doubtful[name]

    def _suits_with(self, reading: Reading, name: str, column: str) -> bool:
        return self.suits(Reading(reading.dialect, {**reading.columns, name: column}, paths=reading.paths))


def recognise(
    path: File, column_map: Mapping[str, str], task: str | None = None, *, is_whole: bool = False
) -> Recognised:
    """Find container, dialect and columns of one file. `column_map` leads from column to field, or to "-" (drop it).

    With `is_whole` a plain text is one document, whatever stands in it.
    """
    check_map(column_map, task)
    sample = take_sample(path)
    looks = [_look(path, container, evidence) for container, evidence in candidates(sample, is_whole)]
    if not looks:
        raise RequestError("the form of the file is not recognised", where=str(path), expected=FORMS)
    for look in looks:
        paths = _find_paths(path, look, column_map)
        reading = None if paths is None else _choose(look, column_map, paths, task)
        if reading is not None:
            _check_doubt(path, reading)
            return Recognised(
                look.container,
                reading.dialect,
                reading.columns,
                _why(look, reading),
                frozenset(column for column, name in column_map.items() if name == DROPPED),
                reading.paths,
                frozenset(look.usual_columns()),
            )
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


def _find_paths(path: File, look: _Look, column_map: Mapping[str, str]) -> dict[str, JsonPath] | None:
    """What in a map is no column but a path that leads somewhere; None where something is neither."""
    columns = set(look.columns())
    paths: dict[str, JsonPath] = {}
    for written, name in column_map.items():
        if written in columns:
            continue
        found = parse_path(written)
        if found is None or found.root not in columns or name == DROPPED:
            return None
        if all((value := found.find(row.fields)) is MISSING or (value == [] and found.is_list) for row in look.rows):
            place, near = found.neighbours(row.fields for row in look.rows[:VOTING_ROWS])
            raise RequestError(
                f"{written} leads nowhere in {look.extent()}",
                where=str(path),
                expected=f"one of: {', '.join(near)}" if near else f"something in {place}",
                attempt=f"--map {near[0]}={name}" if near else "",
            )
        paths[written] = found
    return paths


def _choose(
    look: _Look, column_map: Mapping[str, str], paths: Mapping[str, JsonPath], task: str | None
) -> Reading | None:
    """The most telling dialect that fits the usual columns, or else all columns; fewer guesses go first.

    Values may speak against it. Where nothing is left but plain text, or nothing at all, the first that the columns
    name is taken all the same, so that each row says what is wrong with it: texts with bad labels are no documents.
    """

    def named(readings: Sequence[Reading]) -> list[Reading]:
        return [reading for reading in readings if not reading.guessed and reading.dialect.task in ("chat", "classify")]

    mapped = {name for name in column_map.values() if name != DROPPED}
    outvoted: list[Reading] = []
    for columns in (look.usual_columns(), look.columns()):
        names = list(dict.fromkeys([*columns, *column_map]))
        for tier in TIERS:
            suiting: list[Reading] = []
            for dialect in tier:
                if task not in (None, dialect.task) or not mapped <= {*dialect.required, *dialect.optional}:
                    continue
                reading = read_columns(dialect, names, column_map, paths)
                if reading is not None:
                    look.settle_doubt(reading)
                    (suiting if look.suits(reading) else outvoted).append(reading)
            if suiting:
                best = min(suiting, key=lambda reading: (len(reading.guessed), -len(reading.columns)))
                return next((other for other in named(outvoted) if best.dialect is TEXT), best)
    return next(iter(outvoted if task else named(outvoted)), None)


def _check_doubt(path: File, reading: Reading) -> None:
    for name, columns in reading.doubtful.items():
        raise RequestError(
            f"{' and '.join(columns)} could each be the {name}",
            where=str(path),
            expected=f"one column for {name}",
            attempt=" or ".join(f"--map {column}={name}" for column in columns),
        )


def _why(look: _Look, reading: Reading) -> str:
    """The evidence in one sentence: the container, the columns that were mapped or guessed, the labels counted."""
    dialect = reading.dialect
    renamed = [
        f"{column} is read as {name}" for name, column in reading.columns.items() if column != name or name == "context"
    ]
    said = ", ".join(renamed) or dialect.evidence
    if dialect.task == "classify":
        labels = {label for row in look.rows for label in _labels(reading.fields_of(row.fields))}
        return f"{look.evidence}; {said}: {len(labels):,} distinct value{'s' * (len(labels) != 1)} in {look.extent()}"
    if dialect.task == "text" and (kept := [c for c in look.columns() if c not in reading.columns.values()]):
        said += f", and {', '.join(kept[:5])} {'is' if len(kept) == 1 else 'are'} kept beside it"
    elif renamed and dialect.task != "chat":
        said += f"; {dialect.evidence}"
    return f"{look.evidence}; {said}"


def _labels(fields: Mapping[str, object]) -> Iterator[str]:
    given = fields.get("label", fields.get("labels"))
    for label in given if isinstance(given, list) else [given]:
        if label is not None and (text := str(label).strip()):
            yield text


def _nothing_fits(path: File, look: _Look, column_map: Mapping[str, str], task: str | None) -> RequestError:
    """Say why no dialect was found: no rows, a mapped column that is not there, or columns that nobody knows."""
    if not look.rows:
        return _no_rows(path, look)
    columns = look.columns()
    for written, name in column_map.items():
        led = parse_path(written)
        column = led.root if led and name != DROPPED and written not in columns else written
        if column not in columns:
            near = near_misses(column, columns, 1).split(", ")[0]
            return RequestError(
                f"there is no column {column!r}",
                where=str(path),
                expected=f"one of: {near_misses(column, columns)}",
                attempt=f"--map {near}{written[len(column) :]}={name}",
            )
    attempt = _likely_map(look, column_map, dialects(task))
    if any(len(column) > 40 or column.replace(".", "", 1).isdigit() for column in columns):
        attempt = "add a first line that names the columns; these look like the values of a row"
    listed = dialects(task) if task else [DIALECTS[name] for name in _COMMONEST]
    shapes = "; ".join(f"{' and '.join(dialect.required)} ({dialect.task})" for dialect in listed)
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
    texts: dict[str, list[str]] = {}
    for row in look.rows[:1_000]:
        for column, value in row.fields.items():
            if column in column_map or isinstance(value, dict):
                continue
            if isinstance(value, list):
                if value and all(isinstance(item, str) for item in value):
                    texts.setdefault(f"{column}[]", []).append(" ".join(value))
            else:
                texts.setdefault(column, []).append(str(value))
    by_length = sorted(texts, key=lambda column: -sum(map(len, texts[column])))
    if "classify" not in (dialect.task for dialect in known):
        fields = _LIKELY.get(known[0].task, ("text",))
        return " ".join(f"--map {column}={name}" for column, name in zip(by_length, fields, strict=False))
    if "text" in column_map.values() or "text" in texts:
        by_length = [column for column in by_length if column != "text"]
        return f"--map {min(by_length, key=lambda column: len(set(texts[column])), default='COLUMN')}=label"
    label = min(by_length[1:], key=lambda column: len(set(texts[column])), default="")
    return " ".join(
        [f"--map {by_length[0] if by_length else 'COLUMN'}=text", *([f"--map {label}=label"] if label else [])]
    )
