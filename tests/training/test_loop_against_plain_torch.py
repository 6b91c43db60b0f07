"""The loop is what a person would write by hand in plain torch, and it learns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from training_kit import (
    PEFT_WARNING,
    FixedRows,
    Memory,
    are_same_bits,
    copy_of,
    flat,
    make_job,
    open_tiny,
    random_rows,
)
from transformers import AutoModelForCausalLM

from fettle.tokens.example import Example, TokenReads
from fettle.training.loop import train

pytestmark = pytest.mark.filterwarnings(PEFT_WARNING)
STEPS = 50


RATE, DECAY, CLIP = 1e-3, 0.1, 1.0


def plain_torch(folder: Path, steps: list[list[Example]], dtype: torch.dtype) -> tuple[list[float], dict[str, Tensor]]:
    """Fifty steps by hand: one row at a time, AdamW, warm-up and cosine; gives each step's loss, and the weights."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    matrices = [weight for weight in network.parameters() if weight.ndim > 1]
    vectors = [weight for weight in network.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}],
        lr=RATE,
        betas=(0.9, 0.99),
        eps=1e-8,
    )
    num_warmup = 5
    losses = []
    for number, examples in enumerate(steps):
        share = (
            (number + 1) / num_warmup
            if number < num_warmup
            else 0.5 * (1 + math.cos(math.pi * (number - num_warmup) / (STEPS - num_warmup)))
        )
        for group in optimizer.param_groups:
            group["lr"] = RATE * share
        total = sum(float(example.reads.weight.sum()) for example in examples)
        loss = torch.zeros((), dtype=dtype)
        for example in examples:
            logits = network(input_ids=torch.from_numpy(example.ids)[None]).logits[0, example.reads.at]
            each = cross_entropy(logits, torch.from_numpy(example.reads.token), reduction="none")
            loss = loss + (each * torch.from_numpy(example.reads.weight)).sum() / total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, {name: weight.detach() for name, weight in network.named_parameters()}


@pytest.mark.parametrize(
    ("layout", "dtype", "bar"),
    [("packed", torch.float32, 1e-5), ("padded", torch.float32, 1e-5), ("packed", torch.float64, 1e-6)],
)
def test_fifty_steps_equal_a_loop_written_by_hand(
    tiny_base: Path, tmp_path: Path, layout: str, dtype: torch.dtype, bar: float
) -> None:
    rows = random_rows(24, seed=1)
    steps = [flat(rows[first : first + 4]) for first in [4 * (number % 6) for number in range(STEPS)]]
    memory = Memory()
    model = open_tiny(tiny_base)
    model.network.to(dtype)
    job = make_job(
        model,
        tmp_path,
        stream=FixedRows(steps),
        num_steps=STEPS,
        look_every_steps=1000,
        layout=layout,
        watchers=[memory],
        learning_rate=RATE,
        warmup_share=0.1,
        weight_decay=DECAY,
        clip_norm=CLIP,
        max_tokens_per_call=40,
    )

    train(job)

    wanted, by_hand = plain_torch(tiny_base, steps, dtype)
    losses = [report.loss for report in memory.steps]
    gaps = [ours - hand for ours, hand in zip(losses, wanted, strict=True)]
    assert max(map(abs, gaps)) <= bar
    assert abs(sum(gaps) / STEPS) <= 1e-6
    for name, weight in copy_of(model).items():
        assert float((weight - by_hand[name]).norm() / by_hand[name].norm()) <= 1e-4, name
    assert wanted[-1] < wanted[0]
    assert any(report.gradient_norm > 1.0 for report in memory.steps), "the clip must have been at work"


def test_eight_rows_are_learned_by_heart(tiny_base: Path, tmp_path: Path) -> None:
    memory = Memory()
    job = make_job(
        open_tiny(tiny_base),
        tmp_path,
        rows=random_rows(8, seed=2),
        num_steps=150,
        look_every_steps=1000,
        watchers=[memory],
        rows_per_step=8,
        learning_rate=1e-2,
        weight_decay=0.0,
    )

    train(job)

    assert memory.steps[0].loss > 3
    assert memory.steps[-1].loss < 0.01


def test_adapters_learn_and_the_base_stays(tiny_base: Path, tmp_path: Path) -> None:
    memory = Memory()
    model = open_tiny(tiny_base, kind="lora")
    frozen = {name: weight.clone() for name, weight in model.network.named_parameters() if not weight.requires_grad}
    job = make_job(
        model,
        tmp_path,
        rows=random_rows(4, seed=3),
        num_steps=30,
        rows_per_step=4,
        learning_rate=3e-2,
        watchers=[memory],
    )

    train(job)

    assert memory.steps[-1].loss < 0.5 * memory.steps[0].loss
    after = {name: weight for name, weight in model.network.named_parameters() if not weight.requires_grad}
    assert are_same_bits(frozen, after)
    assert all("lora_" in name for name in model.trainable())


def test_loss_norm_and_rate_of_a_step_do_not_depend_on_its_calls(tiny_base: Path, tmp_path: Path) -> None:
    reports = []
    for most in (1, 30, 100_000):
        memory = Memory()
        job = make_job(
            open_tiny(tiny_base),
            tmp_path / str(most),
            rows=random_rows(10, seed=4),
            num_steps=6,
            rows_per_step=5,
            watchers=[memory],
            max_tokens_per_call=most,
        )
        train(job)
        reports.append(memory.steps)

    for other in reports[1:]:
        for one, two in zip(reports[0], other, strict=True):
            assert two.loss == pytest.approx(one.loss, abs=1e-5)
            assert two.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-4)
            assert (two.step, two.learning_rate, two.learned_tokens) == (
                one.step,
                one.learning_rate,
                one.learned_tokens,
            )


def test_no_decay_where_nothing_pulls_but_decay_does(tiny_base: Path, tmp_path: Path) -> None:
    """With a learning rate near nothing for the gradient's part, only matrices shrink."""
    model = open_tiny(tiny_base)
    before = copy_of(model)
    # Adam's own step is at most the rate for each weight; a decay of 1000 x rate 1e-5 shrinks matrices by 1 %.
    job = make_job(
        model,
        tmp_path,
        rows=random_rows(3),
        num_steps=1,
        learning_rate=1e-5,
        weight_decay=1000.0,
        warmup_share=0.0,
        schedule="constant",
    )

    train(job)

    for name, weight in copy_of(model).items():
        wanted = before[name] * (0.99 if weight.ndim > 1 else 1.0)
        assert torch.allclose(weight, wanted, atol=3e-5), name


def test_a_step_with_nothing_to_learn_leaves_the_weights_alone(tiny_base: Path, tmp_path: Path) -> None:
    [row] = flat(random_rows(1))
    silent = Example(row.ids, TokenReads(row.reads.at, row.reads.token, 0 * row.reads.weight), "rows:0")
    model = open_tiny(tiny_base)
    before = copy_of(model)

    train(make_job(model, tmp_path, stream=FixedRows([[silent]]), num_steps=2))

    assert are_same_bits(before, copy_of(model))


def test_learned_tokens_are_counted(tiny_base: Path, tmp_path: Path) -> None:
    rows = random_rows(6, seed=6)
    outcome = train(make_job(open_tiny(tiny_base), tmp_path, rows=rows, num_steps=4, rows_per_step=3))

    assert outcome.progress.learned_tokens == 2 * sum(example.num_learned for example in flat(rows))
    assert outcome.progress.step == 4
    assert outcome.ending == "done"
