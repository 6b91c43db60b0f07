"""Checks of answers by their wording: empty, cut off, looping, with the marks of a template left in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fettle.data.records import Row, named_texts
from fettle.quality.checks.places import Place, Spotted, evidence_of, members_of, reasons_of
from fettle.quality.finding import VERSION_WORD, Finding, Given, Severity
from fettle.quality.found import Found
from fettle.quality.texts.answers import find_repetition, find_template, is_empty, truncated_answers

_WHY_CUT = {
    "fence": "a block of code that is never closed",
    "bracket": "a bracket that is never closed",
    "sentence": "the middle of a sentence, where the others end with a full stop",
}


def check_answers(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Answers that teach bad habits: findings of the kinds `empty`, `truncated`, `repeated` and `template`.

    A label is judged only for being empty. A plain text is all answer.
    """
    given.progress("reading the answers")
    answers = [
        Place(place, field, text)
        for place, row in enumerate(rows)
        for field, text, is_answer in named_texts(row.record)
        if is_answer
    ]
    spoken = [answer for answer in answers if answer.field != "label"]
    empty = [Spotted(answer, (_whole(answer, "empty"),)) for answer in answers if is_empty(answer.text)]
    yield from _finding("empty", "error", empty, "an answer that says nothing")
    cut = truncated_answers([answer.text for answer in spoken])
    ends = [Spotted(spoken[at], (_end(spoken[at], reason),)) for at, reason in cut.items()]
    reasons = [reason for reason in _WHY_CUT if reason in cut.values()]
    why = "; ".join(f"{list(cut.values()).count(reason):,} in {_WHY_CUT[reason]}" for reason in reasons)
    yield from _finding("truncated", "warning", ends, f"an answer that stops before its end: {why}")
    yield from _finding(
        "repeated", "warning", _spot(spoken, find_repetition), "an answer that says one phrase again and again"
    )
    yield from _finding(
        "template", "warning", _spot(spoken, find_template), "an answer with the marks of a template in it"
    )


def _spot(answers: Sequence[Place], find: Callable[[str], list[Found]]) -> list[Spotted]:
    looked = ((answer, tuple(find(answer.text))) for answer in answers)
    return [Spotted(answer, found) for answer, found in looked if found]


def _whole(answer: Place, kind: str) -> Found:
    return Found(kind, 0, len(answer.text), 1.0, "blank" if not answer.text.strip() else "punctuation")


def _end(answer: Place, reason: str) -> Found:
    """The last words, which show how an answer breaks off. Code and brackets are surer signs than a missing stop."""
    end = len(answer.text.rstrip())
    return Found("truncated", max(0, end - 30), end, {"fence": 0.95, "bracket": 0.8}.get(reason, 0.7), reason)


def _finding(kind: str, severity: Severity, spotted: Sequence[Spotted], what: str) -> Iterator[Finding]:
    if not spotted:
        return
    members = members_of(spotted)
    yield Finding(
        kind=kind,
        severity=severity,
        problem=f"{'1 row has' if len(members) == 1 else f'{len(members):,} rows have'} {what}",
        members=members,
        mend=f"fettle data clean {VERSION_WORD} drop={kind}",
        evidence=evidence_of(spotted),
        reasons=reasons_of(spotted),
    )
