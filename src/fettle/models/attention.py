"""Attention over a forest of token runs, and which models may use it.

A call of the model is one flat axis of tokens that holds a forest: rows that share a beginning hold it once. Attention
runs piece by piece. A piece is a run of queries with the ranges of keys on its path, its own tokens last, so linear
layers see a shared token once, nothing is padded, and no score is computed that a mask would throw away (but for the
diagonal). The products are plain matrix products in the number format of the weights. The backward pass computes the
scores again instead of keeping them.

What sees what is said by one tensor, made of `Sight`, that arrives as an argument of the model's forward, through
transformers' attention interface; nothing is kept in a global.

Axes: H heads of the queries, K heads of the keys, G = H / K, T tokens of the call, D width of a head, P path of a piece
(its keys), Q queries of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import dropout as drop_at_random
from torch.nn.functional import pad
from transformers import AttentionInterface

ATTENTION_NAME = "fettle_paths"

# Which of its own tokens a query of a piece sees: all, those up to itself, those that the reach of tokens tells, or
# those of the same reach (whole rows side by side).
SEES_ALL, SEES_EARLIER, SEES_BY_REACH, SEES_SAME_REACH = 0, 1, 2, 3

# Most queries of a causal piece; longer runs are divided, so that few scores are made that a mask throws away.
MOST_QUERIES = 256

# Architectures whose attention goes through the interface and is made of what is known here: causal or whole,
# windows, soft caps. All others run padded, with their own attention. Each is checked against that in the tests.
_CAUSAL = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3", "gemma2", "gemma3_text", "gpt2"})
_WHOLE = frozenset({"bert", "roberta", "modernbert"})


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tokens each token sees. All three are numbers on the CPU, wherever the model is.

    `pieces` is one list: for each piece first and end query, one of the SEES constants, how
    many ranges of keys, and first and end of each; the last range ends with the queries themselves. Pieces stand in
    the order of their queries and leave none out. `reach_T`: token j is seen by token i if j <= i < reach[j].
    `positions_T`: place of each token on its path, for sliding windows.
    """

    pieces: Tensor
    reach_T: Tensor
    positions_T: Tensor

    def as_tensor(self) -> Tensor:
        """All of it as one list of numbers, on the CPU, as `path_attention` takes it."""
        return torch.cat([self.pieces, self.reach_T, self.positions_T])


def attention_of(config: object) -> str:
    """`causal` or `bidirectional` where the attention is known and goes through the interface, else `opaque`."""
    model_type = getattr(config, "model_type", "")
    if model_type in _CAUSAL:
        is_turned = getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True)
        return "opaque" if is_turned else "causal"
    return "bidirectional" if model_type in _WHOLE and not getattr(config, "is_decoder", False) else "opaque"


