"""Contradictions: rows that are asked one thing, in the same or nearly the same words, and answer in several ways.

Pure functions over inputs and answers. Nothing here knows of rows, of models or of how a finding is worded.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from fettle.data.splits.groups import joined
from fettle.quality.alike.similar import similar_pairs
from fettle.quality.whole.slips import is_slip, with_gaps

_DIGITS = re.compile(r"\d+")
_NEGATION = re.compile(r"\b(?:not?|never|none|nothing|without|cannot|un(?:able|available))\b|n['’ ]t\b")


def squeezed(text: str) -> str:
    """A text without case, punctuation, spacing and Unicode form; symbols such as + and € stay.

    >>> squeezed("Where's  MY card?!"), squeezed("?!")
    ('where s my card', '?!')
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.translate(_BLANKED).split()) or " ".join(plain.split())


class _Blanked(dict[int, int]):
    """What each character becomes: a blank for punctuation, separators and controls. Filled as characters are met."""

    def __missing__(self, code: int) -> int:
        self[code] = 32 if unicodedata.category(chr(code))[0] in "PZC" else code
        return self[code]


_BLANKED = _Blanked()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Rows whose inputs are alike and whose answers are not. `is_same_input`: alike but for case, signs and spacing."""

    members: tuple[int, ...]
    answers: tuple[str, ...]
    is_same_input: bool


def contradictions(
    inputs: Sequence[str], answers: Sequence[str], near: Iterable[tuple[int, int]] = ()
) -> list[Contradiction]:
    """Groups of rows that answer one question in several ways, the same input first.

    `near` are pairs of places whose inputs are nearly the same. Trap: near inputs that differ in a number or a
    negation ask two things, and may well be answered in two ways. Long answers that share nearly all their words and
    all their numbers count as one; an empty answer contradicts nothing.

    >>> [each.members for each in contradictions(["Where is it?", "where is it", "hello"], ["a", "b", "c"])]
    [(0, 1)]
    """
    said = [squeezed(answer) for answer in answers]
    by_input: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(inputs):
        if said[place] and (key := squeezed(text)):
            by_input[key].append(place)
    same = [
        places
        for places in by_input.values()
        if any(not _says_the_same(said[places[0]], said[place]) for place in places[1:])
    ]
    found = [_contradiction(places, answers, is_same_input=True) for places in same]
    taken = {place for places in same for place in places}
    by_answer = _one_of_each_answer(by_input.values(), said)
    edges = [
        (first, second)
        for left, right in near
        for first, second in product(by_answer[left], by_answer[right])
        if said[first]
        and said[second]
        and not _says_the_same(said[first], said[second])
        and not (first in taken and second in taken)
        and not _asks_another_thing(inputs[first], inputs[second])
    ]
    return found + [_contradiction(places, answers, is_same_input=False) for places in _connected(edges)]


def _one_of_each_answer(groups: Iterable[Sequence[int]], said: Sequence[str]) -> dict[int, list[int]]:
    """For each row the first row of each answer among those of the same input."""
    found: dict[int, list[int]] = defaultdict(list)
    for places in groups:
        firsts: dict[str, int] = {}
        for place in places:
            firsts.setdefault(said[place], place)
        found.update((place, list(firsts.values())) for place in places)
    return found


def _contradiction(places: Sequence[int], answers: Sequence[str], *, is_same_input: bool) -> Contradiction:
    """A group in the order of its rows, each answer once."""
    members = tuple(sorted(places))
    return Contradiction(members, tuple(dict.fromkeys(answers[place] for place in members)), is_same_input)


def _says_the_same(first: str, second: str) -> bool:
    """Whether two squeezed answers are one but for a word or two of many."""
    if first == second:
        return True
    one, other = set(first.split()), set(second.split())
    if min(len(one), len(other)) < 6 or _asks_another_thing(first, second):
        return False
    return len(one & other) >= 0.8 * len(one | other)


def _asks_another_thing(first: str, second: str) -> bool:
    """Whether two inputs differ in their numbers or in how often they deny."""
    one, other = first.casefold(), second.casefold()
    return _DIGITS.findall(one) != _DIGITS.findall(other) or len(_NEGATION.findall(one)) != len(
        _NEGATION.findall(other)
    )


def _connected(edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The groups that hang together, each in order, by their first member."""
    pairs = list(edges)
    heads = joined(1 + max((max(pair) for pair in pairs), default=-1), pairs)
    groups: dict[int, list[int]] = defaultdict(list)
    for place, head in enumerate(heads):
        groups[head].append(place)
    return [members for members in groups.values() if len(members) > 1]


def restated_pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of texts that say one thing in nearly the same words, of texts that are the same only the first.

    They share four of five character 5-grams, or differ by one slip of the pen once polite words are left out: in a
    short text one wrong letter costs a quarter of the 5-grams, as another noun does.

    >>> restated_pairs(["where is my card", "Hello, where is mu card please?", "where is my cash"])
    [(0, 1)]
    """
    first_of: dict[str, int] = {}
    for place, text in enumerate(texts):
        first_of.setdefault(squeezed(text), place)
    firsts = list(first_of.values())
    found = {(firsts[one], firsts[other]) for one, other, _ in similar_pairs(list(first_of), _NEAR)}
    by_variant: dict[str, list[int]] = defaultdict(list)
    bare: dict[int, str] = {}
    for text, place in first_of.items():
        bare[place] = " ".join(word for word in text.split() if word not in _POLITE)
        if not 0 < len(bare[place]) <= _MOST_CHARACTERS_OF_A_SLIP:
            continue
        for variant in set(with_gaps(bare[place])):
            for rival in by_variant[variant]:
                if bare[rival] == bare[place] or is_slip(bare[rival], bare[place]):
                    found.add((rival, place))
            by_variant[variant].append(place)
    return sorted(found)


_NEAR = 0.8
_MOST_CHARACTERS_OF_A_SLIP = 64
"""In a longer text one wrong letter leaves four of five 5-grams as they were."""

_POLITE = frozenset(
    (
        "please",
        "hi",
        "hello",
        "hey",
        "there",
        "thanks",
        "thank",
        "you",
        "ok",
        "okay",
        "dear",
        "sorry",
        "just",
        "kindly",
        "so",
    )
)


def _grams(text: str, length: int) -> frozenset[str]:
    """The character n-grams of a text, or the text itself where it is too short for one."""
    return frozenset(text[at : at + length] for at in range(max(1, len(text) - length + 1))) if text else frozenset()
