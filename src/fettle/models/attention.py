"""Attention over a forest of token runs, and which models may use it.

A call of the model is one flat axis of tokens that holds a forest: rows that share a beginning hold it once. Attention
runs piece by piece. A piece is a run of queries with the ranges of keys on its path, its own tokens last, so linear
layers see a shared token once, nothing is padded, and no score is computed that a mask would throw away (but for the
diagonal). The products are plain matrix products in the number format of the weights. The backward pass uses the shares
of the forward pass where rows are short, and computes them again where they are long.

What sees what is said by one tensor, made of `Sight`, that arrives as an argument of the model's forward, through
transformers' attention interface. What is made of it is the same for every layer and is remembered for a few calls.

Axes: H heads of the queries, K heads of the keys, G = H / K, T tokens of the call, D width of a head, P path of a piece
(its keys), Q queries of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.functional import dropout as drop_at_random
from torch.nn.functional import pad
from transformers import AttentionInterface

ATTENTION_NAME = "fettle_paths"

Ints = npt.NDArray[np.int64]

# Which of its own tokens a query of a piece sees: all, those up to itself, those that the reach of tokens tells, or
# those of the same reach (whole rows side by side).
SEES_ALL, SEES_EARLIER, SEES_BY_REACH, SEES_SAME_REACH = 0, 1, 2, 3

# Most queries of a causal piece; longer runs are divided, so that few scores are made that a mask throws away.
MOST_QUERIES = 256

# Shares of a piece are kept for the backward pass while a query sees so many keys on average; where there are more they
# would be most of the memory of a layer, and are computed again.
_MOST_KEYS_KEPT = 512

# Architectures whose attention goes through the interface and is made of what is known here: causal or whole,
# windows, soft caps. All others run padded, with their own attention. Each is checked against that in the tests.
_CAUSAL = frozenset({"llama", "mistral", "qwen2", "qwen3", "smollm3", "phi3", "gemma2", "gemma3_text", "gpt2"})
# Word vectors have no attention at all, and know by their positions where rows end.
_WHOLE = frozenset(
    {"bert", "roberta", "xlm-roberta", "camembert", "modernbert", "distilbert", "electra", "albert", "word_vectors"}
)


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
    numbers = [scale, float(sliding_window or 0), float(softcap or 0.0), dropout, float(query.requires_grad)]
    if dropout > 0:
        return _attend_with_noise(query, key, value, sight, numbers), None
    output, _ = torch.ops.fettle.path_attention(query, key, value, sight, numbers)
    return output, None


AttentionInterface.register(ATTENTION_NAME, path_attention)


# The compiler would make code anew for every forest, since its pieces are numbers of a list.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _attend_with_noise(query: Tensor, key: Tensor, value: Tensor, sight: Tensor, numbers: list[float]) -> Tensor:
    return _attend(query, key, value, _rule(sight, numbers, query, query.shape[1] // key.shape[1]))


@torch.library.custom_op("fettle::path_attention", mutates_args=())
def _operator(query: Tensor, key: Tensor, value: Tensor, sight: Tensor, numbers: list[float]) -> tuple[Tensor, Tensor]:
    """The output, and the shares of all pieces end to end (none where they are not kept)."""
    _, heads, tokens, _ = query.shape
    rule = _rule(sight, numbers, query, heads // key.shape[1])
    keeps = rule.keeps and not rule.softcap and rule.num_shares <= _MOST_KEYS_KEPT * tokens
    kept = query.new_empty(rule.num_shares * heads if keeps else 0)
    return _attend(query, key, value, rule, kept), kept


@_operator.register_fake
def _shapes_of_output(
    query: Tensor, _key: Tensor, _value: Tensor, _sight: Tensor, numbers: list[float]
) -> tuple[Tensor, Tensor]:
    _, heads, tokens, width = query.shape
    num_shares = torch.library.get_ctx().new_dynamic_size() if numbers[-1] else 0
    return query.new_empty(1, tokens, heads, width), query.new_empty(num_shares)


@torch.library.custom_op("fettle::path_attention_backward", mutates_args=())
def _operator_backward(
    grad: Tensor, saved: list[Tensor], kept: Tensor, sight: Tensor, numbers: list[float]
) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = saved
    _, heads, tokens, width = query.shape
    key_heads = key.shape[1]
    groups = heads // key_heads
    rule = _rule(sight, numbers, query, groups)
    query_KTD, key_KTD, value_KTD = _fold(query, groups, rule.scale), key[0], value[0]
    grad_KTD = _fold(grad.transpose(1, 2), groups)
    grad_query_KTD = torch.empty_like(query_KTD)
    # Keys that several pieces see gather their gradients in float32, or rounding would add up with the rows.
    sums = torch.float32 if key.dtype == torch.bfloat16 else key.dtype
    grad_key_KTD = torch.zeros(key_heads, tokens, width, dtype=sums, device=key.device)
    grad_value_KTD = torch.zeros_like(grad_key_KTD)
    place = 0
    for piece in rule.pieces:
        query_KQD, grad_KQD = query_KTD[:, piece.rows], grad_KTD[:, piece.rows]
        key_KPD, value_KPD = _gather(key_KTD, piece.keys), _gather(value_KTD, piece.keys)
        slopes = None
        if len(kept):
            shares = _shares_of(kept, place, query_KQD, key_KPD)
            place += shares.numel()
        else:
            scores = _scores(query_KQD, key_KPD, rule.softcap)
            slopes = 1 - (scores / rule.softcap) ** 2 if rule.softcap else None
            shares = _shares(scores, piece, rule)
        grad_shares = torch.bmm(grad_KQD, value_KPD.transpose(1, 2))
        grad_scores = torch.ops.aten._softmax_backward_data(grad_shares, shares, -1, shares.dtype)
        if slopes is not None:
            grad_scores = grad_scores * slopes
        grad_query_KTD[:, piece.rows] = torch.bmm(grad_scores, key_KPD)
        _scatter(grad_key_KTD, torch.bmm(grad_scores.transpose(1, 2), query_KQD), piece.keys)
        _scatter(grad_value_KTD, torch.bmm(shares.transpose(1, 2), grad_KQD), piece.keys)
    grad_query = grad_query_KTD.view(key_heads, tokens, groups, width).transpose(1, 2) * rule.scale
    return (
        grad_query.reshape(1, heads, tokens, width).contiguous(),
        grad_key_KTD.to(key.dtype)[None],
        grad_value_KTD.to(value.dtype)[None],
    )


@_operator_backward.register_fake
def _shapes_of_gradients(_grad: Tensor, saved: list[Tensor], *_others: object) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = saved
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep_for_backward(ctx: FunctionCtx, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, sight, numbers = inputs
    ctx.save_for_backward(query, key, value, output[1], sight)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.numbers = numbers  # type: ignore[attr-defined]


def _backward(ctx: FunctionCtx, grad: Tensor, _grad_of_shares: Tensor) -> tuple[Tensor | None, ...]:
    *saved, kept, sight = ctx.saved_tensors  # type: ignore[attr-defined]
    numbers: list[float] = ctx.numbers  # type: ignore[attr-defined]
    gradients = torch.ops.fettle.path_attention_backward(grad, saved, kept, sight, numbers)
    return (*gradients, None, None)


_operator.register_autograd(_backward, setup_context=_keep_for_backward)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of queries, and `rows`, where they stand on a folded axis.

    `own_bias` [Q * G, Q]: minus infinity where a query does not see one of the piece's own tokens; None if all see all.
    """

    first: int
    end: int
    rows: slice
    sees: int
    keys: tuple[tuple[int, int], ...]
    own_bias: Tensor | None


