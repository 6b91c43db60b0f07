"""A stream of rows to files of one form: each row checked, then written or refused with its faults.

Law: rows in == rows written + rows refused. Nothing is at its place before all of it is; with `is_strict` nothing is
written at all where there is a fault. Rows are taken one by one and never held.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fettle.data.exports.files import CONTAINERS, Container, PartFile
from fettle.data.exports.form import USUAL, Content, ExportOptions, Form, Kind, kind_name
from fettle.data.exports.table import forms_for
from fettle.data.exports.turns import numbered
from fettle.data.records import BadRecord, Record, Row, ScoredText, TextPair
from fettle.data.splits.split import PARTS
from fettle.errors import Fault, RequestError
from fettle.storage.publish import publishing_file, publishing_folder, staging_folder

MAX_KEPT_FAULTS = 10_000
"""More are counted, and told to `on_fault`, and not held."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that an export left."""

    path: Path
    num_rows: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export. `faults` are the first of `num_faults`; a row may have several.

    `left_out` says of each column that the form has no place for in how many written rows it had stood.
    """

    num_written: int
    num_refused: int
    num_faults: int
    faults: tuple[Fault, ...]
    files: tuple[WrittenFile, ...]
    left_out: Mapping[str, int]


def check_rows(rows: Iterable[Row], form: Form, options: ExportOptions = USUAL) -> list[Fault]:
    """Every fault that an export would find, of rows and of whole files; nothing is written.

    The parts are taken as files of their own, as in a folder, unless the form says the part in the row.
    """
    faults: list[Fault] = []
    gate = _Gate(form, options, CONTAINERS[form.suffixes[0]], not form.says_part, faults.append)
    for row in rows:
        gate.take(row)
    gate.judge_files(form.name)
    return faults


def export_rows(rows: Iterable[Row], form: Form, path: Path, options: ExportOptions = USUAL) -> Exported:
    """Write rows as `form` to `path`: a file by its ending, or without one a folder with a file for each part.

    Rows that the form cannot say are refused, each with its faults; where no row is left nothing is written. A single
    file of a form that does not say the part holds rows of one part, the first row's; others are refused.
    """
    suffix, is_folder = _layout(form, path)
    kept: list[Fault] = []
    gate = _Gate(form, options, CONTAINERS[suffix], is_folder, lambda fault: _keep(kept, fault))
    try:
        with ExitStack() as open_things:
            spool = open_things.enter_context(staging_folder(path))
            if is_folder:
                root = open_things.enter_context(publishing_folder(path))
                files = _write(rows, gate, lambda part: root / (form.part_stems[part] + suffix), spool)
            else:
                staged = open_things.enter_context(publishing_file(path))
                files = _write(rows, gate, lambda part: staged, spool)
            gate.judge_files(str(path))
            if options.is_strict and gate.num_faults:
                raise _refused(gate, kept, path)
            sizes = [(file.target.name, file.num_rows, file.target.stat().st_size) for file in files]
            if not files:
                raise _NothingWritten
    except _NothingWritten:
        sizes = []
    written = tuple(WrittenFile(path / name if is_folder else path, *sized) for name, *sized in sizes)
    return Exported(gate.num_taken, gate.num_refused, gate.num_faults, tuple(kept), written, dict(gate.left_out))


class _NothingWritten(Exception):
    """Ends a publication that has nothing to publish."""


def _keep(kept: list[Fault], fault: Fault) -> None:
    if len(kept) < MAX_KEPT_FAULTS:
        kept.append(fault)


def _layout(form: Form, path: Path) -> tuple[str, bool]:
    """The ending of the files, and whether they stand in a folder."""
    suffix = path.suffix.lower()
    if not suffix or (form.is_folder and suffix not in CONTAINERS):
        if path.exists():
            raise RequestError("there is a file or folder of that name", where=str(path), expected="a new folder")
        return form.suffixes[0], True
    if form.is_folder or suffix not in form.suffixes:
        endings = "no ending, for a folder" if form.is_folder else f"{', '.join(form.suffixes)}, or none for a folder"
        raise RequestError(
            f"{form.name} is not written as {suffix}",
            where=str(path),
            expected=endings,
            attempt=str(path.with_suffix("" if form.is_folder else form.suffixes[0])),
        )
    if path.is_dir():
        raise RequestError("there is a folder of that name", where=str(path), expected="the name of a file")
    return suffix, False


def _write(rows: Iterable[Row], gate: _Gate, place: Callable[[str], Path], spool: Path) -> list[PartFile]:
    files: dict[str, PartFile] = {}
    try:
        for row in rows:
            taken = gate.take(row)
            if taken is None:
                continue
            if taken.part not in files:
                target = place(taken.part)
                files[taken.part] = PartFile(gate.container, target, spool / f"{len(files)}.rows", type(row.record))
            files[taken.part].add(taken.content, taken.encoded)
        for file in files.values():
            file.finish(gate.form.columns)
    finally:
        for file in files.values():
            file.close()
    return list(files.values())


def _refused(gate: _Gate, kept: list[Fault], path: Path) -> RequestError:
    return RequestError(
        f"{gate.num_faults:,} faults, the first: {kept[0].problem}",
        where=str(path),
        expected=f"rows that {gate.form.name} can say; nothing was written",
        attempt=kept[0].attempt,
        faults=kept,
    )


@dataclass(frozen=True, slots=True)
class _Taken:
    part: str
    content: Content
    encoded: bytes


@dataclass(slots=True)
class _Held:
    """What one file holds so far."""

    num_rows: int = 0
    num_bytes: int = 0
    columns: set[str] = field(default_factory=set)


class _Gate:
    """Lets rows through that the form can say, and tells the faults of all others."""

    def __init__(
        self,
        form: Form,
        options: ExportOptions,
        container: Container,
        is_folder: bool,
        tell: Callable[[Fault], None],
    ) -> None:
        self.form = form
        self.container = container
        self.num_taken = self.num_refused = self.num_faults = 0
        self.left_out: Counter[str] = Counter()
        self._options = options
        self._is_folder = is_folder
        self._tell = tell
        self._held: dict[str, _Held] = {}
        self._kind: Kind | None = None
        self._part = ""
        self._sides: dict[bytes, str] = {}

    def take(self, row: Row) -> _Taken | None:
        """The row as it is to be written; None where it is refused, its faults told."""
        found: list[tuple[str, str, str]] = []
        try:
            found += self._breaches(row)
            taken = None if found else self._written(row)
        except BadRecord as bad:
            found.append((bad.problem, bad.expected, bad.attempt))
        if found or taken is None:
            self.num_refused += 1
            for breach in dict.fromkeys(found):
                self._report(Fault(row.file, row.line, *breach))
            return None
        held = self._held.setdefault(taken.part, _Held())
        held.num_bytes = self._size_with(held, taken.encoded)
        held.num_rows += 1
        if self.container.build and isinstance(taken.content, dict):
            held.columns.update(taken.content)
        self._kind, self._part = self._kind or type(row.record), self._part or (row.part or "train")
        self.num_taken += 1
        if not self.form.says_fields:
            self.left_out.update(row.fields.keys())
        return taken

    def judge_files(self, where: str) -> None:
        """Tell what is wrong with the files as wholes, once all rows are taken."""
        limits, source = self.form.limits, self.form.limits.source
        if not self._held:
            self._report(Fault(where, 0, "there is no row to write", "at least one row", ""))
            return
        training = self._held.get("train") or next(iter(self._held.values()))
        if training.num_rows < limits.least_rows:
            self._report(
                Fault(
                    where,
                    0,
                    f"{training.num_rows} rows to train on",
                    f"at least {limits.least_rows} ({source})",
                    "add rows, or mend the refused ones",
                )
            )
        for part in limits.needed_parts if self._is_folder else ():
            if part not in self._held:
                self._report(
                    Fault(
                        where, 0, f"there are no rows for {part}", f"a file for it ({source})", "split the rows first"
                    )
                )

    def _report(self, fault: Fault) -> None:
        self.num_faults += 1
        self._tell(fault)
        if self._options.on_fault is not None:
            self._options.on_fault(fault)

    def _breaches(self, row: Row) -> list[tuple[str, str, str]]:
        """All that is wrong with a row; what is no text or of no use to the form is not looked into further."""
        record, form = row.record, self.form
        kind = type(record)
        _check_whole(row)
        if kind not in form.rules:
            takes = ", ".join(kind_name(each) for each in form.rules)
            others = ", ".join(forms_for(kind)[:8])
            return [(f"{form.name} has no place for {kind_name(kind)}", takes, f"export them as one of: {others}")]
        found = self._misplaced(row)
        for rule in form.rules[kind]:
            found += [(problem, f"{rule.expected} ({rule.source})", attempt) for problem, attempt in rule.find(record)]
        count, most = self._options.num_tokens, self._options.most_tokens
        if not found and count is not None and most and (num_tokens := count(record)) > most:
            found.append((f"it has {num_tokens:,} tokens", f"at most {most:,}", "shorten it, or leave the row out"))
        return found

    def _misplaced(self, row: Row) -> list[tuple[str, str, str]]:
        """What keeps a row out of the file in which it would stand."""
        found = []
        part = row.part or "train"
        if self._kind is not None and type(row.record) is not self._kind and not self.form.mixes_kinds:
            found.append(
                (
                    f"the rows before it are {kind_name(self._kind)}, this is one of {kind_name(type(row.record))}",
                    "one kind of record in a file",
                    "export each kind by itself",
                )
            )
        known = self.form.known_parts or (PARTS if self._is_folder or not self.form.says_part else (part,))
        if part not in known:
            found.append((f"the form knows no part {part!r}", f"one of: {', '.join(known)}", "export parts one by one"))
        elif not self._is_folder and not self.form.says_part and self._part not in ("", part):
            found.append(
                (
                    f"the rows before it are of {self._part}, this one of {part}",
                    "one part in a file",
                    "name a folder, which holds a file for each part, or export one part",
                )
            )
        return found

    def _written(self, row: Row) -> _Taken:
        content = self.form.write(row, self._options)
        taken = _Taken(self._file_of(row), content, self.container.encode(content))
        held, limits = self._held.get(taken.part, _Held()), self.form.limits
        for most in (limits.most_rows, self.container.most_rows):
            if most and held.num_rows >= most:
                raise BadRecord("the file is full", expected=f"at most {most:,} rows", attempt="export it in pieces")
        if limits.most_bytes and self._size_with(held, taken.encoded) > limits.most_bytes:
            raise BadRecord(
                "the file would be too large",
                expected=f"at most {limits.most_bytes:,} bytes ({limits.source})",
                attempt="export it in pieces",
            )
        if limits.has_no_row_twice and self._is_folder:
            self._check_sides(row, taken.part)
        most_columns = self.container.most_columns
        if most_columns and isinstance(content, dict) and len(held.columns.union(content)) > most_columns:
            raise BadRecord("the table is too wide", expected=f"at most {most_columns:,} columns", attempt="drop some")
        return taken

    def _check_sides(self, row: Row, part: str) -> None:
        digest = hashlib.blake2b(msgspec.json.encode(row.record), digest_size=16).digest()
        side = self._sides.setdefault(digest, part)
        if side != part:
            raise BadRecord(
                f"the same row stands in {side}",
                expected=f"no row in two files ({self.form.limits.source})",
                attempt="remove duplicates before the rows are split",
            )

    def _file_of(self, row: Row) -> str:
        """The part whose file a row goes to; one file for all where the part is said in the row."""
        return row.part or "train" if self._is_folder else "train" if self.form.says_part else row.part or "train"

    def _size_with(self, held: _Held, encoded: bytes) -> int:
        container = self.container
        frame = len(container.separator) if held.num_rows else len(container.head) + len(container.tail)
        return held.num_bytes + frame + len(encoded)


def _check_whole(row: Row) -> None:
    """Refuse what no file can hold: half a surrogate pair, and numbers that are none."""
    try:
        msgspec.json.encode(row)
    except UnicodeEncodeError as error:
        raise BadRecord(
            "it holds half a surrogate pair", expected="whole characters", attempt="repair the text"
        ) from error
    if not all(math.isfinite(number) for number in _numbers(row.record)):
        raise BadRecord("it holds a number that is none", expected="finite numbers", attempt="mend the number")


def _numbers(record: Record) -> list[float]:
    match record:
        case ScoredText(_, score):
            return [score]
        case TextPair(_, _, _, score):
            return [] if score is None else [score]
    return [turn.weight for _, turn in numbered(record)]
