"""Findings as people read them: examples with what is private masked, what is known of each row, its partners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fettle.data.records import Row, answer_text, input_text
from fettle.quality.finding import Finding
from fettle.quality.sensitive.personal import find_personal, redact
from fettle.reporting.data_report import Mark, ShownFinding, ShownRow

_MOST_EXAMPLES = 50
_MOST_PARTNERS = 5
_WITHOUT_MEANING = ("row", "field", "start", "end", "excerpt")


def masked(text: str) -> str:
    """A text with all that is private in it masked: a report must not spread what it found.

    >>> masked("write to jo@example.com")
    'write to [EMAIL]'
    """
    return redact(text, find_personal(text))


def shown_finding(finding: Finding, rows: Sequence[Row], others: Sequence[Row], mend: str) -> ShownFinding:
    """A finding with its most telling rows. Its pairs become partners, its evidence by row becomes what is known."""
    known = _known_of_rows(finding.evidence)
    partners = _partners(finding, len(finding.others) > 0)
    examples = []
    for place in finding.members[:_MOST_EXAMPLES]:
        near = partners.get(place, [])
        of = others if finding.others else rows
        beside = tuple(_shown(of[other]) for other in near[:_MOST_PARTNERS] if other < len(of))
        examples.append(_shown(rows[place], known.get(place, []), beside, len(near)))
    num_rows = len(finding.members) + len(finding.others)
    return ShownFinding(finding.kind, finding.severity, finding.problem, num_rows, tuple(examples), mend)


def joined_findings(findings: Sequence[ShownFinding]) -> ShownFinding:
    """Many findings of one kind as one: the largest first, an example of each, and what its rows have in common."""
    ordered = sorted(findings, key=lambda finding: -finding.num_rows)
    first = ordered[0]
    num_rows = sum(finding.num_rows for finding in ordered)
    problem = f"{len(ordered):,} findings of this kind; the largest: {first.problem}"
    examples = tuple(finding.examples[0] for finding in ordered if finding.examples)[:_MOST_EXAMPLES]
    return ShownFinding(first.kind, first.severity, problem, num_rows, examples, first.mend)


def _shown(
    row: Row, known: Sequence[Mapping[str, Any]] = (), partners: tuple[ShownRow, ...] = (), num_partners: int = 0
) -> ShownRow:
    said = input_text(row.record)
    text = masked(said)
    marks = tuple(
        Mark(item["start"], item["end"], str(item.get("sort", "")))
        for item in known
        if text == said and item.get("field") == "text" and item["end"] <= len(said)
    )
    evidence = tuple(
        (name.replace("_", " "), f"{value:.3g}" if isinstance(value, float) else str(value))
        for item in known
        for name, value in item.items()
        if name not in _WITHOUT_MEANING
    )
    quoted = tuple(("found in", f"{item['field']}: {item['excerpt']}") for item in known if "excerpt" in item)
    answer = masked(answer_text(row.record))
    return ShownRow(row.file, row.line, text, row.part, answer, marks, evidence + quoted, partners, num_partners)


def _known_of_rows(evidence: Mapping[str, Any]) -> dict[int, list[Mapping[str, Any]]]:
    """What the evidence says of single rows: every entry of a list that names its row."""
    known: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for value in evidence.values():
        for item in value if isinstance(value, list) else []:
            if isinstance(item, dict) and isinstance(item.get("row"), int):
                known[item["row"]].append(item)
    return known


def _partners(finding: Finding, is_across: bool) -> dict[int, list[int]]:
    """The rows that each row is paired with; of a cluster without pairs, all its other rows."""
    partners: dict[int, list[int]] = defaultdict(list)
    for pair in finding.evidence.get("pairs", []):
        ours, theirs = int(pair[0]), int(pair[1])
        partners[ours].append(theirs)
        if not is_across:
            partners[theirs].append(ours)
    if not partners and finding.kind.endswith("duplicate"):
        for place in finding.members[:_MOST_EXAMPLES]:
            partners[place] = [other for other in finding.members if other != place]
    return partners
