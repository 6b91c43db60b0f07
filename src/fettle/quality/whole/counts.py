"""What can be counted of a set: its labels and their spellings, how much its texts differ, how long its rows are.

Pure functions over texts, labels and numbers. Nothing here knows of rows, of models or of how a finding is worded.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fettle.quality.whole.slips import is_slip, with_gaps

FEWEST_ROWS_OF_A_LABEL = 5
"""With fewer examples a label is hardly learned, and never held out."""

_WORD = re.compile(r"\w+")


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
        gaps = with_gaps(key)
        rivals = (rival for gap in gaps for rival in by_gap[gap] if is_slip(key, rival))
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
