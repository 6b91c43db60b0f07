"""Rows that do not belong to their set, and how a set differs from a sample of real inputs. Words alone are read.

Three things are asked of every row: how surprising its words are beside those of the rest, how far it is from the rows
most like it, and whether it shares its words with the other strange rows more than with the set. The last finds what
was mixed in from one source even where each row looks harmless; it needs many rows, so it counts for more in a large
set. Nothing here knows what the texts mean: a topic with a share of the set too small to be told from a mistake is
found as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from fettle.quality.whole.vectors import nearest_mean, shortened

Doubles = npt.NDArray[np.float64]

FEWEST_ROWS = 50
"""With fewer rows nothing is usual, and so nothing is strange."""

MOST_ROWS_AT_ONCE = 200_000
"""A larger set is dealt into parts of no more rows than these, each judged by itself."""

_MOST_ROWS_COMPARED = 20_000
"""Up to here each row is held against all others, which takes the square of the rows."""

_SEPARATION_OF_A_GROUP = 3.75
"""How many standard deviations apart the strange rows lie from the rest before they count as a group of their own.

Measured: 3.9 to 6.7 with 3 % of trivia questions among bank queries, reviews and dialogues; up to 3.6 in the same sets
as they come, where rare topics do as much.
"""

_SEPARATION_OF_A_TAIL = 2.5
_SHARE_OF_A_TAIL = 0.02
_MOST_STRANGE = 0.04
"""The largest share that can be strange. What more rows have in common is a topic of the set."""

_ROWS_THAT_SHOW_A_GROUP = 1_500
_WORD_PATTERN = r"(?u)\b\w+\b"


@dataclass(frozen=True, slots=True)
class Strangeness:
    """How strange each row is among the others, in robust standard deviations above the middle of the set.

    `strange` are the places of the rows to look at, the strangest first. `is_group` says that they stand apart from
    the rest as one group (`separation` in standard deviations); else they are only the end of a tail.
    """

    scores: Doubles
    strange: tuple[int, ...]
    separation: float
    is_group: bool


def strangeness(texts: Sequence[str]) -> Strangeness:
    """Score every text of a set, and choose those to look at. A text without a word is not judged.

    >>> found = strangeness(["where is my card"] * 60)
    >>> found.strange, found.scores.tolist() == [0.0] * 60
    ((), True)
    """
    shuffled = (
        np.random.default_rng(0).permutation(len(texts)) if len(texts) > MOST_ROWS_AT_ONCE else np.arange(len(texts))
    )
    scores, strange, found = np.zeros(len(texts)), list[int](), list[Strangeness]()
    for part in np.array_split(shuffled, max(1, -(-len(texts) // MOST_ROWS_AT_ONCE))):
        found.append(_strangeness([texts[place] for place in part.tolist()]))
        scores[part] = found[-1].scores
        strange += part[list(found[-1].strange)].tolist()
    strange.sort(key=lambda place: -scores[place])
    return Strangeness(
        scores, tuple(strange), max(each.separation for each in found), any(each.is_group for each in found)
    )


def _strangeness(texts: Sequence[str]) -> Strangeness:
    """The same of so many rows as can be held at once."""
    words = _counts(texts, (1, 1))
    judged = np.flatnonzero(np.diff(words.indptr) > 0)
    scores = np.zeros(len(texts))
    if len(judged) < FEWEST_ROWS:
        return Strangeness(scores, (), 0.0, False)
    pairs = _counts([texts[place] for place in judged.tolist()], (1, 2))
    surprise = _standard(_surprise(pairs))
    alone = _standard(-_nearness(words[judged]))
    shared = _standard(_kinship(pairs, surprise))
    trust = 1.0 / (1.0 + (_ROWS_THAT_SHOW_A_GROUP / len(judged)) ** 2)
    found = trust * np.clip(shared, -4.0, 9.0) + (1.0 - trust) * (surprise + alone) / 2
    scores[judged] = found
    chosen, separation, is_group = _choose(found)
    return Strangeness(scores, tuple(judged[chosen].tolist()), separation, is_group)


def _nearness(words: sparse.csr_matrix) -> Doubles:
    """How like each row the ten rows most like it are; nothing in sets so large that this counts for nothing."""
    if words.shape[0] > _MOST_ROWS_COMPARED:
        return np.zeros(words.shape[0])
    return nearest_mean(TfidfTransformer(sublinear_tf=True).fit_transform(words), num_nearest=10)


def _counts(texts: Sequence[str], lengths: tuple[int, int]) -> sparse.csr_matrix:
    """How often each text uses each word or run of words; texts without any make one empty column.

    Columns are names, not hashes: at a million columns collisions alone cost 2 % of the strange rows of 8,000.
    """
    counter = CountVectorizer(ngram_range=lengths, token_pattern=_WORD_PATTERN, dtype=np.float64)
    read = [shortened(text) for text in texts]
    analyse = counter.build_analyzer()
    if not any(analyse(text) for text in read):
        return sparse.csr_matrix((len(texts), 1))
    return counter.fit_transform(read)


def _standard(values: Doubles) -> Doubles:
    """Values as distances from their middle, in units of what a normal distribution calls a standard deviation.

    The unit is taken below the middle, where no strange row lies.
    """
    middle = np.median(values)
    unit = middle - np.quantile(values, 0.1587)
    return (values - middle) / unit if unit > 1e-9 else np.zeros_like(values)


def _places(counts: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    """The row of each stored count."""
    return np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))


def _surprise(counts: sparse.csr_matrix) -> Doubles:
    """The mean surprise of a row's words under the words of all other rows that are not strange themselves.

    The most surprising rows leave the background in three rounds. Rows of a few words are drawn to the middle.
    """
    rows, columns = _places(counts), counts.indices
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    usual = np.ones(counts.shape[0])
    for _ in range(3):
        known = np.asarray(counts.T @ usual).ravel()
        left = known[columns] - counts.data * usual[rows] + 0.5
        total = known.sum() - (sizes * usual)[rows] + 0.5 * counts.shape[1]
        mean = np.bincount(rows, counts.data * np.log(total / left), counts.shape[0]) / np.maximum(sizes, 1.0)
        usual = (mean <= np.quantile(mean, 1.0 - _SHARE_OF_A_TAIL)).astype(np.float64)
    middle = np.median(mean)
    return np.asarray((mean - middle) * sizes / (sizes + 3.0))


def _kinship(counts: sparse.csr_matrix, surprise: Doubles, share: float = 0.015, rounds: int = 10) -> Doubles:
    """How much more likely a row's words are among the strange rows than among the rest.

    Two bags of words, started from the most surprising rows and refined by their own judgement (an expectation
    maximisation with a fixed share, each row left out of both bags when it is judged).
    """
    rows, columns, data = _places(counts), counts.indices, counts.data
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    total = np.asarray(counts.sum(axis=0)).ravel()
    prior = 200.0 * ((total + 0.5) / (total + 0.5).sum())[columns]
    score = surprise
    for _ in range(rounds):
        edge = np.quantile(score, 1.0 - share)
        belongs = 1.0 / (1.0 + np.exp(-np.clip((score - edge) / 0.5, -30.0, 30.0)))
        belongs = np.minimum(belongs * (share * len(score) / belongs.sum()), 1.0)
        strange = np.asarray(counts.T @ belongs).ravel()
        usual = total - strange
        its, rest = data * belongs[rows], data * (1.0 - belongs)[rows]
        likely = (strange[columns] - its + prior) / (strange.sum() - (sizes * belongs)[rows] + 200.0)
        unlikely = (usual[columns] - rest + prior) / (usual.sum() - (sizes * (1.0 - belongs))[rows] + 200.0)
        odds = np.bincount(rows, data * np.log(likely / unlikely), counts.shape[0])
        score = np.clip(_standard(odds / np.sqrt(np.maximum(sizes, 1.0))), -6.0, 100.0)
    return score


def _choose(scores: Doubles) -> tuple[npt.NDArray[np.int64], float, bool]:
    """The rows to look at, the strangest first; how far apart they lie; whether they are a group.

    Two normal curves of one width are laid over the scores, the upper for at most `_MOST_STRANGE` of the rows.
    """
    upper = (scores > np.quantile(scores, 1.0 - _SHARE_OF_A_TAIL)).astype(np.float64)
    share = separation = low = width = 0.0
    for _ in range(60):
        if not 0.0 < upper.sum() < len(scores):
            break
        upper *= min(1.0, _MOST_STRANGE / upper.mean())
        share = float(upper.mean())
        high = float(np.average(scores, weights=upper))
        low = float(np.average(scores, weights=1.0 - upper))
        width = float(np.sqrt(np.average((scores - low) ** 2, weights=1.0 - upper) + 1e-3))
        separation = (high - low) / width
        odds = (scores - (high + low) / 2) * (high - low) / width**2 + np.log(share / (1.0 - share))
        upper = 1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0)))
    order = np.argsort(-scores, kind="stable")
    if separation >= _SEPARATION_OF_A_GROUP:
        # Half way to a group that lies very far off is still far: nothing usual is four deviations above the middle.
        chosen = (upper > 0.15) | (scores > low + 4.0 * width)
        return order[chosen[order]], separation, True
    if separation >= _SEPARATION_OF_A_TAIL:
        tail = order[: int(_SHARE_OF_A_TAIL * len(scores))]
        return tail[upper[tail] > 0.15], separation, False
    return order[:0], separation, False


def telling_terms(first: Sequence[str], second: Sequence[str], num_terms: int = 10) -> list[str]:
    """The words that tell the first texts from the second, the most telling first (log odds over their spread).

    >>> telling_terms(["who won the cup", "who sang it"], ["where is the card", "is it lost"], 1)
    ['who']
    """
    one, other = _users(first), _users(second)
    scored = []
    for word, count in one.items():
        if count < 2:
            continue
        its, theirs = count + 0.5, other[word] + 0.5
        odds = np.log(its / (len(first) - count + 0.5)) - np.log(theirs / (len(second) - other[word] + 0.5))
        scored.append((float(odds / np.sqrt(1 / its + 1 / theirs)), word))
    return [word for value, word in sorted(scored, key=lambda each: (-each[0], each[1]))[:num_terms] if value > 1.0]


def _users(texts: Sequence[str]) -> Counter[str]:
    """How many texts use each word."""
    analyse = CountVectorizer(token_pattern=_WORD_PATTERN).build_analyzer()
    return Counter(word for text in texts for word in set(analyse(shortened(text))))
