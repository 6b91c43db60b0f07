"""All checks, by the kinds of finding that they make, and how rows are put to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fettle.data.records import Row
from fettle.quality.checks.duplicates import (
    exact_duplicates,
    leaks,
    leaks_between,
    near_duplicates,
    semantic_duplicates,
)
from fettle.quality.checks.labels import (
    contradicting_rows,
    label_balance,
    labels_never_learned,
    spellings_of_labels,
    wrong_labels,
)
from fettle.quality.checks.sets import (
    inconsistent_format,
    low_diversity,
    strange_rows,
    too_long,
    unlike_real_inputs,
)
from fettle.quality.checks.texts import check_encoding, check_hidden, check_injection, check_language, check_personal
from fettle.quality.checks.wording import check_answers
from fettle.quality.finding import SEVERITIES, Check, Finding, Given


@dataclass(frozen=True, slots=True)
class Entry:
    """A check, the kinds of finding that it makes, and what it cannot do without: `embed`, `num_tokens` or `like`."""

    check: Check
    kinds: tuple[str, ...]
    needs: str = ""


CHECKS: tuple[Entry, ...] = (
    Entry(leaks, ("leak",)),
    Entry(exact_duplicates, ("exact-duplicate",)),
    Entry(near_duplicates, ("near-duplicate",)),
    Entry(semantic_duplicates, ("semantic-duplicate",), "embed"),
    Entry(check_personal, ("personal-data", "secret")),
    Entry(check_hidden, ("hidden-text",)),
    Entry(check_injection, ("injection",)),
    Entry(check_encoding, ("encoding",)),
    Entry(check_language, ("language",)),
    Entry(check_answers, ("empty", "truncated", "repeated", "template")),
    Entry(too_long, ("too-long",), "num_tokens"),
    Entry(labels_never_learned, ("unknown-label",)),
    Entry(spellings_of_labels, ("label-spelling",)),
    Entry(label_balance, ("imbalance",)),
    Entry(contradicting_rows, ("contradiction",)),
    Entry(wrong_labels, ("wrong-label",)),
    Entry(inconsistent_format, ("inconsistent-format",)),
    Entry(low_diversity, ("low-diversity",)),
    Entry(strange_rows, ("outlier", "off-topic")),
    Entry(unlike_real_inputs, ("unrepresentative",), "like"),
)

_MISSING = {
    "embed": "it needs an encoder: --base FOLDER",
    "num_tokens": "it needs a model to count tokens with: --base NAME",
    "like": "it needs a sample of real inputs: --like VERSION",
}


def check_rows(rows: Sequence[Row], given: Given) -> tuple[list[Finding], list[tuple[str, str]]]:
    """Every finding, the gravest first, and the kinds that could not be looked for, each with the reason."""
    findings: list[Finding] = []
    not_looked: list[tuple[str, str]] = []
    for entry in CHECKS:
        if entry.needs and not getattr(given, entry.needs):
            not_looked += [(kind, _MISSING[entry.needs]) for kind in entry.kinds]
        else:
            findings += entry.check(rows, given)
    return in_order(findings), not_looked


def check_leaks(rows: Sequence[Row], others: Sequence[Row], given: Given) -> list[Finding]:
    """Which rows stand in another version too."""
    given.progress("leaks")
    return in_order(leaks_between(rows, others, given.embed))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, notes; of one severity and kind the one with the most rows first."""
    return sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), found.kind, -len(found.members)))


def check_by_kind() -> dict[str, Check]:
    """For each kind of finding the check that makes it.

    >>> "leak" in check_by_kind()
    True
    """
    return {kind: entry.check for entry in CHECKS for kind in entry.kinds}
