"""An adapter whose products are joined computes what PEFT computes, and its gradient."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn

from fettle.models.config import AdapterSettings
from fettle.models.layers import join_products
from fettle.models.load import add_adapter, open_model


def layer_of(kind: str, bias: bool, dropout: float = 0.0) -> nn.Module:
    """PEFT's layer over 5 inputs and 7 outputs, its second matrix moved away from nothing."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(
        r=3,
        lora_alpha=5.0,
        lora_dropout=dropout,
        use_rslora=kind == "rslora",
        use_dora=kind == "dora",
        target_modules=["0"],
    )
    adapted = get_peft_model(nn.Sequential(nn.Linear(5, 7, bias=bias)), config).double()
    layer = adapted.base_model.model[0]
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def value_and_gradients(layer: nn.Module, x: Tensor, pull: Tensor) -> list[Tensor]:
    learning = [weight for weight in layer.parameters() if weight.requires_grad]
    output = layer(x)
    return [output, *torch.autograd.grad(output, [x, *learning], pull)]


@pytest.mark.parametrize("kind", ["lora", "rslora"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 11, 5), (4, 3, 5)])
def test_joined_products_equal_those_of_peft(kind: str, bias: bool, shape: tuple[int, ...]) -> None:
    plain = layer_of(kind, bias)
    joined = copy.deepcopy(plain)
    join_products(joined)
    assert type(joined) is not LoraLinear
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    pull = torch.randn(*shape[:-1], 7, dtype=torch.float64)
    found, wanted = value_and_gradients(joined, x, pull), value_and_gradients(plain, x, pull)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= 1e-13 * other.abs().max()


@pytest.mark.parametrize(("kind", "dropout"), [("dora", 0.0), ("lora", 0.5)])
def test_adapters_with_noise_or_a_direction_stay_those_of_peft(kind: str, dropout: float) -> None:
    layer = layer_of(kind, bias=False, dropout=dropout)
    join_products(layer)
    assert type(layer) is LoraLinear


def test_an_input_that_learns_nothing_gets_no_gradient() -> None:
    layer = layer_of("lora", bias=True)
    join_products(layer)
    x = torch.randn(2, 5, dtype=torch.float64)
    layer(x).sum().backward()
    assert x.grad is None
    assert layer.base_layer.weight.grad is None
    assert all(weight.grad is not None for name, weight in layer.named_parameters() if "lora_" in name)


def test_turned_off_merged_or_in_mixed_formats_it_is_that_of_peft() -> None:
    plain = layer_of("lora", bias=True).float()
    joined = copy.deepcopy(plain)
    join_products(joined)
    x = torch.randn(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(joined(x), plain(x))
    for layer in (joined, plain):
        layer.merge()
    assert torch.equal(joined(x), plain(x))
    for layer in (joined, plain):
        layer.unmerge()
        layer.enable_adapters(False)
    assert torch.equal(joined(x), plain(x))


def test_every_adapter_of_a_model_is_joined(tiny_base: Path) -> None:
    model = add_adapter(open_model(tiny_base), AdapterSettings(), seed=0)
    layers = [module for module in model.network.modules() if isinstance(module, LoraLinear)]
    assert layers
    assert not any(type(layer) is LoraLinear for layer in layers)
