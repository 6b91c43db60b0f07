"""Losses of vectors equal those of sentence-transformers, their gradients are those of finite differences."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from vector_loss_kit import EXPECTED, SIZES, by_sentence_transformers, cases, drawn, scores_of

from fettle.training.losses.nearness import cosine_errors, order_loss
from fettle.training.losses.prefixes import over_prefixes
from fettle.training.losses.ranking import Candidates, RankingShape, ranking_losses

BAR = 1e-9


def ours(name: str, columns: Sequence[Tensor], scores: Tensor | None) -> Tensor:
    """The loss of a case, every row the same weight."""
    count = len(columns[0])

    def loss(vectors: Tensor) -> Tensor:
        parts = vectors.split(count)
        kind = name.removesuffix("_prefixes")
        if kind in ("ranking", "symmetric"):
            candidates = Candidates.of(range(count), range(count, len(vectors)), range(count))
            shape = RankingShape(0.05, kind == "symmetric")
            return ranking_losses(parts[0], vectors[count:], candidates, shape).mean()
        assert scores is not None
        if kind == "order":
            return order_loss(parts[0], parts[1], scores, torch.ones(count), 0.05)
        return cosine_errors(parts[0], parts[1], scores).mean()

    return over_prefixes(loss, torch.cat(list(columns)), SIZES if name.endswith("_prefixes") else {8: 1.0})


@pytest.mark.parametrize("name", cases())
def test_losses_and_gradients_are_those_that_sentence_transformers_computed(name: str) -> None:
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))["cases"][name]
    columns, scores = cases()[name]
    columns[0].requires_grad_()
    loss = ours(name, columns, scores)
    [gradient] = torch.autograd.grad(loss, columns[:1])
    assert float(loss.detach()) == pytest.approx(expected["loss"], abs=BAR)
    assert float((gradient - torch.tensor(expected["gradient"], dtype=torch.float64)).abs().max()) < BAR


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", cases())
def test_losses_are_those_of_sentence_transformers_itself(name: str, seed: int) -> None:
    pytest.importorskip("sentence_transformers", reason="the oracle is not in [dev]")
    columns = drawn(100 + seed, 4 + seed, columns=len(cases()[name][0]))
    scores = scores_of(seed, 4 + seed)
    wanted = by_sentence_transformers(name, columns, scores)
    assert float(ours(name, columns, scores)) == pytest.approx(float(wanted), abs=BAR)


@pytest.mark.parametrize("name", cases())
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    columns, scores = cases()[name]
    assert torch.autograd.gradcheck(
        lambda *given: ours(name, given, scores), [column.requires_grad_() for column in columns]
    )


PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=7)


@given(PAIRS, st.booleans())
def test_losses_are_those_over_distinct_texts_of_which_none_is_right(
    pairs: list[tuple[int, int]], is_symmetric: bool
) -> None:
    """By hand: each query beside every text once that is no match of it, and each match likewise."""
    queries, matches = drawn(7, 4)
    query, match = [query for query, _ in pairs], [match for _, match in pairs]
    candidates = Candidates.of(query, match, range(len(pairs)))
    losses = ranking_losses(queries[query], matches[match], candidates, RankingShape(0.05, is_symmetric))
    cosines = torch.nn.functional.cosine_similarity(queries[:, None], matches[None], dim=-1) / 0.05
    for (one, other), loss in zip(pairs, losses, strict=True):
        wrong = sorted({each for each in match if (one, each) not in pairs})
        wanted = torch.stack([cosines[one, each] for each in (other, *wrong)]).logsumexp(0) - cosines[one, other]
        if is_symmetric:
            wrong = sorted({each for each in query if (each, other) not in pairs})
            back = torch.stack([cosines[each, other] for each in (one, *wrong)]).logsumexp(0) - cosines[one, other]
            wanted = (wanted + back) / 2
        assert float(loss) == pytest.approx(float(wanted), abs=BAR)


def test_repeats_count_where_they_are_asked_for() -> None:
    [queries, matches] = drawn(7, 3)
    matches[1] = matches[0]
    told = Candidates.of([0, 1, 2], [5, 5, 6], [0, 1, 2])
    counted = Candidates.of([0, 1, 2], [5, 5, 6], [0, 1, 2], repeats_count=True)
    assert not counted.is_left_out_QC.any() and not counted.is_left_out_QQ.any()
    less, more = (ranking_losses(queries, matches, each, RankingShape(0.05, True)) for each in (told, counted))
    assert (more > less + 1e-3).all()


def test_a_whole_weight_is_a_repeated_pair_and_no_weight_is_no_pair() -> None:
    left, right = drawn(9, 5)
    scores = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0])
    repeated = np.repeat(np.arange(5), weights.to(torch.int64))
    wanted = order_loss(left[repeated], right[repeated], scores[repeated], torch.ones(len(repeated)), 0.05)
    left.requires_grad_()
    found = order_loss(left, right, scores, weights, 0.05)
    assert float(found.detach()) == pytest.approx(float(wanted))
    [gradient] = torch.autograd.grad(found, [left])
    assert torch.isfinite(gradient).all() and not gradient[2].any()


def test_only_the_order_of_scores_counts_for_their_order() -> None:
    left, right = drawn(10, 6)
    scores = scores_of(10, 6)
    losses = [order_loss(left, right, each, torch.ones(6), 0.05) for each in (scores, scores**3 * 40 - 7)]
    assert torch.equal(*losses)
    assert float(order_loss(left, right, torch.ones(6), torch.ones(6), 0.05)) == 0.0
