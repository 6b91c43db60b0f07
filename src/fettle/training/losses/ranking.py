"""The loss of vectors that are ranked: a query's own match is to stand before all other candidates.

Axes: Q queries, C candidates, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True, slots=True)
class RankingShape:
    """Cosines are divided by the temperature. `is_symmetric`: each match is to find its query too, half the loss."""

    temperature: float = 0.05
    is_symmetric: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """For each query the place of its own match, [Q], and which candidates do not count beside it, [Q, C].

    `is_left_out_QQ` says the same for the other way round: which queries do not count for the match of which query.
    """

    match_Q: Tensor
    is_left_out_QC: Tensor
    is_left_out_QQ: Tensor

    @classmethod
    def of(
        cls, queries: Sequence[int], candidates: Sequence[int], match: Sequence[int], *, repeats_count: bool = False
    ) -> Candidates:
        """From numbers that equal texts share. `match`: place of each query's own match among the candidates.

        A text that is a match of the same query elsewhere is no wrong answer to it, and one that stands among the
        candidates several times is one wrong answer, not several. With `repeats_count` both count all the same.

        >>> Candidates.of([0, 1, 1, 2], [7, 7, 8, 8], [0, 1, 2, 3]).is_left_out_QC.int().tolist()
        [[0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]]
        """
        query_Q, text_C, match_Q = _numbered(queries), _numbered(candidates), np.asarray(match, np.int64)
        is_right = np.zeros((query_Q.max(initial=-1) + 1, text_C.max(initial=-1) + 1), bool)
        is_right[query_Q, text_C[match_Q]] = True
        there_QC = is_right[query_Q][:, text_C] | _is_repeat(text_C)
        back_QQ = is_right[query_Q][:, text_C[match_Q]] | _is_repeat(query_Q)[:, None]
        each = np.arange(len(match_Q))
        there_QC[each, match_Q] = back_QQ[each, each] = False
        if repeats_count:
            there_QC[:] = back_QQ[:] = False
        return cls(torch.from_numpy(match_Q), torch.from_numpy(there_QC), torch.from_numpy(back_QQ))

    def to(self, device: torch.device) -> Candidates:
        """The same on a device."""
        return Candidates(*(each.to(device) for each in (self.match_Q, self.is_left_out_QC, self.is_left_out_QQ)))


def ranking_losses(queries_QD: Tensor, candidates_CD: Tensor, candidates: Candidates, shape: RankingShape) -> Tensor:
    """Cross-entropy of each query's match among the candidates, in nats, [Q].

    The wrong answers are the matches of other queries, and texts that were named as wrong.
    Source: van den Oord et al. 2018, arXiv:1807.03748 (InfoNCE); Henderson et al. 2017, arXiv:1705.00652.
    """
    scores_QC = normalize(queries_QD, dim=-1) @ normalize(candidates_CD, dim=-1).T / shape.temperature
    own_Q = scores_QC.gather(1, candidates.match_Q[:, None])[:, 0]
    losses_Q = scores_QC.masked_fill(candidates.is_left_out_QC, -torch.inf).logsumexp(1) - own_Q
    if not shape.is_symmetric:
        return losses_Q
    back_QQ = scores_QC[:, candidates.match_Q].masked_fill(candidates.is_left_out_QQ, -torch.inf)
    return (losses_Q + back_QQ.logsumexp(0) - own_Q) / 2


def _numbered(texts: Sequence[int]) -> npt.NDArray[np.int64]:
    """Numbers from 0 on, equal where the given ones are."""
    return np.asarray(np.unique(np.asarray(texts, np.int64), return_inverse=True)[1], np.int64)


def _is_repeat(texts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the same text stands before."""
    first = np.unique(texts, return_index=True)[1]
    return ~np.isin(np.arange(len(texts)), first)
