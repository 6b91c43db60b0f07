"""What is wrong with a set as a whole, counted: contradictions, labels and their spellings, sameness, lengths.

Pure functions over texts, answers and labels. Nothing here knows of rows, of models or of how a finding is worded.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

FEWEST_ROWS_OF_A_LABEL = 5
"""With fewer examples a label is hardly learned, and never held out."""

_WORD = re.compile(r"\w+")
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
    edges = [
        (first, second)
        for first, second in near
        if said[first]
        and said[second]
        and not _says_the_same(said[first], said[second])
        and not (first in taken and second in taken)
        and not _asks_another_thing(inputs[first], inputs[second])
    ]
    return found + [_contradiction(places, answers, is_same_input=False) for places in _connected(edges)]


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
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        parent.setdefault(place, place)
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second in edges:
        one, other = sorted((root(first), root(second)))
        parent[other] = one
    groups: dict[int, list[int]] = defaultdict(list)
    for place in sorted(parent):
        groups[root(place)].append(place)
    return list(groups.values())


def near_pairs(texts: Sequence[str], threshold: float = 0.9, gram: int = 5) -> list[tuple[int, int]]:
    """All pairs of texts whose sets of character n-grams have a Jaccard similarity of at least `threshold`.

    Exact: two sets that similar must share one of the few rarest grams of each (a prefix filter), and only texts that
    do are compared. Texts without a gram of their own (shorter than `gram`) are compared as they stand.

    >>> near_pairs(["please tell me where my new card is", "please tell me where my new card is?", "hello there"])
    [(0, 1)]
    """
    sets = [_grams(squeezed(text), gram) for text in texts]
    frequency = Counter(each for grams in sets for each in grams)
    rarest_first = {each: rank for rank, (each, _) in enumerate(sorted(frequency.items(), key=lambda one: one[::-1]))}
    index: dict[str, list[int]] = defaultdict(list)
    found = []
    for place in sorted(range(len(texts)), key=lambda one: len(sets[one])):
        grams = sets[place]
        prefix = sorted(grams, key=rarest_first.__getitem__)[: len(grams) - math.ceil(threshold * len(grams)) + 1]
        rivals = {rival for each in prefix for rival in index[each] if len(sets[rival]) >= threshold * len(grams)}
        for rival in rivals:
            shared = len(grams & sets[rival])
            if shared >= threshold * (len(grams) + len(sets[rival]) - shared):
                found.append((min(place, rival), max(place, rival)))
        for each in prefix:
            index[each].append(place)
    return sorted(found)


def _grams(text: str, length: int) -> frozenset[str]:
    """The character n-grams of a text, or the text itself where it is too short for one."""
    return frozenset(text[at : at + length] for at in range(max(1, len(text) - length + 1))) if text else frozenset()


@dataclass(frozen=True, slots=True)
class Balance:
    """How the rows spread over the labels, the most frequent first. `ratio` is the largest over the smallest."""

    counts: dict[str, int]
    ratio: float
    rare: tuple[str, ...]


def balance(labels: Sequence[str]) -> Balance:
    """Count the labels, and name those with fewer rows than can be learned from.

    >>> balance(["yes"] * 8 + ["no"] * 2)
    Balance(counts={'yes': 8, 'no': 2}, ratio=4.0, rare=('no',))
    """
    counts = dict(sorted(Counter(labels).items(), key=lambda one: (-one[1], one[0])))
    if not counts:
        return Balance({}, 1.0, ())
    rare = tuple(label for label, count in counts.items() if count < FEWEST_ROWS_OF_A_LABEL)
    return Balance(counts, max(counts.values()) / min(counts.values()), rare)


def unknown_labels(learned: Iterable[str], tested: Sequence[str]) -> dict[str, list[int]]:
    """Labels that are tested and never learned, with their places in `tested`.

    >>> unknown_labels(["yes", "no"], ["no", "maybe"])
    {'maybe': [1]}
    """
    known = set(learned)
    found: dict[str, list[int]] = defaultdict(list)
    for place, label in enumerate(tested):
        if label not in known:
            found[label].append(place)
    return dict(found)


def label_spellings(counts: dict[str, int]) -> list[tuple[str, ...]]:
    """Groups of labels that look like one label spelt in several ways, the usual spelling first.

    Case, blanks, hyphens and a plural `s` always count as spelling. A single wrong letter counts only where the one
    is rare beside the other: `moral` and `amoral` with as many rows each are two labels.

    >>> label_spellings({"Refund": 40, "refunds": 7, "delivery": 50, "delivry": 1, "class_1": 9, "class_2": 9})
    [('delivery', 'delivry'), ('Refund', 'refunds')]
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        by_key[_spelling_key(label)].append(label)
    keys = sorted(by_key, key=lambda key: (-sum(counts[label] for label in by_key[key]), key))
    usual: dict[str, str] = {key: key for key in keys}
    mass = {key: sum(counts[label] for label in by_key[key]) for key in keys}
    by_gap: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        gaps = _with_gaps(key)
        rivals = (rival for gap in gaps for rival in by_gap[gap] if _is_slip(key, rival))
        best = next(rivals, None)
        if best is not None and mass[key] <= max(2, 0.05 * mass[best]):
            usual[key] = best
            continue
        for gap in gaps:
            by_gap[gap].append(key)
    groups: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        groups[usual[key]] += sorted(by_key[key], key=lambda label: (-counts[label], label))
    return [tuple(sorted(group, key=lambda one: (-counts[one], one))) for group in groups.values() if len(group) > 1]


