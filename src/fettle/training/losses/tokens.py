"""The loss of tokens without ever holding all logits: head and loss chunk by chunk, the gradient made on the way.

Axes: R reads, C reads of a chunk, D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from fettle.models.forward import PlainHead

_READS_PER_CHUNK = 256


@dataclass(frozen=True, slots=True)
class LossShape:
    """Label smoothing e: the expected token gets 1 - e, all tokens share e. z-loss z: adds z times log-normaliser^2."""

    smoothing: float = 0.0
    z_loss: float = 0.0


def summed_cross_entropy(
    hidden_RD: Tensor, head: PlainHead, tokens_R: Tensor, weights_R: Tensor, shape: LossShape
) -> Tensor:
    """Sum over the reads of weight times cross-entropy, in nats: a scalar in float32 (float64 for float64 weights).

    Peak memory is that of one chunk of logits. The gradient is computed in the forward pass, while the logits are at
    hand, and scaled in the backward pass.
    """
    loss: Tensor = _SummedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden_RD, head.weight_VD, (tokens_R, weights_R), (head.softcap, shape)
    )
    return loss


def cross_entropies(logits_RV: Tensor, tokens_R: Tensor, shape: LossShape) -> Tensor:
    """Cross-entropy of every read, [R], from logits that are at hand."""
    return _losses(_Chunk(logits_RV, tokens_R, logits_RV.logsumexp(-1)), shape)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Logits after the soft cap, what is expected, and the log of the sum of the logits' exponentials."""

    logits_CV: Tensor
    tokens_C: Tensor
    normaliser_C: Tensor


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        hidden_RD: Tensor,
        weight_VD: Tensor,
        expected: tuple[Tensor, Tensor],
        form: tuple[float, LossShape],
    ) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        tokens_R, weights_R = expected
        softcap, shape = form
        exact = torch.promote_types(hidden_RD.dtype, torch.float32)
        total = torch.zeros((), dtype=exact, device=hidden_RD.device)
        grad_hidden_RD = torch.empty_like(hidden_RD) if needs_hidden else None
        grad_weight_VD = torch.zeros(weight_VD.shape, dtype=exact, device=weight_VD.device) if needs_weight else None
        for first in range(0, len(tokens_R), _READS_PER_CHUNK):
            part = slice(first, first + _READS_PER_CHUNK)
            logits_CV = (hidden_RD[part] @ weight_VD.T).to(exact)
            if softcap:
                logits_CV = logits_CV.div_(softcap).tanh_().mul_(softcap)
            weights_C = weights_R[part].to(exact)
            chunk = _Chunk(logits_CV, tokens_R[part], logits_CV.logsumexp(-1))
            total += weights_C @ _losses(chunk, shape)
            if not (needs_hidden or needs_weight):
                continue
            grad_CV = _gradient(chunk, weights_C, softcap, shape).to(hidden_RD.dtype)
            if grad_hidden_RD is not None:
                torch.mm(grad_CV, weight_VD, out=grad_hidden_RD[part])
            if grad_weight_VD is not None:
                grad_weight_VD += grad_CV.T @ hidden_RD[part]
        ctx.save_for_backward(grad_hidden_RD, grad_weight_VD)  # type: ignore[arg-type]
        ctx.dtypes = (hidden_RD.dtype, weight_VD.dtype)  # type: ignore[attr-defined]
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = [
            None if gradient is None else (gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)  # type: ignore[attr-defined]
        ]
        return (*gradients, None, None)


def _losses(chunk: _Chunk, shape: LossShape) -> Tensor:
    expected_C = chunk.logits_CV.gather(-1, chunk.tokens_C[:, None])[:, 0]
    if shape.smoothing:
        expected_C = (1 - shape.smoothing) * expected_C + shape.smoothing * chunk.logits_CV.mean(-1)
    return chunk.normaliser_C - expected_C + shape.z_loss * chunk.normaliser_C**2


def _gradient(chunk: _Chunk, weights_C: Tensor, softcap: float, shape: LossShape) -> Tensor:
    """Gradient of the weighted sum by what the head's matrix gave. The logits are used up."""
    slope_CV = 1 - (chunk.logits_CV / softcap) ** 2 if softcap else None
    shares_CV = chunk.logits_CV.sub_(chunk.normaliser_C[:, None]).exp_()
    if shape.z_loss:
        shares_CV *= (1 + 2 * shape.z_loss * chunk.normaliser_C)[:, None]
    if shape.smoothing:
        shares_CV -= shape.smoothing / shares_CV.shape[-1]
    expected = torch.full_like(weights_C, shape.smoothing - 1.0)[:, None]
    shares_CV.scatter_add_(-1, chunk.tokens_C[:, None], expected)
    shares_CV *= weights_C[:, None]
    return shares_CV if slope_CV is None else shares_CV * slope_CV
