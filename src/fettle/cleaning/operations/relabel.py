"""`relabel=FILE`: what people decided about rows, out of a table, done to them.

The table has the columns `file` and `line`, perhaps `part`, and `verdict`, `new_label` or both. A verdict is `keep`,
`drop` or `relabel`; an empty one, with a new label, means `relabel`. All faults of a table are told before a row is
touched. How tables are written into files is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fettle.cleaning.config import RelabelSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Change, Cleaned, replace_rows
from fettle.cleaning.where import labels_in
from fettle.data.containers.opening import take_sample
from fettle.data.containers.protocol import RawRow
from fettle.data.containers.table import candidates
from fettle.data.records import JudgedAnswer, LabelledText, MultiLabelledText, Record, Row
from fettle.errors import Fault, RequestError, near_misses
from fettle.quality.finding import Given

COLUMNS = ("file", "line", "part", "verdict", "new_label")
_VERDICTS = {
    "keep": "keep",
    "ok": "keep",
    "right": "keep",
    "correct": "keep",
    "drop": "drop",
    "remove": "drop",
    "relabel": "relabel",
    "wrong": "relabel",
}
_JUDGEMENTS = {"good": True, "bad": False}


@dataclass(frozen=True)
class Decision:
    """One row of the table. `line` is that of the row it is about, `at` where it stands in the table itself."""

    file: str
    line: int
    part: str
    verdict: str
    new_label: str
    at: int


class _Fault(Exception):
    """What is wrong with one row of the table."""

    def __init__(self, problem: str, expected: str = "", attempt: str = "") -> None:
        super().__init__(problem)
        self.parts = (problem, expected, attempt)


@dataclass(frozen=True)
class Relabel:
    """The operation."""

    settings: RelabelSettings
    name: str = "relabel"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Read the table, hold it against the rows, and then relabel and drop."""
        path = Path(self.settings.file)
        decisions, faults = read_decisions(path)
        places: dict[tuple[str, int], list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            places[row.file, row.line].append(place)
        known = {label for row in rows for label in labels_in(row.record)}.union(self.settings.new_labels)
        mended: dict[int, tuple[Row, Change]] = {}
        dropped: dict[int, str] = {}
        decided: dict[int, Decision] = {}
        for decision in decisions:
            try:
                for place in self._places(decision, rows, places):
                    _check_once(decided.setdefault(place, decision), decision)
                    reason = f"{path.name}:{decision.at}"
                    if decision.verdict == "drop":
                        dropped[place] = f"dropped by {reason}"
                    elif decision.verdict == "relabel":
                        record = relabelled(rows[place].record, decision.new_label, known)
                        if record != rows[place].record:
                            change = Change(place, "relabelled", f"{decision.new_label!r} by {reason}")
                            mended[place] = (msgspec.structs.replace(rows[place], record=record), change)
            except _Fault as wrong:
                faults.append(Fault(str(path), decision.at, *wrong.parts))
        refuse_table(path, faults)
        return replace_rows(rows, mended, dropped)

    def _places(
        self, decision: Decision, rows: Sequence[Row], places: Mapping[tuple[str, int], Sequence[int]]
    ) -> list[int]:
        found = [
            place
            for place in places.get((decision.file, decision.line), ())
            if not decision.part or (rows[place].part or "train") == decision.part
        ]
        # A row that is to go and is not there has gone before; that is what was wanted.
        if found or decision.verdict == "drop" or self.settings.unknown_rows == "skip":
            return found
        files = {file for file, _ in places}
        at = f"{decision.file}:{decision.line}" + (f" of {decision.part}" if decision.part else "")
        raise _Fault(
            f"there is no row {at}",
            "the file and the line of a row, as its version names them",
            "" if decision.file in files else near_misses(decision.file, files),
        )


def relabelled(record: Record, new_label: str, known: set[str]) -> Record:
    """The record with another label; several are written with commas where a record may have several."""
    match record:
        case LabelledText(text):
            return LabelledText(text, _known(new_label, known))
        case MultiLabelledText(text):
            several = [new_label] if new_label in known else [each.strip() for each in new_label.split(",")]
            return MultiLabelledText(text, tuple(_known(each, known) for each in several if each))
        case JudgedAnswer(prompt, answer):
            if new_label not in _JUDGEMENTS:
                raise _Fault(f"{new_label!r} is no judgement", "good or bad", near_misses(new_label, _JUDGEMENTS))
            return JudgedAnswer(prompt, answer, _JUDGEMENTS[new_label])
    raise _Fault("the row has no label that could be another", "a row with a label, or the verdict drop")


def read_decisions(path: Path) -> tuple[list[Decision], list[Fault]]:
    """The rows of a table, and what is wrong with those that cannot be read."""
    found = candidates(take_sample(path))
    if not found:
        raise RequestError("the form of the file is not recognised", where=str(path), expected="a table or JSON Lines")
    decisions: list[Decision] = []
    faults: list[Fault] = []
    for item in found[0][0].read(path):
        if not isinstance(item, RawRow):
            faults.append(item.fault)
            continue
        try:
            decisions.append(_decision(item))
        except _Fault as wrong:
            faults.append(Fault(str(path), item.line, *wrong.parts))
    return decisions, faults


def refuse_table(path: Path, faults: Sequence[Fault]) -> None:
    """Raise what is wrong with a table, in the order of its lines. Without any fault, do nothing."""
    if faults:
        ordered = sorted(faults, key=lambda fault: fault.line)
        raise RequestError(
            f"{len(faults)} row{'s' if len(faults) > 1 else ''} of the table cannot be followed: {ordered[0].problem}",
            where=f"{path}:{ordered[0].line}",
            expected=ordered[0].expected,
            attempt=ordered[0].attempt,
            faults=ordered,
        )


def _decision(item: RawRow) -> Decision:
    cells = {str(name).strip().lower(): _written(value) for name, value in item.fields.items()}
    for name in ("file", "line"):
        if not cells.get(name):
            raise _Fault(
                f"there is no {name}",
                f"the columns {', '.join(COLUMNS)}",
                "" if name in cells else near_misses(name, cells, 1),
            )
    if not cells["line"].isdecimal():
        raise _Fault(f"the line is {cells['line']!r}", "a whole number")
    verdict, new_label = cells.get("verdict", "").lower(), cells.get("new_label", "")
    if verdict and verdict not in _VERDICTS:
        raise _Fault(f"{verdict!r} is no verdict", "keep, drop or relabel", near_misses(verdict, _VERDICTS, 1))
    meant = _VERDICTS[verdict] if verdict else "relabel" if new_label else "keep"
    if meant == "relabel" and not new_label:
        raise _Fault(f"it says {verdict} and names no new label", "a new_label")
    if meant != "relabel" and new_label:
        raise _Fault(f"it says {verdict} and names a new label", "the verdict relabel, or no new_label")
    return Decision(cells["file"], int(cells["line"]), cells.get("part", ""), meant, new_label, item.line)


def _written(value: object) -> str:
    """A cell as text; spreadsheets have whole numbers as 17.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def _known(label: str, known: set[str]) -> str:
    if label not in known:
        raise _Fault(
            f"no row has the label {label!r}",
            "a label that is there already, or one of new_labels",
            near_misses(label, known),
        )
    return label


def _check_once(first: Decision, decision: Decision) -> None:
    if (first.verdict, first.new_label) != (decision.verdict, decision.new_label):
        raise _Fault(f"it says otherwise than line {first.at} about the same row", "one decision for each row")


def make_relabel(settings: RelabelSettings, detectors: Detectors) -> Relabel:
    """The factory in the table."""
    return Relabel(settings)
