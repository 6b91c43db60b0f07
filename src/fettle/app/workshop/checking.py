"""A version looked at by every check: findings with their rows, and the same as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from itertools import groupby

from fettle.app.workshop.looking import Lens, Progress, given_for
from fettle.app.workshop.showing import joined_findings, shown_finding
from fettle.app.workshop.versions import load_rows
from fettle.cleaning.where import Where, fields_of, labels_in
from fettle.data.records import LabelledText, MultiLabelledText, Row, input_text
from fettle.errors import RequestError, UnknownName, near_misses
from fettle.quality.checking import check_leaks, check_rows
from fettle.quality.finding import VERSION_WORD, Finding
from fettle.reporting.data_report import DataReport, Lengths, NotLooked, ShownFinding, lengths_of
from fettle.storage.catalogue import StoredVersion, now
from fettle.storage.workspace import Workspace

_MOST_SLICES = 200
_MOST_APART = 3
_SLICED_BY: dict[str, Callable[[Row], str]] = {
    "label": lambda row: ", ".join(labels_in(row.record)),
    "part": lambda row: row.part or "train",
    "file": lambda row: row.file,
}


@dataclass(frozen=True)
class CheckRequest:
    """What is to be looked at. `like` names a version of real inputs, `lens` is a base to look with.

    `slices` are fields, whose every value makes a slice, or expressions, which make one each.
    """

    reference: str
    like: str = ""
    lens: Lens | None = None
    slices: Sequence[str] = ()


@dataclass(frozen=True)
class Slice:
    """Some of the rows, and how many of them each kind of finding names."""

    name: str
    num_rows: int
    findings: dict[str, int]


@dataclass(frozen=True)
class Checked:
    """What was found. `others` are the rows of the version that was held against this one, where there is one."""

    version: StoredVersion
    reference: str
    rows: Sequence[Row]
    findings: Sequence[Finding]
    not_looked: Sequence[tuple[str, str]] = ()
    slices: Sequence[Slice] = ()
    other: str = ""
    others: Sequence[Row] = field(default_factory=tuple)
    num_tokens: Sequence[int] = ()

    @property
    def has_errors(self) -> bool:
        """Whether something was found that should stop a training."""
        return any(finding.severity == "error" for finding in self.findings)

    def mend(self, finding: Finding) -> str:
        """The command that mends a finding, with the version in its place."""
        return finding.mend.replace(VERSION_WORD, self.reference)

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract."""
        document: dict[str, object] = {
            "version": self.version.label,
            "task": self.version.task,
            "num_rows": len(self.rows),
            "findings": [self._finding_as_json(finding) for finding in self.findings],
            "not_looked": [{"check": check, "reason": reason} for check, reason in self.not_looked],
        }
        if self.slices:
            document["slices"] = [{"slice": s.name, "rows": s.num_rows, "findings": s.findings} for s in self.slices]
        return document

    def report(self) -> DataReport:
        """The same as plain data for a page."""
        parts = Counter(row.part for row in self.rows)
        labels: Counter[str] = Counter()
        for row in self.rows:
            if isinstance(row.record, LabelledText):
                labels[row.record.label] += 1
            elif isinstance(row.record, MultiLabelledText):
                labels.update(row.record.labels)
        return DataReport(
            version=self.version.label,
            task=self.version.task,
            parts=dict(parts),
            made_at=now(),
            made_with=f"fettle {version_of('fettle-llm')}",
            findings=tuple(self._shown()),
            class_counts=dict(labels),
            lengths=self._lengths(),
            not_looked=tuple(NotLooked(check, reason) for check, reason in self.not_looked),
        )

    def _shown(self) -> Iterator[ShownFinding]:
        """Each finding with its examples; of very many of one kind one for all, with an example of each."""
        ordered = sorted(self.findings, key=lambda finding: (finding.severity, finding.kind))
        for _, group in groupby(ordered, key=lambda finding: (finding.severity, finding.kind)):
            shown = [shown_finding(each, self.rows, self.others, self.mend(each)) for each in group]
            yield from shown if len(shown) <= _MOST_APART else [joined_findings(shown)]

    def _lengths(self) -> tuple[Lengths, ...]:
        by_unit = [("characters", [len(input_text(row.record)) for row in self.rows]), ("tokens", self.num_tokens)]
        found = [lengths_of(Counter(lengths), unit) for unit, lengths in by_unit]
        return tuple(lengths for lengths in found if lengths is not None)

    def _finding_as_json(self, finding: Finding) -> dict[str, object]:
        places: list[dict[str, object]] = [_place(self.rows[place]) for place in finding.members]
        if finding.others:
            places = [{**place, "version": self.reference} for place in places]
            places += [{**_place(self.others[place]), "version": self.other} for place in finding.others]
        return {
            "kind": finding.kind,
            "severity": finding.severity,
            "problem": finding.problem,
            "rows": places,
            "mend": self.mend(finding),
            "evidence": finding.evidence,
        }


