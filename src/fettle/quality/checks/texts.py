"""Checks of single texts: personal data, secrets, hidden text, orders to a model, broken encoding, foreign language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fettle.data.records import Row, input_text, named_texts
from fettle.quality.checks.places import (
    MOST_SPANS,
    Place,
    Spotted,
    evidence_of,
    excerpt,
    members_of,
    reasons_of,
    spot,
)
from fettle.quality.finding import VERSION_WORD, Finding, Given, Severity
from fettle.quality.found import Found, settled
from fettle.quality.sensitive.personal import SECRET, Tag, find_personal
from fettle.quality.texts.damage import find_damage
from fettle.quality.texts.hidden import find_hidden
from fettle.quality.texts.injection import find_injection
from fettle.quality.texts.language import is_foreign, main_language

_CLEAN = f"fettle data clean {VERSION_WORD} "
_NAMES = {
    "email": "e-mail addresses",
    "phone": "telephone numbers",
    "card": "payment card numbers",
    "iban": "IBANs",
    "bank-account": "bank account numbers",
    "national-id": "national identity numbers",
    "ip": "IP addresses",
    "mac": "MAC addresses",
    "date-of-birth": "dates of birth",
    "address": "street addresses",
    "person": "names of people",
}


def check_personal(rows: Sequence[Row], given: Given, tag: Tag | None = None) -> Iterator[Finding]:
    """One finding for each kind of personal data (`personal-data`), and one for all secrets (`secret`).

    Excerpts are masked: a report must not spread what it found.
    """
    given.progress("looking for personal data")
    spotted = spot(rows, find_personal)
    if tag is not None:
        spotted = _joined(spotted, _tagged(rows, tag))
    kinds = Counter(each.kind for one in spotted for each in one.found)
    for kind, _ in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        if kind != SECRET:
            named = _Words("personal-data", "warning", _NAMES.get(kind, kind), "redact=mask", datum=kind)
            yield _finding(_only(spotted, kind), named)
    if SECRET in kinds:
        yield _finding(
            _only(spotted, SECRET), _Words("secret", "error", "keys, tokens or passwords", "redact=mask", SECRET)
        )


def check_hidden(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Characters that nobody sees, and letters that look like others."""
    given.progress("looking for hidden text")
    yield from _check(
        rows, find_hidden, _Words("hidden-text", "warning", "hidden characters or look-alike letters", "strip=hidden")
    )


def check_injection(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Text with the shape of orders to a model."""
    given.progress("looking for orders to a model")
    yield from _check(rows, find_injection, _Words("injection", "warning", "orders to a model", "drop=injection"))


def check_encoding(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Text that was decoded wrongly or escaped twice."""
    given.progress("looking for broken text")
    yield from _check(rows, find_damage, _Words("encoding", "warning", "broken characters", "repair"))


def check_language(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows whose input is surely in another language than the version, or than the one that was given.

    Only what the model reads is judged: labels are no language, and an answer in another one may be the task.
    """
    given.progress("telling languages apart")
    texts = [input_text(row.record) for row in rows]
    main = given.language or main_language(texts)
    if not main:
        return
    foreign = {place: found for place, text in enumerate(texts) if (found := is_foreign(text, main))}
    if not foreign:
        return
    counts = Counter(foreign.values())
    most = ", ".join(f"{count} in {language}" for language, count in counts.most_common(3))
    whose = "asked for" if given.language else "of the rest"
    members = sorted(foreign, key=lambda place: (-len(texts[place]), place))
    spans = [
        {
            "row": place,
            "field": "input",
            "sort": foreign[place],
            "excerpt": excerpt(texts[place], _head(texts[place]), True),
        }
        for place in members[:MOST_SPANS]
    ]
    yield Finding(
        kind="language",
        severity="warning",
        problem=f"{_rows(len(foreign))} not in {main}, the language {whose}: {most}",
        members=tuple(members),
        mend=f"{_CLEAN}drop=language",
        evidence={"language": main, "counts": dict(counts.most_common()), "spans": spans},
        reasons=tuple(f"in {foreign[place]}, not in {main}" for place in members),
    )


class _Words(NamedTuple):
    """How a finding is worded; `datum` is what was found, where one kind of finding tells several apart."""

    kind: str
    severity: Severity
    what: str
    mend: str
    datum: str = ""


def _check(rows: Sequence[Row], find: Callable[[str], list[Found]], words: _Words) -> Iterator[Finding]:
    if spotted := spot(rows, find):
        yield _finding(spotted, words)


def _finding(spotted: Sequence[Spotted], words: _Words) -> Finding:
    members = members_of(spotted)
    num_spans = sum(len(one.found) for one in spotted)
    evidence = evidence_of(spotted)
    sorts = ", ".join(f"{count} {sort}" for sort, count in list(evidence["counts"].items())[:4])
    detail = f" ({num_spans} in all: {sorts})" if len(evidence["counts"]) > 1 else f" ({num_spans} in all)"
    return Finding(
        kind=words.kind,
        severity=words.severity,
        problem=f"{_rows(len(members), 'hold', 'holds')} {words.what}{detail}",
        members=members,
        mend=_CLEAN + words.mend,
        evidence={"datum": words.datum, **evidence} if words.datum else evidence,
        reasons=reasons_of(spotted),
    )


def _rows(count: int, many: str = "are", one: str = "is") -> str:
    return f"1 row {one}" if count == 1 else f"{count:,} rows {many}"


def _only(spotted: Sequence[Spotted], kind: str) -> list[Spotted]:
    kept = ((one.place, tuple(each for each in one.found if each.kind == kind)) for one in spotted)
    return [Spotted(place, found) for place, found in kept if found]


def _head(text: str) -> Found:
    return Found("language", 0, min(len(text), 60), 1.0)


def _tagged(rows: Sequence[Row], tag: Tag) -> list[Spotted]:
    """What the tagger finds, all texts in one call, so that a model may batch them."""
    places = [Place(*triple) for triple in _texts(rows)]
    return [
        Spotted(place, tuple(found))
        for place, found in zip(places, tag([place.text for place in places]), strict=True)
        if found
    ]


def _texts(rows: Sequence[Row]) -> Iterator[tuple[int, str, str]]:
    return (
        (place, field, text)
        for place, row in enumerate(rows)
        for field, text, _ in named_texts(row.record)
        if field != "label"
    )


def _joined(spotted: Sequence[Spotted], tagged: Sequence[Spotted]) -> list[Spotted]:
    found = {(one.place.row, one.place.field): one for one in spotted}
    for one in tagged:
        key = (one.place.row, one.place.field)
        before = found[key].found if key in found else ()
        found[key] = Spotted(one.place, tuple(settled([*before, *one.found])))
    return [found[key] for key in sorted(found)]
