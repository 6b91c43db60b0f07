"""Losses chunk by chunk equal those over all logits at once, and their gradients those of autograd."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from fettle.models.forward import PlainHead
from fettle.training.losses.tokens import LossShape, cross_entropies, summed_cross_entropy

WIDTH, VOCABULARY = 8, 23
CHUNK = 256
SHAPES = [LossShape(), LossShape(smoothing=0.1), LossShape(z_loss=0.02), LossShape(smoothing=0.3, z_loss=0.01)]


@dataclass(frozen=True)
class Drawn:
    """Hidden states, a head and what is expected; the first two want gradients."""

    hidden_RD: Tensor
    weight_VD: Tensor
    tokens_R: Tensor
    weights_R: Tensor

    def to(self, dtype: torch.dtype) -> Drawn:
        """The same numbers in another format."""
        hidden_RD, weight_VD = (part.detach().to(dtype).requires_grad_() for part in (self.hidden_RD, self.weight_VD))
        return Drawn(hidden_RD, weight_VD, self.tokens_R, self.weights_R)


def draw(num_reads: int, *, seed: int = 0, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Drawn:
    generator = torch.Generator().manual_seed(seed)
    hidden_RD = scale * torch.randn(num_reads, WIDTH, generator=generator, dtype=torch.float64)
    weight_VD = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)
    tokens_R = torch.randint(VOCABULARY, (num_reads,), generator=generator)
    # As batches have them: in float32, some of them nothing.
    weights_R = torch.rand(num_reads, generator=generator) * (torch.rand(num_reads, generator=generator) > 0.2)
    return Drawn(hidden_RD, weight_VD, tokens_R, weights_R).to(dtype)


def plain_losses(logits_RV: Tensor, tokens_R: Tensor, shape: LossShape) -> Tensor:
    """By torch's own cross-entropy, each read for itself."""
    losses_R = cross_entropy(logits_RV, tokens_R, reduction="none", label_smoothing=shape.smoothing)
    return losses_R + shape.z_loss * logits_RV.logsumexp(-1) ** 2


def plainly(drawn: Drawn, softcap: float, shape: LossShape) -> Tensor:
    logits_RV = drawn.hidden_RD @ drawn.weight_VD.T
    if softcap:
        logits_RV = softcap * torch.tanh(logits_RV / softcap)
    return (plain_losses(logits_RV, drawn.tokens_R, shape) * drawn.weights_R.to(logits_RV.dtype)).sum()


def ours(drawn: Drawn, softcap: float, shape: LossShape) -> Tensor:
    head = PlainHead(drawn.weight_VD, softcap)
    return summed_cross_entropy(drawn.hidden_RD, head, drawn.tokens_R, drawn.weights_R, shape)


def gradients(loss: Tensor, drawn: Drawn, upstream: float = 1.0) -> tuple[Tensor, Tensor]:
    return torch.autograd.grad(upstream * loss, (drawn.hidden_RD, drawn.weight_VD))


def apart(first: Tensor, second: Tensor) -> float:
    found, wanted = first.detach().double(), second.detach().double()
    return float((found - wanted).norm() / wanted.norm())


@settings(deadline=None, max_examples=60)
@example(num_reads=2 * CHUNK + 1, seed=0, softcap=2.0, shape=SHAPES[-1], upstream=-0.7)
@given(
    num_reads=st.sampled_from([1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1]),
    seed=st.integers(0, 99),
    softcap=st.sampled_from([0.0, 2.0]),
    shape=st.sampled_from(SHAPES),
    upstream=st.sampled_from([1.0, 0.25, -3.0]),
)
def test_value_and_gradients_equal_autograd_over_all_logits(
    num_reads: int, seed: int, softcap: float, shape: LossShape, upstream: float
) -> None:
    drawn = draw(num_reads, seed=seed)
    drawn.weights_R[0] = 0.5  # that not all weigh nothing
    loss, wanted = ours(drawn, softcap, shape), plainly(drawn, softcap, shape)
    assert loss.dtype == torch.float64
    assert apart(loss, wanted) <= 1e-12
    for found, expected in zip(gradients(loss, drawn, upstream), gradients(wanted, drawn, upstream), strict=True):
        assert apart(found, expected) <= 1e-12


@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_read_has_its_own_loss_from_logits_at_hand(shape: LossShape, softcap: float) -> None:
    drawn = draw(40)
    logits_RV = (drawn.hidden_RD @ drawn.weight_VD.T).detach().requires_grad_()
    found_R, wanted_R = (way(logits_RV, drawn.tokens_R, shape) for way in (cross_entropies, plain_losses))
    assert (found_R - wanted_R).abs().max() <= 1e-12
    pull = torch.linspace(-1, 1, 40, dtype=torch.float64)
    found, wanted = (torch.autograd.grad(losses @ pull, logits_RV)[0] for losses in (found_R, wanted_R))
    assert (found - wanted).abs().max() <= 1e-12