def _spelling_key(label: str) -> str:
    """A label without case, blanks and joining signs, and each word without its plural `s`."""
    words = re.split(r"[\s_\-./]+", unicodedata.normalize("NFKC", label).casefold())
    stems = [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words]
    return "".join(stems) or label


def _with_gaps(key: str) -> list[str]:
    """The key, and the key without each one of its letters: two keys one slip apart share one of these."""
    return [key, *(key[:at] + key[at + 1 :] for at in range(len(key)))]


def _is_slip(one: str, other: str) -> bool:
    """Whether two keys long enough to tell differ by one letter, or by two that changed places; digits must agree."""
    if one == other or min(len(one), len(other)) < 5 or _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    if len(one) != len(other):
        shorter, longer = sorted((one, other), key=len)
        return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
    wrong = [at for at in range(len(one)) if one[at] != other[at]]
    if len(wrong) == 2:
        first, second = wrong
        return second == first + 1 and one[first] == other[second] and one[second] == other[first]
    return len(wrong) == 1


@dataclass(frozen=True, slots=True)
class Diversity:
    """How much the texts of a set differ.

    `commonest_beginning` is what most texts begin with and `its_share` theirs; `num_beginnings` counts the beginnings
    as if all were equally frequent (the exponential of their entropy). `distinct_words` and `distinct_pairs` are the
    shares of words, and of pairs of neighbouring words, that are the first of their kind among the first `num_words`.
    """

    commonest_beginning: str
    its_share: float
    num_beginnings: float
    distinct_words: float
    distinct_pairs: float
    num_words: int
    begin_so: tuple[int, ...]


DIVERSITY_WORDS = 20_000
"""Distinct-n falls with the number of words, so it is taken over no more than these."""


def diversity(texts: Sequence[str], num_first_words: int = 3) -> Diversity:
    """Measure how much texts differ in how they begin and in their words.

    >>> found = diversity(["Tell me about cats", "Tell me about dogs", "Why is the sky blue"])
    >>> found.commonest_beginning, round(found.its_share, 2), found.begin_so
    ('tell me about', 0.67, (0, 1))
    """
    words = [_WORD.findall(text.casefold()) for text in texts]
    beginnings = [" ".join(each[:num_first_words]) for each in words]
    counts = Counter(each for each in beginnings if each)
    if not counts:
        return Diversity("", 0.0, 0.0, 0.0, 0.0, 0, ())
    total = counts.total()
    commonest, most = min(counts.items(), key=lambda one: (-one[1], one[0]))
    entropy = -sum(count / total * math.log(count / total) for count in counts.values())
    num_words, singles, pairs = _distinct(words)
    begin_so = tuple(place for place, each in enumerate(beginnings) if each == commonest)
    return Diversity(commonest, most / total, math.exp(entropy), singles, pairs, num_words, begin_so)


def _distinct(words: Sequence[Sequence[str]]) -> tuple[int, float, float]:
    """The number of words read, distinct-1 and distinct-2, over texts spread evenly through the set."""
    step = max(1, sum(map(len, words)) // DIVERSITY_WORDS)
    chosen = words[::step]
    singles = [word for each in chosen for word in each]
    pairs = [pair for each in chosen for pair in pairwise(each)]
    return len(singles), len(set(singles)) / max(1, len(singles)), len(set(pairs)) / max(1, len(pairs))


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts of a set: the quantiles, and the places of rows over the limit, the longest first."""

    quantiles: dict[str, int]
    too_long: tuple[int, ...]
    counts: tuple[int, ...]


def lengths(num_tokens: Sequence[int], most_tokens: int) -> Lengths:
    """Where the lengths lie, and who is over `most_tokens`; 0 says that there is no limit.

    >>> lengths([3, 9, 5], 5).too_long
    (1,)
    """
    ordered = sorted(num_tokens)
    last = len(ordered) - 1
    quantiles = {name: ordered[round(share * last)] for name, share in _QUANTILES.items()} if ordered else {}
    over = [place for place, count in enumerate(num_tokens) if 0 < most_tokens < count]
    return Lengths(quantiles, tuple(sorted(over, key=lambda place: -num_tokens[place])), tuple(num_tokens))


_QUANTILES = {"least": 0.0, "median": 0.5, "90%": 0.9, "99%": 0.99, "most": 1.0}
