"""Where in a row a stretch of text stands, and how a report may quote it: enough to find it, without what it hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fettle.data.records import Row, named_texts
from fettle.quality.found import Found
from fettle.quality.sensitive.personal import find_personal, redact

MOST_SPANS = 20
"""How many stretches a finding shows; its counts cover all of them."""

_CONTEXT = 30
_READ_AROUND = 8_000
"""What is looked at for data to mask, before a stretch and after it: longer than any key that reaches into sight."""


@dataclass(frozen=True)
class Place:
    """One text of a row. `row` counts from 0, `field` is `text`, `label` or `turn 2 (user)`."""

    row: int
    field: str
    text: str


@dataclass(frozen=True)
class Spotted:
    """What a detector found in one text of a row."""

    place: Place
    found: tuple[Found, ...]


def spot(rows: Sequence[Row], find: Callable[[str], Sequence[Found]]) -> list[Spotted]:
    """Ask a detector about every text of every row. Labels that come again are asked about once."""
    seen: dict[str, Sequence[Found]] = {}
    spotted = []
    for row_place, row in enumerate(rows):
        for field, text, _ in named_texts(row.record):
            if field == "label":
                if text not in seen:
                    seen[text] = find(text)
                found = seen[text]
            else:
                found = find(text)
            if found:
                spotted.append(Spotted(Place(row_place, field, text), tuple(found)))
    return spotted


def members_of(spotted: Sequence[Spotted]) -> tuple[int, ...]:
    """Rows, the surest and fullest first."""
    weights: dict[int, float] = {}
    for one in spotted:
        weights[one.place.row] = weights.get(one.place.row, 0.0) + sum(each.confidence for each in one.found)
    return tuple(sorted(weights, key=lambda row: (-weights[row], row)))


def reasons_of(spotted: Sequence[Spotted]) -> tuple[str, ...]:
    """What was found in each row, in the order of `members_of`."""
    sorts: dict[int, Counter[str]] = {}
    for one in spotted:
        sorts.setdefault(one.place.row, Counter()).update(each.sort or each.kind for each in one.found)
    return tuple(
        ", ".join(sort if count == 1 else f"{sort} {count} times" for sort, count in sorted(sorts[row].items()))
        for row in members_of(spotted)
    )


def evidence_of(spotted: Sequence[Spotted]) -> dict[str, Any]:
    """Counts by sort, and up to `MOST_SPANS` stretches of the most telling rows with a masked excerpt."""
    counts = Counter(each.sort or each.kind for one in spotted for each in one.found)
    rank = {row: at for at, row in enumerate(members_of(spotted))}
    ordered = sorted(spotted, key=lambda one: rank[one.place.row])
    spans = [_span(one, each) for one, each in _first_spans(ordered)]
    return {"counts": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), "spans": spans}


def excerpt(text: str, one: Found, is_shown: bool = False) -> str:
    """The surroundings of a stretch on one line, with all personal data masked and hidden characters written out.

    >>> excerpt("please write to jo@example.com today", Found("email", 16, 30, 1.0))
    'please write to [EMAIL] today'
    """
    inside = f"\ue000{text[one.start : one.end]}\ue001" if is_shown else f"\ue000[{one.kind.upper()}]\ue001"
    before, after = text[max(0, one.start - _READ_AROUND) : one.start], text[one.end : one.end + _READ_AROUND]
    marked = before + inside + after
    masked = redact(marked, find_personal(marked))
    # A mask may swallow the marks; then the beginning of what was looked at stands for the place.
    start = max(masked.find("\ue000"), 0)
    end = masked.find("\ue001") if "\ue001" in masked else start
    cut = masked[max(0, start - _CONTEXT) : min(end, start + 4 * _CONTEXT) + _CONTEXT + 1]
    return "".join(_visible(sign) for sign in cut if sign not in "\ue000\ue001")


def _first_spans(ordered: Sequence[Spotted]) -> Iterator[tuple[Spotted, Found]]:
    shown = 0
    for one in ordered:
        for each in one.found:
            if shown == MOST_SPANS:
                return
            yield one, each
            shown += 1


def _span(one: Spotted, each: Found) -> dict[str, Any]:
    is_shown = each.kind not in ("secret",) and not _is_personal(each.kind)
    return {
        "row": one.place.row,
        "field": one.place.field,
        "start": each.start,
        "end": each.end,
        "sort": each.sort or each.kind,
        "excerpt": excerpt(one.place.text, each, is_shown),
    }


def _is_personal(kind: str) -> bool:
    return kind not in (
        "hidden-text",
        "injection",
        "encoding",
        "repeated",
        "template",
        "truncated",
        "empty",
        "language",
    )


def _visible(sign: str) -> str:
    return sign if sign.isprintable() else " " if sign.isspace() else f"\\u{ord(sign):04x}"