@pytest.mark.parametrize("frozen", ["hidden", "head"])
def test_what_does_not_learn_gets_no_gradient_and_the_other_the_same(frozen: str) -> None:
    drawn = draw(300)
    wanted = dict(zip(("hidden", "head"), gradients(ours(drawn, 2.0, SHAPES[-1]), drawn), strict=True))
    parts = {"hidden": drawn.hidden_RD, "head": drawn.weight_VD}
    parts[frozen].requires_grad_(False)
    ours(drawn, 2.0, SHAPES[-1]).backward()
    assert parts.pop(frozen).grad is None
    [(name, learns)] = parts.items()
    assert torch.equal(learns.grad, wanted[name])


def test_a_model_that_only_looks_gets_the_same_loss() -> None:
    drawn = draw(300)
    with torch.no_grad():
        looked_at = ours(drawn, 2.0, SHAPES[-1])
    assert not looked_at.requires_grad
    assert torch.equal(looked_at, ours(drawn, 2.0, SHAPES[-1]).detach())


def test_reads_that_weigh_nothing_pull_nothing() -> None:
    drawn = draw(300)
    is_silent = drawn.weights_R == 0
    assert is_silent.any()
    pull_RD, _ = gradients(ours(drawn, 0.0, SHAPES[-1]), drawn)
    assert (pull_RD[is_silent] == 0).all()
    assert (pull_RD[~is_silent] != 0).any(1).all()


def test_nothing_to_read_is_a_loss_of_nothing() -> None:
    drawn = draw(0)
    loss = ours(drawn, 0.0, LossShape())
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert drawn.hidden_RD.grad is not None and drawn.hidden_RD.grad.shape == (0, WIDTH)
    assert drawn.weight_VD.grad is not None and not drawn.weight_VD.grad.any()


@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_float32_is_within_rounding_of_float64(shape: LossShape, softcap: float) -> None:
    exact, single = draw(600), draw(600, dtype=torch.float32)
    losses = [ours(exact, softcap, shape), ours(single, softcap, shape)]
    assert losses[1].dtype == torch.float32
    assert apart(losses[1], losses[0]) <= 1e-6
    for found, wanted in zip(gradients(losses[1], single), gradients(losses[0], exact), strict=True):
        assert found.dtype == torch.float32
        assert apart(found, wanted) <= 2e-6


@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_within_its_own_rounding_of_float32(shape: LossShape, softcap: float) -> None:
    """A number of 8 bits is off by up to 2^-9, two parts in a thousand; logits and gradients are rounded a few times.

    The head's gradient is a sum over 600 reads, which is gathered in float32: it is no worse than that of one read.
    """
    rounded = draw(600).to(torch.bfloat16)
    exact = rounded.to(torch.float32)
    loss, wanted = ours(rounded, softcap, shape), ours(exact, softcap, shape)
    assert loss.dtype == torch.float32
    assert apart(loss, wanted) <= 2e-3
    for found, expected in zip(gradients(loss, rounded), gradients(wanted, exact), strict=True):
        assert found.dtype == torch.bfloat16
        assert apart(found, expected) <= 6e-3


def test_the_gradient_of_the_head_gathers_in_float32() -> None:
    """Alike reads: in bfloat16 the sum over many chunks would stand still once a chunk adds less than its last bit."""
    one = draw(1).to(torch.bfloat16)
    num_reads = 600 * CHUNK
    many = Drawn(
        one.hidden_RD.detach().expand(num_reads, -1).clone().requires_grad_(),
        one.weight_VD,
        one.tokens_R.expand(num_reads),
        torch.ones(num_reads),
    )
    single = Drawn(one.hidden_RD, one.weight_VD, one.tokens_R, torch.ones(1))
    [_, found], [_, wanted] = (gradients(ours(each, 0.0, LossShape()), each) for each in (many, single))
    assert apart(found / num_reads, wanted) <= 5e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("softcap", [0.0, 30.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_of_ten_thousand_stay_finite(dtype: torch.dtype, softcap: float, shape: LossShape) -> None:
    drawn = draw(300, scale=4e3, dtype=dtype)
    assert (drawn.hidden_RD @ drawn.weight_VD.T).abs().max() > 1e4
    loss = ours(drawn, softcap, shape)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients(loss, drawn))
    exact = drawn.to(torch.float64)
    assert apart(loss, ours(exact, softcap, shape)) <= (1e-5 if dtype == torch.float32 else 2e-2)
