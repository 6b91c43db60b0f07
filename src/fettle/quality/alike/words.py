"""How well texts answer to the words of a query: BM25, which needs no model.

Axes: Q queries, N texts, W words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fettle.data.records import normalised

Floats = npt.NDArray[np.float64]

SATURATION = 1.2
"""k1: how soon more of the same word counts no more."""

LENGTH_SHARE = 0.75
"""b: how much of a text's length is held against it, from 0 to 1."""

_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text, case and Unicode form aside.

    >>> words_of("Where's my Card?")
    ['where', 's', 'my', 'card']
    """
    return _WORD.findall(normalised(text))


class WordScores:
    """BM25 of queries over the texts that it was made with.

    The score of a text is the sum, over the words of the query, of idf f (k1 + 1) / (f + k1 (1 - b + b l / mean l)):
    f is how often the word stands in the text and l how many words the text has; idf is
    ln(1 + (N - n + 0.5) / (n + 0.5)) for a word of n texts, which is never below 0.
    Source: Robertson and Zaragoza 2009, The probabilistic relevance framework, with the idf of Lucene.

    >>> WordScores(["a red lamp", "a blue mug"])(["the red mug", "a tea"]).round(2).tolist()
    [[0.69, 0.69], [0.18, 0.18]]
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._number_of: dict[str, int] = {}
        counts_NW = self._counts(texts, learns=True)
        num_texts = max(1, counts_NW.shape[0])
        lengths_N = np.asarray(counts_NW.sum(axis=1), np.float64).ravel()
        relative_N = lengths_N / max(1.0, lengths_N.sum()) * num_texts
        in_texts_W = np.bincount(counts_NW.indices, minlength=counts_NW.shape[1])
        idf_W = np.log1p((num_texts - in_texts_W + 0.5) / (in_texts_W + 0.5))
        weights_NW = counts_NW.astype(np.float64)
        slack = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * relative_N)
        of_text = np.repeat(np.arange(counts_NW.shape[0]), np.diff(counts_NW.indptr))
        often = weights_NW.data
        weights_NW.data = idf_W[counts_NW.indices] * often * (SATURATION + 1) / (often + slack[of_text])
        self._weights_WN = weights_NW.T.tocsr()

    def __call__(self, queries: Sequence[str]) -> Floats:
        """Scores, [Q, N]; a text that has no word of the query has 0."""
        scores: Floats = (self._counts(queries) @ self._weights_WN).toarray()
        return scores

    def _counts(self, texts: Sequence[str], *, learns: bool = False) -> sparse.csr_matrix:
        """How often each known word stands in each text."""
        places, offsets = [], [0]
        for text in texts:
            words = words_of(text)
            if learns:
                places += [self._number_of.setdefault(word, len(self._number_of)) for word in words]
            else:
                places += [self._number_of[word] for word in words if word in self._number_of]
            offsets.append(len(places))
        shape = (len(texts), max(1, len(self._number_of)))
        counts = sparse.csr_matrix((np.ones(len(places)), places, offsets), shape=shape)
        counts.sum_duplicates()
        return counts
