"""Scores: what a naive loop over single rows would find, by whichever road."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.hooks import RemovableHandle
from transformers import AutoModelForCausalLM, PreTrainedModel

from fettle.generation import scoring
from fettle.generation.scoring import NEGLIGIBLE_NATS, read_tokens, score_candidates
from fettle.models.load import OpenModel, open_model
from fettle.tokens.example import Example, TokenReads

SETTINGS = settings(deadline=None, max_examples=25)
ids = st.lists(st.integers(4, 381), min_size=1, max_size=7)
# Few tokens, so that candidates share beginnings, and some are beginnings of others.
candidate_sets = st.lists(
    st.lists(st.sampled_from([5, 6, 7, 3]), min_size=1, max_size=4), min_size=1, max_size=6, unique_by=tuple
)
roads = pytest.mark.parametrize("road", ["causal", "opaque"])


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> OpenModel:
    return open_model(tiny_base)


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


@pytest.fixture
def on_road(road: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fettle.models.load.attention_of", lambda config: road)
        yield


def log_shares(plain: PreTrainedModel, row: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return plain(torch.tensor([row])).logits[0].log_softmax(-1)


def rows_of(draw: np.random.Generator, count: int) -> list[Example]:
    rows = []
    for _ in range(count):
        length = int(draw.integers(1, 30))
        at = sorted(draw.choice(length, draw.integers(0, length + 1), replace=False).tolist())
        at += at[-1:]  # one place asked for two tokens
        reads = TokenReads.of(at, draw.integers(4, 381, len(at)).tolist(), [1.0] * len(at))
        rows.append(Example(draw.integers(4, 381, length), reads))
    return rows


@roads
@pytest.mark.usefixtures("on_road")
@pytest.mark.parametrize("budget", [8192, 40])
def test_read_tokens_equals_a_naive_loop(
    model: OpenModel, plain: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(scoring, "_MAX_TOKENS_PER_CALL", budget)
    monkeypatch.setattr(scoring, "_MAX_LOGITS_PER_PIECE", 382 * 3 if budget == 40 else 2**25)
    rows = rows_of(np.random.default_rng(0), 25)
    rows[3].reads.token[:] = log_shares(plain, rows[3].ids.tolist()).argmax(-1)[rows[3].reads.at].numpy()
    told: list[int] = []
    found = read_tokens(model, rows, progress=told.append)
    assert sum(told) == len(found) == len(rows)
    for row, scores in zip(rows, found, strict=True):
        wanted = log_shares(plain, row.ids.tolist())
        expected = [wanted[at, token].item() for at, token in zip(row.reads.at, row.reads.token, strict=True)]
        np.testing.assert_allclose(scores.log_probabilities, expected, atol=1e-5, rtol=1e-5)
        likeliest = wanted.argmax(-1)
        assert scores.is_likeliest.tolist() == [
            likeliest[at].item() == token for at, token in zip(row.reads.at, row.reads.token, strict=True)
        ]
    assert found[3].is_likeliest.all() and len(found[3].is_likeliest)
    assert not all(scores.is_likeliest.all() for scores in found)


def sums_over_tokens(
    plain: PreTrainedModel, prompts: list[list[int]], candidates: list[list[int]]
) -> NDArray[np.float64]:
    """Slow and independent: every candidate after every prompt as a row of its own."""
    found = np.zeros((len(prompts), len(candidates)))
    for row, prompt in enumerate(prompts):
        for column, candidate in enumerate(candidates):
            shares = log_shares(plain, prompt + candidate)
            found[row, column] = sum(shares[len(prompt) - 1 + place, token] for place, token in enumerate(candidate))
    return found


@roads
@pytest.mark.usefixtures("on_road")
@SETTINGS
@given(prompts=st.lists(ids, min_size=1, max_size=4), candidates=candidate_sets)
def test_a_candidates_score_is_the_sum_over_its_tokens(
    model: OpenModel, plain: PreTrainedModel, prompts: list[list[int]], candidates: list[list[int]]
) -> None:
    wanted = sums_over_tokens(plain, prompts, candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "NEGLIGIBLE_NATS", np.inf)
        np.testing.assert_allclose(score_candidates(model, prompts, candidates), wanted, atol=3e-5, rtol=1e-5)


@roads
@pytest.mark.usefixtures("on_road")
@SETTINGS
@given(
    prompts=st.lists(ids, min_size=1, max_size=4),
    candidates=candidate_sets,
    negligible=st.sampled_from([0.5, 3.0, NEGLIGIBLE_NATS]),
)
def test_only_the_negligible_is_not_followed_and_gets_a_bound(
    model: OpenModel, plain: PreTrainedModel, prompts: list[list[int]], candidates: list[list[int]], negligible: float
) -> None:
    wanted = sums_over_tokens(plain, prompts, candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "NEGLIGIBLE_NATS", negligible)
        found = score_candidates(model, prompts, candidates)
    best = wanted.max(axis=1, keepdims=True)
    is_near = wanted > best - negligible
    np.testing.assert_allclose(found[is_near], wanted[is_near], atol=3e-5, rtol=1e-5)
    assert (found >= wanted - 1e-4).all()
    assert (found <= np.maximum(wanted, best - negligible) + 1e-4).all()
    assert (wanted[np.arange(len(prompts)), found.argmax(1)] >= best[:, 0] - 1e-4).all()


def test_the_shares_of_a_long_list_are_right_and_most_of_it_is_not_computed(tiny_base: Path) -> None:
    model, plain = open_model(tiny_base), AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    for network in (model.network, plain):
        network.model.norm.weight.data *= 3  # a model that is sure of what it says, as trained ones are
    draw = np.random.default_rng(3)
    prompts = [draw.integers(4, 381, 12).tolist()]
    likely = list(prompts[0])
    while len(likely) < 21:
        likely.append(int(log_shares(plain, likely)[-1].argmax()))
    candidates = [likely[12:], *([*draw.integers(4, 381, 8).tolist(), 3] for _ in range(39))]
    sizes, handle = watched(model)
    try:
        found = score_candidates(model, prompts, candidates)
    finally:
        handle.remove()
    wanted = sums_over_tokens(plain, prompts, candidates)
    shares = [np.exp(scores) / np.exp(scores).sum(1, keepdims=True) for scores in (found, wanted)]
    np.testing.assert_allclose(*shares, atol=len(candidates) * np.exp(-NEGLIGIBLE_NATS), rtol=1e-3)
    assert found.argmax(1).tolist() == [0]
    assert sum(sizes) < 40 * 8 / 2, "a tree of all candidates has 40 times 8 inner tokens"


def watched(model: OpenModel) -> tuple[list[int], RemovableHandle]:
    """The number of tokens of every call of the model from now on."""
    sizes: list[int] = []
    handle = model.network.register_forward_pre_hook(
        lambda _module, _arguments, words: sizes.append(words["input_ids"].numel()), with_kwargs=True
    )
    return sizes, handle


@roads
@pytest.mark.usefixtures("on_road")
@pytest.mark.parametrize("candidates", [[[5], [6]], [[5, 6, 3], [5, 7, 3], [7, 3]]])
def test_no_call_is_over_the_budget_and_calls_change_no_score(
    model: OpenModel, monkeypatch: pytest.MonkeyPatch, candidates: list[list[int]]
) -> None:
    prompts = [list(range(4, 24)) for _ in range(12)]
    sizes, handle = watched(model)
    try:
        whole = score_candidates(model, prompts, candidates)
        num_calls = len(sizes)
        sizes.clear()
        told: list[int] = []
        monkeypatch.setattr(scoring, "_MAX_TOKENS_PER_CALL", 200)
        monkeypatch.setattr(scoring, "_PROMPTS_PER_SEARCH", 5)
        parts = score_candidates(model, prompts, candidates, progress=told.append)
    finally:
        handle.remove()
    assert len(sizes) > num_calls
    assert max(sizes) <= 200
    assert sum(told) == len(prompts)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_no_call_of_the_tree_reads_a_prompt_twice(model: OpenModel) -> None:
    sizes, handle = watched(model)
    try:
        score_candidates(model, [[4] * 50, [5] * 30], [[7, 8, 3], [7, 9, 3], [7, 8, 9]])
    finally:
        handle.remove()
    assert 80 <= max(sizes) <= 80 + 2 * 3, "the inner tokens of these candidates are 7, 7 8 and 7 9"


@roads
@pytest.mark.usefixtures("on_road")
@pytest.mark.parametrize("is_training", [True, False])
def test_reading_leaves_mode_and_chance_as_they_were(tiny_base: Path, is_training: bool) -> None:
    model = open_model(tiny_base, dropout=0.5)
    model.network.train(is_training)
    before = torch.get_rng_state()
    one = score_candidates(model, [[4, 5]], [[6, 3]])
    assert score_candidates(model, [[4, 5]], [[6, 3]]) == one
    rows = rows_of(np.random.default_rng(1), 3)
    read_tokens(model, rows)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.network.training == is_training
    assert all(weight.grad is None for weight in model.network.parameters())


def test_nothing_asked_is_nothing_answered(model: OpenModel) -> None:
    assert read_tokens(model, []) == []
    assert score_candidates(model, [], [[5]]).shape == (0, 1)
