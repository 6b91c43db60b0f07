"""Rows that do not belong to their set, and how a set differs from a sample of real inputs. Words alone are read.

Three things are asked of every row: how surprising its words are beside those of the rest, how far it is from the rows
most like it, and whether it shares its words with the other strange rows more than with the set. The last finds what
was mixed in from one source even where each row looks harmless; it needs many rows, so it counts for more in a large
set. It finds a rare topic of the set as well, and that is no mistake: a topic has few words of its own, while what
comes from elsewhere brings many that no other row has. What comes from elsewhere and has only words of the set cannot
be told from a topic by its words; both are shown to people and called neither. Nothing here knows what the texts mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from fettle.quality.whole.vectors import nearest_mean, shortened

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

FEWEST_ROWS = 50
"""With fewer rows nothing is usual, and so nothing is strange."""

MOST_ROWS_AT_ONCE = 200_000
"""A larger set is dealt into parts of no more rows than these, each judged by itself."""

_MOST_ROWS_COMPARED = 20_000
"""Up to here each row is held against all others, which takes the square of the rows."""

_SEPARATION = 2.4
"""How many standard deviations apart the strange rows lie from the rest before they are looked at."""

_SEPARATION_OF_FEW = 3.75
"""And how many before they are a group though they are few, or are worth a look though their words are the set's."""

_SHARE_OF_NEW_WORDS = 0.17
"""What share of a row's words no row outside its group has, beyond what is usual in the set, before the group is from
elsewhere.

Measured: 0.23 to 0.47 with 3 % of trivia questions among bank queries, reviews and dialogues; up to 0.11 in the same
sets as they come, and in parts of them with a few labels, where rare topics lie as far apart.
"""

_MOST_ROWS_OUTSIDE = 10_000
"""Of more rows an even sample says which words are new: among very many every word occurs by accident."""

_SHARE_OF_A_TAIL = 0.02
_MOST_STRANGE = 0.04
"""The largest share that can be strange. What more rows have in common is a topic of the set."""

_FEWEST_ROWS_OF_A_GROUP = 10
"""Fewer rows must lie further apart and share their own words: every odd row has some."""

_WEIGHT_OF_NEIGHBOURS = 0.6
_ROWS_THAT_SHOW_A_GROUP = 1_500
_WORD_PATTERN = r"(?u)\b\w+\b"


@dataclass(frozen=True, slots=True)
class Strangeness:
    """How strange each row is among the others, in robust standard deviations above the middle of the set.

    `strange` are the places of the rows to look at, the strangest first; `separation` is how far apart they lie. They
    are a `group` with words of its own, which is from elsewhere; a `topic`, which shares its words with the set; or the
    end of a `tail`, scored without regard to what strange rows share.
    """

    scores: Doubles
    strange: tuple[int, ...]
    separation: float
    kind: Literal["group", "topic", "tail"]

    @property
    def is_group(self) -> bool:
        """Whether the strange rows are from elsewhere."""
        return self.kind == "group"


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
    surest = min(found, key=lambda each: ("group", "topic", "tail").index(each.kind))
    return Strangeness(scores, tuple(strange), max(each.separation for each in found), surest.kind)


def _strangeness(texts: Sequence[str]) -> Strangeness:
    """The same of so many rows as can be held at once."""
    words = _counts(texts, (1, 1))
    judged = np.flatnonzero(np.diff(words.indptr) > 0)
    scores = np.zeros(len(texts))
    if len(judged) < FEWEST_ROWS:
        return Strangeness(scores, (), 0.0, "tail")
    pairs = _counts([texts[place] for place in judged.tolist()], (1, 2))
    surprise = _standard(_surprise(pairs))
    alone = _standard(-_nearness(words[judged]))
    by_itself = _WEIGHT_OF_NEIGHBOURS * alone + (1.0 - _WEIGHT_OF_NEIGHBOURS) * surprise
    trust = 1.0 / (1.0 + (_ROWS_THAT_SHOW_A_GROUP / len(judged)) ** 2)
    together = trust * np.clip(_standard(_kinship(pairs, surprise)), -4.0, 9.0) + (1.0 - trust) * by_itself
    chosen, separation, kind = _chosen(words[judged], together, by_itself)
    scores[judged] = by_itself if kind == "tail" else together
    return Strangeness(scores, tuple(judged[chosen].tolist()), separation, kind)


def _chosen(
    words: sparse.csr_matrix, together: Doubles, by_itself: Doubles
) -> tuple[Places, float, Literal["group", "topic", "tail"]]:
    """The rows to look at by either score, how far apart they lie, and what they are."""
    few = int(_SHARE_OF_A_TAIL * len(together))
    apart, separation = _apart(together)
    for most in (int(_MOST_STRANGE * len(together)), few):
        group = apart[:most]
        is_seen = len(group) >= _FEWEST_ROWS_OF_A_GROUP or (len(group) > 0 and separation >= _SEPARATION_OF_FEW)
        if is_seen and _newness(words, group) >= _SHARE_OF_NEW_WORDS:
            return group, separation, "group"
    if separation >= _SEPARATION_OF_FEW and len(apart[:few]) >= _FEWEST_ROWS_OF_A_GROUP:
        return apart[:few], separation, "topic"
    apart, separation = _apart(by_itself)
    return apart[:few], separation, "tail"


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


def _places(counts: sparse.csr_matrix) -> Places:
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


def _apart(scores: Doubles) -> tuple[Places, float]:
    """The rows that lie apart from the rest, the strangest first, and how far apart; no row where that is not far.

    Two normal curves of one width are laid over the scores, the upper for at most `_MOST_STRANGE` of the rows.
    """
    order = np.argsort(-scores, kind="stable")
    upper = np.zeros(len(scores))
    upper[order[: max(1, int(_SHARE_OF_A_TAIL * len(scores)))]] = 1.0
    separation = low = width = 0.0
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
    if separation < _SEPARATION:
        return order[:0], separation
    # Half way to a group that lies very far off is still far: nothing usual is four deviations above the middle.
    is_apart = (upper > 0.15) | (scores > low + 4.0 * width)
    return order[is_apart[order]], separation


def _newness(words: sparse.csr_matrix, group: Places) -> float:
    """The mean share of a row's different words that no row outside the group has, beyond what is usual.

    Usual is the mean share of words, among the rows outside, that no other row at all has.
    """
    uses = words.astype(bool).astype(np.float64)
    outside = np.setdiff1d(np.arange(words.shape[0]), group)
    if len(outside) > _MOST_ROWS_OUTSIDE:
        outside = np.random.default_rng(0).choice(outside, _MOST_ROWS_OUTSIDE, replace=False)
    users = np.asarray(uses[outside].sum(axis=0)).ravel()
    usual = float(np.mean(uses[outside] @ (users == 1) / np.diff(uses[outside].indptr)))
    fewest_users = 1 if len(group) >= _FEWEST_ROWS_OF_A_GROUP else 2
    own = (users == 0) & (np.asarray(uses[group].sum(axis=0)).ravel() >= fewest_users)
    new = float(np.mean(uses[group] @ own / np.diff(uses[group].indptr)))
    return (new - usual) / (1.0 - usual) if usual < 1.0 else 0.0


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
