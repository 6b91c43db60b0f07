"""Vectors learned by predicting words from their neighbours, with negative sampling: skip-gram and CBOW.

Mikolov et al. 2013 (arXiv:1301.3781, arXiv:1310.4546): a word and a neighbour at most `window` words away are to be
told from the word and a word drawn at random, by the product of two vectors. Frequent words are passed over at random
before windows are laid, the width of each window is drawn anew, noise words are drawn by their counts to the power of
3/4, and the learning rate falls in a line.

What is different here is the order of the work. Neighbours lie side by side, so the products of many words with all
their neighbours are one banded product of matrices; and the words of a step share their noise words, each weighed so
that the expected gradient is the same (Ji et al. 2016, arXiv:1604.04661, share them within a window). The gradient of
CBOW's mean is divided by the number of neighbours, as it has to be (Irsoy et al. 2021, arXiv:2012.15332).

Axes: N blocks of a step, P words of a block (the centres), Q = P + 2 window words that they may see, M noise words,
D numbers of a vector, T words of the corpus, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fettle.models.vectors.corpus import Corpus

_BLOCK = 32
_BLOCKS_PER_STEP = 8
_NOISE_WORDS = 64
_NOISE_POWER = 0.75
_FINAL_SHARE = 1e-4
_LONGEST_MOVE = 0.5


@dataclass(frozen=True)
class Prediction:
    """How vectors are learned: `learning_rate` at first, `subsampling` the share above which words are passed over."""

    size: int
    window: int
    epochs: int
    negative: int
    is_cbow: bool
    learning_rate: float
    subsampling: float
    seed: int


@dataclass(frozen=True)
class Step:
    """The vectors that one step looks at, and `sees_NPQ`: 1 where a centre has that word for a neighbour, else 0."""

    centres_NPD: Tensor
    neighbours_NQD: Tensor
    noise_MD: Tensor
    sees_NPQ: Tensor


def skip_gram_gradients(step: Step, negative: int) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of centres, neighbours and noise words of

    - sum over pairs of log s(c n) + negative E[log s(-c m)], s the logistic function, E the mean over the noise words.
    """
    pulls_NPQ = step.sees_NPQ * torch.sigmoid(-(step.centres_NPD @ step.neighbours_NQD.transpose(1, 2)))
    weights_NP1 = step.sees_NPQ.sum(-1, keepdim=True) * (negative / len(step.noise_MD))
    pushes_NPM = torch.sigmoid(step.centres_NPD @ step.noise_MD.T) * weights_NP1
    grad_centres = pushes_NPM @ step.noise_MD - pulls_NPQ @ step.neighbours_NQD
    grad_neighbours = -(pulls_NPQ.transpose(1, 2) @ step.centres_NPD)
    return grad_centres, grad_neighbours, pushes_NPM.flatten(0, 1).T @ step.centres_NPD.flatten(0, 1)


