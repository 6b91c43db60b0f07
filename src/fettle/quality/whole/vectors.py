"""Texts to vectors of length 1: TF-IDF of words and of character n-grams, and a dense form of few dimensions.

Nothing is learned from any other text: a vector says how a text stands among those it was made with. A model that
embeds (`Embed`) goes before all of this where one is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from fettle.quality.finding import Embed

Floats = npt.NDArray[np.float32]

_NUM_COLUMNS = 2**20
"""Columns that n-grams are hashed to: 10,000 short texts fill a fifth of them, and collisions hardly count."""

MOST_ROWS_WITH_CHARACTERS = 100_000
"""Of more rows words alone are read: characters take ten times the room, and teach less the more rows there are."""

MOST_ROWS_OF_AN_SVD = 50_000
"""Of more rows a sample says in which directions they differ."""

_WORDS: Mapping[str, object] = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
_CHARACTERS: Mapping[str, object] = {"analyzer": "char_wb", "ngram_range": (2, 5)}

MOST_CHARACTERS = 4_000
"""What is read of a text: the beginning and the end say what it is about, and a book would take minutes."""


def sparse_vectors(texts: Sequence[str]) -> sparse.csr_matrix:
    """One row of TF-IDF for each text, words and pairs of words beside 2- to 5-grams of characters.

    A text in which nothing counts has a row of zeros. Columns that one text alone fills are dropped: they make no two
    texts alike.

    >>> found = sparse_vectors(["where is my card", "where is my new card", ""])
    >>> found.shape[0], round(float(found[0].multiply(found[0]).sum()), 3), found[2].nnz
    (3, 1.0, 0)
    """
    read = [shortened(text) for text in texts]
    kinds = [_WORDS, _CHARACTERS] if len(texts) <= MOST_ROWS_WITH_CHARACTERS else [_WORDS]
    return normalize(sparse.hstack([_weighed(read, kind) for kind in kinds], format="csr", dtype=np.float32))


def _weighed(texts: Sequence[str], kind: Mapping[str, object]) -> sparse.csr_matrix:
    """TF-IDF with logarithmic counts over hashed n-grams, each row of length 1."""
    hashed = HashingVectorizer(n_features=_NUM_COLUMNS, alternate_sign=False, norm=None, dtype=np.float32, **kind)
    counts = hashed.transform(texts)
    in_texts = np.bincount(counts.indices, minlength=_NUM_COLUMNS)
    shared = np.flatnonzero(in_texts > 1)
    if not len(shared):
        return sparse.csr_matrix((len(texts), 1), dtype=np.float32)
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, shared])


def shortened(text: str) -> str:
    """The text, or the two ends of a long one.

    >>> len(shortened("long " * 4_000)) == MOST_CHARACTERS + 1
    True
    """
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]}\n{text[-half:]}"


def dense_vectors(vectors: sparse.csr_matrix, width: int, seed: int = 0) -> Floats:
    """The directions in which sparse vectors differ most, at most `width` of them (a truncated SVD by a seed).

    >>> dense_vectors(sparse_vectors(["where is my card", "where is my new card", "hello"]), 2).shape
    (3, 2)
    """
    sample = vectors
    if vectors.shape[0] > MOST_ROWS_OF_AN_SVD:
        # Drawn, not taken at even steps: rows often come in turns.
        drawn = np.random.default_rng(seed).choice(vectors.shape[0], MOST_ROWS_OF_AN_SVD, replace=False)
        sample = vectors[np.sort(drawn)]
    most = min(width, min(sample.shape) - 1)
    if most < 1:
        return np.asarray(vectors.toarray(), np.float32)
    _, _, directions = randomized_svd(sample, most, n_iter=2, power_iteration_normalizer="none", random_state=seed)
    return np.asarray(vectors @ directions.T, np.float32)


def text_vectors(texts: Sequence[str], width: int, embed: Embed | None = None, seed: int = 0) -> Floats:
    """Dense vectors of texts: those of a model where one is given, the SVD of TF-IDF else."""
    return embed(texts) if embed is not None else dense_vectors(sparse_vectors(texts), width, seed)


def nearest(
    vectors: sparse.csr_matrix, targets: sparse.csr_matrix | None = None, block_rows: int = 512
) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each vector the place of the most similar target and their cosine; without targets, of another vector.

    >>> [place.tolist() for place in nearest(sparse_vectors(["a b c", "x y z", "a b", "x y"]))[:1]]
    [[2, 3, 0, 1]]
    """
    among = vectors if targets is None else targets
    transposed = among.T.tocsr()
    places, cosines = np.zeros(vectors.shape[0], np.int64), np.zeros(vectors.shape[0], np.float32)
    for start in range(0, vectors.shape[0], block_rows):
        found = (vectors[start : start + block_rows] @ transposed).toarray()
        each = np.arange(len(found))
        if targets is None:
            found[each, start + each] = -1.0
        places[start : start + len(found)] = best = found.argmax(axis=1)
        cosines[start : start + len(found)] = np.maximum(found[each, best], 0.0)
    return places, cosines


def nearest_mean(vectors: sparse.csr_matrix, num_nearest: int, block_rows: int = 512) -> npt.NDArray[np.float64]:
    """The mean cosine of each vector with those most similar to it, itself left out.

    >>> [round(each, 3) for each in nearest_mean(sparse_vectors(["a b", "a b", "a b", ""]), 2).tolist()]
    [1.0, 1.0, 1.0, 0.0]
    """
    num_rows = vectors.shape[0]
    most = min(num_nearest, num_rows - 1)
    found = np.zeros(num_rows)
    if most < 1:
        return found
    transposed = vectors.T.tocsr()
    for start in range(0, num_rows, block_rows):
        cosines = (vectors[start : start + block_rows] @ transposed).toarray()
        each = np.arange(len(cosines))
        cosines[each, start + each] = -1.0
        found[start : start + len(cosines)] = np.partition(cosines, num_rows - most, axis=1)[:, num_rows - most :].mean(
            1
        )
    return found
