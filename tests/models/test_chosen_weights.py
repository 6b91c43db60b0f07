"""Which weights learn: by name and place, in every family; what stays still is not differentiated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    OPTConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from conftest import write_tiny_base
from fettle.errors import RequestError
from fettle.models.config import AdapterSettings
from fettle.models.layers import repeated_layers
from fettle.models.load import OpenModel, add_adapter, open_model
from fettle.models.tokenizer import open_tokenizer
from fettle.models.ways.chosen import choose_weights, depths, learning_shares
from fettle.models.ways.counting import count_weights

IDS = torch.tensor([[5, 9, 60, 31, 7, 77, 42]])
SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: LlamaConfig(**SIZES, tie_word_embeddings=False),
    "llama-tied": lambda: LlamaConfig(**SIZES, tie_word_embeddings=True),
    "gemma2": lambda: Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=8),
    "gpt2": lambda: GPT2Config(vocab_size=97, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    "opt": lambda: OPTConfig(
        vocab_size=97,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
    ),
    "bert": lambda: BertConfig(**SIZES),
    "modernbert": lambda: ModernBertConfig(**SIZES, cls_token_id=2, sep_token_id=3),
}


def network_of(name: str) -> PreTrainedModel:
    """A small network of a family, its weights drawn."""
    config = FAMILIES[name]()
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if "bert" in name else AutoModelForCausalLM
    network = kind.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return network


def learning(network: PreTrainedModel) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def inputs_of_layers(network: PreTrainedModel) -> list[Tensor]:
    """What each layer is given in one call, lowest first, what the last one gives, and what the call says."""
    given: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(
            lambda _, positional, named: given.append(positional[0] if positional else named["hidden_states"]),
            with_kwargs=True,
        )
        for layer in repeated_layers(network)
    ]
    last = repeated_layers(network)[-1]
    handles.append(last.register_forward_hook(lambda _, __, out: given.append(out if torch.is_tensor(out) else out[0])))
    given_at_the_end = network(input_ids=IDS).logits
    for handle in handles:
        handle.remove()
    return [*given, given_at_the_end]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_weight_is_as_deep_as_the_lowest_layer_that_it_changes(family: str) -> None:
    """What a weight reaches is asked of the gradient: it stands below a layer if the layer's input depends on it."""
    network = network_of(family)
    given = inputs_of_layers(network)
    assert len(given) == 5
    reached = [
        torch.autograd.grad(
            (one * torch.randn_like(one)).sum(), network.parameters(), retain_graph=True, allow_unused=True
        )
        for one in given
    ]
    found = depths(network)
    assert set(found.values()) == {0, 1, 2, 3, 4}
    for place, (name, _) in enumerate(network.named_parameters()):
        num_reached = sum(gradients[place] is not None for gradients in reached)
        assert found[name] == num_reached - 1, name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 2])
def test_the_last_layers_learn_as_they_would_with_all_and_nothing_below_is_differentiated(
    family: str, count: int
) -> None:
    network = network_of(family)
    network(input_ids=IDS).logits.square().sum().backward()
    whole = {name: weight.grad for name, weight in network.named_parameters()}
    network.zero_grad()

    choose_weights(network, f"last:{count}")
    given = inputs_of_layers(network)
    given[-1].square().sum().backward()

    assert [one.requires_grad for one in given] == [False] * (4 - count) + [True] * (count + 1)
    for name, weight in network.named_parameters():
        assert (weight.grad is not None) == (depths(network)[name] <= count), name
        if weight.grad is not None:
            assert torch.equal(weight.grad, whole[name]), name


