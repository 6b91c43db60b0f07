"""How many weights a plan has learn, counted without any of them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from fettle.models.config import AdapterSettings
from fettle.models.load import OpenModel, add_adapter
from fettle.models.tokenizer import ModelTokenizer
from fettle.models.ways.chosen import choose_weights


@dataclass(frozen=True)
class WeightCount:
    """Weights that learn, and weights of the base; tied ones are counted once."""

    learning: int
    base: int


def count_weights(folder: Path, tokenizer: ModelTokenizer, settings: AdapterSettings) -> WeightCount:
    """Count the weights of a base that is opened without its numbers; a choice that leaves none is refused."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = OpenModel(AutoModelForCausalLM.from_config(config, trust_remote_code=False), tokenizer)
        num_base = sum(weight.numel() for weight in model.network.parameters())
        if settings.kind == "full":
            choose_weights(model.network, settings.learn)
        else:  # what adapters begin with is no matter of their number
            model = add_adapter(
                model, settings.model_copy(update={"kind": "dora" if settings.kind == "dora" else "lora"}), 0
            )
    return WeightCount(sum(weight.numel() for weight in model.trainable().values()), num_base)
