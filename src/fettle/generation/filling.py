"""Hidden words filled in by a model that reads both sides of them. Axes: P places, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from fettle.errors import RequestError
from fettle.models.forward import autocast, only_reading, read_logits
from fettle.models.load import OpenModel
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch, split_by_tokens
from fettle.tokens.layout import layout_for
from fettle.tokens.running import inputs_of

MOST_WORDS = 10
_MAX_TOKENS_PER_CALL = 8192

Words = dict[str, float]
"""The likeliest words of a place, the likeliest first, each with its probability."""


def fill_in(
    model: OpenModel,
    texts: Sequence[str],
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] | None = None,
) -> list[list[Words]]:
    """The likeliest words of every hidden place of each text, in order. A text without one is a wrong request."""
    examples = [_hidden_places(model, text) for text in texts]
    layout, _ = layout_for(model.attention)
    found: list[list[Words]] = [[] for _ in texts]
    with only_reading(model.network):
        for group in split_by_tokens(examples, _MAX_TOKENS_PER_CALL, layout):
            batch = make_batch([examples[index] for index in group], layout)
            with autocast(dtype, model.device):
                shares_PV = read_logits(model.network, inputs_of(model, batch, layout)).softmax(-1)
            best = shares_PV.topk(min(MOST_WORDS, shares_PV.shape[-1]))
            rows = zip(best.indices.tolist(), best.values.tolist(), batch.reads.row.tolist(), strict=True)
            for tokens, shares, row in rows:
                words: Words = {}
                for token, share in zip(tokens, shares, strict=True):  # two tokens may be one word to people
                    words.setdefault(model.tokenizer.token_text(token).strip(), share)
                found[group[row]].append(words)
            if progress:
                progress(len(group))
    return found


def _hidden_places(model: OpenModel, text: str) -> Example:
    tokenizer = model.tokenizer
    before, behind = tokenizer.surroundings
    ids = np.concatenate([before, np.asarray(tokenizer.encode(text), np.int64), behind])
    places = [] if tokenizer.mask_id is None else np.flatnonzero(ids == tokenizer.mask_id).tolist()
    if not places:
        raise RequestError(
            "no word is hidden in the text",
            where=text[:80],
            expected=f"{tokenizer.inner.mask_token} where a word is to be filled in",
        )
    if len(ids) > model.context_length:
        raise RequestError(
            f"the text has {len(ids)} tokens", where=text[:80], expected=f"at most {model.context_length}"
        )
    return Example(ids, TokenReads.of(places, [0] * len(places), [1.0] * len(places)))
