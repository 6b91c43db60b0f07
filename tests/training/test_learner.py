"""Weights that the model computes with in bfloat16 learn as if they were whole, and are whole again at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from training_kit import (
    PEFT_WARNING,
    HeldOutLoss,
    Memory,
    are_same_bits,
    copy_of,
    flat,
    make_job,
    open_tiny,
    random_rows,
    stop_after,
)

from fettle.errors import IncompatibleModel
from fettle.models.load import OpenModel
from fettle.training.checkpoint import Checkpoint, CheckpointStore
from fettle.training.learner import Learner
from fettle.training.loop import train

pytestmark = pytest.mark.filterwarnings(PEFT_WARNING)
ROWS = random_rows(8, seed=11)
HELD_OUT = flat(random_rows(3, seed=12))
NORM = "model.norm.weight"


def pull(model: OpenModel, strength: float) -> None:
    """A backward pass whose gradient is `strength` for every weight that learns."""
    (strength * sum(weight.sum() for weight in model.trainable().values())).backward()


def rounded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Equal to the bit, in any number format."""
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_model_computes_with_the_masters_rounded(tiny_base: Path, kind: str) -> None:
    model = open_tiny(tiny_base, kind=kind)
    before = copy_of(model)
    buffers = {name: buffer.clone() for name, buffer in model.network.named_buffers()}
    learner = Learner(model, torch.bfloat16)
    assert learner.is_rounded
    assert are_same_bits(dict(learner.weights), before)
    assert same(copy_of(model), rounded(before))
    assert {weight.dtype for weight in model.network.parameters()} == {torch.bfloat16}
    assert list(learner.weights) == list(before)
    assert same(dict(model.network.named_buffers()), buffers), "angles of positions lose places when they are rounded"


