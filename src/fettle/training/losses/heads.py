"""Losses of a head's numbers, one for each row or read. Pure functions of tensors.

Axes: N rows or reads, K classes, labels or numbers.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def class_losses(numbers_NK: Tensor, expected_N1: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of the one right class, in nats, [N]; `smoothing` is the share that all classes have alike."""
    expected_N = expected_N1[:, 0].long()
    return functional.cross_entropy(numbers_NK, expected_N, reduction="none", label_smoothing=smoothing)


def label_losses(numbers_NK: Tensor, expected_NK: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy of each label, in nats, its mean over the labels, [N]."""
    wanted_NK = expected_NK.to(numbers_NK.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(numbers_NK, wanted_NK, reduction="none").mean(-1)


def number_losses(numbers_NK: Tensor, expected_NK: Tensor) -> Tensor:
    """Squared distance to the expected numbers, its mean over them, [N]."""
    return (numbers_NK - expected_NK.to(numbers_NK.dtype)).square().mean(-1)
