"""Every architecture read by its trunk gives, however rows are laid out, what transformers gives for each row alone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    T5EncoderModel,
    XLMRobertaConfig,
)

from fettle.models.config import AdapterSettings
from fettle.models.forward import only_reading, reach_of, read_hidden, use_own_attention
from fettle.models.head import HeadShape, fresh_head
from fettle.models.load import OpenModel, add_adapter
from fettle.tokens.batch import batch_examples
from fettle.tokens.example import Example, Pooling, pooled_example
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout, layout_for
from fettle.tokens.running import inputs_of, numbers_of

VOCABULARY = 61
PAD = 1
REACH = 64
LARGEST = 1e-6  # float32: two orders of the same sums

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": REACH,
    "pad_token_id": PAD,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_SILENT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_GROUPED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**_SIZES, **_SILENT),
    "roberta": lambda: RobertaConfig(**_SIZES, **_SILENT, type_vocab_size=1),
    "xlm-roberta": lambda: XLMRobertaConfig(**_SIZES, **_SILENT, type_vocab_size=1),
    "camembert": lambda: CamembertConfig(**_SIZES, **_SILENT, type_vocab_size=1),
    "modernbert": lambda: ModernBertConfig(
        **_SIZES, local_attention=6, global_attn_every_n_layers=2, cls_token_id=2, sep_token_id=3
    ),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=48,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=REACH,
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=PAD,
    ),
    "electra": lambda: ElectraConfig(**_SIZES, **_SILENT, embedding_size=16),
    "albert": lambda: AlbertConfig(**_SIZES, **_SILENT, embedding_size=16, inner_group_num=2),
    "mpnet": lambda: MPNetConfig(**_SIZES, **_SILENT),
    "deberta-v2": lambda: DebertaV2Config(
        **_SIZES,
        **_SILENT,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
    ),
    "llama": lambda: LlamaConfig(**_SIZES),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=REACH,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=2,
        eos_token_id=3,
    ),
    "qwen3": lambda: Qwen3Config(**_GROUPED),
    "gemma3_text": lambda: Gemma3TextConfig(**_GROUPED, sliding_window=6, layer_types=["sliding_attention"] * 2),
    "mamba": lambda: MambaConfig(
        vocab_size=VOCABULARY, hidden_size=32, state_size=8, num_hidden_layers=2, pad_token_id=PAD
    ),
    "t5": lambda: T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4),
}
CAUSAL = {"llama", "gpt2", "qwen3", "gemma3_text"}
OWN = {"mpnet", "deberta-v2", "mamba", "t5"}
LAYOUTS: list[tuple[str, Layout]] = [
    (family, layout)
    for family in FAMILIES
    for layout in (
        ("padded",) if family in OWN else ("padded", "packed", "tree") if family in CAUSAL else ("padded", "packed")
    )
]


def rows(pooling: Pooling = "mean") -> list[Example]:
    """Rows of unlike length, some of which begin alike, the longest as long as the shortest reach allows."""
    draw = np.random.default_rng(5)
    paths = [draw.integers(4, VOCABULARY, length).tolist() for length in (1, 9, 30, 2, 17)]
    paths += [paths[2][:12] + paths[1], paths[2][:12], draw.integers(4, VOCABULARY, REACH - 2).tolist()]
    return [pooled_example(path, pooling, None) for path in paths]


def open_family(family: str, *, has_adapter: bool = False) -> OpenModel:
    """Random weights, none of them at a resting place, and an adapter that does something."""
    torch.manual_seed(3)
    config = FAMILIES[family]()
    network = T5EncoderModel(config) if family == "t5" else AutoModel.from_config(config)
    model = OpenModel(network.eval(), SimpleNamespace(pad_id=PAD))  # type: ignore[arg-type]
    if has_adapter:
        targets = (
            "in_proj,x_proj" if family == "mamba" else "all-linear"
        )  # PEFT knows better than to adapt all of Mamba
        model = add_adapter(model, AdapterSettings(rank=3, targets=targets), 0)
        model.network.eval()
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if family != "mamba" or "A_log" not in name:
                weight.add_(torch.randn(weight.shape), alpha=0.1)
    return model


def alone(model: OpenModel, examples: list[Example]) -> list[Tensor]:
    """What transformers gives for each row by itself, [T, D]."""
    use_own_attention(model.network)
    called = model.adapted or model.network
    with only_reading(model.network):
        return [called(input_ids=torch.from_numpy(row.ids)[None]).last_hidden_state[0] for row in examples]


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("has_adapter", [False, True], ids=["plain", "adapter"])
@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_trunk_says_of_rows_together_what_it_says_of_each_alone(
    family: str, layout: Layout, has_adapter: bool
) -> None:
    model = open_family(family, has_adapter=has_adapter)
    examples = rows()
    wanted = alone(model, examples)
    with only_reading(model.network):
        found = read_hidden(model.network, inputs_of(model, make_batch(examples, layout), layout))
    assert found.shape[1] == model.width
    assert apart(found, torch.cat(wanted)) <= LARGEST
    if has_adapter:
        plain = open_family(family)
        assert apart(torch.cat(alone(plain, examples)), torch.cat(wanted)) > 1e-2


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_is_pooled_as_if_it_stood_alone(family: str, pooling: Pooling) -> None:
    model = open_family(family)
    model.head = fresh_head(HeadShape(0), model.width, 0)
    examples = rows(pooling)
    pool = {"first": lambda row: row[0], "last": lambda row: row[-1], "mean": lambda row: row.mean(0)}[pooling]
    wanted = torch.stack([pool(hidden_TD) for hidden_TD in alone(model, examples)])
    layout, _ = layout_for(model.attention)
    with only_reading(model.network):
        found = numbers_of(model, make_batch(examples, layout), layout, is_pooled=True)
    assert apart(found, wanted) <= LARGEST


@pytest.mark.parametrize("family", FAMILIES)
def test_its_attention_is_known_or_it_runs_as_it_was_written(family: str) -> None:
    known = open_family(family).attention
    assert known == ("opaque" if family in OWN else "causal" if family in CAUSAL else "bidirectional")


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"mamba", "t5"}))
def test_rows_reach_as_far_as_positions_do_and_no_further(family: str) -> None:
    """The longest row is read; a position more has no vector, where positions are looked up in a table."""
    model = open_family(family)
    reach = reach_of(model.network.config)
    assert (
        reach
        == model.context_length
        == REACH - (PAD + 1) * (family in {"roberta", "xlm-roberta", "camembert", "mpnet"})
    )
    layout, _ = layout_for(model.attention)

    def read(length: int) -> Tensor:
        example = pooled_example([5] * length, "last", None)
        with only_reading(model.network):
            return read_hidden(model.network, inputs_of(model, batch_examples([example]), layout))

    assert torch.isfinite(read(reach)).all()
    if family in {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert", "mpnet", "gpt2"}:
        with pytest.raises((IndexError, RuntimeError)):
            read(reach + 1)
