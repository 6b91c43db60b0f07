"""A base without weights: vocabulary and shape as the files of a model folder, ready to be opened with fresh weights.

Files as bytes, written nowhere: where they lie, and under which name they are found again, is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from fettle.models.config import ShapeSettings
from fettle.models.fresh.shape import llama_config
from fettle.models.fresh.vocabulary import (
    CHAT_TEMPLATE,
    CONTROL_TOKENS,
    END,
    PAD,
    TURN_END,
    TURN_START,
    learn_vocabulary,
)

RECIPE = 1
"""Number of the way in which vocabularies are learned and folders laid out. Another way gets another number."""


@dataclass(frozen=True)
class FreshBase:
    """The files of the folder by name, and how many tokens the vocabulary has come to."""

    files: dict[str, bytes]
    num_tokens: int


def base_key(texts: Sequence[str], shape: ShapeSettings) -> str:
    """The name of the base that these texts and this shape make: a hash of both, and of the way it is made."""
    digest = hashlib.sha256(json.dumps([RECIPE, shape.model_dump(mode="json")], sort_keys=True).encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()[:16]


def make_fresh_base(texts: Sequence[str], shape: ShapeSettings) -> FreshBase:
    """Learn the vocabulary and lay out the folder. Law: the same texts and shape give the same bytes."""
    vocabulary = learn_vocabulary(texts, shape.vocabulary)
    num_tokens = vocabulary.get_vocab_size()
    end, pad, turn_end = (CONTROL_TOKENS.index(text) for text in (END, PAD, TURN_END))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": END,
        "pad_token": PAD,
        "unk_token": None,
        "extra_special_tokens": [TURN_START, TURN_END],
        "model_max_length": shape.context,
    }
    files = {
        "config.json": llama_config(shape, num_tokens, end, pad).to_json_string().encode(),
        "generation_config.json": _json({"eos_token_id": [end, turn_end], "pad_token_id": pad}),
        "tokenizer.json": vocabulary.to_str(pretty=True).encode(),
        "tokenizer_config.json": _json(tokenizer_config),
        "chat_template.jinja": CHAT_TEMPLATE.encode(),
    }
    return FreshBase(files, num_tokens)


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
