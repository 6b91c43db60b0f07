"""How many weights a plan has learn, counted without any of them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from fettle.models.config import AdapterSettings
from fettle.models.head import Head, HeadShape
from fettle.models.load import Network, add_adapter, outline_of
from fettle.models.tokenizer import ModelTokenizer
from fettle.models.ways.chosen import choose_weights


@dataclass(frozen=True)
class WeightCount:
    """Weights that learn, and weights of the base; tied ones are counted once."""

    learning: int
    base: int


def count_weights(
    folder: Path,
    tokenizer: ModelTokenizer,
    settings: AdapterSettings,
    network: Network = "causal",
    head: HeadShape | None = None,
) -> WeightCount:
    """Count the weights of a base that is opened without its numbers; a choice that leaves none is refused."""
    with torch.device("meta"):
        model = outline_of(folder, tokenizer, network)
        num_base = sum(weight.numel() for weight in model.network.parameters())
        if settings.kind == "full":
            choose_weights(model.network, settings.learn, has_own_head=bool(head and head.outputs))
        else:  # what adapters begin with is no matter of their number
            model = add_adapter(
                model, settings.model_copy(update={"kind": "dora" if settings.kind == "dora" else "lora"}), 0
            )
        model.head = Head(head, model.width) if head is not None else None
    return WeightCount(sum(weight.numel() for weight in model.trainable().values()), num_base)
