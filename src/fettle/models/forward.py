"""Run a model over plain tensors and give the logits where it is read, and only there.

Axes: B rows of a call (1 when packed), T tokens of a row, R reads, V vocabulary. This file owns how each layout meets
the model; it knows nothing of examples, losses or training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from fettle.models.attention import ATTENTION_NAME, Sight, attention_of
from fettle.models.layers import feed_forward_only_at

# Encoders that count their positions from the one after the number of their padding token.
_COUNT_AFTER_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "roberta-prelayernorm", "data2vec-text", "mpnet"}
)
_LONGEST_WITHOUT_POSITIONS = 2048


def reach_of(config: Any) -> int:
    """Most tokens that an architecture's positions reach; 2,048 where it has none."""
    named = int(getattr(config, "max_position_embeddings", 0) or 0)
    return named - _first_position(config) if named > 0 else _LONGEST_WITHOUT_POSITIONS


def _first_position(config: Any) -> int:
    return int(config.pad_token_id) + 1 if config.model_type in _COUNT_AFTER_PADDING else 0


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """One call. Flat layouts have `sight`, the padded layout has `is_real_BT` (False: padding) instead.

    `reads_R` counts along the flattened B x T axis. `kinds_BT` says which of two texts a token belongs to, for models
    that were trained with such kinds; None: all to the first.
    """

    ids_BT: Tensor
    positions_BT: Tensor
    reads_R: Tensor
    sight: Sight | None = None
    is_real_BT: Tensor | None = None
    kinds_BT: Tensor | None = None

    def at(self, reads_R: Tensor) -> ModelInputs:
        """The same call, read at other places."""
        return replace(self, reads_R=reads_R)


@contextmanager
def only_reading(network: PreTrainedModel) -> Iterator[None]:
    """No gradient and no dropout inside; the model is afterwards in the mode in which it was."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(was_training)


@dataclass(frozen=True, slots=True)
class PlainHead:
    """A head that is one matrix, [V, D], and at most a soft cap after it (0: none)."""

    weight_VD: Tensor
    softcap: float


def plain_head(network: PreTrainedModel) -> PlainHead | None:
    """The model's vocabulary head, if all that it does is known; else None, and the model must project by itself."""
    head = network.get_output_embeddings()
    is_one_matrix = isinstance(head, nn.Linear) and [name for name, _ in head.named_parameters()] == ["weight"]
    if attention_of(network.config) != "causal" or not is_one_matrix:
        return None
    return PlainHead(head.weight, float(getattr(network.config, "final_logit_softcapping", None) or 0.0))


def read_hidden(network: PreTrainedModel, inputs: ModelInputs) -> Tensor:
    """What the head sees at the reads, [R, D], in the number format of the weights."""
    is_flat = inputs.sight is not None
    with feed_forward_only_at(network, inputs.reads_R) if is_flat else nullcontext():
        hidden: Tensor = network.base_model(**_arguments(network, inputs)).last_hidden_state.flatten(0, 1)
    return hidden[inputs.reads_R]


def _deberta_head(network: Any, hidden_RD: Tensor) -> Tensor:
    if network.legacy:
        logits_RV: Tensor = network.cls(hidden_RD)
    else:
        logits_RV = network.lm_predictions(hidden_RD, network.deberta.embeddings.word_embeddings)
    return logits_RV


# Heads of encoders, run on what was read alone, [R, D]. A class is read at the first token of a row.
_HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "AlbertForMaskedLM": lambda network, hidden_RD: network.predictions(hidden_RD),
    "BertForMaskedLM": lambda network, hidden_RD: network.cls(hidden_RD),
    "CamembertForMaskedLM": lambda network, hidden_RD: network.lm_head(hidden_RD),
    "DebertaV2ForMaskedLM": _deberta_head,
    "DistilBertForMaskedLM": lambda network, hidden_RD: network.vocab_projector(
        network.vocab_layer_norm(network.activation(network.vocab_transform(hidden_RD)))
    ),
    "ElectraForMaskedLM": lambda network, hidden_RD: network.generator_lm_head(
        network.generator_predictions(hidden_RD)
    ),
    "MPNetForMaskedLM": lambda network, hidden_RD: network.lm_head(hidden_RD),
    "XLMRobertaForMaskedLM": lambda network, hidden_RD: network.lm_head(hidden_RD),
    "BertForSequenceClassification": lambda network, hidden_RD: network.classifier(
        network.dropout(network.bert.pooler(hidden_RD[:, None]))
    ),
    "RobertaForMaskedLM": lambda network, hidden_RD: network.lm_head(hidden_RD),
    "RobertaForSequenceClassification": lambda network, hidden_RD: network.classifier(hidden_RD[:, None]),
    "ModernBertForMaskedLM": lambda network, hidden_RD: network.decoder(network.head(hidden_RD)),
}


def read_logits(network: PreTrainedModel, inputs: ModelInputs) -> Tensor:
    """Logits [R, V], in float32, at the reads. Flat layouts project only the reads to the vocabulary."""
    head = _HEADS.get(type(network).__name__)
    if head is not None:
        logits_RV = head(network, read_hidden(network, inputs))
    elif inputs.sight is not None:
        logits_RV = network(**_arguments(network, inputs), logits_to_keep=inputs.reads_R).logits[0]
    else:
        logits_RV = network(**_arguments(network, inputs)).logits.flatten(0, 1)[inputs.reads_R]
    return logits_RV.to(torch.promote_types(logits_RV.dtype, torch.float32))


def _arguments(network: PreTrainedModel, inputs: ModelInputs) -> dict[str, Tensor | bool | None]:
    """The call in the words of transformers, with the attention that its layout asks for."""
    config = network.config
    attention = attention_of(config)
    arguments: dict[str, Tensor | bool | None] = {"input_ids": inputs.ids_BT}
    if attention != "opaque":  # others count for themselves, some of them not from 0, and some have no positions
        arguments["position_ids"] = inputs.positions_BT + _first_position(config)
    if inputs.kinds_BT is not None and int(getattr(config, "type_vocab_size", None) or 0) > 1:
        arguments["token_type_ids"] = inputs.kinds_BT
    if network.can_generate() or attention == "causal":
        arguments["use_cache"] = False
    if inputs.sight is not None:
        _use_attention(network, ATTENTION_NAME)
        return {**arguments, "sight": inputs.sight.as_tensor()}
    use_own_attention(network)
    return {**arguments, "attention_mask": inputs.is_real_BT}


def use_own_attention(network: PreTrainedModel) -> None:
    """Have the model attend as it was written, over padded rows; fused where transformers can."""
    _use_attention(network, "sdpa" if network._supports_sdpa else "eager")


def _use_attention(network: PreTrainedModel, name: str) -> None:
    if network.config._attn_implementation != name:
        network.set_attn_implementation(name)


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Matrix products in `dtype`, weights as they are; in float32 this changes nothing."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