def path_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    sight: Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_unused: object,
) -> tuple[Tensor, None]:
    """Attend along the paths. query: [1, H, T, D]; key, value: [1, K, T, D]; sight: `Sight.as_tensor`.

    Returns [1, T, H, D], as transformers expects of an attention function.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    numbers = [scale, float(sliding_window or 0), float(softcap or 0.0)]
    if dropout > 0:
        return _attend(query, key, value, _rule(sight, numbers, query.shape[2]), dropout), None
    return torch.ops.fettle.path_attention(query, key, value, sight, numbers), None


AttentionInterface.register(ATTENTION_NAME, path_attention)


@torch.library.custom_op("fettle::path_attention", mutates_args=())
def _operator(query: Tensor, key: Tensor, value: Tensor, sight: Tensor, numbers: list[float]) -> Tensor:
    return _attend(query, key, value, _rule(sight, numbers, query.shape[2]), 0.0)


@_operator.register_fake
def _shape_of_output(query: Tensor, *_others: object) -> Tensor:
    _, heads, tokens, width = query.shape
    return query.new_empty(1, tokens, heads, width)


@torch.library.custom_op("fettle::path_attention_backward", mutates_args=())
def _operator_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, sight: Tensor, numbers: list[float]
) -> tuple[Tensor, Tensor, Tensor]:
    _, heads, tokens, width = query.shape
    key_heads = key.shape[1]
    groups = heads // key_heads
    rule = _rule(sight, numbers, tokens)
    query_KTD, key_KTD, value_KTD = _fold(query, groups, rule.scale), key[0], value[0]
    grad_KTD = _fold(grad.transpose(1, 2), groups)
    grad_query_KTD = torch.empty_like(query_KTD)
    # Keys that several pieces see gather their gradients in float32, or rounding would add up with the rows.
    sums = torch.float32 if key.dtype == torch.bfloat16 else key.dtype
    grad_key_KTD = torch.zeros(key_heads, tokens, width, dtype=sums, device=key.device)
    grad_value_KTD = torch.zeros_like(grad_key_KTD)
    for piece in rule.pieces:
        rows = slice(piece.first * groups, piece.end * groups)
        query_KQD, grad_KQD = query_KTD[:, rows], grad_KTD[:, rows]
        key_KPD, value_KPD = _gather(key_KTD, piece.keys), _gather(value_KTD, piece.keys)
        scores = _scores(query_KQD, key_KPD, rule.softcap)
        slopes = 1 - (scores / rule.softcap) ** 2 if rule.softcap else None
        shares = _shares(scores, piece, groups, rule)
        grad_shares = torch.bmm(grad_KQD, value_KPD.transpose(1, 2))
        grad_scores = torch.ops.aten._softmax_backward_data(grad_shares, shares, -1, shares.dtype)
        if slopes is not None:
            grad_scores = grad_scores * slopes
        grad_query_KTD[:, rows] = torch.bmm(grad_scores, key_KPD)
        _scatter(grad_key_KTD, torch.bmm(grad_scores.transpose(1, 2), query_KQD), piece.keys)
        _scatter(grad_value_KTD, torch.bmm(shares.transpose(1, 2), grad_KQD), piece.keys)
    grad_query = grad_query_KTD.view(key_heads, tokens, groups, width).transpose(1, 2) * rule.scale
    return (
        grad_query.reshape(1, heads, tokens, width).contiguous(),
        grad_key_KTD.to(key.dtype)[None],
        grad_value_KTD.to(value.dtype)[None],
    )


@_operator_backward.register_fake
def _shapes_of_gradients(
    _grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_others: object
) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep_for_backward(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.numbers = inputs[4]  # type: ignore[attr-defined]


def _backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
    saved: tuple[Tensor, ...] = ctx.saved_tensors  # type: ignore[attr-defined]
    gradients = torch.ops.fettle.path_attention_backward(grad, *saved, ctx.numbers)  # type: ignore[attr-defined]
    return (*gradients, None, None)


_operator.register_autograd(_backward, setup_context=_keep_for_backward)


@dataclass(frozen=True, slots=True)
class _Piece:
    first: int
    end: int
    sees: int
    keys: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What `Sight` says, read, and the numbers of the layer (0: no window, no cap)."""

    pieces: list[_Piece]
    reach_T: Tensor
    positions_T: Tensor
    scale: float
    window: int
    softcap: float


def _rule(sight: Tensor, numbers: Sequence[float], tokens: int) -> _Rule:
    scale, window, softcap = numbers
    pieces, reach_T, positions_T = sight.tensor_split([sight.shape[0] - 2 * tokens, sight.shape[0] - tokens])
    return _Rule(list(_read_pieces(pieces.tolist())), reach_T, positions_T, scale, int(window), softcap)


def _read_pieces(numbers: Sequence[int]) -> Iterator[_Piece]:
    place = 0
    while place < len(numbers):
        first, end, sees, count = numbers[place : place + 4]
        ranges = numbers[place + 4 : place + 4 + 2 * count]
        yield _Piece(first, end, sees, tuple(zip(ranges[::2], ranges[1::2], strict=True)))
        place += 4 + 2 * count


