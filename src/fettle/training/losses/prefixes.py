"""One loss over several beginnings of the same vectors, so that vectors may be cut and still be of use.

Axes: N vectors, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def over_prefixes(loss: Callable[[Tensor], Tensor], vectors_ND: Tensor, weights: Mapping[int, float]) -> Tensor:
    """The sum of weight times loss over the first `size` numbers of each vector; `weights` gives each size its weight.

    Source: Kusupati et al. 2022, arXiv:2205.13147 (Matryoshka representations).
    """
    return torch.stack([weight * loss(vectors_ND[:, :size]) for size, weight in weights.items()]).sum(0)
