"""The likeliest tags of a text among those that mean spans, and how probable what they say is.

A model gives each unit a distribution of its own over the tags. What is asked here is that distribution over whole
texts, given that no tag stands where it may not (Viterbi 1967 for the likeliest; Rabiner 1989 for the sums).

Axes: U units, K tags.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fettle.tokens.example import Ints
from fettle.tokens.tagging.tags import Tags

Doubles = NDArray[np.float64]


def likeliest_tags(log_probabilities_UK: Doubles, tags: Tags) -> Ints:
    """The allowed tags with the largest sum of log-probabilities, [U]; these have to be finite numbers."""
    num_units, num_tags = log_probabilities_UK.shape
    if not num_units:
        return np.empty(0, np.int64)
    forbidden_KK = np.where(tags.may_follow_KK, 0.0, -np.inf)
    best_before_UK = np.zeros((num_units, num_tags), np.int64)
    score_K = log_probabilities_UK[0] + np.where(tags.may_begin_K, 0.0, -np.inf)
    for unit in range(1, num_units):
        scores_KK = score_K[:, None] + forbidden_KK
        best_before_UK[unit] = scores_KK.argmax(0)
        score_K = scores_KK.max(0) + log_probabilities_UK[unit]
    found_U = np.empty(num_units, np.int64)
    found_U[-1] = np.where(tags.may_end_K, score_K, -np.inf).argmax()
    for unit in range(num_units - 1, 0, -1):
        found_U[unit - 1] = best_before_UK[unit, found_U[unit]]
    return found_U
