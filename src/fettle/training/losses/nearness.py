"""Losses of pairs of vectors with a score of how near they are: by the order of the scores, or by the scores as such.

Axes: N pairs, D width, K pairs of pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity


def order_loss(left_ND: Tensor, right_ND: Tensor, scores_N: Tensor, weights_N: Tensor, temperature: float) -> Tensor:
    """CoSENT, a scalar: no pair may have a larger cosine than one whose score is higher.

    log(1 + sum of v w exp((cos(low) - cos(high)) / temperature)) over all two pairs of unlike score, whose weights are
    v and w. Only the order of the scores counts. Trap: it is one loss for all pairs together, not a sum over them.
    Source: Su 2022, CoSENT, kexue.fm/archives/8847.
    """
    cosines_N = cosine_similarity(left_ND, right_ND, dim=-1) / temperature
    low_K, high_K = torch.nonzero(scores_N[:, None] < scores_N[None, :], as_tuple=True)
    logs_N = weights_N.to(cosines_N.dtype).log()
    terms_K = cosines_N[low_K] - cosines_N[high_K] + logs_N[low_K] + logs_N[high_K]
    return torch.cat([terms_K.new_zeros(1), terms_K]).logsumexp(0)


def cosine_errors(left_ND: Tensor, right_ND: Tensor, scores_N: Tensor) -> Tensor:
    """Squared difference of each pair's cosine from its score, [N]; scores run from -1 to 1."""
    cosines_N = cosine_similarity(left_ND, right_ND, dim=-1)
    return (cosines_N - scores_N.to(cosines_N.dtype)).square()
