"""Attention along paths equals a dense mask, and goes to those architectures of which every part is known."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    ModernBertConfig,
    OPTConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    SmolLM3Config,
    T5Config,
)

from fettle.models.attention import (
    SEES_ALL,
    SEES_BY_REACH,
    SEES_EARLIER,
    SEES_SAME_REACH,
    Sight,
    attention_of,
    path_attention,
)

WINDOW = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1, "num_hidden_layers": 3}
SETTINGS = settings(deadline=None, max_examples=40)
HEADS, KEY_HEADS, WIDTH = 4, 2, 8


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(),
        Qwen2Config(),
        Qwen2Config(**WINDOW),
        Qwen3Config(**WINDOW),
        MistralConfig(sliding_window=None),
        MistralConfig(sliding_window=4),
        Gemma2Config(),
        Gemma3TextConfig(),
        Phi3Config(),
        SmolLM3Config(),
        GPT2Config(),
    ],
    ids=lambda config: config.model_type,
)
def test_causal_with_windows_and_caps_or_without(config: PretrainedConfig) -> None:
    assert attention_of(config) == "causal"


@pytest.mark.parametrize(
    "config", [BertConfig(), RobertaConfig(), ModernBertConfig()], ids=lambda config: config.model_type
)
def test_encoders_see_whole_rows(config: PretrainedConfig) -> None:
    assert attention_of(config) == "bidirectional"


@pytest.mark.parametrize(
    "config",
    [BloomConfig(), FalconConfig(), GemmaConfig(), GPTNeoXConfig(), MixtralConfig(), OPTConfig(), T5Config()],
    ids=lambda config: config.model_type,
)
def test_a_family_that_is_not_known_is_opaque(config: PretrainedConfig) -> None:
    assert attention_of(config) == "opaque"


@pytest.mark.parametrize(
    ("config", "is_not"),
    [
        (Gemma3TextConfig(use_bidirectional_attention=True), "causal"),
        (LlamaConfig(is_causal=False), "causal"),
        (BertConfig(is_decoder=True), "bidirectional"),
    ],
    ids=lambda value: getattr(value, "model_type", value),
)
def test_a_known_family_with_its_sight_turned_round_is_not_taken_for_what_it_was(
    config: PretrainedConfig, is_not: str
) -> None:
    assert attention_of(config) != is_not


def draw_sight(seed: int) -> tuple[Sight, Tensor]:
    """Rows of all kinds side by side, told by pieces and, next to it, as a mask: [T, T], True where a token is seen.

    A row that sees all of itself; two such rows in one piece; a row of two pieces; a run with branches below it.
    """
    draw = np.random.default_rng(seed)
    rows, branches = np.cumsum([0, *draw.integers(1, 9, 5)]).tolist(), draw.integers(1, 9, 3).tolist()
    run_start, num_tokens = rows[-2], rows[-1] + sum(branches)
    sees = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    positions, reach = torch.empty(2, num_tokens, dtype=torch.int64)
    for number, (start, end) in enumerate(itertools.pairwise(rows)):
        positions[start:end] = torch.arange(end - start)
        reach[start:end] = end
        sees[start:end, start:end] = torch.ones(end - start, end - start).tril(0 if number >= 3 else 99).bool()
    reach[run_start : rows[-1]] = num_tokens
    branch = rows[-1]
    for length in branches:
        here = slice(branch, branch + length)
        positions[here], reach[here] = torch.arange(length) + rows[-1] - run_start, branch + length
        sees[here, run_start : rows[-1]] = True
        sees[here, here] = torch.ones(length, length).tril().bool()
        branch += length
    middle = int(draw.integers(rows[3] + 1, rows[4] + 1))
    pieces = [0, rows[1], SEES_ALL, 1, 0, rows[1], rows[1], rows[3], SEES_SAME_REACH, 1, rows[1], rows[3]]
    pieces += [rows[3], middle, SEES_EARLIER, 1, rows[3], middle]
    if middle < rows[4]:
        pieces += [middle, rows[4], SEES_EARLIER, 1, rows[3], rows[4]]
    if seed % 2:  # the run is a piece of its own, its keys told in two ranges below
        cut = int(draw.integers(run_start, rows[-1]))
        pieces += [run_start, rows[-1], SEES_EARLIER, 1, run_start, rows[-1]]
        ranges = [edge for pair in itertools.pairwise([run_start, cut, rows[-1], num_tokens]) for edge in pair]
        pieces += [rows[-1], num_tokens, SEES_BY_REACH, 3, *ranges]
    else:
        pieces += [run_start, num_tokens, SEES_BY_REACH, 1, run_start, num_tokens]
    return Sight(torch.tensor(pieces), reach, positions), sees


def densely(query: Tensor, key: Tensor, value: Tensor, sees: Tensor, scale: float, softcap: float) -> Tensor:
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, 1).transpose(2, 3) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    shares = scores.masked_fill(~sees, float("-inf")).softmax(-1)
    return (shares @ value.repeat_interleave(groups, 1)).transpose(1, 2)


def draw_heads(seed: int, num_tokens: int, key_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    shapes = [(1, heads, num_tokens, WIDTH) for heads in (HEADS, key_heads, key_heads)]
    query, key, value = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return query, key, value


@SETTINGS
@example(seed=1, window=1, softcap=0.0, key_heads=KEY_HEADS)
@given(
    seed=st.integers(0, 2**32 - 1),
    window=st.sampled_from([None, 1, 2, 3, 5, 8, 100]),
    softcap=st.sampled_from([None, 0.7, 3.0]),
    key_heads=st.sampled_from([1, KEY_HEADS, HEADS]),
)
def test_paths_equal_a_dense_mask(seed: int, window: int | None, softcap: float | None, key_heads: int) -> None:
    """Values and gradients; also on the way that dropout takes, with a rate at which nothing falls."""
    sight, sees = draw_sight(seed)
    if window is not None:
        sees = sees & ((sight.positions_T[:, None] - sight.positions_T[None, :]).abs() < window)
    heads = draw_heads(seed, len(sees), key_heads)
    attend = partial(path_attention, nn.Identity(), *heads, None, sight=sight.as_tensor(), scaling=0.6)
    wanted = densely(*heads, sees, 0.6, softcap or 0.0)
    pull = torch.randn_like(wanted)
    wanted_gradients = torch.autograd.grad(wanted, heads, pull)
    for dropout in (0.0, 1e-15):
        found, _ = attend(sliding_window=window, softcap=softcap, dropout=dropout)
        assert found.shape == wanted.shape
        assert (found - wanted).abs().max() <= 1e-12
        for one, other in zip(torch.autograd.grad(found, heads, pull), wanted_gradients, strict=True):
            assert (one - other).abs().max() <= 1e-12 * max(1.0, float(other.abs().max()))


def test_scores_are_scaled_by_the_width_where_no_scale_is_told() -> None:
    sight, sees = draw_sight(1)
    heads = draw_heads(1, len(sees), KEY_HEADS)
    found, _ = path_attention(nn.Identity(), *heads, None, sight=sight.as_tensor())
    assert (found - densely(*heads, sees, WIDTH**-0.5, 0.0)).abs().max() <= 1e-12


def test_what_falls_is_made_up_for_by_what_stays() -> None:
    """Each share falls or grows by 1 / (1 - p): what is attended stays the same on average, and is never of another."""
    sight, sees = draw_sight(5)
    query, key, value = (part.detach() for part in draw_heads(5, len(sees), HEADS))
    torch.manual_seed(0)
    attend = partial(path_attention, nn.Identity(), query, key, value, None, sight=sight.as_tensor())
    exact, _ = attend()
    draws = torch.stack([attend(dropout=0.25)[0] for _ in range(2000)])
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - exact).abs() <= 6 * error + 1e-12).all()
    assert (draws[0] - draws[1]).abs().max() > 0.1


def test_a_shared_key_gathers_the_gradients_of_many_rows_without_loss() -> None:
    """In bfloat16 a sum of ones stands still at 256. Here 2000 branches each add the like to one run."""
    branches = 2000
    reach = torch.cat([torch.tensor([branches + 1]), torch.arange(2, branches + 2)])
    positions = torch.cat([torch.tensor([0]), torch.ones(branches, dtype=torch.int64)])
    pieces = [0, 1, SEES_EARLIER, 1, 0, 1]
    for place in range(1, branches + 1):
        pieces += [place, place + 1, SEES_EARLIER, *((1, 0, 2) if place == 1 else (2, 0, 1, place, place + 1))]
    sight = Sight(torch.tensor(pieces), reach, positions)
    torch.manual_seed(0)
    heads = [torch.randn(1, 1, branches + 1, WIDTH).bfloat16() for _ in range(3)]
    found = []
    for dtype in (torch.bfloat16, torch.float64):
        query, key, value = (part.to(dtype).requires_grad_() for part in heads)
        output, _ = path_attention(nn.Identity(), query, key, value, None, sight=sight.as_tensor())
        found.append(torch.autograd.grad(output.sum(), value)[0][0, 0, 0].double())
    assert (found[0] - found[1]).abs().max() <= 0.01 * found[1].abs().max()


@pytest.mark.parametrize("key_heads", [1, KEY_HEADS, HEADS])
@pytest.mark.parametrize("softcap", [0.0, 2.0])
def test_the_operators_keep_what_they_promise_to_the_compiler(key_heads: int, softcap: float) -> None:
    sight, sees = draw_sight(3)
    heads = draw_heads(3, len(sees), key_heads)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    for keeps in (True, False):
        numbers = [0.5, 3.0, softcap, 0.0, float(keeps)]
        arguments = (*heads, sight.as_tensor(), numbers)
        torch.library.opcheck(torch.ops.fettle.path_attention, arguments, test_utils=checks)
        with torch.no_grad():
            _, kept = torch.ops.fettle.path_attention(*arguments)
        assert (len(kept) > 0) == (keeps and not softcap)
        grad = torch.randn(1, len(sees), HEADS, WIDTH, dtype=torch.float64)
        backward = (grad, [part.detach() for part in heads], kept, sight.as_tensor(), numbers)
        torch.library.opcheck(torch.ops.fettle.path_attention_backward, backward, test_utils=checks[:2])


def test_shares_are_kept_for_short_rows_and_computed_again_for_long_ones() -> None:
    """Both give the gradient of the dense mask; what is kept never grows with the square of a long row."""
    for tokens, is_kept in ((600, True), (1200, False)):
        edges = [*range(0, tokens, 256), tokens]
        pieces = [n for first, end in itertools.pairwise(edges) for n in (first, end, SEES_EARLIER, 1, 0, end)]
        sight = Sight(torch.tensor(pieces), torch.full((tokens,), tokens), torch.arange(tokens))
        heads = draw_heads(0, tokens, 1)
        _, kept = torch.ops.fettle.path_attention(*heads, sight.as_tensor(), [0.3, 0.0, 0.0, 0.0, 1.0])
        assert (len(kept) > 0) == is_kept, tokens
        found, _ = path_attention(nn.Identity(), *heads, None, sight=sight.as_tensor(), scaling=0.3)
        wanted = densely(*heads, torch.ones(tokens, tokens).tril().bool(), 0.3, 0.0)
        pull = torch.randn_like(wanted)
        for one, other in zip(
            torch.autograd.grad(found, heads, pull), torch.autograd.grad(wanted, heads, pull), strict=True
        ):
            assert (one - other).abs().max() <= 1e-12 * max(1.0, float(other.abs().max()))
