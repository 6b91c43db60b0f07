"""The report: what each system did with each row, and what that comes to. It can be shown and scored again without
any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fettle.errors import DamagedFile


class Outcome(msgspec.Struct, frozen=True):
    """One row under one system. `loss` is summed over the row's learned weight, in nats, and `right` is how much of
    that weight was the likeliest; all 0 where not measured.

    `probability` is that of the answer given, where answers are chosen, `expected_probability` that of the expected
    one; `num_bytes` the length of the text learned. `rank` is the place of the right one among those that were ranked:
    1 is the first, and 0 says that nothing was ranked.

    Several labels are a JSON list, sorted (`["a", "b"]`); spans a JSON list of `[start, end, label]`; a number is
    written out.
    """

    source: str
    expected: str
    answer: str
    loss: float = 0.0
    weight: float = 0.0
    probability: float = 0.0
    is_complete: bool = True
    num_bytes: int = 0
    rank: int = 0
    expected_probability: float = 0.0
    right: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """Scores of several systems on the same rows. `scores` and `paired` follow from `outcomes` alone."""

    bundle: str
    task: str
    data: str
    num_rows: int
    goal: dict[str, object]
    outcomes: dict[str, list[Outcome]]
    scores: dict[str, dict[str, dict[str, object]]]
    paired: list[dict[str, object]]
    notes: list[str]
    created_at: str
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """The report in the words of the terminal contract, without the single rows."""
        return {
            "bundle": self.bundle,
            "task": self.task,
            "data": self.data,
            "goal": self.goal,
            "n": self.num_rows,
            "systems": self.scores,
            "paired": self.paired,
            "notes": self.notes,
        }


def encode_report(report: Report) -> bytes:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1)


def decode_report(data: bytes, where: str) -> Report:
    """Read a report back; anything else is refused."""
    try:
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, ValueError) as problem:
        raise DamagedFile(f"this is no report: {problem}", where=where) from None


def confusions(outcomes: Sequence[Outcome], most: int = 10) -> list[tuple[str, str, int]]:
    """The commonest mistakes: expected, answered, how often."""
    counts: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        if outcome.expected != outcome.answer:
            pair = (outcome.expected, outcome.answer)
            counts[pair] = counts.get(pair, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(expected, answer, count) for (expected, answer), count in ranked[:most]]


def changed_rows(outcomes: Mapping[str, Sequence[Outcome]], before: str, after: str) -> tuple[int, int]:
    """How many rows went from wrong to right, and from right to wrong."""
    pairs = list(zip(outcomes[before], outcomes[after], strict=True))
    mended = sum(old.answer != old.expected and new.answer == new.expected for old, new in pairs)
    broken = sum(old.answer == old.expected and new.answer != new.expected for old, new in pairs)
    return mended, broken
