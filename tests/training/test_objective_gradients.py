"""The gradient of a step is that of a naive loop over single rows, whatever the layout and the calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from training_kit import are_same_bits, copy_of, flat, open_tiny, random_rows
from transformers import AutoModelForCausalLM

from fettle.models.forward import read_logits
from fettle.tokens.batch import batch_examples
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch, split_by_tokens
from fettle.tokens.layout import Layout, lay_out
from fettle.training.objective import NextToken
from precision_kit import Lifted

Gradients = dict[str, Tensor]


def naive(folder: Path, examples: list[Example], dtype: torch.dtype) -> tuple[float, Gradients]:
    """One row at a time through transformers as it is."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    total = sum(example.learned_weight for example in examples)
    loss = torch.zeros((), dtype=dtype)
    for example in examples:
        logits = network(input_ids=torch.from_numpy(example.ids)[None]).logits[0]
        reads = zip(example.reads.at, example.reads.token, example.reads.weight, strict=True)
        for at, token, weight in reads:
            loss = loss + float(weight) * cross_entropy(logits[at], torch.tensor(token)) / total
    loss.backward()
    return float(loss.detach()), {name: weight.grad for name, weight in network.named_parameters()}


def ours(
    folder: Path, examples: list[Example], layout: str, dtype: torch.dtype, max_tokens: int = 4096
) -> tuple[float, Gradients]:
    """As the loop does it: sums of each call over the weight of the whole step."""
    return in_calls(folder, examples, split_by_tokens(examples, max_tokens, layout), layout, dtype)


def in_calls(
    folder: Path, examples: list[Example], groups: list[list[int]], layout: str, dtype: torch.dtype
) -> tuple[float, Gradients]:
    """A call for each group of rows."""
    model = open_tiny(folder)
    model.network.to(dtype)
    objective = NextToken(layout)
    total = objective.weigh(examples)["next_token"]
    loss = 0.0
    for group in groups:
        part = objective.sums(model, make_batch([examples[index] for index in group], layout))["next_token"] / total
        part.backward()
        loss += float(part.detach())
    return loss, {name: weight.grad for name, weight in model.trainable().items()}


