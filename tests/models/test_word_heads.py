"""Hidden words cost and teach what they do in transformers, whatever the head and the layout."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from fettle.models.forward import read_logits, use_own_attention
from fettle.models.load import OpenModel
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout, layout_for
from fettle.tokens.running import inputs_of
from fettle.training.objective import NextToken
from precision_kit import Lifted

VOCABULARY = 61
PAD, MASK = 1, 4
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": PAD,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_DEBERTA: dict[str, Any] = {
    **_SIZES,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**_SIZES),
    "roberta": lambda: RobertaConfig(**_SIZES, type_vocab_size=1),
    "xlm-roberta": lambda: XLMRobertaConfig(**_SIZES, type_vocab_size=1),
    "camembert": lambda: CamembertConfig(**_SIZES, type_vocab_size=1),
    "modernbert": lambda: ModernBertConfig(
        **_SIZES, local_attention=6, global_attn_every_n_layers=2, cls_token_id=2, sep_token_id=3
    ),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=48,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=64,
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=PAD,
    ),
    "electra": lambda: ElectraConfig(**_SIZES, embedding_size=16),
    "albert": lambda: AlbertConfig(**_SIZES, embedding_size=16, inner_group_num=2),
    "mpnet": lambda: MPNetConfig(**_SIZES),
    "deberta-v2": lambda: DebertaV2Config(**_DEBERTA),
    "deberta-v2 new head": lambda: DebertaV2Config(**_DEBERTA, legacy=False),
}
# In float64 without the casts to float32 that some losses and angles have; backward passes keep theirs.
BAR, BAR_OF_GRADIENTS = 1e-9, 1e-7


def rows() -> list[Example]:
    """Rows of unlike length with some of their words hidden; one has a word to say where nothing is hidden."""
    draw = np.random.default_rng(5)
    examples = []
    for length in (3, 17, 40, 9, 2):
        ids = draw.integers(5, VOCABULARY, length)
        at = sorted(draw.choice(length, max(1, length // 4), replace=False).tolist())
        token = ids[at].tolist()
        ids[at[0]] = MASK
        examples.append(Example(ids, TokenReads.of(at, token, [1.0] * len(at))))
    return examples


def open_family(family: str) -> OpenModel:
    torch.manual_seed(3)
    network = AutoModelForMaskedLM.from_config(FAMILIES[family]())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape), alpha=0.1)
    return OpenModel(network.double(), SimpleNamespace(pad_id=PAD))  # type: ignore[arg-type]


def gradients(model: OpenModel) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in model.network.named_parameters() if weight.grad is not None}
    model.network.zero_grad()
    return found


def by_labels(model: OpenModel, examples: list[Example]) -> torch.Tensor:
    """The loss that transformers gives for padded rows with labels."""
    wide = max(example.num_tokens for example in examples)
    ids, is_real, labels = (torch.full((len(examples), wide), value) for value in (PAD, 0, -100))
    for place, example in enumerate(examples):
        ids[place, : example.num_tokens] = torch.from_numpy(example.ids)
        is_real[place, : example.num_tokens] = 1
        labels[place, torch.from_numpy(example.reads.at)] = torch.from_numpy(example.reads.token)
    use_own_attention(model.network)
    loss: torch.Tensor = model.network(input_ids=ids, attention_mask=is_real, labels=labels).loss
    return loss


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_words_cost_and_teach_what_labels_do(family: str) -> None:
    model, examples = open_family(family), rows()
    with Lifted(only_softmax=False):
        wanted = by_labels(model, examples)
    wanted.backward()
    wanted_gradients = gradients(model)
    layouts: tuple[Layout, ...] = ("padded",) if model.attention == "opaque" else ("padded", "packed")
    assert layout_for(model.attention)[0] == layouts[-1]
    for layout in layouts:
        objective = NextToken(layout)
        with Lifted(only_softmax=False):
            loss = objective.sums(model, make_batch(examples, layout))["next_token"]
        loss = loss / objective.weigh(examples)["next_token"]
        assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=BAR)
        loss.backward()
        found = gradients(model)
        assert found.keys() == wanted_gradients.keys()
        apart = torch.cat([(found[name] - wanted_gradients[name]).flatten() for name in found]).norm()
        whole = torch.cat([gradient.flatten() for gradient in found.values()]).norm()
        assert float(apart / whole) <= BAR_OF_GRADIENTS


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"deberta-v2 new head"}))  # which multiplies by itself
def test_only_the_places_that_are_read_meet_the_vocabulary(family: str) -> None:
    """A head that ran over every token would cost the vocabulary for each of them."""
    model, examples = open_family(family), rows()
    layout, _ = layout_for(model.attention)
    seen: list[int] = []
    output = model.network.get_output_embeddings()
    output.register_forward_hook(lambda _head, _given, logits: seen.append(logits.numel() // VOCABULARY))
    with torch.no_grad():
        found = read_logits(model.network, inputs_of(model, make_batch(examples, layout), layout))
    assert found.shape == (sum(len(example.reads) for example in examples), VOCABULARY)
    assert seen == [len(found)]
