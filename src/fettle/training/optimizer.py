"""Optimizers: which weights are moved how, and their state by weight name.

AdamW for everything, or Muon for the matrices of the trunk and AdamW for the rest (embeddings, head, vectors), both
torch's own. Muon orthogonalises the momentum of a matrix; its steps are scaled to the size of AdamW's, so that one
learning rate serves both (Liu et al. 2025, arXiv:2502.16982, section 2.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

from fettle.training.checkpoint import optimizer_tensors, restore_optimizer
from fettle.training.config import TrainingSettings

_EMBEDDINGS = ("embed", "wte", "wpe", "lm_head", "lora_embedding")


class Optimizers:
    """One or two optimizers that act as one. The order of the weights decides nothing.

    `shares` names weights that get only a share of the learning rate; all others get the whole.
    """

    def __init__(
        self, weights: Mapping[str, Parameter], settings: TrainingSettings, shares: Mapping[str, float] | None = None
    ) -> None:
        self._shares = shares or {}
        self._parts: list[tuple[torch.optim.Optimizer, list[str]]] = []
        by_muon = {name for name, weight in weights.items() if settings.optimizer == "muon" and _is_inner(name, weight)}
        rest = {name: weight for name, weight in weights.items() if name not in by_muon}
        if by_muon:
            inner = {name: weight for name, weight in weights.items() if name in by_muon}
            self._parts.append((_muon(inner, settings), list(inner)))
        if rest:
            self._parts.append((_adamw(rest, settings), list(rest)))

    def step(self, learning_rate: float) -> None:
        """Move every weight by its gradient, and forget the gradients."""
        for optimizer, names in self._parts:
            for name, group in zip(names, optimizer.param_groups, strict=True):
                group["lr"] = learning_rate * self._shares.get(name, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The state of all, by weight name."""
        return {key: value for part in self._parts for key, value in optimizer_tensors(*part).items()}

    def restore(self, stored: Mapping[str, Tensor]) -> None:
        """Put back the state that `tensors` gave."""
        for optimizer, names in self._parts:
            own = {key: value for key, value in stored.items() if key.rpartition("|")[0] in names}
            restore_optimizer(optimizer, names, own)


def _adamw(weights: Mapping[str, Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Matrices decay, vectors (norms, biases) do not."""
    return torch.optim.AdamW(
        _groups(weights, settings),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=1e-8,
        foreach=False,
        fused=True,
    )


def _muon(weights: Mapping[str, Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.Muon(
        _groups(weights, settings),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )


def _groups(weights: Mapping[str, Parameter], settings: TrainingSettings) -> Iterator[dict[str, object]]:
    for weight in weights.values():
        yield {"params": [weight], "weight_decay": settings.weight_decay if weight.ndim > 1 else 0.0}


def _is_inner(name: str, weight: Parameter) -> bool:
    """A matrix between layers: neither a table of tokens or positions nor the head."""
    return weight.ndim == 2 and not any(word in name for word in _EMBEDDINGS)