def apart(first: Gradients, second: Gradients) -> float:
    """The largest difference of any gradient, over the length of that gradient."""
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).norm() / second[name].norm()) for name in first)


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
@pytest.mark.parametrize(("dtype", "bar"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_gradient_equals_a_naive_loop_over_single_rows(
    tiny_base: Path, layout: str, dtype: torch.dtype, bar: float
) -> None:
    examples = flat(random_rows(6))

    wanted_loss, wanted = naive(tiny_base, examples, dtype)
    loss, gradients = ours(tiny_base, examples, layout, dtype)

    assert loss == pytest.approx(wanted_loss, rel=bar)
    assert apart(gradients, wanted) <= bar


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_loss_and_gradient_do_not_depend_on_the_calls_of_a_step(tiny_base: Path, layout: str) -> None:
    examples = flat(random_rows(9, seed=3))
    wanted_loss, wanted = ours(tiny_base, examples, layout, torch.float64, 100_000)

    numbers = {len(split_by_tokens(examples, most, layout)) for most in (1, 25, 60, 100_000)}
    assert numbers >= {1, len(examples)}, "the calls must differ for the law to say anything"
    for most in (1, 25, 60):
        loss, gradients = ours(tiny_base, examples, layout, torch.float64, most)
        assert loss == pytest.approx(wanted_loss, rel=1e-6)
        assert apart(gradients, wanted) <= 1e-6


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_one_call_of_32_rows_is_8_of_4_is_32_of_one(tiny_base: Path, layout: str) -> None:
    """Rows of unlike lengths, half of which begin alike; in float64, without the models' own casts to float32."""
    beginning = flat(random_rows(1, seed=20, longest=12))[0].ids
    examples = flat(random_rows(32, seed=21, longest=40))
    examples[::2] = [
        replace(
            row, ids=np.concatenate([beginning, row.ids]), reads=replace(row.reads, at=row.reads.at + len(beginning))
        )
        for row in examples[::2]
    ]
    assert len({row.num_tokens for row in examples}) > 16

    with Lifted(only_softmax=False):
        whole, *parted = [
            in_calls(tiny_base, examples, groups, layout, torch.float64)
            for size in (32, 4, 1)
            for groups in [[list(range(first, first + size)) for first in range(0, 32, size)]]
        ]
        _, elsewhere = in_calls(tiny_base, examples, [list(range(32))], "padded", torch.float64)

    for loss, gradients in parted:
        assert loss == pytest.approx(whole[0], rel=1e-12)
        assert apart(gradients, whole[1]) <= 1e-10
    assert apart(whole[1], elsewhere) <= 1e-10


def test_gradient_does_not_depend_on_the_order_of_rows(tiny_base: Path) -> None:
    examples = flat(random_rows(7, seed=4))
    wanted_loss, wanted = ours(tiny_base, examples, "packed", torch.float64)

    for order in (examples[::-1], examples[3:] + examples[:3]):
        loss, gradients = ours(tiny_base, order, "packed", torch.float64, 40)
        assert loss == pytest.approx(wanted_loss, rel=1e-6)
        assert apart(gradients, wanted) <= 1e-6


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_rows_whose_reads_weigh_nothing_change_nothing(tiny_base: Path, layout: str) -> None:
    examples = flat(random_rows(4, seed=5))
    silent = flat(random_rows(3, seed=6))
    silent = [
        Example(row.ids, TokenReads(row.reads.at, row.reads.token, 0 * row.reads.weight), row.source) for row in silent
    ]
    wanted_loss, wanted = ours(tiny_base, examples, layout, torch.float64)

    mixed = [silent[0], *examples[:2], silent[1], *examples[2:], silent[2]]
    for most in (1, 4096):
        loss, gradients = ours(tiny_base, mixed, layout, torch.float64, most)
        assert loss == pytest.approx(wanted_loss, rel=1e-6)
        assert apart(gradients, wanted) <= 1e-6


def test_weights_are_shares_of_the_step_not_of_a_row(tiny_base: Path) -> None:
    short, long = flat(random_rows(2, seed=7))
    objective = NextToken("packed")
    model = open_tiny(tiny_base)

    each = [float(objective.sums(model, batch_examples([row]))["next_token"].detach()) for row in (short, long)]
    weights = [row.learned_weight for row in (short, long)]

    loss, _ = ours(tiny_base, [short, long], "packed", torch.float32)
    assert loss == pytest.approx(sum(each) / sum(weights), rel=1e-6)
    assert loss != pytest.approx((each[0] / weights[0] + each[1] / weights[1]) / 2, rel=1e-3)


def test_doubling_a_weight_doubles_its_pull(tiny_base: Path) -> None:
    [row] = flat(random_rows(1, seed=8))
    doubled = Example(row.ids, TokenReads(row.reads.at, row.reads.token, 2 * row.reads.weight), row.source)
    objective = NextToken("packed")
    model = open_tiny(tiny_base)

    once, twice = (objective.sums(model, batch_examples([one]))["next_token"].detach() for one in (row, doubled))

    assert torch.equal(2 * once, twice)


@pytest.mark.parametrize("layout", ["tree", "packed", "padded"])
def test_no_row_of_a_call_sees_another(tiny_base: Path, layout: Layout) -> None:
    first, second, third = flat(random_rows(3, seed=9))
    model = open_tiny(tiny_base)
    # Of the same length, so that nothing but the content of the neighbours changes.
    changed = Example((first.ids + 7) % 290, first.reads, first.source)

    def losses(rows: list[Example]) -> torch.Tensor:
        batch = batch_examples(rows)
        logits = read_logits(model.network, lay_out(batch, layout, torch.device("cpu")))
        return cross_entropy(logits, torch.from_numpy(batch.reads.token), reduction="none").detach()

    before, after = losses([first, second, third]), losses([changed, second, third])

    own = len(first.reads)
    assert not torch.equal(before[:own], after[:own])
    assert torch.equal(before[own:], after[own:])


def test_an_objective_changes_no_weight(tiny_base: Path) -> None:
    model = open_tiny(tiny_base)
    before = copy_of(model)

    NextToken("packed").sums(model, batch_examples(flat(random_rows(2))))["next_token"].backward()

    assert are_same_bits(before, copy_of(model))
