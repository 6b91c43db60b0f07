"""The likeliest tags of a text among those that mean spans, and how probable they are among these.

A model gives each unit a distribution over the tags, for itself. What is asked here is the distribution over whole
texts that this gives when no tag stands where it may not: the likeliest by Viterbi (1967), the sum of all by the same
walk with sums for maxima.

Axes: U units, K tags.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fettle.tokens.example import Ints
from fettle.tokens.tagging.tags import Tags

Doubles = NDArray[np.float64]


def likeliest_tags(log_probabilities_UK: Doubles, tags: Tags) -> tuple[Ints, float]:
    """The allowed tags with the largest sum of log-probabilities, [U], and their share among all allowed ones.

    The log-probabilities have to be finite. A text without units has one way to be tagged, with share 1.
    """
    num_units, num_tags = log_probabilities_UK.shape
    if not num_units:
        return np.empty(0, np.int64), 1.0
    follows_KK = np.where(tags.may_follow_KK, 0.0, -np.inf)
    begins_K, ends_K = (np.where(allowed_K, 0.0, -np.inf) for allowed_K in (tags.may_begin_K, tags.may_end_K))
    best_before_UK = np.zeros((num_units, num_tags), np.int64)
    best_K = all_K = log_probabilities_UK[0] + begins_K
    for unit in range(1, num_units):
        scores_KK = best_K[:, None] + follows_KK
        best_before_UK[unit] = scores_KK.argmax(0)
        best_K = scores_KK.max(0) + log_probabilities_UK[unit]
        all_K = np.logaddexp.reduce(all_K[:, None] + follows_KK, axis=0) + log_probabilities_UK[unit]
    found_U = np.empty(num_units, np.int64)
    found_U[-1] = (best_K + ends_K).argmax()
    for unit in range(num_units - 1, 0, -1):
        found_U[unit - 1] = best_before_UK[unit, found_U[unit]]
    return found_U, math.exp((best_K + ends_K).max() - np.logaddexp.reduce(all_K + ends_K))
