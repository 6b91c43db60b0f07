"""Rows that say the same twice, and rows that stand on both sides of a split.

Exact duplicates are whole records that are equal. Near and semantic duplicates and leaks compare inputs: what a model
is given. Two inputs are near where both their system turns and the rest are near; held together, a long system turn
that all rows share would make every row like every other. Duplicates are sought within a part: across parts they are
leaks. An input of nothing is no duplicate and no leak. How alikeness is found is the affair of `quality.similar`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fettle.data.records import Conversation, Row, answer_text, input_text, normalised, says_nothing
from fettle.data.splits.split import PARTS
from fettle.quality.alike.shingles import Groups, Ints, jaccard, offsets_of
from fettle.quality.alike.similar import (
    NEAR,
    Pairs,
    clusters,
    semantic_across,
    semantic_pairs,
    similar_across,
    similar_pairs,
)
from fettle.quality.finding import VERSION_WORD, Embed, Finding, Given

MOST_PAIRS_WRITTEN = 200
MOST_MEANINGS_COMPARED = 10**10
"""Pairs of vectors: a minute or two of multiplying. Where there are more, only the first rows are compared."""

SAME, NEARLY, MEANING = "same", "near", "meaning"
_HOW_SAID = {
    SAME: "the same input",
    NEARLY: "nearly the same input ({least:.2f} or more of their shingles)",
    MEANING: "an input of the same meaning (cosine {least:.2f} or more)",
}


@dataclass(frozen=True)
class _Inputs:
    """The inputs of rows that have one: their places, what is compared, and the group of their system turns."""

    places: list[int]
    texts: list[str]
    systems: list[str]


@dataclass(frozen=True)
class _Tie:
    """Two rows that are alike: `ours` (held out) and `theirs` (trained on), how, and how much."""

    ours: int
    theirs: int
    how: str
    score: float


def exact_duplicates(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Records that are equal to the last character, within one part; the first stays when they are mended."""
    given.progress("exact duplicates")
    found: dict[tuple[str, int], list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault((row.content_key, _rank(row)), []).append(place)
    for members in found.values():
        if len(members) > 1:
            yield Finding(
                "exact-duplicate",
                "warning",
                f"{len(members)} rows are the same record",
                tuple(members),
                f"fettle data clean {VERSION_WORD} deduplicate=exact",
            )


def near_duplicates(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Inputs that share at least 0.8 of their shingles, a finding for each cluster.

    A cluster of equal records alone is left to `exact_duplicates`. Trap: a cluster hangs together by pairs, so two of
    its members may be less alike.
    """
    given.progress("near duplicates")
    inputs = _inputs_of(rows)
    found = similar_pairs(inputs.texts, groups=_groups_of(rows, inputs))
    for places, pairs in _clusters_with_pairs(len(inputs.texts), found):
        members = tuple(inputs.places[place] for place in places)
        if _are_one_record(rows, members):
            continue
        yield Finding(
            "near-duplicate",
            "warning",
            f"{len(members)} inputs are nearly the same: {_range_of(pairs)} of their shingles are shared"
            f"{_answers_of(rows, members)}",
            members,
            f"fettle data clean {VERSION_WORD} deduplicate=near",
            evidence=_evidence([[inputs.places[a], inputs.places[b], round(score, 4)] for a, b, score in pairs]),
        )


def semantic_duplicates(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Inputs in other words but of one meaning, by the vectors of `given.embed`; nothing without it.

    Each different input is embedded once. What `near_duplicates` reports is not reported again.
    """
    if given.embed is None:
        return
    given.progress("semantic duplicates")
    inputs = _inputs_of(rows)
    groups = _groups_of(rows, inputs)
    copies: dict[tuple[int, str], list[int]] = {}
    for place, group, text in zip(inputs.places, groups, map(normalised, inputs.texts), strict=True):
        copies.setdefault((int(group), text), []).append(place)
    keys, places = list(copies), list(copies.values())
    most = int((2 * MOST_MEANINGS_COMPARED) ** 0.5)
    if len(keys) > most:
        yield _unfinished("semantic-duplicate", len(keys), most)
        keys = keys[:most]
    if len(keys) < 2:
        return
    texts = [text for _, text in keys]
    numbers = np.array([group for group, _ in keys])
    found = semantic_pairs(given.embed(texts))
    together = numbers[found.left] == numbers[found.right]
    unlike = together & (jaccard(texts, found.left, found.right) < NEAR)
    found = Pairs(found.left[unlike], found.right[unlike], found.score[unlike])
    for chosen, pairs in _clusters_with_pairs(len(texts), found):
        members = tuple(sorted(place for one in chosen for place in places[one]))
        yield Finding(
            "semantic-duplicate",
            "note",
            f"{len(members)} inputs have the same meaning: cosines of {_range_of(pairs)}{_answers_of(rows, members)}",
            members,
            f"fettle data clean {VERSION_WORD} deduplicate=semantic",
            evidence=_evidence([[places[a][0], places[b][0], round(score, 4)] for a, b, score in pairs]),
        )


def leaks(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows of different parts whose inputs are the same, near, or of one meaning where there is `given.embed`.

    A finding for each cluster, the held-out rows first (test before validation). Its evidence says in `num_held_out`
    how many they are, and in `drop` the rows whose loss mends it: of each pair the one that is nearer to training.
    """
    ranks = [_rank(row) for row in rows]
    if len(set(ranks)) < 2:
        return
    given.progress("leaks")
    ties = []
    for held_ranks, other_rank in (((1, 2), 0), ((2,), 1)):
        ours = [place for place, rank in enumerate(ranks) if rank in held_ranks]
        theirs = [place for place, rank in enumerate(ranks) if rank == other_rank]
        found, unfinished = _ties_between([rows[i] for i in ours], [rows[i] for i in theirs], given.embed)
        yield from unfinished
        ties += [_Tie(ours[tie.ours], theirs[tie.theirs], tie.how, tie.score) for tie in found]
    for some in _tied_together(ties, len(rows)):
        drop = sorted({tie.theirs for tie in some})
        members = sorted({tie.ours for tie in some} | set(drop), key=lambda place: (-ranks[place], place))
        least = ranks[members[-1]]
        num_held = sum(ranks[place] > least for place in members)
        others = f"{_counted(len(members) - num_held, 'row')} of {PARTS[least]}"
        yield Finding(
            "leak",
            "error",
            f"{_counted(num_held, 'held-out row')} and {others} have {_how_said(some)}",
            tuple(members),
            f"fettle data clean {VERSION_WORD} drop=leak",
            evidence={"num_held_out": num_held, "drop": drop, **_evidence_of_ties(some)},
        )


def leaks_between(rows_a: Sequence[Row], rows_b: Sequence[Row], embed: Embed | None = None) -> list[Finding]:
    """Leaks between two versions, whatever their parts: `members` are places in A, `others` places in B.

    They have no mend: `drop=leak` looks at the parts of one version, and would find none of them.
    """
    ties, unfinished = _ties_between(rows_a, rows_b, embed)
    joined = [_Tie(tie.ours, tie.theirs + len(rows_a), tie.how, tie.score) for tie in ties]
    findings = []
    for some in _tied_together(joined, len(rows_a) + len(rows_b)):
        own = [_Tie(tie.ours, tie.theirs - len(rows_a), tie.how, tie.score) for tie in some]
        members = tuple(sorted({tie.ours for tie in own}))
        others = tuple(sorted({tie.theirs for tie in own}))
        findings.append(
            Finding(
                "leak",
                "error",
                f"{_counted(len(members), 'row')} and {_counted(len(others), 'row')} of the other version have "
                f"{_how_said(own)}",
                members,
                "",
                others,
                _evidence_of_ties(own),
            )
        )
    return [*unfinished, *findings]


def _rank(row: Row) -> int:
    """How far from training a part is: 0 is training, which rows of no part or an unknown one belong to."""
    return PARTS.index(row.part) if row.part in PARTS else 0


def _inputs_of(rows: Sequence[Row]) -> _Inputs:
    inputs = _Inputs([], [], [])
    for place, row in enumerate(rows):
        system, record = "", row.record
        if isinstance(record, Conversation):
            turns = tuple(turn for turn in record.messages if turn.role != "system")
            system = "\n".join(turn.content for turn in record.messages if turn.role == "system")
            record = msgspec.structs.replace(record, messages=turns)
        text = input_text(record)
        if not says_nothing(text):
            inputs.places.append(place)
            inputs.texts.append(text)
            inputs.systems.append(system)
    return inputs


def _system_groups(systems: Sequence[str]) -> Ints:
    """A number for each system turn, the same for those that are near."""
    seen: dict[str, int] = {}
    number_of = np.array([seen.setdefault(normalised(system), len(seen)) for system in systems], np.int64)
    group_of = np.arange(len(seen))
    for members in clusters(len(seen), similar_pairs(list(seen))):
        group_of[list(members)] = members[0]
    groups: Ints = group_of[number_of]
    return groups


def _groups_of(rows: Sequence[Row], inputs: _Inputs) -> Ints:
    """A number for each input, the same within one part and for near system turns."""
    ranks = np.array([_rank(rows[place]) for place in inputs.places], np.int64)
    return _system_groups(inputs.systems) * len(PARTS) + ranks


def _ties_between(
    rows_a: Sequence[Row], rows_b: Sequence[Row], embed: Embed | None
) -> tuple[list[_Tie], list[Finding]]:
    """The rows of two sides that are alike, and what could not be finished."""
    a, b = _inputs_of(rows_a), _inputs_of(rows_b)
    if not a.texts or not b.texts:
        return [], []
    plain_a, plain_b = _plain_inputs(rows_a, a), _plain_inputs(rows_b, b)
    ties = {(i, j): _Tie(a.places[i], b.places[j], SAME, 1.0) for i, j in _same(plain_a, plain_b)}
    both = _system_groups([*a.systems, *b.systems])
    groups = both[: len(a.texts)], both[len(a.texts) :]
    for i, j, score in similar_across(a.texts, b.texts, groups=groups):
        how = SAME if plain_a[i] == plain_b[j] else NEARLY
        ties.setdefault((i, j), _Tie(a.places[i], b.places[j], how, score))
    if embed is None:
        return list(ties.values()), []
    more, unfinished = _tied_by_meaning(a, b, groups, embed)
    for i, j, score in more:
        ties.setdefault((i, j), _Tie(a.places[i], b.places[j], MEANING, score))
    return list(ties.values()), unfinished


def _plain_inputs(rows: Sequence[Row], inputs: _Inputs) -> list[str]:
    """What `Row.input_key` is the hash of: equal here is equal there."""
    return [normalised(input_text(rows[place].record)) for place in inputs.places]


def _same(plain_a: Sequence[str], plain_b: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each text beside the first of the other side that is the same: enough to tie all copies together."""
    first_a: dict[str, int] = {}
    first_b: dict[str, int] = {}
    for first, plain in ((first_a, plain_a), (first_b, plain_b)):
        for place, text in enumerate(plain):
            first.setdefault(text, place)
    yield from ((place, first_b[text]) for place, text in enumerate(plain_a) if text in first_b)
    yield from ((first_a[text], place) for place, text in enumerate(plain_b) if text in first_a)


def _tied_by_meaning(
    a: _Inputs, b: _Inputs, groups: tuple[Groups, Groups], embed: Embed
) -> tuple[Iterable[tuple[int, int, float]], list[Finding]]:
    unfinished = []
    most = max(MOST_MEANINGS_COMPARED // len(a.texts), 1)
    if len(b.texts) > most:
        unfinished.append(_unfinished("leak", len(b.texts), most))
    found = semantic_across(embed(a.texts), embed(b.texts[:most]))
    numbers_a, numbers_b = np.asarray(groups[0]), np.asarray(groups[1])
    together = numbers_a[found.left] == numbers_b[found.right]
    return Pairs(found.left[together], found.right[together], found.score[together]), unfinished


def _clusters_with_pairs(
    num_texts: int, found: Pairs
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, int, float]]]]:
    """Each cluster and its own pairs; one pass, since there may be very many."""
    ties = clusters(num_texts, found)
    number_of = np.full(num_texts, -1)
    for number, members in enumerate(ties):
        number_of[list(members)] = number
    owner = number_of[found.left]
    order = np.argsort(owner, kind="stable")
    pairs = list(Pairs(found.left[order], found.right[order], found.score[order]))
    bounds = offsets_of(np.bincount(owner, minlength=len(ties))).tolist()
    for number, members in enumerate(ties):
        yield members, pairs[bounds[number] : bounds[number + 1]]


def _tied_together(ties: Sequence[_Tie], num_places: int) -> Iterator[list[_Tie]]:
    """The ties of each cluster, by the cluster's first place."""
    if not ties:
        return
    left = np.array([min(tie.ours, tie.theirs) for tie in ties])
    right = np.array([max(tie.ours, tie.theirs) for tie in ties])
    # The score carries the number of the tie through, which stays exact far beyond what memory holds.
    for _, pairs in _clusters_with_pairs(num_places, Pairs(left, right, np.arange(len(ties), dtype=np.float64))):
        yield [ties[int(number)] for _, _, number in pairs]


def _are_one_record(rows: Sequence[Row], members: Sequence[int]) -> bool:
    first = rows[members[0]].record
    return all(rows[place].record == first for place in members)


def _range_of(pairs: Sequence[tuple[int, int, float]]) -> str:
    least, most = min(pair[2] for pair in pairs), max(pair[2] for pair in pairs)
    return f"{least:.2f}" if f"{least:.2f}" == f"{most:.2f}" else f"{least:.2f} to {most:.2f}"


def _answers_of(rows: Sequence[Row], members: Sequence[int]) -> str:
    num_answers = len({answer_text(rows[place].record) for place in members})
    return f"; they have {num_answers} different answers" if num_answers > 1 else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _how_said(ties: Sequence[_Tie]) -> str:
    least: dict[str, float] = {}
    for tie in ties:
        least[tie.how] = min(tie.score, least.get(tie.how, tie.score))
    return " or ".join(_HOW_SAID[word].format(least=least[word]) for word in _HOW_SAID if word in least)


def _evidence_of_ties(ties: Sequence[_Tie]) -> dict[str, Any]:
    found = {tie.how for tie in ties}
    how = [word for word in _HOW_SAID if word in found]
    return {"how": how, **_evidence([[tie.ours, tie.theirs, round(tie.score, 4), tie.how] for tie in ties])}


def _evidence(pairs: list[list[Any]]) -> dict[str, Any]:
    return {"num_pairs": len(pairs), "pairs": pairs[:MOST_PAIRS_WRITTEN]}


def _unfinished(kind: str, num_texts: int, most: int) -> Finding:
    return Finding(
        kind, "note", f"{num_texts} inputs are too many for meanings: only the first {most} were compared", ()
    )
