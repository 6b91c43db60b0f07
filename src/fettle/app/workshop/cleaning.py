"""Rows mended by a sequence of operations, every change with its reason; what comes out is the next version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle.app.workshop.looking import Lens, Progress, given_for
from fettle.app.workshop.versions import Operation, find_version, keep_version, stream_rows
from fettle.cleaning.operation import Change, Cleaned
from fettle.cleaning.steps import Step, clean, parse_steps, read_words, write_steps
from fettle.cleaning.usual import usual_detectors
from fettle.data.changes import RowChange
from fettle.data.records import Row
from fettle.data.versions import rows_of_part
from fettle.errors import MissingFile, RequestError
from fettle.storage.catalogue import StoredVersion
from fettle.storage.publish import publish_bytes
from fettle.storage.workspace import Workspace


@dataclass(frozen=True)
class CleanResult:
    """What cleaning did. `version` is `parent` itself where no row was touched, or nothing was to be stored.

    Law: rows before = rows after + dropped - added.
    """

    parent: StoredVersion
    version: StoredVersion
    num_before: int
    num_after: int
    counts: dict[str, dict[str, int]]
    changes: Sequence[RowChange]

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract."""
        return {
            "version": self.version.label,
            "parent": self.parent.label,
            "rows_before": self.num_before,
            "rows_after": self.num_after,
            "steps": [{"step": step, **counts} for step, counts in self.counts.items()],
            "changes": [
                {"action": change.action, "file": change.file, "line": change.line, "step": change.step}
                | {"reason": change.reason}
                for change in self.changes
            ],
        }


@dataclass(frozen=True)
class CleanRequest:
    """What is to be done, to which version, and with which base to look at texts with."""

    reference: str
    steps: Sequence[Step]
    lens: Lens | None = None
    is_rehearsal: bool = False


def steps_of(words: Sequence[str], file: Path | None) -> list[Step]:
    """The steps of a file, then those of the words."""
    steps: list[Step] = []
    if file is not None:
        if not file.is_file():
            raise MissingFile("there is no such file", where=str(file), expected="a TOML file of steps")
        steps += parse_steps(file.read_text(encoding="utf-8"), str(file))
    steps += read_words(words)
    if not steps:
        raise RequestError(
            "there is nothing to do", expected="at least one operation, or --steps FILE", attempt="repair"
        )
    return steps


def save_steps(steps: Sequence[Step], file: Path) -> None:
    """Write steps down, to be done again to other rows."""
    publish_bytes(file, write_steps(steps).encode())


def clean_data(workspace: Workspace, request: CleanRequest, progress: Progress = lambda _: None) -> CleanResult:
    """Mend the rows of a version, or of one part of it, the other rows staying as they are."""
    parent, part = find_version(workspace, request.reference)
    rows = list(stream_rows(workspace, parent))
    touched = set(map(id, rows_of_part(rows, part)))
    places = [place for place, row in enumerate(rows) if id(row) in touched]
    if not places:
        raise RequestError(f"{parent.label} has no rows in the part {part!r}", where=request.reference)
    given = given_for(parent.task, rows, request.lens, progress=progress)
    cleaned = clean([rows[place] for place in places], request.steps, given, usual_detectors())
    changes = _row_changes([rows[place] for place in places], cleaned)
    out = _put_back(rows, places, cleaned)
    counts: dict[str, dict[str, int]] = {step.word: {} for step in request.steps}
    for (step, action), count in cleaned.counts().items():
        counts[step][action] = count
    if not out:
        raise RequestError("no row would be left", where=request.reference, expected="a version of at least one row")
    version = parent
    if changes and not request.is_rehearsal:
        report: dict[str, object] = {
            "steps": [step.word for step in request.steps],
            "steps_file": write_steps(request.steps),
            "part": part,
            "rows_before": len(rows),
            "rows_after": len(out),
            "changed": {f"{step} {action}": n for step, actions in counts.items() for action, n in actions.items()},
        }
        version = keep_version(workspace, parent, out, Operation("clean", report, changes))
    return CleanResult(parent, version, len(rows), len(out), counts, changes)


def _put_back(rows: Sequence[Row], places: Sequence[int], cleaned: Cleaned) -> list[Row]:
    """The mended rows where the rows of the part stood, the others as they were, added rows at the end."""
    if len(places) == len(rows):
        return list(cleaned.rows)
    mended: dict[int, Row] = {}
    added: list[Row] = []
    for origin, row in zip(cleaned.origins, cleaned.rows, strict=True):
        if places[origin] in mended:
            added.append(row)
        else:
            mended[places[origin]] = row
    of_part = set(places)
    kept = [mended.get(place) if place in of_part else row for place, row in enumerate(rows)]
    return [row for row in kept if row is not None] + added


def _row_changes(rows: Sequence[Row], cleaned: Cleaned) -> list[RowChange]:
    """Each change with the content keys of its row before and after all steps."""
    after: dict[int, str] = {}
    for origin, row in zip(cleaned.origins, cleaned.rows, strict=True):
        after.setdefault(origin, row.content_key)
    return [_row_change(change, rows[change.place], after.get(change.place, "")) for change in cleaned.changes]


def _row_change(change: Change, row: Row, after: str) -> RowChange:
    before = "" if change.action == "added" else row.content_key
    return RowChange(change.action, row.file, row.line, before, after, change.step, change.reason)