def _attend(query: Tensor, key: Tensor, value: Tensor, rule: _Rule, dropout: float) -> Tensor:
    """Softmax attention, piece by piece; plain operations, so that autograd can follow where scores are dropped."""
    _, heads, tokens, width = query.shape
    groups = heads // key.shape[1]
    query_KTD = _fold(query, groups, rule.scale)
    outputs = []
    for piece in rule.pieces:
        query_KQD = query_KTD[:, piece.first * groups : piece.end * groups]
        scores = _scores(query_KQD, _gather(key[0], piece.keys), rule.softcap)
        shares = _shares(scores, piece, groups, rule)
        if dropout:
            shares = drop_at_random(shares, dropout)
        outputs.append(torch.bmm(shares, _gather(value[0], piece.keys)))
    output_KTD = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
    output = output_KTD.view(heads // groups, tokens, groups, width).transpose(0, 1)
    return output.reshape(1, tokens, heads, width).contiguous()


def _fold(heads_HTD: Tensor, groups: int, scale: float = 1.0) -> Tensor:
    """[1, H, T, D] as [K, T * G, D]: queries that share a head of keys stand side by side, times `scale`."""
    _, heads, tokens, width = heads_HTD.shape
    folded = heads_HTD.view(heads // groups, groups, tokens, width) if groups > 1 else heads_HTD[0][:, None]
    folded = folded.transpose(1, 2)
    return (folded * scale if scale != 1.0 else folded).reshape(heads // groups, tokens * groups, width)


def _gather(of_KTD: Tensor, ranges: Sequence[tuple[int, int]]) -> Tensor:
    parts = [of_KTD[:, first:end] for first, end in ranges]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _scatter(sums_KTD: Tensor, of_KPD: Tensor, ranges: Sequence[tuple[int, int]]) -> None:
    place = 0
    for first, end in ranges:
        sums_KTD[:, first:end] += of_KPD[:, place : place + end - first]
        place += end - first


def _scores(query_KQD: Tensor, key_KPD: Tensor, softcap: float) -> Tensor:
    scores = torch.bmm(query_KQD, key_KPD.transpose(1, 2))
    return torch.tanh(scores / softcap) * softcap if softcap else scores


def _shares(scores: Tensor, piece: _Piece, groups: int, rule: _Rule) -> Tensor:
    """Softmax, in float32, over what each query may see. Its own tokens are the last keys of a piece."""
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    bias_QP = _bias(piece, rule, groups, exact)
    if bias_QP is not None:
        num_unbiased = exact.shape[-1] - bias_QP.shape[-1]
        if exact.requires_grad:
            exact = exact + pad(bias_QP, (num_unbiased, 0))
        else:
            exact[:, :, num_unbiased:].add_(bias_QP)
    return torch.softmax(exact, dim=-1).to(scores.dtype)


def _bias(piece: _Piece, rule: _Rule, groups: int, like: Tensor) -> Tensor | None:
    """Minus infinity where a query does not see one of the last keys of a piece, else 0: [Q * G, those keys]."""
    num_queries, num_keys = piece.end - piece.first, like.shape[-1]
    has_window = rule.window and num_keys >= rule.window
    if piece.sees == SEES_EARLIER and not has_window:
        if num_queries == 1:
            return None
        return _later(groups, like.dtype, like.device)[: num_queries * groups, :num_queries]
    hidden = _hidden(piece, rule)
    if has_window:
        keys_P = torch.cat([rule.positions_T[first:end] for first, end in piece.keys])
        is_far = (rule.positions_T[piece.first : piece.end][:, None] - keys_P[None, :]).abs() >= rule.window
        if hidden is not None:
            is_far[:, num_keys - num_queries :] |= hidden
        hidden = is_far
    if hidden is None:
        return None
    bias = torch.zeros(hidden.shape, dtype=like.dtype).masked_fill_(hidden, -math.inf)
    return bias.repeat_interleave(groups, dim=0).to(like.device)


@lru_cache(maxsize=16)
def _later(groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bias of a causal piece of the largest size; that of a smaller one is its corner."""
    later = torch.full((MOST_QUERIES, MOST_QUERIES), -math.inf, dtype=dtype).triu(1)
    return later.repeat_interleave(groups, dim=0).to(device)


def _hidden(piece: _Piece, rule: _Rule) -> Tensor | None:
    """Which of its own tokens each query of a piece does not see, [Q, Q]."""
    own = torch.arange(piece.first, piece.end)
    reach_Q = rule.reach_T[piece.first : piece.end]
    is_later = own[None, :] > own[:, None]
    if piece.sees == SEES_EARLIER:
        return is_later
    if piece.sees == SEES_BY_REACH:
        return is_later | (own[:, None] >= reach_Q[None, :])
    return reach_Q[None, :] != reach_Q[:, None] if piece.sees == SEES_SAME_REACH else None
