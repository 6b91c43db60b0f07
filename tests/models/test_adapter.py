"""Adapters: nothing at the start, themselves after a round trip, the merged weights at the end."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from fettle.errors import DamagedFile, IncompatibleModel, RequestError
from fettle.models.config import AdapterSettings
from fettle.models.load import OpenModel, add_adapter, merge_adapter, open_model, read_adapter, save_adapter

IDS = torch.tensor([[5, 9, 200, 31, 7, 77, 42]])
SETTINGS = AdapterSettings(rank=4, alpha=8.0)


def logits(model: OpenModel) -> torch.Tensor:
    with torch.no_grad():
        return model.network(IDS).logits


def learned(base: Path, settings: AdapterSettings = SETTINGS) -> OpenModel:
    """A model with an adapter that says something: as a fresh one says nothing, noise stands for what is learned."""
    model = add_adapter(open_model(base), settings, seed=1)
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=draw) * 0.2)
    return model


@pytest.fixture
def stored(tiny_base: Path, tmp_path: Path) -> Path:
    save_adapter(learned(tiny_base), tmp_path / "adapter", "bundled")
    return tmp_path / "adapter"


@pytest.mark.parametrize("targets", ["all-linear", "q_proj, v_proj"])
def test_a_fresh_adapter_changes_nothing_and_only_it_learns(tiny_base: Path, targets: str) -> None:
    before = logits(open_model(tiny_base))
    model = add_adapter(open_model(tiny_base), AdapterSettings(rank=4, targets=targets), seed=0)
    assert torch.equal(logits(model), before)
    assert model.trainable()
    assert all("lora_" in name for name in model.trainable())
    layers = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in model.trainable()}
    every = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert layers == (every if targets == "all-linear" else {"q_proj", "v_proj"})


def test_a_fresh_adapter_depends_on_its_seed_alone(tiny_base: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = add_adapter(open_model(tiny_base), SETTINGS, seed=1).trainable()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    again = add_adapter(open_model(tiny_base), SETTINGS, seed=1).trainable()
    other = add_adapter(open_model(tiny_base), SETTINGS, seed=2).trainable()
    assert list(one) == list(again)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in one if "lora_A" in name)


def test_unknown_targets_are_a_wrong_request(tiny_base: Path) -> None:
    with pytest.raises(RequestError) as caught:
        add_adapter(open_model(tiny_base), AdapterSettings(targets="no_such_layer"), seed=0)
    assert caught.value.where == "adapter.targets"


def test_an_adapter_comes_back_to_the_bit_and_peft_reads_it_too(tiny_base: Path, stored: Path) -> None:
    wanted = logits(learned(tiny_base))
    assert not torch.equal(wanted, logits(open_model(tiny_base)))
    again = read_adapter(open_model(tiny_base), stored)
    assert torch.equal(logits(again), wanted)
    assert not again.trainable()
    assert read_adapter(open_model(tiny_base), stored, is_trainable=True).trainable()
    theirs = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT's own, about transformers
        theirs = PeftModel.from_pretrained(theirs, stored).eval()
    with torch.no_grad():
        assert torch.equal(theirs(IDS).logits, wanted)


def test_the_files_are_pefts_two_and_name_no_path_of_this_machine(tiny_base: Path, stored: Path) -> None:
    assert sorted(path.name for path in stored.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    text = (stored / "adapter_config.json").read_text(encoding="utf-8")
    assert json.loads(text)["base_model_name_or_path"] == "bundled"
    assert str(tiny_base.parent) not in text


def test_a_model_without_an_adapter_has_none_to_save(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleModel):
        save_adapter(open_model(tiny_base), tmp_path, "bundled")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_with_a_value_that_is_no_number_is_refused(tiny_base: Path, stored: Path, value: float) -> None:
    weights = load_file(stored / "adapter_model.safetensors")
    name = sorted(weights)[-1]
    weights[name].view(-1)[3] = value
    save_file(weights, stored / "adapter_model.safetensors")
    with pytest.raises(DamagedFile):
        read_adapter(open_model(tiny_base), stored)


def test_a_damaged_file_is_refused(tiny_base: Path, stored: Path) -> None:
    path = stored / "adapter_model.safetensors"
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises((IncompatibleModel, DamagedFile)):
            read_adapter(open_model(tiny_base), stored)


def test_an_adapter_of_another_rank_is_refused(tiny_base: Path, stored: Path) -> None:
    config = json.loads((stored / "adapter_config.json").read_text(encoding="utf-8"))
    (stored / "adapter_config.json").write_text(json.dumps({**config, "r": 8}), encoding="utf-8")
    with pytest.raises(IncompatibleModel):
        read_adapter(open_model(tiny_base), stored)


@pytest.mark.parametrize(
    "shape", [{"hidden_size": 64}, {"intermediate_size": 96}, {"num_hidden_layers": 1}, {"num_key_value_heads": 1}]
)
def test_an_adapter_of_a_base_of_another_shape_is_refused(stored: Path, tiny_base: Path, tmp_path: Path, shape) -> None:
    other = Path(shutil.copytree(tiny_base, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps({**config, **shape, "head_dim": 16}), encoding="utf-8")
    with pytest.raises(IncompatibleModel) as caught:
        read_adapter(open_model(other, random_seed=0), stored)
    assert caught.value.where == str(stored)


def test_an_adapter_that_lacks_a_layer_is_refused(tiny_base: Path, stored: Path) -> None:
    weights = load_file(stored / "adapter_model.safetensors")
    del weights[sorted(weights)[0]]
    save_file(weights, stored / "adapter_model.safetensors")
    with pytest.raises(IncompatibleModel):
        read_adapter(open_model(tiny_base), stored)


@pytest.mark.parametrize("settings", [SETTINGS, AdapterSettings(rank=1, alpha=3.0, targets="q_proj,down_proj")])
def test_merged_equals_adapter(tiny_base: Path, settings: AdapterSettings) -> None:
    wanted = logits(learned(tiny_base, settings))
    merged = merge_adapter(learned(tiny_base, settings))
    got = logits(merged)
    assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert merged.adapted is None
    assert not any("lora" in name for name, _ in merged.network.named_parameters())
    plain = open_model(tiny_base)
    assert merge_adapter(plain) is plain


def test_an_adapter_over_a_merged_one_stands_on_both(tiny_base: Path, stored: Path, tmp_path: Path) -> None:
    below = merge_adapter(read_adapter(open_model(tiny_base), stored))
    before = logits(below)
    assert torch.equal(logits(add_adapter(below, SETTINGS, seed=9)), before)
