"""Optimizers: what they move, and that their state goes on where it stood."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from fettle.training.config import TrainingSettings
from fettle.training.optimizer import Optimizers

SHAPES = {
    "model.embed_tokens.weight": (11, 6),
    "model.layers.0.q_proj.weight": (6, 6),
    "model.layers.0.up_proj.weight": (8, 6),
    "model.layers.0.norm.weight": (6,),
    "lm_head.weight": (11, 6),
}


def weights_and_gradients(steps: int) -> tuple[dict[str, Parameter], list[dict[str, Tensor]]]:
    draw = torch.Generator().manual_seed(0)
    weights = {name: Parameter(torch.randn(shape, generator=draw)) for name, shape in SHAPES.items()}
    return weights, [{name: torch.randn(shape, generator=draw) for name, shape in SHAPES.items()} for _ in range(steps)]


def walk(weights: dict[str, Parameter], optimizers: Optimizers, gradients: list[dict[str, Tensor]]) -> None:
    for each in gradients:
        for name, weight in weights.items():
            weight.grad = each[name].clone()
        optimizers.step(0.01)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_state_goes_on_where_it_stood(optimizer: str, stop: int) -> None:
    settings = TrainingSettings(optimizer=optimizer)
    whole, gradients = weights_and_gradients(6)
    walk(whole, Optimizers(whole, settings), gradients)
    first, _ = weights_and_gradients(0)
    before = Optimizers(first, settings)
    walk(first, before, gradients[:stop])
    second = {name: Parameter(weight.detach().clone()) for name, weight in first.items()}
    after = Optimizers(second, settings)
    after.restore({name: value.clone() for name, value in before.tensors().items()})
    walk(second, after, gradients[stop:])
    for name, weight in whole.items():
        assert torch.equal(weight, second[name])


def test_muon_moves_the_matrices_inside_and_adamw_the_rest() -> None:
    weights, gradients = weights_and_gradients(1)
    optimizers = Optimizers(weights, TrainingSettings(optimizer="muon"))
    walk(weights, optimizers, gradients)
    kept = {name: {key.rpartition("|")[2] for key in optimizers.tensors() if key.startswith(name)} for name in SHAPES}
    for name, state in kept.items():
        is_inner = "layers" in name and len(SHAPES[name]) == 2
        assert state == ({"momentum_buffer"} if is_inner else {"step", "exp_avg", "exp_avg_sq"})


def test_a_step_of_muon_is_the_orthogonal_part_of_the_gradient() -> None:
    """From rest the step is U V^T of the gradient, as near as five rounds of Newton and Schulz come."""
    name = "model.layers.0.q_proj.weight"
    weight = Parameter(torch.zeros(16, 16))
    gradient = torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
    weight.grad = gradient.clone()
    Optimizers({name: weight}, TrainingSettings(optimizer="muon", weight_decay=0.0)).step(1.0)
    left, _, right = torch.linalg.svd(gradient)
    wanted = -(left @ right)
    cosine = float((weight.detach() * wanted).sum() / (weight.detach().norm() * wanted.norm()))
    assert cosine > 0.97
    root_mean_square = float(weight.detach().norm()) / math.sqrt(weight.numel())
    assert 0.1 < root_mean_square < 0.3, "as large as a step of AdamW, so that one rate serves both"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_matrices_decay_and_vectors_do_not(optimizer: str) -> None:
    weights, _ = weights_and_gradients(0)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.grad = torch.zeros_like(weight)
    Optimizers(weights, TrainingSettings(optimizer=optimizer, weight_decay=0.5)).step(0.1)
    for name, weight in weights.items():
        share = 1.0 if weight.ndim == 1 else 0.95
        assert torch.allclose(weight, share * before[name], atol=1e-6)
