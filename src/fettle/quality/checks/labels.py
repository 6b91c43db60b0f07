"""Findings about labels: likely wrong ones, contradictions, imbalance, spellings, labels that training never saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fettle.data.records import Conversation, LabelledText, Row, answer_text, input_text
from fettle.quality.finding import VERSION_WORD, Finding, Given, Severity
from fettle.quality.whole.contradictions import Contradiction, contradictions, restated_pairs
from fettle.quality.whole.counts import balance, label_spellings, unknown_labels
from fettle.quality.whole.labels import Suspicions, suspect_labels
from fettle.quality.whole.vectors import text_vectors

WIDTH = 512
MOST_ROWS_AS_EVIDENCE = 200
SHARE_WORTH_A_LOOK = 0.1
LEAST_KNOWLEDGE = 0.75
"""What a classifier must know of the labels before the rows that it doubts are offered to be dropped.

Measured: 0.81 to 0.90 on bank queries with up to a quarter of the labels flipped, where nine in ten of the doubted
labels were flips; 0.59 to 0.71 on feelings, kinds of bias and sections of notes, where a reader found none or one of 24
to be wrong.
"""

MOST_RATIO = 10.0
"""A label ten times as frequent as another is what a model falls back on."""

_FEWEST_WORDS_OF_A_QUESTION = 4
_LEARNED_PARTS = ("", "train")


def wrong_labels(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows whose label a classifier doubts that never saw them, and the next most suspect, both ranked."""
    places, texts, labels = _labelled(rows)
    if not places:
        return
    given.progress("asking a classifier about every label")
    found = suspect_labels(text_vectors(texts, WIDTH, given.embed), labels) if len(set(labels)) > 1 else None
    if found is None:
        return
    flagged = list(found.flagged)
    if flagged:
        worst = flagged[0]
        yield Finding(
            "wrong-label",
            "warning",
            f"{_count(len(flagged), 'label')} of {len(places):,} {_are(len(flagged))} likely wrong: the first is "
            f"“{labels[worst]}”, and rows like it are “{found.names[found.likelier[worst]]}”",
            tuple(places[each] for each in flagged),
            _mend_of_doubts(found),
            evidence={**_doubts(found, places, flagged), "knowledge": round(found.knowledge, 3)},
            reasons=tuple(
                f"“{found.names[found.given[each]]}” is doubted ({found.given_probability[each]:.2f}), "
                f"“{found.names[found.likelier[each]]}” is likelier ({found.likelier_probability[each]:.2f})"
                for each in flagged
            ),
        )
    taken = set(flagged)
    most = int(SHARE_WORTH_A_LOOK * len(places))
    next_ones = [int(each) for each in found.ranked()[:most] if int(each) not in taken]
    if next_ones:
        yield Finding(
            "wrong-label",
            "note",
            f"the next {_count(len(next_ones), 'label')} in order of doubt, worth a look when there is time",
            tuple(places[each] for each in next_ones),
            evidence=_doubts(found, places, next_ones),
        )


def _mend_of_doubts(found: Suspicions) -> str:
    """Dropping, where the classifier knows the labels well; else people are asked."""
    if found.knowledge >= LEAST_KNOWLEDGE:
        return f"fettle data clean {VERSION_WORD} drop=wrong-label"
    return f"fettle data export {VERSION_WORD} --to review --out review.xlsx"


def _doubts(found: Suspicions, places: Sequence[int], members: Sequence[int]) -> dict[str, Any]:
    """What was given and what is likelier, of the first members."""
    return {
        "rows": [
            {
                "row": places[each],
                "given": found.names[found.given[each]],
                "likelier": found.names[found.likelier[each]],
                "given_probability": round(float(found.given_probability[each]), 4),
                "likelier_probability": round(float(found.likelier_probability[each]), 4),
            }
            for each in members[:MOST_ROWS_AS_EVIDENCE]
        ]
    }