def bytes_kept(network: PreTrainedModel) -> int:
    """What a call keeps for its backward pass, weights aside."""
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    held = []
    with saved_tensors_hooks(lambda tensor: held.append(tensor) or keep(tensor), lambda tensor: tensor):
        held.append(network(input_ids=IDS.repeat(4, 1)).logits)
    return sum(kept.values())


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_each_still_layer_saves_its_part_of_the_memory(family: str) -> None:
    network = network_of(family)
    cost = {}
    for learn in ("all", "last:2", "last:1", "head"):
        if learn != "head" or family != "gpt2":
            choose_weights(network, learn)
            cost[learn] = bytes_kept(network)
    assert sorted(cost.values(), reverse=True) == list(cost.values())
    layer = cost["last:2"] - cost["last:1"]
    assert layer > 0
    assert cost["all"] - cost["last:2"] >= layer * 0.9, "the lowest layer, and the embeddings"
    if family == "llama":
        assert cost["head"] < layer / 2, "the trunk keeps nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_all_head_and_biases_are_what_they_say(family: str) -> None:
    network = network_of(family)
    names = {name for name, _ in network.named_parameters()}
    choose_weights(network, "all")
    assert learning(network) == names
    trunk = {name for name in names if name.startswith(f"{network.base_model_prefix}.")}
    head = names - trunk
    assert bool(head) == (family in ("llama", "bert", "modernbert"))
    if head:
        choose_weights(network, "head")
        assert learning(network) == head
        assert not inputs_of_layers(network)[-2].requires_grad, "the trunk runs without gradient"
    biases = {name for name in trunk if name.endswith(".bias")}
    if biases:
        choose_weights(network, "biases")
        assert learning(network) == biases | head


@pytest.mark.parametrize("family", ["llama-tied", "gpt2", "gemma2", "opt"])
def test_a_tied_head_does_not_learn_alone(family: str) -> None:
    network = network_of(family)
    with pytest.raises(RequestError, match="no head of its own") as caught:
        choose_weights(network, "head")
    assert "table of embeddings" in str(caught.value)
    choose_weights(network, "head", has_own_head=True)
    assert not learning(network)
    choose_weights(network, "last:3")
    assert not network.get_output_embeddings().weight.requires_grad
    choose_weights(network, "*.wte.*" if family == "gpt2" else "*.embed_tokens.*")
    assert network.get_output_embeddings().weight.requires_grad


def test_names_choose_weights_and_a_pattern_that_fits_none_names_its_neighbours() -> None:
    network = network_of("llama")
    choose_weights(network, "*.norm.weight,  *.input_layernorm.*")
    assert learning(network) == {"model.norm.weight", *(f"model.layers.{n}.input_layernorm.weight" for n in range(3))}
    with pytest.raises(RequestError) as caught:
        choose_weights(network, "model.norm.weight,model.norms.weight")
    assert caught.value.where == "adapter.learn"
    assert "model.norm.weight" in caught.value.expected


@pytest.mark.parametrize(("family", "learn"), [("llama", "last:4"), ("llama", "biases"), ("llama-tied", "head")])
def test_what_is_not_there_is_a_wrong_request(family: str, learn: str) -> None:
    with pytest.raises(RequestError) as caught:
        choose_weights(network_of(family), learn)
    assert caught.value.where == "adapter.learn"
    assert caught.value.attempt


@pytest.mark.parametrize(
    "settings",
    [
        AdapterSettings(kind="full"),
        AdapterSettings(kind="full", learn="last:1"),
        AdapterSettings(kind="full", learn="*norm*"),
        AdapterSettings(kind="lora", rank=3),
        AdapterSettings(kind="dora", rank=3, targets="q_proj,down_proj"),
        AdapterSettings(kind="pissa", rank=3),
    ],
    ids=lambda settings: f"{settings.kind}-{settings.learn}",
)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_weights_are_counted_as_they_will_learn(tmp_path: Path, settings: AdapterSettings, tied: bool) -> None:
    folder = write_tiny_base(tmp_path / "base")
    if not tied:
        path = folder / "config.json"
        path.write_text(path.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false'))
    counted = count_weights(folder, open_tokenizer(folder), settings)
    model: OpenModel = open_model(folder, random_seed=0)
    assert counted.base == sum(weight.numel() for weight in model.network.parameters())
    if settings.kind == "full":
        choose_weights(model.network, settings.learn)
    else:
        model = add_adapter(model, settings, 0)
    assert counted.learning == sum(weight.numel() for weight in model.trainable().values())


def test_shares_of_the_rate_fall_from_layer_to_layer() -> None:
    shares = learning_shares(network_of("llama"), 0.5)
    assert shares["lm_head.weight"] == shares["model.norm.weight"] == 1.0
    assert shares["model.layers.2.mlp.up_proj.weight"] == 0.5
    assert shares["model.layers.0.mlp.up_proj.weight"] == 0.125
    assert shares["model.embed_tokens.weight"] == 0.0625
    assert set(learning_shares(network_of("bert"), 1.0).values()) == {1.0}