@dataclass(frozen=True, slots=True)
class _Rule:
    """What `Sight` says, read, and the numbers of the layer (0: no window, cap or dropout).

    `keeps`: whether a backward pass may follow, which then finds the shares.
    """

    pieces: tuple[_Piece, ...]
    positions_T: Tensor
    groups: int
    scale: float
    window: int
    softcap: float
    dropout: float
    keeps: bool

    @property
    def num_shares(self) -> int:
        """Pairs of a query and a key over all pieces, for one head."""
        return sum((piece.end - piece.first) * sum(end - first for first, end in piece.keys) for piece in self.pieces)


def _rule(sight: Tensor, numbers: Sequence[float], query: Tensor, groups: int) -> _Rule:
    scale, window, softcap, dropout, keeps = numbers
    exact = torch.promote_types(query.dtype, torch.float32)
    pieces = _pieces(sight.numpy().tobytes(), query.shape[2], groups, exact, query.device)
    positions_T = sight[sight.shape[0] - query.shape[2] :]
    return _Rule(pieces, positions_T, groups, scale, int(window), softcap, dropout, bool(keeps))


@lru_cache(maxsize=4)
def _pieces(sight: bytes, tokens: int, groups: int, exact: torch.dtype, device: torch.device) -> tuple[_Piece, ...]:
    """All pieces, with what hides their own tokens from each other: the same for every layer of a call."""
    numbers = np.frombuffer(sight, np.int64)
    reach_T = numbers[-2 * tokens : -tokens]
    pieces, told = [], numbers[: -2 * tokens].tolist()
    triangles: dict[int, Tensor | None] = {}  # pieces that see what is earlier differ in nothing but their length
    place = 0
    while place < len(told):
        first, end, sees, count = told[place : place + 4]
        edges = told[place + 4 : place + 4 + 2 * count]
        own_bias = triangles.get(end - first) if sees == SEES_EARLIER else None
        if own_bias is None:
            own_bias = _own_bias(reach_T[first:end], first, sees, exact)
            if own_bias is not None:
                own_bias = own_bias.repeat_interleave(groups, dim=0).to(device)
            if sees == SEES_EARLIER:
                triangles[end - first] = own_bias
        keys = tuple(zip(edges[::2], edges[1::2], strict=True))
        pieces.append(_Piece(first, end, slice(first * groups, end * groups), sees, keys, own_bias))
        place += 4 + 2 * count
    return tuple(pieces)


