"""How layers run fast: adapters whose products are joined, and layers compiled once and run for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from transformers import PreTrainedModel

# A layer is compiled for training, for other kinds of layers of the same model, and for no shape in particular.
_MOST_VARIANTS = 64


def repeated_layers(network: PreTrainedModel) -> list[nn.Module]:
    """The layers of the model's trunk: the longest list of modules in it."""
    lists = [list(module) for module in network.base_model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])


def compile_layers(network: PreTrainedModel) -> None:
    """Have every repeated layer run compiled from its next call on; lengths may change from call to call."""
    torch._dynamo.config.recompile_limit = _MOST_VARIANTS
    torch._dynamo.config.capture_dynamic_output_shape_ops = True  # how many shares attention keeps, its pieces decide
    for layer in repeated_layers(network):
        layer.compile(dynamic=True)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Inside, compiled layers run as they were written: looks at held-out rows are not worth compiling for."""
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def feed_forward_only_at(network: PreTrainedModel, reads_R: Tensor) -> Iterator[None]:
    """Inside, the last layer's feed-forward network runs for the tokens that are read, places on the flat axis.

    No other token of that layer is used by anything that follows. Models whose layers are put together otherwise run
    it for all tokens.
    """
    layers = repeated_layers(network)
    last: Any = layers[-1] if layers else network
    if "reads_U" not in vars(last):
        last.reads_U = None
        if isinstance(getattr(last, "mlp", None), nn.Module):
            last.mlp.forward = partial(_only_reads, last, last.mlp.forward)
        elif hasattr(last, "feed_forward_chunk"):
            last.feed_forward_chunk = partial(_only_reads, last, last.feed_forward_chunk)
    last.reads_U = torch.unique(reads_R)  # a token may be read twice
    try:
        yield
    finally:
        last.reads_U = None


def _only_reads(layer: Any, feed_forward: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """Zeros where nothing is read. hidden: [1, T, D]."""
    if layer.reads_U is None:
        return feed_forward(hidden)
    part = feed_forward(hidden[:, layer.reads_U])
    return torch.zeros_like(hidden).index_copy(1, layer.reads_U, part)


def join_products(network: nn.Module) -> None:
    """Let every plain adapter (one, of rank R, with neither dropout nor a variant such as DoRA) take the short way."""
    for module in network.modules():
        if type(module) is LoraLinear and _is_plain(module):
            module.__class__ = _JoinedLinear


def _is_plain(module: Any) -> bool:
    name = module.active_adapters[0]
    is_matrix = isinstance(module.base_layer, nn.Linear) and module.lora_B[name].bias is None
    has_no_noise = isinstance(module.lora_dropout[name], nn.Identity)
    return len(module.active_adapters) == 1 and is_matrix and has_no_noise and name not in module.lora_variant


class _JoinedLinear(LoraLinear):  # type: ignore[misc]
    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        name = self.active_adapters[0]
        weights = (self.base_layer.weight, self.lora_A[name].weight, self.lora_B[name].weight)
        is_mixed = torch.is_autocast_enabled(x.device.type) or any(weight.dtype != x.dtype for weight in weights)
        if self.disable_adapters or self.merged or is_mixed:
            return super().forward(x, *args, **kwargs)  # type: ignore[no-any-return]
        scale = float(self.scaling[name])
        if torch.compiler.is_compiling():  # the compiler joins the sum to what follows it
            narrow = nn.functional.linear(x, weights[1]) * scale
            return nn.functional.linear(x, weights[0], self.base_layer.bias) + nn.functional.linear(narrow, weights[2])
        output: Tensor = _JoinedProducts.apply(x, *weights[1:], (self.base_layer, scale))  # type: ignore[no-untyped-call]
        return output


class _JoinedProducts(torch.autograd.Function):
    """x W^T + b + scale x A^T B^T, where W and b are those of the base and learn nothing.

    PEFT scales and adds the adapter's part as wide as the output. Here the scale goes to the narrow side, and the
    product adds itself to what is there. Axes: N tokens, I inputs, O outputs, R rank.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, a_RI: Tensor, b_OR: Tensor, form: tuple[nn.Linear, float]) -> Tensor:
        base, scale = form
        x_NI = x.reshape(-1, x.shape[-1])
        narrow_NR = (x_NI @ a_RI.T).mul_(scale)
        output_NO = base(x_NI).addmm_(narrow_NR, b_OR.T)
        ctx.save_for_backward(x, a_RI, b_OR, narrow_NR, base.weight)
        ctx.scale = scale  # type: ignore[attr-defined]
        return output_NO.view(*x.shape[:-1], -1)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, a_RI, b_OR, narrow_NR, weight_OI = ctx.saved_tensors  # type: ignore[attr-defined]
        x_NI, upstream_NO = x.reshape(-1, x.shape[-1]), upstream.reshape(-1, upstream.shape[-1])
        grad_narrow_NR = (upstream_NO @ b_OR).mul_(ctx.scale)  # type: ignore[attr-defined]
        grad_x = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            grad_x = (upstream_NO @ weight_OI).addmm_(grad_narrow_NR, a_RI).view(x.shape)
        return grad_x, grad_narrow_NR.T @ x_NI, (narrow_NR.T @ upstream_NO).T, None
