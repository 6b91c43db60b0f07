"""Which models may be packed: those whose every layer is known to be plain causal, and no others."""

from __future__ import annotations

import pytest
from transformers import (
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from fettle.models.attention import attention_of

WINDOW = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, "num_hidden_layers": 3}


@pytest.mark.parametrize(
    "config",
    [LlamaConfig(), Qwen2Config(), Qwen3Config(), MistralConfig(sliding_window=None)],
    ids=lambda c: c.model_type,
)
def test_plain_causal(config: PretrainedConfig) -> None:
    assert attention_of(config) == "causal"


@pytest.mark.parametrize(
    "config",
    [GPT2Config(), Gemma2Config(), MistralConfig(sliding_window=4), Qwen2Config(**WINDOW), Qwen3Config(**WINDOW)],
    ids=lambda c: c.model_type,
)
def test_a_window_or_an_unknown_family_is_opaque(config: PretrainedConfig) -> None:
    assert attention_of(config) == "opaque"
