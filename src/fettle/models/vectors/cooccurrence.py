"""Vectors learned from how often words stand near each other: GloVe.

Pennington, Socher, Manning 2014 (https://aclanthology.org/D14-1162): for every two words that stand near each other, X
times in all, an occurrence at a distance of d counting 1/d, the product of two vectors and two biases is to be log X,
with weight min(1, (X / 100)^0.75); by AdaGrad. A word's vector is the sum of its two.

A step takes all pairs of two groups of words, drawn once: a sparse matrix, and a few products with it.

Axes: V words, D numbers of a vector, E pairs of a step, R words of a step that are rows, C that are columns.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from fettle.models.vectors.corpus import Corpus

_ENOUGH = 100.0
_POWER = 0.75
_TOKENS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Regression:
    """How vectors are learned: `groups` of words, of which two meet in a step."""

    size: int
    epochs: int
    learning_rate: float
    groups: int
    seed: int


def count_pairs(corpus: Corpus, window: int) -> sparse.csr_array:
    """How often each two words stand near each other, [V, V], symmetric; at a distance of d an occurrence is 1/d."""
    size = len(corpus.words)
    counted = sparse.csr_array((size, size), dtype=np.float64)
    for first in range(0, len(corpus.words_T), _TOKENS_AT_ONCE):
        # Pairs whose left word lies in this part; the right one may lie in the next.
        words_T = corpus.words_T[first : first + _TOKENS_AT_ONCE + window]
        text_T = corpus.text_T[first : first + _TOKENS_AT_ONCE + window]
        for distance in range(1, window + 1):
            num_left = min(_TOKENS_AT_ONCE, len(words_T) - distance)
            if num_left <= 0:
                continue
            is_near = text_T[:num_left] == text_T[distance : distance + num_left]
            left, right = words_T[:num_left][is_near], words_T[distance : distance + num_left][is_near]
            counted += sparse.coo_array((np.full(len(left), 1 / distance), (left, right)), (size, size)).tocsr()
    return (counted + counted.T).tocsr()


def weigh_pairs(counts_E: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What the products of pairs are to be, and the weight of each.

    >>> weigh_pairs(np.array([1.0, 100.0, 400.0]))[1].astype(float).round(3).tolist()
    [0.032, 1.0, 1.0]
    """
    weights_E = np.minimum(1.0, (counts_E / _ENOUGH) ** _POWER)
    return np.log(counts_E).astype(np.float32), weights_E.astype(np.float32)


@dataclass(frozen=True)
class Tile:
    """The pairs of a step: those of some rows with some columns, in the form of a compressed sparse matrix [R, C]."""

    shape: tuple[int, int]
    starts_R: npt.NDArray[np.int64]
    columns_E: npt.NDArray[np.int64]
    wanted_E: npt.NDArray[np.float32]
    weights_E: npt.NDArray[np.float32]

    def products(self, left_RD: Tensor, right_CD: Tensor) -> Tensor:
        """The products of the vectors of all pairs, [E], and of no others."""
        places = torch.from_numpy(self.starts_R), torch.from_numpy(self.columns_E)
        nothing_E = torch.zeros(len(self.columns_E), dtype=left_RD.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
            pairs_RC = torch.sparse_csr_tensor(*places, nothing_E, self.shape, check_invariants=False)
        products: Tensor = torch.sparse.sampled_addmm(pairs_RC, left_RD, right_CD.T, beta=0.0).values()
        return products


def glove_gradients(left_RD: Tensor, right_CD: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
    """Gradients of both sides of half the sum over pairs of weight (product - wanted)^2.

    Biases are among the products: the vectors of the left end with a bias and a 1, those of the right with a 1 and a
    bias. The ones do not learn.
    """
    errors_E = tile.products(left_RD, right_CD).numpy() - tile.wanted_E
    pulls_RC = sparse.csr_array((tile.weights_E * errors_E, tile.columns_E, tile.starts_R), tile.shape)
    grad_left = torch.from_numpy(pulls_RC @ right_CD.numpy())
    grad_right = torch.from_numpy(pulls_RC.T @ left_RD.numpy())
    grad_left[:, -1] = 0
    grad_right[:, -2] = 0
    return grad_left, grad_right


class _Side:
    """One of the two vectors of every word, and the squares of its gradients so far."""

    def __init__(self, num_words: int, size: int, random: torch.Generator) -> None:
        self.numbers_VD = (torch.rand(num_words, size + 2, generator=random) - 0.5) / (size + 1)
        self._squares_VD = torch.ones_like(self.numbers_VD)

    def move(self, words: slice, gradient_RD: Tensor, rate: float) -> None:
        """One step of AdaGrad for these words."""
        squares_RD = self._squares_VD[words].addcmul_(gradient_RD, gradient_RD)
        self.numbers_VD[words].addcdiv_(gradient_RD, squares_RD.sqrt(), value=-rate)


@torch.inference_mode()
def learn_by_cooccurrence(counts: sparse.csr_array, how: Regression) -> npt.NDArray[np.float32]:
    """The vectors of the words, [V, D]. The same counts and seed give the same, on one machine and build."""
    random = torch.Generator().manual_seed(how.seed)
    draws = np.random.default_rng(how.seed)
    num_words = counts.shape[0]
    order_V = draws.permutation(num_words)
    left, right = (_Side(num_words, how.size, random) for _ in range(2))
    left.numbers_VD[:, -1] = 1
    right.numbers_VD[:, -2] = 1
    mixed = counts[order_V][:, order_V]
    edges = np.linspace(0, num_words, min(how.groups, num_words) + 1).astype(int)
    groups = [slice(int(first), int(last)) for first, last in pairwise(edges)]
    tiles = [(rows, columns, _tile(mixed[rows, columns])) for rows in groups for columns in groups]
    for _ in range(how.epochs):
        for place in draws.permutation(len(tiles)):
            rows, columns, tile = tiles[place]
            grad_left, grad_right = glove_gradients(left.numbers_VD[rows], right.numbers_VD[columns], tile)
            left.move(rows, grad_left, how.learning_rate)
            right.move(columns, grad_right, how.learning_rate)
    sums_VD = (left.numbers_VD + right.numbers_VD)[:, :-2].numpy()
    return sums_VD[np.argsort(order_V)]


def _tile(counts_RC: sparse.csr_array) -> Tile:
    wanted_E, weights_E = weigh_pairs(counts_RC.data)
    starts_R, columns_E = counts_RC.indptr.astype(np.int64), counts_RC.indices.astype(np.int64)
    return Tile(counts_RC.shape, starts_R, columns_E, wanted_E, weights_E)
