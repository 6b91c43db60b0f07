"""Files to rows: every file recognised, every row kept or refused with its fault, nothing lost between.

Law: `rows_read == len(rows) + len(refused)`. What is wrong with whole files is collected over all of them before
anything stops; what is wrong with rows never stops a file. Nothing is written here: quarantine is handed out as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, refuse
from fettle.data.recognise import Recognised, recognise
from fettle.data.records import BadRecord, Row, answer_text
from fettle.data.streams.source import File, identity_of, stem_of
from fettle.errors import Fault, FettleError, RequestError

FAULTS_FILE = "faults.jsonl"
PROGRESS_EVERY_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was refused: its fault, and its bytes as they go into quarantine."""

    fault: Fault
    raw: bytes


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import. `duplicates` are rows whose record an earlier row has too; they are kept.

    `conflicts` counts the inputs that stand with more than one answer.
    """

    rows: list[Row]
    refused: list[Refusal]
    recognised: list[tuple[str, Recognised]]
    rows_read: int
    duplicates: int
    conflicts: int
    forms: Mapping[str, QuarantineForm]

    @property
    def task(self) -> str:
        """The one task that all files are of."""
        return self.recognised[0][1].dialect.task

    def quarantine_files(self) -> dict[str, bytes]:
        """The refused rows as files that can be imported once they are mended, and `faults.jsonl`; none where none.

        Each file has its own quarantine, named after it; of two with one stem the second is called `stem-2`.
        """
        if not self.refused:
            return {}
        by_file: dict[str, list[bytes]] = {}
        for refusal in self.refused:
            by_file.setdefault(refusal.fault.file, []).append(refusal.raw)
        files: dict[str, bytes] = {}
        for file, raws in by_file.items():
            form = self.forms[file]
            # The last line ends like every other, so that rows can be added below it.
            files[_free_name(stem_of(file), form.suffix, files)] = form.head + form.separator.join(raws) + b"\n"
        files[FAULTS_FILE] = b"".join(msgspec.json.encode(refusal.fault.as_json()) + b"\n" for refusal in self.refused)
        return files


def import_files(
    paths: Sequence[File],
    column_map: Mapping[str, str],
    task: str | None,
    progress: Callable[[int], None] | None = None,
    *,
    is_whole: bool = False,
) -> Imported:
    """Read files into rows of one task. `progress` is told the rows read so far, now and then and at the end.

    With `is_whole` each plain text is one document, not each block between blank lines.

    One file that is bad as a whole raises its own error; among several, all such are collected into one
    `RequestError`, and nothing is imported. That no row at all is left is an error too, with every fault.
    """
    recognised = _recognise_all(paths, column_map, task, is_whole)
    rows: list[Row] = []
    refused: list[Refusal] = []
    broken: list[FettleError] = []
    rows_read = 0
    for path, (_, how) in zip(paths, recognised, strict=True):
        try:
            for item in how.container.read(path):
                outcome = _row(path, item, how)
                if isinstance(outcome, Row):
                    rows.append(outcome)
                else:
                    refused.append(outcome)
                rows_read += 1
                if progress is not None and rows_read % PROGRESS_EVERY_ROWS == 0:
                    progress(rows_read)
        except RequestError as error:
            broken.append(error)
    _raise_all([str(path) for path in paths], broken)
    if progress is not None:
        progress(rows_read)
    if not rows:
        raise _none_left(recognised, refused)
    duplicates, conflicts = count_repeats(rows)
    bad_files = {refusal.fault.file for refusal in refused}
    forms = {
        str(path): how.container.quarantine_form(path)
        for path, (file, how) in zip(paths, recognised, strict=True)
        if file in bad_files
    }
    return Imported(rows, refused, recognised, rows_read, duplicates, conflicts, forms)


def count_repeats(rows: Iterable[Row]) -> tuple[int, int]:
    """How many rows repeat an earlier record, and how many inputs stand with more than one answer.

    Answers are compared to the character, inputs by their key: "Hello" and "hello" are one input.

    >>> from fettle.data.records import LabelledText
    >>> labelled = [("a", "x"), ("a", "x"), ("A", "y")]
    >>> count_repeats(Row(LabelledText(text, label), "f", 1) for text, label in labelled)
    (1, 1)
    """
    seen: set[str] = set()
    duplicates = 0
    first_answers: dict[str, str] = {}
    conflicting: set[str] = set()
    for row in rows:
        content_key = row.content_key
        if content_key in seen:
            duplicates += 1
            continue
        seen.add(content_key)
        input_key, answer = row.input_key, answer_text(row.record)
        if first_answers.setdefault(input_key, answer) != answer:
            conflicting.add(input_key)
    return duplicates, len(conflicting)


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
        raise RequestError(
            f"the files are of several tasks: {', '.join(sorted(tasks))}",
            expected="files of one task in one import",
            attempt="one import for each task, or --task to say which is meant",
            faults=[Fault(file, 0, f"this is read as {how.dialect.task}", how.why, "") for file, how in recognised],
        )
    return recognised


def _none_left(recognised: Sequence[tuple[str, Recognised]], refused: Sequence[Refusal]) -> RequestError:
    return RequestError(
        f"none of the {len(refused):,} rows can be used",
        where=", ".join(file for file, _ in recognised[:3]),
        expected="; ".join(how.why for _, how in recognised[:3]),
        attempt=refused[0].fault.attempt if refused else "",
        faults=[refusal.fault for refusal in refused],
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


def _row(path: File, item: RawRow | RefusedRow, how: Recognised) -> Row | Refusal:
    if isinstance(item, RefusedRow):
        return Refusal(item.fault, item.raw)
    try:
        record = how.dialect.parse(how.fields_of(item.fields))
    except BadRecord as bad:
        return Refusal(refuse(path, item.line, item.raw, bad).fault, item.raw)
    rest = {column: _as_text(value) for column, value in how.rest_of(item.fields).items()}
    return Row(record, str(path), item.line, rest)


def _as_text(value: object) -> str:
    """A column that no field took, as text: strings as they are, null as nothing, all else as JSON.

    >>> _as_text("a"), _as_text(None), _as_text({"n": 1})
    ('a', '', '{"n": 1}')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _free_name(stem: str, suffix: str, taken: Mapping[str, bytes]) -> str:
    """A name that no file has yet; compared in small letters, since some disks do not tell capitals apart.

    >>> _free_name("a", ".csv", {"A.csv": b""}), _free_name("faults", ".jsonl", {})
    ('a-2.csv', 'faults-2.jsonl')
    """
    names = {FAULTS_FILE, *(name.casefold() for name in taken)}
    name, number = stem + suffix, 1
    while name.casefold() in names:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name
