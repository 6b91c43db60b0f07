"""The gradient of a loss over a step is that of one call, whatever calls its rows are in, with noise or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from training_kit import make_job

from fettle.models.head import HeadShape, fresh_head
from fettle.models.load import OpenModel, open_model
from fettle.tokens.example import Example, Pooling, Target, pooled_example
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout
from fettle.tokens.running import numbers_of
from fettle.training import objective as objectives
from fettle.training.loop import train
from fettle.training.losses.nearness import order_loss
from fettle.training.losses.ranking import Candidates, RankingShape, ranking_losses
from fettle.training.objective import Call, sums_of_calls
from fettle.training.step_vectors import StepVectors
from precision_kit import Lifted

Gradients = dict[str, Tensor]
Groups = list[list[int]]
LAYOUTS: tuple[Layout, ...] = ("tree", "packed", "padded")
NUM_PAIRS = 5


def open_trunk(folder: Path, dropout: float = 0.0) -> OpenModel:
    """The tiny base in float64, its vectors as they are pooled."""
    model = open_model(folder, "trunk", dropout=dropout)
    model.head = fresh_head(HeadShape(0), model.width, 0)
    model.network.to(torch.float64).train()
    return model


def pairs(pooling: Pooling = "mean", seed: int = 0) -> list[Example]:
    """Texts and matches in turn, of unlike length, some with one beginning; every text with a weight of its own."""
    draw = np.random.default_rng(seed)
    beginning = draw.integers(10, 300, 6)
    rows = []
    for number in range(2 * NUM_PAIRS):
        ids = draw.integers(10, 300, int(draw.integers(2, 14)))
        ids = np.concatenate([beginning, ids]) if number % 3 else ids
        target = Target(np.asarray([number % 2], np.float32), 0.5 + number if number % 2 == 0 else 0.0)
        rows.append(pooled_example(ids, pooling, target, f"rows:{number}"))
    return rows


def ranked(vectors: Tensor, examples: Sequence[Example]) -> Tensor:
    """Each text against all matches, times its weight."""
    assert [int(example.target.values[0]) for example in examples] == [0, 1] * (len(examples) // 2)
    weights = vectors.new_tensor([example.target.weight for example in examples[::2]])
    each = range(len(examples) // 2)
    candidates = Candidates.of(each, each, each)
    return ranking_losses(vectors[::2], vectors[1::2], candidates, RankingShape(is_symmetric=True)) @ weights


def ordered(vectors: Tensor, examples: Sequence[Example]) -> Tensor:
    """One loss for all pairs together."""
    count = len(examples) // 2
    return order_loss(vectors[::2], vectors[1::2], torch.arange(count) % 3, torch.ones(count), 0.05)


def calls_of(examples: Sequence[Example], groups: Groups, layout: Layout) -> list[Call]:
    return [Call(make_batch([examples[row] for row in group], layout), group) for group in groups]


def in_calls(model: OpenModel, examples: Sequence[Example], groups: Groups, layout: Layout, loss) -> tuple:
    """Loss and gradient as the loop gathers them."""
    objective = StepVectors(layout, loss, Target(np.zeros(1, np.float32)))
    total = objective.weigh(examples)["vectors"]
    value = 0.0
    model.network.zero_grad()
    for sums in sums_of_calls(objective, model, calls_of(examples, groups, layout), torch.manual_seed):
        part = sums["vectors"] / total
        part.backward()
        value += float(part.detach())
    return value, {name: weight.grad.clone() for name, weight in model.trainable().items()}


def at_once(model: OpenModel, examples: Sequence[Example], groups: Groups, layout: Layout, loss) -> tuple:
    """The same calls with the same noise, all of their graphs kept: what is to come out."""
    vectors, rows = [], []
    for number, call in enumerate(calls_of(examples, groups, layout)):
        torch.manual_seed(number)
        vectors.append(numbers_of(model, call.batch, layout, is_pooled=True))
        rows += call.rows
    order = np.argsort(rows).tolist()
    value = loss(torch.cat(vectors)[order], examples) / sum(example.learned_weight for example in examples)
    model.network.zero_grad()
    value.backward()
    return float(value.detach()), {name: weight.grad.clone() for name, weight in model.trainable().items()}


def apart(first: Gradients, second: Gradients) -> float:
    assert first.keys() == second.keys()
    largest = max(float(weight.norm()) for weight in second.values())
    return max(float((first[name] - second[name]).norm()) for name in first) / largest


def are_close(found: tuple, wanted: tuple) -> bool:
    return found[0] == pytest.approx(wanted[0], rel=1e-9) and apart(found[1], wanted[1]) <= 1e-9


groupings = st.permutations(range(2 * NUM_PAIRS)).flatmap(
    lambda order: st.sets(st.integers(1, 2 * NUM_PAIRS - 1), max_size=5).map(
        lambda cuts: [order[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 2 * NUM_PAIRS], strict=True)]
    )
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("loss", [ranked, ordered])
def test_the_gradient_does_not_depend_on_the_calls(
    tiny_base: Path, layout: Layout, pooling: Pooling, loss: Callable
) -> None:
    model, examples = open_trunk(tiny_base), pairs(pooling)

    @settings(deadline=None, max_examples=6)
    @given(groupings)
    def hold(groups: Groups) -> None:
        assert are_close(in_calls(model, examples, groups, layout, loss), wanted)

    with Lifted(only_softmax=False):
        wanted = at_once(model, examples, [list(range(len(examples)))], layout, loss)
        hold()


@pytest.mark.parametrize("loss", [ranked, ordered])
def test_with_noise_it_is_that_of_the_same_noise(tiny_base: Path, loss: Callable) -> None:
    model, examples = open_trunk(tiny_base, dropout=0.3), pairs()
    quiet = at_once(open_trunk(tiny_base), examples, [list(range(10))], "packed", loss)
    with Lifted(only_softmax=False):
        for groups in ([list(range(10))], [[3, 1, 0], [2, 4, 9, 5], [8, 7, 6]], [[row] for row in range(10)]):
            wanted = at_once(model, examples, groups, "packed", loss)
            assert are_close(in_calls(model, examples, groups, "packed", loss), wanted)
            assert apart(wanted[1], quiet[1]) > 1e-2, "the noise must be there for the law to say anything"


def test_one_call_is_made_once_and_several_are_made_twice(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(objectives, "numbers_of", lambda *given, **more: made.append(1) or numbers_of(*given, **more))
    model, examples = open_trunk(tiny_base), pairs()
    in_calls(model, examples, [list(range(10))], "packed", ranked)
    assert len(made) == 1
    in_calls(model, examples, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], "packed", ranked)
    assert len(made) == 1 + 4


def test_a_run_learns_the_same_in_many_calls_as_in_one(tiny_base: Path, tmp_path: Path) -> None:
    losses, weights = [], []
    for most in (4096, 24):
        model = open_trunk(tiny_base)
        model.network.float()
        rows = [pairs(seed=seed)[:2] for seed in range(8)]
        job = make_job(model, tmp_path / str(most), rows=rows, num_steps=6, rows_per_step=4, max_tokens_per_call=most)
        job.objective = StepVectors("packed", ranked, Target(np.zeros(1, np.float32)))
        seen: list[float] = []
        job.watchers = [_Losses(seen)]
        train(job)
        losses.append(seen)
        weights.append(torch.cat([weight.detach().flatten() for weight in model.trainable().values()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0]
    assert float((weights[0] - weights[1]).norm() / weights[0].norm()) < 1e-3


class _Losses:
    """A watcher that keeps the losses."""

    def __init__(self, seen: list[float]) -> None:
        self._seen = seen

    def on_step(self, report) -> None:
        self._seen.append(report.loss)

    def on_held_out(self, report) -> None: ...

    def on_checkpoint(self, step, is_best) -> None: ...

    def on_less_memory(self, step, max_tokens_per_call) -> None: ...
