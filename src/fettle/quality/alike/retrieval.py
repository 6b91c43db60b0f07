"""Texts found again: the nearest ones to a query among many, by vectors, by words, or by how often they are wanted.

What scores texts is one function from queries to numbers; what is done with the numbers is the same for all.

Axes: Q queries, N texts, K found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fettle.quality.alike.words import WordScores
from fettle.quality.finding import Embed

Ints = npt.NDArray[np.int64]
Scores: TypeAlias = npt.NDArray[Any]

# Scores that are at hand at once: 64 MB in float64.
_SCORES_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class Found:
    """For each query the places of texts, the best first, and their scores; both [Q, K]."""

    places_QK: Ints
    scores_QK: Scores


class Retriever:
    """Texts that may be searched. Of two with one score the earlier comes first."""

    def __init__(self, num_texts: int, score: Callable[[Sequence[str]], Scores]) -> None:
        self.num_texts = num_texts
        self._score = score

    @classmethod
    def by_vectors(cls, texts: Sequence[str], embed: Embed) -> Retriever:
        """By the cosine of unit vectors."""
        vectors_ND = embed(texts)
        return cls(len(texts), lambda queries: embed(queries) @ vectors_ND.T)

    @classmethod
    def by_words(cls, texts: Sequence[str]) -> Retriever:
        """By BM25.

        >>> Retriever.by_words(["a red lamp", "a blue mug"]).search(["is the mug blue?"], 1).places_QK.tolist()
        [[1]]
        """
        return cls(len(texts), WordScores(texts))

    @classmethod
    def by_count(cls, counts: Sequence[int]) -> Retriever:
        """By how often each text is wanted, whatever the query.

        >>> Retriever.by_count([2, 5, 5]).search(["anything"], 3).places_QK.tolist()
        [[1, 2, 0]]
        """
        counts_N = np.asarray(counts, np.float64)
        return cls(len(counts), lambda queries: np.broadcast_to(counts_N, (len(queries), len(counts_N))))

    def search(self, queries: Sequence[str], most: int) -> Found:
        """The best texts of each query, at most so many."""
        most = min(most, self.num_texts)
        places_QK = np.zeros((len(queries), most), np.int64)
        scores_QK = np.zeros((len(queries), most))
        for first, scores_QN in self.scores(queries):
            block = slice(first, first + len(scores_QN))
            places_QK[block] = np.argsort(-scores_QN, axis=1, kind="stable")[:, :most]
            scores_QK[block] = np.take_along_axis(scores_QN, places_QK[block], axis=1)
        return Found(places_QK, scores_QK)

    def ranks(
        self, queries: Sequence[str], right: Sequence[int], beside: Sequence[Collection[int]] | None = None
    ) -> list[int]:
        """For each query at which place, from 1 on, the right text comes.

        `beside` names texts that are right as well: they are looked past, so that they make no rank worse.

        >>> Retriever.by_count([2, 5, 5]).ranks(["a", "a"], [0, 0], [[], [1]])
        [3, 2]
        """
        found: list[int] = []
        for first, scores_QN in self.scores(queries):
            for query, scores_N in enumerate(scores_QN, start=first):
                own = right[query]
                is_before_N = scores_N > scores_N[own]
                is_before_N[:own] |= scores_N[:own] == scores_N[own]
                if beside is not None:
                    is_before_N[list(beside[query])] = False
                found.append(1 + int(is_before_N.sum()))
        return found

    def scores(self, queries: Sequence[str]) -> Iterator[tuple[int, Scores]]:
        """The scores of all texts, [Q, N], block by block of queries, with the place of a block's first query."""
        size = max(1, _SCORES_AT_ONCE // max(1, self.num_texts))
        for first in range(0, len(queries), size):
            yield first, self._score(queries[first : first + size])
