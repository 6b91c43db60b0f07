"""Write answers: the likeliest token each time, or drawn at a temperature. Any model, in batches, with a cache.

Prompts of a batch are padded on the left, so that every row writes at the same place. Axes: B rows, T tokens,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from fettle.generation.config import DecodingSettings
from fettle.models.forward import autocast, only_reading, use_own_attention
from fettle.models.load import OpenModel

_ROWS_PER_BATCH = 32

OnToken = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer's ids without the stop token; `is_complete` when the model stopped of itself."""

    ids: tuple[int, ...]
    is_complete: bool


def complete(
    model: OpenModel,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] | None = None,
) -> list[Completion]:
    """Answer every prompt. Rows of like length share a batch; the answers come in the order of the prompts."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers: list[Completion | None] = [None] * len(prompts)
    draw = torch.Generator(device=model.device).manual_seed(seed)
    for first in range(0, len(order), _ROWS_PER_BATCH):
        group = order[first : first + _ROWS_PER_BATCH]
        written = _write(model, [prompts[index] for index in group], settings, draw, dtype, None)
        for index, answer in zip(group, written, strict=True):
            answers[index] = answer
        if progress:
            progress(len(group))
    return [answer for answer in answers if answer is not None]


def stream(
    model: OpenModel, prompt: Sequence[int], settings: DecodingSettings, on_token: OnToken, seed: int = 0
) -> Completion:
    """Answer one prompt, handing over each token as it is written."""
    draw = torch.Generator(device=model.device).manual_seed(seed)
    return _write(model, [prompt], settings, draw, torch.float32, on_token)[0]


def _write(
    model: OpenModel,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    draw: torch.Generator,
    dtype: torch.dtype,
    on_token: OnToken | None,
) -> list[Completion]:
    stops = model.tokenizer.stop_ids
    wide = max(len(prompt) for prompt in prompts)
    pad = model.tokenizer.pad_id
    ids_BT = torch.tensor([[pad] * (wide - len(row)) + list(row) for row in prompts], device=model.device)
    is_real_BT = torch.tensor([[0] * (wide - len(row)) + [1] * len(row) for row in prompts], device=model.device)
    written: list[list[int]] = [[] for _ in prompts]
    is_complete = [False] * len(prompts)
    cache = DynamicCache(config=model.network.config)
    rooms = [min(settings.max_new_tokens, model.context_length - len(row)) for row in prompts]
    is_over = [room <= 0 for room in rooms]
    with only_reading(model.network), autocast(dtype, model.device):
        use_own_attention(model.network)
        fresh_BT = ids_BT
        while not all(is_over):
            positions_BT = (is_real_BT.cumsum(-1) - 1).clamp(0, model.context_length - 1)[:, -fresh_BT.shape[1] :]
            output = model.network(
                input_ids=fresh_BT,
                attention_mask=is_real_BT,
                position_ids=positions_BT,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            next_B = _choose(output.logits[:, -1].float(), settings.temperature, draw)
            for row, token in enumerate(next_B.tolist()):
                if is_over[row]:
                    continue
                if token in stops:
                    is_complete[row] = True
                else:
                    written[row].append(token)
                    if on_token:
                        on_token(token)
                is_over[row] = is_complete[row] or len(written[row]) == rooms[row]
            fresh_BT = next_B[:, None]
            is_real_BT = torch.cat([is_real_BT, torch.ones_like(fresh_BT)], dim=1)
    return [Completion(tuple(ids), done) for ids, done in zip(written, is_complete, strict=True)]


def _choose(logits_BV: Tensor, temperature: float, draw: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits_BV.argmax(-1)
    shares_BV = (logits_BV / temperature).softmax(-1)
    return torch.multinomial(shares_BV, 1, generator=draw)[:, 0]
