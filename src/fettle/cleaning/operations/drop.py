"""`drop=KIND`: the rows of the findings of one kind are left out.

A note that names no mend is for people to look at, and drops nothing. Which rows of a finding go: those that its
evidence names under `drop`, else all of them, but of a leak those that train, or else validate: what is tested stays.
Trap: after rows are gone a check may find others, so that running it twice may drop more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fettle.cleaning.config import DropSettings, Which
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Cleaned, drop_rows
from fettle.data.records import Row, answer_text
from fettle.errors import UnknownName, near_misses
from fettle.quality.finding import Check, Finding, Given

_WHICH: dict[str, Which] = {"leak": "training"}


@dataclass(frozen=True)
class Drop:
    """The operation."""

    settings: DropSettings
    check: Check
    name: str = "drop"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Ask the check, and leave out what it names."""
        reasons: dict[int, str] = {}
        for finding in self.check(rows, given):
            if finding.kind == self.settings.kind and (finding.mend or finding.severity != "note"):
                own = dict(zip(finding.members, finding.reasons, strict=False))
                for place in _chosen(rows, finding, self.settings.which):
                    reasons.setdefault(place, f"{finding.kind}: {own.get(place, finding.problem)}")
        return drop_rows(rows, reasons)


def _chosen(rows: Sequence[Row], finding: Finding, asked: Which | None) -> list[int]:
    members = list(finding.members)
    named = finding.evidence.get("drop")
    if asked is None and isinstance(named, list):
        return [place for place in members if place in named]
    which = asked or _WHICH.get(finding.kind, "all")
    if which == "training":
        for held_out in ("test", "validation"):
            if any(rows[place].part == held_out for place in members):
                return [place for place in members if rows[place].part not in ("test", held_out)]
    if which == "minority":
        answers: dict[str, list[int]] = defaultdict(list)
        for place in members:
            answers[answer_text(rows[place].record)].append(place)
        common = Counter({answer: len(places) for answer, places in answers.items()}).most_common(2)
        if len(common) == 1 or common[0][1] > common[1][1]:
            return [place for place in members if place not in answers[common[0][0]]]
    return members


def make_drop(settings: DropSettings, detectors: Detectors) -> Drop:
    """The factory in the table; an unknown kind names its neighbours."""
    check = detectors.checks.get(settings.kind)
    if check is None:
        raise UnknownName(
            f"there is no kind of finding {settings.kind!r}",
            where="drop",
            expected="a kind that a check finds; for rows that an expression names it is drop-where=EXPRESSION",
            attempt=near_misses(settings.kind, detectors.checks),
        )
    return Drop(settings, check)