def contradicting_rows(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows that answer one question in two ways: an error where training would learn both labels of one input."""
    del given
    asked = [place for place, row in enumerate(rows) if _asks_something(row)]
    inputs = [input_text(rows[place].record) for place in asked]
    answers = [answer_text(rows[place].record) for place in asked]
    by_kind: dict[str, list[Contradiction]] = defaultdict(list)
    for each in contradictions(inputs, answers, restated_pairs(inputs)):
        members = tuple(asked[place] for place in each.members)
        kind = "near" if not each.is_same_input else "torn" if _is_torn(rows, members) else "same"
        by_kind[kind].append(Contradiction(members, each.answers, each.is_same_input))
    for kind, (severity, what, why) in _CONTRADICTIONS.items():
        if groups := by_kind[kind]:
            members = tuple(place for each in groups for place in each.members)
            yield Finding(
                "contradiction",
                severity,
                f"{_count(len(groups), what)} answered in more than one way{why}, in {len(members):,} rows: "
                + " and ".join(f"“{_short(answer)}”" for answer in groups[0].answers[:2]),
                members,
                f"fettle data clean {VERSION_WORD} drop=contradiction",
                evidence={
                    "groups": [
                        {"members": list(each.members), "answers": [_short(answer) for answer in each.answers]}
                        for each in groups[:MOST_ROWS_AS_EVIDENCE]
                    ]
                },
                reasons=tuple(
                    f"one of {len(each.answers)} answers to what {rows[each.members[0]].file}:"
                    f"{rows[each.members[0]].line} asks first"
                    for each in groups
                    for _ in each.members
                ),
            )


_CONTRADICTIONS: dict[str, tuple[Severity, str, str]] = {
    "torn": ("error", "input", " in training"),
    "same": ("warning", "input", ", case, signs and spacing aside"),
    "near": ("warning", "input", " where it is asked in nearly the same words"),
}


def _is_torn(rows: Sequence[Row], members: Sequence[int]) -> bool:
    """Whether the very same input has two labels in what is learned."""
    labels: dict[str, set[str]] = defaultdict(set)
    for place in members:
        record = rows[place].record
        if isinstance(record, LabelledText) and rows[place].part in _LEARNED_PARTS:
            labels[rows[place].input_key].add(record.label)
    return any(len(each) > 1 for each in labels.values())


def _asks_something(row: Row) -> bool:
    """Whether a row's input can be contradicted: a greeting opens any number of conversations."""
    if isinstance(row.record, Conversation):
        asked = [turn.content for turn in row.record.messages if turn.role == "user"]
        return bool(asked) and len(asked[0].split()) >= _FEWEST_WORDS_OF_A_QUESTION
    return isinstance(row.record, LabelledText)


def label_balance(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Labels that are much rarer than others, or too rare to learn; and a set of one label."""
    del given
    places, _, labels = _labelled(rows, _LEARNED_PARTS)
    if not places:
        return
    found = balance(labels)
    evidence = {"counts": found.counts, "ratio": round(found.ratio, 1)}
    if len(found.counts) == 1:
        yield Finding("imbalance", "warning", f"every row has the label “{labels[0]}”", (), evidence=evidence)
        return
    rare = set(found.rare)
    if rare:
        members = tuple(place for place, label in zip(places, labels, strict=True) if label in rare)
        named = ", ".join(f"“{label}” ({found.counts[label]})" for label in found.rare[:5])
        yield Finding(
            "imbalance",
            "warning",
            f"{_count(len(rare), 'label')} {'has' if len(rare) == 1 else 'have'} fewer than five rows: {named}",
            members,
            evidence=evidence,
        )
    if found.ratio >= MOST_RATIO and len(places) >= 50:
        most, least = next(iter(found.counts)), list(found.counts)[-1]
        yield Finding(
            "imbalance",
            "warning",
            f"“{most}” has {found.ratio:,.0f} times the rows of “{least}” ({found.counts[most]:,} and "
            f"{found.counts[least]:,})",
            (),
            f"fettle data clean {VERSION_WORD} balance=up",
            evidence=evidence,
        )


def spellings_of_labels(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Labels that look like one label spelt in several ways; the members have the rarer spellings."""
    del given
    places, _, labels = _labelled(rows)
    counts = balance(labels).counts
    for group in label_spellings(counts):
        members = tuple(place for place, label in zip(places, labels, strict=True) if label in group[1:])
        yield Finding(
            "label-spelling",
            "warning",
            f"{' and '.join(f'“{label}” ({counts[label]:,})' for label in group)} look like one label",
            members,
            f"fettle data clean {VERSION_WORD} relabel=FILE",
            evidence={"usual": group[0], "counts": {label: counts[label] for label in group}},
        )


def labels_never_learned(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Labels of validation and test rows that no training row has: nothing can answer with them."""
    del given
    learned = {row.record.label for row in rows if isinstance(row.record, LabelledText) and row.part == "train"}
    tested = [
        (place, row.record.label)
        for place, row in enumerate(rows)
        if isinstance(row.record, LabelledText) and row.part not in _LEARNED_PARTS
    ]
    if not learned or not tested:
        return
    found = unknown_labels(learned, [label for _, label in tested])
    if found:
        label_of = {tested[each][0]: label for label, places in found.items() for each in places}
        members = sorted(label_of)
        named = ", ".join(f"“{label}”" for label in sorted(found)[:5])
        yield Finding(
            "unknown-label",
            "error",
            f"{_count(len(found), 'label')} of the held-out rows never {'occurs' if len(found) == 1 else 'occur'} in "
            f"training: {named}",
            tuple(members),
            f"fettle data clean {VERSION_WORD} drop=unknown-label",
            evidence={"counts": {label: len(places) for label, places in sorted(found.items())}},
            reasons=tuple(f"no training row has “{label_of[place]}”" for place in members),
        )


def _labelled(rows: Sequence[Row], parts: Iterable[str] | None = None) -> tuple[list[int], list[str], list[str]]:
    """Places, texts and labels of the labelled rows, of all parts or of these."""
    chosen = [
        (place, row.record.text, row.record.label)
        for place, row in enumerate(rows)
        if isinstance(row.record, LabelledText) and (parts is None or row.part in parts)
    ]
    return [each[0] for each in chosen], [each[1] for each in chosen], [each[2] for each in chosen]


def _count(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _are(number: int) -> str:
    """The verb that goes with a number."""
    return "is" if number == 1 else "are"


def _short(text: str, most_characters: int = 60) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most_characters else f"{line[: most_characters - 1]}…"