def cbow_gradients(step: Step, negative: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same for

    - sum over centres of log s(c h) + negative E[log s(-m h)], h the mean of the centre's neighbours.
    """
    numbers_NP1 = step.sees_NPQ.sum(-1, keepdim=True)
    shares_NPQ = step.sees_NPQ / numbers_NP1.clamp(min=1)
    has_any_NP1 = (numbers_NP1 > 0).to(shares_NPQ.dtype)
    means_NPD = shares_NPQ @ step.neighbours_NQD
    pulls_NP1 = has_any_NP1 * torch.sigmoid(-(means_NPD * step.centres_NPD).sum(-1, keepdim=True))
    pushes_NPM = torch.sigmoid(means_NPD @ step.noise_MD.T) * (has_any_NP1 * (negative / len(step.noise_MD)))
    grad_means = pushes_NPM @ step.noise_MD - pulls_NP1 * step.centres_NPD
    grad_noise = pushes_NPM.flatten(0, 1).T @ means_NPD.flatten(0, 1)
    return -pulls_NP1 * means_NPD, shares_NPQ.transpose(1, 2) @ grad_means, grad_noise


@torch.inference_mode()
def learn_by_prediction(corpus: Corpus, how: Prediction) -> npt.NDArray[np.float32]:
    """The vectors of the corpus's words, [V, D]. The same corpus and seed give the same, on one machine and build."""
    random = torch.Generator().manual_seed(how.seed)
    num_words = len(corpus.words)
    inputs_VD = (torch.rand(num_words, how.size, generator=random) - 0.5) / how.size
    outputs_VD = torch.zeros(num_words, how.size)
    # A skip-gram's centre is looked up among the inputs, as CBOW's neighbours are.
    centres_VD, seen_VD = (outputs_VD, inputs_VD) if how.is_cbow else (inputs_VD, outputs_VD)
    gradients = cbow_gradients if how.is_cbow else skip_gram_gradients
    noise = _Noise(corpus, random)
    draws = np.random.default_rng(how.seed)
    for epoch in range(how.epochs):
        words_T, text_T = _subsample(corpus, how.subsampling, draws)
        for share_done, at_NP, at_NQ, sees_NPQ in _steps(text_T, how.window, draws):
            centres, neighbours, drawn = words_T[at_NP].flatten(), words_T[at_NQ].flatten(), noise.draw()
            step = Step(
                centres_VD[centres].view(*at_NP.shape, -1),
                seen_VD[neighbours].view(*at_NQ.shape, -1),
                outputs_VD[drawn],
                sees_NPQ,
            )
            rate = how.learning_rate * max(_FINAL_SHARE, 1 - (epoch + share_done) / how.epochs)
            grad_centres, grad_neighbours, grad_noise = gradients(step, how.negative)
            _move(centres_VD, centres, grad_centres.flatten(0, 1), rate)
            _move(seen_VD, neighbours, grad_neighbours.flatten(0, 1), rate)
            _move(outputs_VD, drawn, grad_noise, rate)
    return inputs_VD.numpy()


def _move(table_VD: Tensor, words: Tensor, gradients: Tensor, rate: float) -> None:
    """Move each word by the sum of its gradients, and never far: where words are few, each has many in a step."""
    unlike_U, places = torch.unique(words, return_inverse=True)
    change_UD = torch.zeros(len(unlike_U), table_VD.shape[1]).index_add_(0, places, gradients, alpha=-rate)
    change_UD *= (_LONGEST_MOVE / torch.linalg.vector_norm(change_UD, dim=1, keepdim=True)).clamp_(max=1)
    table_VD.index_add_(0, unlike_U, change_UD)


class _Noise:
    """Draws noise words by their counts to the power of 3/4."""

    def __init__(self, corpus: Corpus, random: torch.Generator) -> None:
        weights = corpus.counts_V**_NOISE_POWER
        self._edges = torch.from_numpy(np.cumsum(weights) / weights.sum())
        self._random = random

    def draw(self) -> Tensor:
        points = torch.rand(_NOISE_WORDS, generator=self._random, dtype=torch.float64)
        return torch.searchsorted(self._edges, points).clamp_(max=len(self._edges) - 1)


def _subsample(corpus: Corpus, share: float, draws: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The words that are not passed over: a word of frequency f stays with probability sqrt(share/f) + share/f."""
    ratio_V = share * len(corpus.words_T) / np.maximum(corpus.counts_V, 1)
    stays_V = np.sqrt(ratio_V) + ratio_V
    stays_T = draws.random(len(corpus.words_T), dtype=np.float32) < stays_V[corpus.words_T]
    return torch.from_numpy(corpus.words_T[stays_T]).long(), torch.from_numpy(corpus.text_T[stays_T])


def _steps(text_T: Tensor, window: int, draws: np.random.Generator) -> Iterator[tuple[float, Tensor, Tensor, Tensor]]:
    """Blocks of the corpus in a random order.

    Gives the share of the epoch done, the places of the centres and of what they may see, and what of it they see.
    """
    size = len(text_T)
    starts = torch.from_numpy(draws.permutation(-(-size // _BLOCK)) * _BLOCK)
    inner, outer = torch.arange(_BLOCK), torch.arange(-window, _BLOCK + window)
    distance_PQ = (outer[None, :] - inner[:, None]).abs()
    for first in range(0, len(starts), _BLOCKS_PER_STEP):
        start_N1 = starts[first : first + _BLOCKS_PER_STEP, None]
        at_NP, at_NQ = start_N1 + inner, start_N1 + outer
        is_there_NP, is_there_NQ = at_NP < size, (at_NQ >= 0) & (at_NQ < size)
        at_NP, at_NQ = at_NP.clamp(0, size - 1), at_NQ.clamp(0, size - 1)
        widths_NP = torch.from_numpy(draws.integers(1, window + 1, at_NP.shape)) * is_there_NP
        sees_NPQ = (distance_PQ > 0) & (distance_PQ <= widths_NP[:, :, None]) & is_there_NQ[:, None, :]
        sees_NPQ &= text_T[at_NP][:, :, None] == text_T[at_NQ][:, None, :]
        yield first / len(starts), at_NP, at_NQ, sees_NPQ.float()