def check_data(workspace: Workspace, request: CheckRequest, progress: Progress = lambda _: None) -> Checked:
    """Look at a version, or at one part of it, with every check."""
    version, rows = load_rows(workspace, request.reference)
    like = load_rows(workspace, request.like)[1] if request.like else []
    given = given_for(version.task, rows, request.lens, like, progress)
    slicing = [_slices_of(asked, rows) for asked in request.slices]
    findings, not_looked = check_rows(rows, given)
    num_tokens = [given.num_tokens(row.record) for row in rows] if given.num_tokens else []
    slices = [_count(name, places, findings) for each in slicing for name, places in each]
    return Checked(version, request.reference, rows, findings, not_looked, slices, num_tokens=num_tokens)


def check_leaks_between(
    workspace: Workspace, reference: str, other: str, lens: Lens | None = None, progress: Progress = lambda _: None
) -> Checked:
    """Which rows of one version stand in another too: the same, nearly the same, or in other words."""
    version, rows = load_rows(workspace, reference)
    _, others = load_rows(workspace, other)
    given = given_for(version.task, rows, lens, progress=progress)
    findings = check_leaks(rows, others, given)
    return Checked(version, reference, rows, findings, other=other, others=others)


def _place(row: Row) -> dict[str, object]:
    return {"file": row.file, "line": row.line} | ({"part": row.part} if row.part else {})


def _slices_of(asked: str, rows: Sequence[Row]) -> list[tuple[str, list[int]]]:
    """The slices that a field or an expression makes, each with the places of its rows."""
    fields = fields_of(rows)
    value_of = _SLICED_BY.get(asked)
    if asked in fields or value_of is not None:
        by_value: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            value = row.fields.get(asked, "") if value_of is None or asked in fields else value_of(row)
            by_value.setdefault(value, []).append(place)
        if len(by_value) > _MOST_SLICES:
            raise RequestError(
                f"{asked} has {len(by_value):,} values",
                where="--slice",
                expected=f"a field of at most {_MOST_SLICES} values, or an expression",
                attempt=f"--slice '{asked} == \"…\"'",
            )
        return [(f"{asked} = {value}", places) for value, places in sorted(by_value.items())]
    if asked.isidentifier():
        known = [*fields, *_SLICED_BY]
        raise UnknownName(
            f"there is no field {asked!r}",
            where="--slice",
            expected=f"one of: {near_misses(asked, known)}; or an expression",
            attempt=f"--slice {near_misses(asked, known, 1).split(', ')[0]}",
        )
    where = Where.parse(asked)
    where.check_names(fields)
    return [(asked, [place for place, holds in enumerate(where.holds(rows)) if holds])]


def _count(name: str, places: Sequence[int], findings: Sequence[Finding]) -> Slice:
    inside = set(places)
    named: Counter[str] = Counter()
    for finding in findings:
        named[finding.kind] += len(inside & set(finding.members))
    return Slice(name, len(places), {kind: count for kind, count in named.items() if count})