def _attend(query: Tensor, key: Tensor, value: Tensor, rule: _Rule, kept: Tensor | None = None) -> Tensor:
    """Softmax attention, piece by piece; plain operations, so that autograd can follow where shares are dropped."""
    _, heads, tokens, width = query.shape
    groups = rule.groups
    query_KTD, key_KTD, value_KTD = _fold(query, groups, rule.scale), key[0], value[0]
    outputs = []
    place = 0
    for piece in rule.pieces:
        query_KQD, key_KPD = query_KTD[:, piece.rows], _gather(key_KTD, piece.keys)
        shares = _shares(_scores(query_KQD, key_KPD, rule.softcap), piece, rule)
        if rule.dropout:
            shares = drop_at_random(shares, rule.dropout)
        if kept is not None and len(kept):
            shares = _shares_of(kept, place, query_KQD, key_KPD).copy_(shares)
            place += shares.numel()
        outputs.append(torch.bmm(shares, _gather(value_KTD, piece.keys)))
    output_KTD = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
    output = output_KTD.view(heads // groups, tokens, groups, width).transpose(0, 1)
    return output.reshape(1, tokens, heads, width).contiguous()


def _shares_of(kept: Tensor, place: int, query_KQD: Tensor, key_KPD: Tensor) -> Tensor:
    """The part of the kept shares that begins at `place`, [K, Q, P]."""
    shape = (len(query_KQD), query_KQD.shape[1], key_KPD.shape[1])
    return kept[place : place + math.prod(shape)].view(shape)


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


def _shares(scores: Tensor, piece: _Piece, rule: _Rule) -> Tensor:
    """Softmax, in float32, over what each query may see. Its own tokens are the last keys of a piece."""
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    num_keys = exact.shape[-1]
    bias = _window_bias(piece, rule, exact) if rule.window and num_keys >= rule.window else piece.own_bias
    if bias is not None:
        num_unbiased = num_keys - bias.shape[-1]
        if exact.requires_grad:
            exact = exact + pad(bias, (num_unbiased, 0))
        else:
            exact[:, :, num_unbiased:].add_(bias)
    return torch.softmax(exact, dim=-1).to(scores.dtype)


def _own_bias(reach_Q: Ints, first: int, sees: int, exact: torch.dtype) -> Tensor | None:
    """Minus infinity where a query does not see one of the piece's own tokens, else 0: [Q, Q]; None if all see all."""
    own = np.arange(first, first + len(reach_Q))
    is_later = own[None, :] > own[:, None]
    hidden = {
        SEES_ALL: np.zeros_like(is_later),
        SEES_EARLIER: is_later,
        SEES_BY_REACH: is_later | (own[:, None] >= reach_Q[None, :]),
        SEES_SAME_REACH: reach_Q[None, :] != reach_Q[:, None],
    }[sees]
    if not hidden.any():
        return None
    return torch.zeros(hidden.shape, dtype=exact).masked_fill_(torch.from_numpy(hidden), -math.inf)


def _window_bias(piece: _Piece, rule: _Rule, like: Tensor) -> Tensor:
    """The piece's own bias, and minus infinity where a key is a window away or more: [Q * G, P]."""
    keys_P = torch.cat([rule.positions_T[first:end] for first, end in piece.keys])
    queries_Q = rule.positions_T[piece.first : piece.end]
    is_far = (queries_Q[:, None] - keys_P[None, :]).abs() >= rule.window
    bias = torch.zeros(is_far.shape, dtype=like.dtype).masked_fill_(is_far, -math.inf)
    bias = bias.repeat_interleave(rule.groups, dim=0).to(like.device)
    if piece.own_bias is not None:
        bias[:, len(keys_P) - len(queries_Q) :] += piece.own_bias
    return bias