def test_steps_too_small_for_bfloat16_add_up(tiny_base: Path) -> None:
    """Near 1 a bfloat16 has no neighbour nearer than 0.004: of steps of 0.00001 it would never take one."""
    model = open_tiny(tiny_base)
    learner = Learner(model, torch.bfloat16)
    optimizer = torch.optim.SGD(learner.weights.values(), lr=1e-5)
    weight, master = model.trainable()[NORM], learner.weights[NORM]
    assert (weight == 1).all()
    stuck = torch.ones((), dtype=torch.bfloat16)
    for step in range(1, 251):
        pull(model, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        learner.publish()
        stuck -= 1e-5
        assert (master - (1 - step * 1e-5)).abs().max() < 1e-5
        assert torch.equal(weight, master.to(torch.bfloat16))
        if step == 190:
            assert (weight == 1).all()
    assert (weight == 1 - 2**-8).all(), "past half the way to the neighbour below, after 196 steps"
    assert stuck == 1


def test_a_run_moves_the_masters_where_no_computed_weight_moves(tiny_base: Path, tmp_path: Path) -> None:
    model = open_tiny(tiny_base)
    before = copy_of(model)
    seen: list[Tensor] = []

    class Onlooker(Memory):
        def on_step(self, report: object) -> None:
            seen.append(model.trainable()[NORM].detach().clone())

    job = make_job(model, tmp_path, rows=ROWS, num_steps=3, learning_rate=1e-5, weight_decay=0.0, watchers=[Onlooker()])
    job.dtype = torch.bfloat16
    train(job)
    assert all(weight.dtype == torch.bfloat16 and (weight == 1).all() for weight in seen)
    after = copy_of(model)
    for name in before:
        assert not torch.equal(before[name], after[name])
    assert same(CheckpointStore(tmp_path).load(3).weights, after)


def test_masters_gather_the_gradients_of_calls_in_float32(tiny_base: Path) -> None:
    model = open_tiny(tiny_base)
    learner = Learner(model, torch.bfloat16)
    for strength in (1.0, *(2.0**-9,) * 5, 2.0**-16):
        pull(model, strength)
        assert all(weight.grad is None for weight in model.network.parameters()), "a gradient is held once"
    for master in learner.weights.values():
        assert master.grad is not None and master.grad.dtype == torch.float32
        assert (master.grad == 1 + 5 * 2.0**-9 + 2.0**-16).all()


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_finishing_leaves_exactly_the_masters(tiny_base: Path, kind: str) -> None:
    model = open_tiny(tiny_base, kind=kind)
    frozen = {name: weight.clone() for name, weight in model.network.named_parameters() if not weight.requires_grad}
    learner = Learner(model, torch.bfloat16)
    torch.manual_seed(0)
    with torch.no_grad():
        for master in learner.weights.values():
            master += torch.randn_like(master) / 3
    masters = {name: master.detach().clone() for name, master in learner.weights.items()}
    learner.publish()
    assert same(copy_of(model), rounded(masters))
    learner.finish()
    assert are_same_bits(copy_of(model), masters)
    assert {weight.dtype for weight in model.network.parameters()} == {torch.float32}
    left = {name: weight for name, weight in model.network.named_parameters() if not weight.requires_grad}
    assert same(left, {name: weight.to(torch.bfloat16).float() for name, weight in frozen.items()})
    pull(model, 1.0)
    assert all(weight.grad is not None for weight in model.trainable().values()), "the model keeps its own gradients"
    assert all(master.grad is None for master in learner.weights.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_that_is_begun_again_gathers_from_nothing(tiny_base: Path, dtype: torch.dtype) -> None:
    model = open_tiny(tiny_base)
    learner = Learner(model, dtype)
    pull(model, 1.0)
    for weight in model.trainable().values():  # as where memory runs out before a gradient is handed over
        weight.grad = torch.ones_like(weight)
    learner.forget_gradients()
    pull(model, 0.5)
    assert all((master.grad == 0.5).all() for master in learner.weights.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_restoring_takes_over_weights_and_refuses_others(tiny_base: Path, dtype: torch.dtype) -> None:
    model = open_tiny(tiny_base)
    learner = Learner(model, dtype)
    stored = {name: torch.full_like(master, 1.001) for name, master in learner.weights.items()}
    learner.restore(stored)
    assert are_same_bits(dict(learner.weights), stored)
    assert same(copy_of(model), {name: tensor.to(dtype) for name, tensor in stored.items()})
    for wrong in ({**stored, "other": torch.ones(1)}, {**stored, NORM: torch.ones(3)}, dict(list(stored.items())[1:])):
        with pytest.raises(IncompatibleModel):
            learner.restore(wrong)
    learner.finish()
    assert are_same_bits(copy_of(model), stored)


def test_in_float32_the_weights_are_the_masters(tiny_base: Path) -> None:
    model = open_tiny(tiny_base)
    before = copy_of(model)
    learner = Learner(model, torch.float32)
    assert not learner.is_rounded
    weights = model.trainable()
    assert all(learner.weights[name] is weight for name, weight in weights.items())
    pull(model, 2.0)
    assert all((weight.grad == 2).all() for weight in weights.values())
    learner.publish()
    learner.finish()
    assert are_same_bits(copy_of(model), before)
    assert all(model.trainable()[name] is weight for name, weight in weights.items())


def run(
    base: Path,
    folder: Path,
    *,
    kind: str = "full",
    stop: int = 1000,
    start: Checkpoint | None = None,
    keep: str = "best",
) -> tuple[dict[str, Tensor], Memory]:
    """One process of a run in bfloat16."""
    model, memory = open_tiny(base, kind=kind, dropout=0.1), Memory()
    job = make_job(
        model,
        folder,
        rows=ROWS,
        probe=HeldOutLoss(HELD_OUT),
        num_steps=5,
        watchers=[memory],
        should_stop=stop_after(stop),
        keep=keep,
        keep_checkpoints=0,
        max_tokens_per_call=30,
    )
    job.dtype = torch.bfloat16
    train(job, start)
    return copy_of(model), memory


@pytest.mark.parametrize(("kind", "keep"), [("full", "best"), ("full", "last"), ("lora", "last")])
def test_a_run_in_bfloat16_that_was_stopped_ends_with_the_same_bits(
    tiny_base: Path, tmp_path: Path, kind: str, keep: str
) -> None:
    wanted, whole = run(tiny_base, tmp_path / "whole", kind=kind, keep=keep)
    assert {weight.dtype for weight in wanted.values()} == {torch.float32}
    for stop in (1, 3):
        folder = tmp_path / str(stop)
        _, before = run(tiny_base, folder, kind=kind, keep=keep, stop=stop)
        start, _ = CheckpointStore(folder).load_latest()
        weights, after = run(tiny_base, folder, kind=kind, keep=keep, start=start)
        assert are_same_bits(weights, wanted), f"stopped at {stop}"
        assert [step.loss for step in before.steps + after.steps] == [step.loss for step in whole.steps]


def test_a_run_in_bfloat16_learns_what_one_in_float32_learns(tiny_base: Path, tmp_path: Path) -> None:
    """Not the same bits, but the same way: the losses of both fall together."""
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        memory = Memory()
        job = make_job(open_tiny(tiny_base), tmp_path / str(dtype), rows=ROWS, num_steps=20, watchers=[memory])
        job.dtype = dtype
        train(job)
        losses.append([step.loss for step in memory.steps])
    exact, coarse = (np.asarray(each) for each in losses)
    assert exact[-3:].mean() < 0.8 * exact[:3].mean()
    assert np.abs(coarse - exact).max() < 0.02 * exact.max()
