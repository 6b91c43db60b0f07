"""Opening: the weights that are stored, or fresh ones of a seed; and never half a model."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from fettle.errors import DamagedFile, FettleError, IncompatibleModel, RequestError
from fettle.models.forward import only_reading
from fettle.models.load import open_model

IDS = torch.tensor([[5, 9, 200, 31, 7]])


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


def weights_of(folder: Path, seed: int | None) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in open_model(folder, random_seed=seed).network.named_parameters()}


def test_stored_weights_are_those_that_transformers_reads(tiny_base: Path) -> None:
    ours = open_model(tiny_base).network
    theirs = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    assert {weight.dtype for weight in ours.parameters()} == {torch.float32}


def test_weights_stored_in_half_precision_open_in_float32(base: Path) -> None:
    halves = {name: weight.to(torch.bfloat16) for name, weight in load_file(base / "model.safetensors").items()}
    save_file(halves, base / "model.safetensors", {"format": "pt"})
    opened = weights_of(base, None)
    assert {weight.dtype for weight in opened.values()} == {torch.float32}
    assert all(torch.equal(opened[name], halves[name].float()) for name in opened)


def test_one_seed_gives_the_same_fresh_weights_and_another_others(tiny_base: Path) -> None:
    one, again, other = weights_of(tiny_base, 3), weights_of(tiny_base, 3), weights_of(tiny_base, 4)
    stored = weights_of(tiny_base, None)
    matrices = [name for name in one if one[name].dim() == 2]
    assert matrices
    for name in one:
        assert torch.equal(one[name], again[name])
    for name in matrices:
        assert not torch.equal(one[name], other[name])
        assert not torch.equal(one[name], stored[name])


def test_fresh_weights_do_not_depend_on_chance_and_leave_it_as_it_was(tiny_base: Path) -> None:
    torch.manual_seed(11)
    random.seed(11)
    np.random.seed(11)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    one = weights_of(tiny_base, 3)
    after = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    torch.manual_seed(12)
    assert all(torch.equal(weight, one[name]) for name, weight in weights_of(tiny_base, 3).items())


def test_fresh_weights_stop_where_the_stored_ones_do(tiny_base: Path) -> None:
    stored, fresh = open_model(tiny_base), open_model(tiny_base, random_seed=0)
    assert fresh.network.generation_config.eos_token_id == stored.network.generation_config.eos_token_id == [0, 3]
    assert fresh.tokenizer.stop_ids == stored.tokenizer.stop_ids == {0, 3}


def test_no_half_a_model_is_opened(base: Path) -> None:
    stored = load_file(base / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    data = (base / "model.safetensors").read_bytes()
    missing = {key: weight for key, weight in stored.items() if key != name}
    for damage in (missing, {**missing, name: stored[name][:5].contiguous()}):
        save_file(damage, base / "model.safetensors", {"format": "pt"})
        with pytest.raises(DamagedFile) as caught:
            open_model(base)
        assert str(base) in caught.value.where
    (base / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFile):
        open_model(base)


def test_a_tokenizer_larger_than_the_model_is_refused(base: Path) -> None:
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "vocab_size": 300}), encoding="utf-8")
    with pytest.raises(IncompatibleModel, match="382 tokens and the model 300"):
        open_model(base, random_seed=0)


def test_an_unknown_architecture_is_named(base: Path) -> None:
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "model_type": "nosuch"}), encoding="utf-8")
    with pytest.raises(IncompatibleModel, match="nosuch"):
        open_model(base)


def test_a_folder_without_a_tokenizer_is_a_damaged_file(base: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()
    with pytest.raises(FettleError):
        open_model(base)


def test_dropout_is_set_where_there_is_any_and_refused_where_there_is_none(tiny_base: Path, tmp_path: Path) -> None:
    model = open_model(tiny_base, dropout=0.5)
    assert model.network.config.attention_dropout == 0.5
    model.network.train()
    assert not torch.equal(model.network(IDS).logits, model.network(IDS).logits)
    assert open_model(tiny_base).network.config.attention_dropout == 0.0
    with only_reading(model.network):
        assert torch.equal(model.network(IDS).logits, model.network(IDS).logits)


@pytest.mark.parametrize("is_training", [True, False])
def test_reading_leaves_the_mode_as_it_was_even_after_an_error(tiny_base: Path, is_training: bool) -> None:
    network = open_model(tiny_base).network.train(is_training)

    def fail_while_reading() -> None:
        with only_reading(network):
            assert not network.training
            assert torch.is_inference_mode_enabled()
            raise RequestError("x")

    with pytest.raises(RequestError):
        fail_while_reading()
    assert network.training == is_training
    assert not torch.is_inference_mode_enabled()
    network(IDS).logits.sum().backward()
    assert network.get_input_embeddings().weight.grad is not None
