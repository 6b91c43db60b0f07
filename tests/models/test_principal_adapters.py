"""Adapters that begin with the principal part of a weight: nothing is lost, and what is stored is a plain adapter."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel

from fettle.errors import RequestError
from fettle.models.config import AdapterSettings
from fettle.models.load import OpenModel, add_adapter, merge_adapter, open_model, read_adapter, save_adapter

IDS = torch.tensor([[5, 9, 200, 31, 7, 77, 42]])
RANK, ALPHA = 4, 12.0
SETTINGS = AdapterSettings(kind="pissa", rank=RANK, alpha=ALPHA)


def logits(network: PreTrainedModel, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return network(ids).logits


def adapted_layers(model: OpenModel) -> dict[str, torch.nn.Module]:
    return {name: module for name, module in model.network.named_modules() if hasattr(module, "lora_A")}


def learn_something(model: OpenModel) -> None:
    """Move what learns, as training would."""
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += torch.randn(weight.shape, generator=draw) * 0.1


def apart(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).detach().abs().max() / second.detach().abs().max())


def test_the_adapter_is_the_best_of_its_rank_and_the_base_the_rest(tiny_base: Path) -> None:
    weights = {name: weight.double() for name, weight in open_model(tiny_base).network.named_parameters()}
    model = add_adapter(open_model(tiny_base), SETTINGS, seed=0)
    assert len(adapted_layers(model)) == 14
    for name, layer in adapted_layers(model).items():
        whole = weights[f"{name}.weight"].detach()
        matrix_a, matrix_b = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
        part = ALPHA / RANK * matrix_b @ matrix_a
        left, values, right = torch.linalg.svd(whole)
        best = left[:, :RANK] @ values[:RANK].diag() @ right[:RANK]
        assert apart(part, best) < 1e-5
        assert apart(layer.base_layer.weight.double() + part, whole) < 1e-6
        assert torch.allclose(matrix_a.norm(dim=1), matrix_b.norm(dim=0), rtol=1e-5), "both get the root of a value"


def test_at_the_start_the_model_says_what_it_said(tiny_base: Path) -> None:
    model = add_adapter(open_model(tiny_base), SETTINGS, seed=0)
    assert apart(logits(model.network), logits(open_model(tiny_base).network)) < 1e-5
    assert all("lora_" in name for name in model.trainable())


def test_it_begins_as_pefts_own_does(tiny_base: Path) -> None:
    ours = adapted_layers(add_adapter(open_model(tiny_base), SETTINGS, seed=0))
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, init_lora_weights="pissa", target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = get_peft_model(open_model(tiny_base).network, config).get_base_model()
    for name, layer in ours.items():
        other = theirs.get_submodule(name)
        assert apart(layer.base_layer.weight, other.base_layer.weight) < 1e-4
        assert apart(layer.get_delta_weight("default"), other.get_delta_weight("default")) < 1e-4


def test_the_same_base_gives_the_same_bits_whatever_the_seed(tiny_base: Path) -> None:
    first = add_adapter(open_model(tiny_base), SETTINGS, seed=0).network.state_dict()
    second = add_adapter(open_model(tiny_base), SETTINGS, seed=1).network.state_dict()
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("targets", ["all-linear", "q_proj,down_proj"])
def test_what_is_stored_is_a_plain_adapter_on_the_untouched_base(tiny_base: Path, tmp_path: Path, targets: str) -> None:
    model = add_adapter(open_model(tiny_base), SETTINGS.model_copy(update={"targets": targets}), seed=0)
    learn_something(model)
    wanted = logits(model.network)
    untouched = logits(open_model(tiny_base).network)
    assert apart(wanted, untouched) > 0.01
    save_adapter(model, tmp_path / "adapter", "bundled")

    stored = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (stored["r"], stored["lora_alpha"], stored["init_lora_weights"]) == (2 * RANK, 2 * ALPHA, True)
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    theirs = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    assert apart(logits(theirs), wanted) <= 1e-5
    again = read_adapter(open_model(tiny_base), tmp_path / "adapter")
    assert apart(logits(again.network), wanted) <= 1e-5
    assert apart(logits(merge_adapter(again).network), wanted) <= 1e-5
    assert apart(logits(model.network), wanted) == 0, "storing changes nothing"


def test_turned_matrices_are_understood(tmp_path: Path, tiny_base: Path) -> None:
    """GPT-2 keeps its matrices inputs first."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(
        GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    )
    network.eval()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    ids = IDS % 97
    wanted = logits(network, ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PEFT sets fan_in_fan_out by itself, and says so
        model = add_adapter(OpenModel(network, open_model(tiny_base).tokenizer), SETTINGS, seed=0)
    assert len(adapted_layers(model)) == 8
    assert apart(logits(model.network, ids), wanted) < 1e-5
    learn_something(model)
    wanted = logits(model.network, ids)
    save_adapter(model, tmp_path / "adapter", "x")
    plain = AutoModelForCausalLM.from_config(model.network.config)
    plain.load_state_dict(before)
    again = read_adapter(OpenModel(plain.eval(), model.tokenizer), tmp_path / "adapter")
    assert apart(logits(again.network, ids), wanted) <= 1e-5


def test_a_rank_that_no_weight_has_is_a_wrong_request(tiny_base: Path) -> None:
    with pytest.raises(RequestError) as caught:
        add_adapter(open_model(tiny_base), AdapterSettings(kind="pissa", rank=33), seed=0)
    assert caught.value.where == "adapter.rank"
    assert caught.value.attempt == "adapter.rank=32"
