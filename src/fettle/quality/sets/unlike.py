"""How a set differs from a sample of real inputs: can they be told apart, and what has no like in the set.

What is learned from rows that differ from what a model will meet is learned for others. Words alone are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fettle.quality.whole.labels import out_of_fold
from fettle.quality.whole.vectors import dense_vectors, nearest, shortened, sparse_vectors

FEWEST_TEXTS = 20
"""A smaller sample says nothing of the rest of what a model will meet."""

MOST_TEXTS = 5_000
"""Of each side; more change no figure that is shown."""

_WIDTH = 64
_SHARE_WITHOUT_LIKE = 0.05


@dataclass(frozen=True, slots=True)
class Unlikeness:
    """How well a set and a sample can be told apart, and the places in the sample that no text of the set is near.

    `auroc` is how often a text of the set looks more like the set than a text of the sample does: 0.5 is a guess.
    """

    auroc: float
    unreached: tuple[int, ...]


def unlikeness(ours: Sequence[str], theirs: Sequence[str], seed: int = 0) -> Unlikeness | None:
    """Hold a set against a sample; None where either is too small.

    A text of the sample is near the set where its most similar text there is about as similar as one text of the
    set is to the next: closer than one in twenty of them.
    """
    generator = np.random.default_rng(seed)
    one, other = _sampled(len(ours), generator), _sampled(len(theirs), generator)
    texts = [shortened(ours[place]) for place in one] + [shortened(theirs[place]) for place in other]
    if min(len(one), len(other)) < FEWEST_TEXTS:
        return None
    vectors = sparse_vectors(texts)
    side = np.array([1] * len(one) + [0] * len(other), np.int64)
    probabilities = out_of_fold(dense_vectors(vectors, _WIDTH), side, np.ones(len(side), bool), seed)
    _, usual = nearest(vectors[: len(one)])
    _, reach = nearest(vectors[len(one) :], vectors[: len(one)])
    unreached = np.flatnonzero(reach < np.quantile(usual, _SHARE_WITHOUT_LIKE))
    return Unlikeness(auroc(probabilities[:, 1], side), tuple(other[unreached].tolist()))


def _sampled(num_texts: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """All places, or an even sample of them in their order."""
    if num_texts <= MOST_TEXTS:
        return np.arange(num_texts)
    return np.sort(generator.choice(num_texts, MOST_TEXTS, replace=False))


def auroc(scores: npt.NDArray[np.float64], is_one: npt.NDArray[np.int64]) -> float:
    """How often a one scores above a zero; ties count half.

    >>> auroc(np.array([0.9, 0.2, 0.5]), np.array([1, 0, 0]))
    1.0
    """
    ranks = rankdata(scores)
    ones = int(is_one.sum())
    zeros = len(is_one) - ones
    return float((ranks[is_one == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
