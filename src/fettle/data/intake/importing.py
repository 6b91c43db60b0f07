"""Files to rows: every file recognised, every row kept or refused with its fault, nothing lost between.

Law: `rows_read == rows_kept + rows_refused`. What is wrong with whole files is collected over all of them before
anything stops; what is wrong with rows never stops a file. Rows pass through one by one and nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow
from fettle.data.intake.quarantine import Refusal
from fettle.data.intake.recognise import Recognised, recognise
from fettle.data.records import BadRecord, Record, Row
from fettle.data.splits.split import PARTS
from fettle.data.streams.source import File, identity_of
from fettle.errors import Fault, FettleError, RequestError

MOST_FAULTS_KEPT = 1_000
"""As many faults are held for people to read; all of them are in quarantine."""

_PROGRESS_EVERY_ROWS = 1_000


class Reading:
    """Files on their way to rows. What it counts is whole once `rows` has been read to its end."""

    def __init__(
        self, paths: Sequence[File], column_map: Mapping[str, str], task: str | None, *, is_whole: bool = False
    ) -> None:
        """Recognise every file. With `is_whole` each plain text is one document, not each block between blank lines."""
        self._paths = paths
        self.recognised = _recognise_all(paths, column_map, task, is_whole)
        self.rows_read = 0
        self.rows_refused = 0
        self.faults: list[Fault] = []

    @property
    def task(self) -> str:
        """The one task that all files are of."""
        return self.recognised[0][1].dialect.task

    @property
    def rows_kept(self) -> int:
        """How many rows came through."""
        return self.rows_read - self.rows_refused

    def rows(self, refused: Callable[[Refusal], None], progress: Callable[[int], None] | None = None) -> Iterator[Row]:
        """The rows in order. Each refused one is handed to `refused`; `progress` is told the rows read, now and then.

        One file that is bad as a whole raises its own error; among several, all such are collected into one
        `RequestError` at the end. That no row at all is left is an error too, with every fault.
        """
        broken: list[FettleError] = []
        for path, (_, how) in zip(self._paths, self.recognised, strict=True):
            try:
                file = str(path)
                for item in how.container.read(path):
                    outcome = _row(file, item, how)
                    self.rows_read += 1
                    if progress is not None and self.rows_read % _PROGRESS_EVERY_ROWS == 0:
                        progress(self.rows_read)
                    if isinstance(outcome, Row):
                        yield outcome
                        continue
                    self.rows_refused += 1
                    if len(self.faults) < MOST_FAULTS_KEPT:
                        self.faults.append(outcome.fault)
                    refused(outcome)
            except RequestError as error:
                broken.append(error)
        _raise_all([str(path) for path in self._paths], broken)
        if progress is not None:
            progress(self.rows_read)
        if not self.rows_kept:
            raise _none_left(self.recognised, self.rows_refused, self.faults)

    def form_of(self, file: str) -> QuarantineForm:
        """How refused rows of a file are written."""
        place = [name for name, _ in self.recognised].index(file)
        return self.recognised[place][1].container.quarantine_form(self._paths[place])


def _recognise_all(
    paths: Sequence[File], column_map: Mapping[str, str], task: str | None, is_whole: bool
) -> list[tuple[str, Recognised]]:
    if not paths:
        raise RequestError("no file is named", expected="at least one file", attempt="fettle data import FILE --name N")
    recognised: list[tuple[str, Recognised]] = []
    broken: list[FettleError] = []
    seen: set[str] = set()
    for path in paths:
        try:
            if identity_of(path) in seen:
                raise RequestError("the file is named twice", where=str(path), expected="each file once")
            seen.add(identity_of(path))
            recognised.append((str(path), recognise(path, column_map, task, is_whole=is_whole)))
        except RequestError as error:
            broken.append(error)
    _raise_all([str(path) for path in paths], broken)
    tasks = {how.dialect.task for _, how in recognised}
    if len(tasks) > 1:
        raise _of_several_tasks(recognised)
    return recognised


def _of_several_tasks(recognised: Sequence[tuple[str, Recognised]]) -> RequestError:
    """The tasks with the fewest files come first: among many files these are the ones that nobody meant."""
    by_task: dict[str, list[tuple[str, Recognised]]] = {}
    for file, how in recognised:
        by_task.setdefault(how.dialect.task, []).append((file, how))
    fewest_first = sorted(by_task, key=lambda task: (len(by_task[task]), task))
    counts = ", ".join(f"{task} ({len(by_task[task]):,})" for task in sorted(by_task))
    return RequestError(
        f"the files are of several tasks: {counts}",
        expected="files of one task in one import",
        attempt="leave out the files of the other task, or --task to read all as one",
        faults=[
            Fault(file, 0, f"this is read as {task}", how.why, "")
            for task in fewest_first
            for file, how in by_task[task]
        ],
    )


def _none_left(recognised: Sequence[tuple[str, Recognised]], num: int, faults: Sequence[Fault]) -> RequestError:
    return RequestError(
        f"none of the {num:,} rows can be used",
        where=", ".join(file for file, _ in recognised[:3]),
        expected="; ".join(how.why for _, how in recognised[:3]),
        attempt=faults[0].attempt if faults else "",
        faults=faults,
    )


def _raise_all(files: Sequence[str], broken: Sequence[FettleError]) -> None:
    """Raise what is wrong with whole files: one file's error as it is, several in one with a fault each."""
    if not broken:
        return
    if len(files) == 1:
        raise broken[0]
    faults = [Fault(error.where, 0, error.problem, error.expected, error.attempt) for error in broken]
    raise RequestError(
        f"{len(broken)} of {len(files)} files cannot be imported",
        expected="every file to be readable; nothing was imported",
        attempt="mend or leave out the files below",
        faults=faults,
    )


def _row(file: str, item: RawRow | RefusedRow, how: Recognised) -> Row | Refusal:
    if isinstance(item, RefusedRow):
        return Refusal(item.fault, item.raw)
    try:
        record = how.dialect.parse(how.fields_of(item.fields))
    except BadRecord as bad:
        return Refusal(Fault(file, item.line, bad.problem, bad.expected, bad.attempt), item.raw)
    if how.dialect.is_own:
        return _own_row(file, item, record)
    rest = how.rest_of(item.fields)
    return Row(record, file, item.line, {column: _as_text(value) for column, value in rest.items()} if rest else {})


def _own_row(file: str, item: RawRow, record: Record) -> Row | Refusal:
    """A row that fettle wrote: it brings its fields and its part."""
    fields, part = item.fields.get("fields"), item.fields.get("part")
    is_sound = isinstance(fields, dict) and all(isinstance(value, str) for value in fields.values())
    if not is_sound or part not in ("", *PARTS):
        expected = f"fields of texts, and a part: {', '.join(PARTS)} or none"
        return Refusal(Fault(file, item.line, "its fields or its part are none", expected, ""), item.raw)
    return Row(record, file, item.line, cast("dict[str, str]", fields), str(part))


def _as_text(value: object) -> str:
    """A column that no field took, as text: strings as they are, null as nothing, all else as JSON.

    >>> _as_text("a"), _as_text(None), _as_text({"n": 1})
    ('a', '', '{"n": 1}')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
