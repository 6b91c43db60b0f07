"""Compiled layers: a model's repeated layer becomes one fused function, compiled once and run for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
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
    for layer in repeated_layers(network):
        layer.compile(dynamic=True)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Inside, compiled layers run as they were written: looks at held-out rows are not worth compiling for."""
    with torch.compiler.set_stance("force_eager"):
        yield
