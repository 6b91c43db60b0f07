"""Ways of tuning in the loop: rates by depth, averaged weights, noise on embeddings, weights that stay still."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from training_kit import (
    PEFT_WARNING,
    HeldOutLoss,
    Memory,
    ScriptedLoss,
    are_same_bits,
    copy_of,
    flat,
    make_job,
    open_tiny,
    random_rows,
    stop_after,
)

from fettle.models.config import AdapterSettings
from fettle.models.load import OpenModel, add_adapter, open_model
from fettle.models.ways.chosen import choose_weights, depths, learning_shares
from fettle.models.ways.noise import noisy_embeddings, row_lengths
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout
from fettle.training.checkpoint import Checkpoint, CheckpointStore
from fettle.training.config import TrainingSettings
from fettle.training.loop import train
from fettle.training.objective import NextToken
from fettle.training.optimizer import Optimizers

pytestmark = pytest.mark.filterwarnings(PEFT_WARNING)
ROWS = random_rows(8, seed=21)
HELD_OUT = flat(random_rows(3, seed=22))
STEPS = 6
WAYS = {
    "last": ("last:1", {}),
    "names": ("*norm*,*.1.mlp.*", {}),
    "pissa": ("pissa", {}),
    "layer decay": ("all", {"layer_decay": 0.7}),
    "average": ("all", {"average": 0.8}),
    "noise": ("all", {"embedding_noise": 5.0}),
    "everything": ("last:1", {"layer_decay": 0.5, "average": 0.9, "embedding_noise": 3.0, "optimizer": "muon"}),
    "everything, on adapters": ("pissa", {"layer_decay": 0.5, "average": 0.9, "embedding_noise": 3.0}),
}


def open_way(base: Path, learn: str) -> OpenModel:
    """The tiny base as `adapter.learn` or an adapter has it learn."""
    if learn == "pissa":
        return add_adapter(open_model(base), AdapterSettings(kind="pissa", rank=4), 0)
    model = open_model(base)
    choose_weights(model.network, learn)
    return model


def run(
    base: Path,
    folder: Path,
    learn: str,
    *,
    dtype: torch.dtype = torch.float32,
    stop: int = 1000,
    start: Checkpoint | None = None,
    probe: object = None,
    **settings: object,
) -> tuple[OpenModel, Memory]:
    """One process of a run."""
    model = open_way(base, learn)
    memory = Memory(model)
    job = make_job(
        model,
        folder,
        rows=ROWS,
        probe=probe or HeldOutLoss(HELD_OUT),
        num_steps=STEPS,
        watchers=[memory],
        should_stop=stop_after(stop),
        **{"keep": "last", "keep_checkpoints": 0, **settings},
    )
    job.dtype = dtype
    train(job, start)
    return model, memory


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_stopped_ends_as_one_that_never_was(
    tiny_base: Path, tmp_path: Path, way: str, dtype: torch.dtype
) -> None:
    learn, settings = WAYS[way]
    words = {"dtype": dtype, "keep": "best", **settings}
    whole, seen = run(tiny_base, tmp_path / "whole", learn, **words)
    for stop in (1, 3, 5):
        folder = tmp_path / str(stop)
        _, before = run(tiny_base, folder, learn, stop=stop, **words)
        start, _ = CheckpointStore(folder).load_latest()
        model, after = run(tiny_base, folder, learn, start=start, **words)
        assert are_same_bits(dict(whole.network.named_parameters()), dict(model.network.named_parameters()))
        assert [look.scores for look in before.looks + after.looks] == [look.scores for look in seen.looks]


def average_by_hand(start: dict[str, Tensor], steps: list[dict[str, Tensor]], decay: float) -> dict[str, Tensor]:
    """The recursion as it is written down, in float64."""
    mean = {name: weight.double() for name, weight in start.items()}
    for number, weights in enumerate(steps, start=1):
        memory = min(decay, (1 + number) / (10 + number))
        mean = {name: memory * mean[name] + (1 - memory) * weights[name].double() for name in mean}
    return mean


@pytest.mark.parametrize("decay", [0.1, 0.4, 0.999])
def test_the_average_is_that_of_a_plain_recomputation(tiny_base: Path, tmp_path: Path, decay: float) -> None:
    start = copy_of(open_model(tiny_base))
    plain, seen = run(tiny_base, tmp_path / "plain", "all")
    model, memory = run(tiny_base, tmp_path / "average", "all", average=decay)
    assert all(are_same_bits(one, other) for one, other in zip(memory.weights, seen.weights, strict=True)), "as without"
    wanted = average_by_hand(start, seen.weights, decay)
    for name, weight in copy_of(model).items():
        assert torch.allclose(weight.double(), wanted[name], atol=1e-6), name
    assert not are_same_bits(copy_of(model), copy_of(plain))
    stored = CheckpointStore(tmp_path / "average").load(STEPS)
    assert are_same_bits(stored.average, copy_of(model))
    assert are_same_bits(stored.weights, copy_of(plain))


def test_looks_judge_the_average_and_leave_no_trace(tiny_base: Path, tmp_path: Path) -> None:
    _, memory = run(tiny_base, tmp_path / "average", "all", average=0.9)
    store = CheckpointStore(tmp_path / "average")
    for look in memory.looks:
        model = open_model(tiny_base)
        with torch.no_grad():
            for name, weight in model.trainable().items():
                weight.copy_(store.load(look.step).average[name])
        assert HeldOutLoss(HELD_OUT).measure(model) == look.scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_best_average_is_kept(tiny_base: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    looks = ScriptedLoss([3.0, 1.0, 2.0])
    model, _ = run(tiny_base, tmp_path, "all", dtype=dtype, average=0.9, keep="best", probe=looks)
    stored = CheckpointStore(tmp_path)
    assert are_same_bits(copy_of(model), stored.load(4).average)
    assert {tensor.dtype for tensor in stored.load(4).average.values()} == {torch.float32}


def test_a_run_without_an_average_keeps_none(tiny_base: Path, tmp_path: Path) -> None:
    run(tiny_base, tmp_path, "all")
    assert sorted(path.name for path in CheckpointStore(tmp_path).path(STEPS).iterdir()) == [
        "manifest.json",
        "optimizer.safetensors",
        "weights.safetensors",
    ]
    assert CheckpointStore(tmp_path).load(STEPS).average == {}


def test_the_average_of_one_that_had_none_begins_where_it_stands(tiny_base: Path, tmp_path: Path) -> None:
    run(tiny_base, tmp_path / "plain", "all")
    start = CheckpointStore(tmp_path / "plain").load(4)
    before = {name: weight.clone() for name, weight in start.weights.items()}
    model, memory = run(tiny_base, tmp_path / "fork", "all", start=start, average=0.5)
    wanted = {name: weight.double() for name, weight in before.items()}
    for weights, memory_of_step in zip(memory.weights, (6 / 15, 7 / 16), strict=True):
        wanted = {name: memory_of_step * wanted[name] + (1 - memory_of_step) * weights[name] for name in wanted}
    assert all(torch.allclose(weight.double(), wanted[name], atol=1e-6) for name, weight in copy_of(model).items())


@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_decay_of_one_changes_no_bit(tiny_base: Path, tmp_path: Path, kind: str, optimizer: str) -> None:
    model = open_tiny(tiny_base, kind=kind)
    shares = learning_shares(model.network, 1.0)
    assert set(shares.values()) == {1.0}
    ends = []
    for given_shares in (shares, None):
        weights = {name: torch.nn.Parameter(weight.detach().clone()) for name, weight in model.trainable().items()}
        optimizers = Optimizers(weights, TrainingSettings(optimizer=optimizer), given_shares)
        for step in range(3):
            draw = torch.Generator().manual_seed(step)
            for weight in weights.values():
                weight.grad = torch.randn(weight.shape, generator=draw)
            optimizers.step(0.01)
        ends.append({name: weight.detach() for name, weight in weights.items()})
    assert are_same_bits(*ends)


def test_rates_by_depth_move_the_weights_as_plain_adamw_with_groups_does(tiny_base: Path, tmp_path: Path) -> None:
    decay, rate = 0.6, 5e-3
    settings = {"schedule": "constant", "warmup_share": 0.0, "learning_rate": rate, "clip_norm": 0.0}
    model, _ = run(tiny_base, tmp_path, "all", layer_decay=decay, rows_per_step=8, **settings)

    plain = open_model(tiny_base)
    named = plain.trainable()
    groups = [
        {
            "params": [weight],
            "lr": rate * decay**depth,
            "weight_decay": 0.01 if weight.ndim > 1 else 0.0,
        }
        for (name, weight), depth in zip(named.items(), depths(plain.network).values(), strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-8, foreach=False, fused=False)
    examples, objective = flat(ROWS), NextToken("packed")
    for _ in range(STEPS):
        [loss] = objective.sums(plain, make_batch(examples, "packed")).values()
        (loss / sum(example.learned_weight for example in examples)).backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {
        name: weight - before
        for (name, weight), before in zip(copy_of(model).items(), copy_of(open_model(tiny_base)).values(), strict=True)
    }
    assert float(moved["model.embed_tokens.weight"].abs().max()) < 0.3 * float(moved["model.norm.weight"].abs().max())
    for name, weight in copy_of(model).items():
        assert torch.allclose(weight, named[name], atol=2e-5), name


def noise_of_row(length: int, width: int, alpha: float, seed: int) -> Tensor:
    """The noise on one row, as the paper has it."""
    torch.manual_seed(seed)
    return (torch.rand(1, length, width) * 2 - 1) * alpha / math.sqrt(length * width)


def embedded(model: OpenModel, alpha: float, numbers: list[int], layout: Layout, seed: int = 0) -> Tensor:
    """What a call in training reads in place of its tokens, [B, T, D]."""
    examples = [flat(ROWS)[number] for number in numbers]
    seen: list[Tensor] = []
    table = model.network.get_input_embeddings()
    with noisy_embeddings(model.network, alpha):
        handle = table.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
        torch.manual_seed(seed)
        NextToken(layout).sums(model, make_batch(examples, layout))
        handle.remove()
    return seen[0]


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_the_noise_on_one_row_is_that_of_the_paper(tiny_base: Path, layout: Layout) -> None:
    model = open_model(tiny_base)
    model.network.train()
    for number in range(4):
        clean = embedded(model, 0.0, [number], layout)
        noisy = embedded(model, 7.0, [number], layout, seed=3)
        length = clean.shape[1]
        assert torch.allclose(noisy - clean, noise_of_row(length, 32, 7.0, 3), atol=1e-6)


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_every_row_of_a_call_has_noise_by_its_own_length(tiny_base: Path, layout: Layout) -> None:
    model = open_model(tiny_base)
    model.network.train()
    numbers = list(range(8))
    draws = [embedded(model, 1.0, numbers, layout, seed) - embedded(model, 0.0, numbers, layout) for seed in range(60)]
    largest = torch.stack(draws).abs().amax(dim=(0, -1))
    lengths = [flat(ROWS)[number].num_tokens for number in numbers]
    assert len(set(lengths)) > 3
    bounds = [1 / math.sqrt(length * 32) for length in lengths]
    for row, (length, bound) in enumerate(zip(lengths, bounds, strict=True)):
        first = sum(lengths[:row])
        part = largest[0, first : first + length] if layout == "packed" else largest[row, :length]
        assert bool((part <= bound * 1.001).all()) and bool((part >= bound * 0.95).all())


@settings(deadline=None)  # the first call of torch takes as long as it takes
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_lengths_of_rows_are_those_of_their_rows_in_both_layouts(lengths: list[int]) -> None:
    positions = torch.tensor([[place for length in lengths for place in range(length)]])
    wanted = [length for length in lengths for _ in range(length)]
    assert row_lengths(positions, None).tolist() == [wanted]
    assert row_lengths(positions + 2, None).tolist() == [wanted], "some families count from elsewhere"
    is_real = torch.tensor([[int(place < length) for place in range(9)] for length in lengths])
    every = row_lengths(torch.arange(9).expand(len(lengths), 9), is_real)
    assert every.tolist() == [[length] * 9 for length in lengths]


def test_noise_is_drawn_in_training_alone_and_gone_afterwards(tiny_base: Path, tmp_path: Path) -> None:
    _, memory = run(tiny_base, tmp_path / "noisy", "all", embedding_noise=20.0)
    _, plain = run(tiny_base, tmp_path / "plain", "all")
    assert memory.steps[0].loss != plain.steps[0].loss
    store = CheckpointStore(tmp_path / "noisy")
    for look in memory.looks:
        model = open_model(tiny_base)
        with torch.no_grad():
            for name, weight in model.trainable().items():
                weight.copy_(store.load(look.step).weights[name])
        assert HeldOutLoss(HELD_OUT).measure(model) == look.scores
    model, _ = run(tiny_base, tmp_path / "again", "all", embedding_noise=20.0)
    model.network.train()
    assert torch.equal(embedded(model, 0.0, [0], "packed", 1), embedded(model, 0.0, [0], "packed", 2))


def test_no_noise_is_off_to_the_bit_and_each_step_has_its_own(tiny_base: Path, tmp_path: Path) -> None:
    off, _ = run(tiny_base, tmp_path / "off", "all")
    none, _ = run(tiny_base, tmp_path / "none", "all", embedding_noise=0.0)
    assert are_same_bits(copy_of(off), copy_of(none))
    model = open_model(tiny_base)
    model.network.train()
    first, again, other = (embedded(model, 5.0, [0, 1], "packed", seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    short = flat(ROWS)[0].num_tokens
    least = min(short, flat(ROWS)[1].num_tokens)
    clean = embedded(model, 0.0, [0, 1], "packed")
    noise = (first - clean)[0]
    assert not torch.equal(noise[:least], noise[short : short + least]), "each row draws for itself"


@pytest.mark.parametrize("learn", ["last:1", "*norm*"])
def test_weights_that_stay_still_are_left_to_the_bit_even_in_bfloat16(
    tiny_base: Path, tmp_path: Path, learn: str
) -> None:
    before = {name: weight.detach().clone() for name, weight in open_model(tiny_base).network.named_parameters()}
    model, _ = run(tiny_base, tmp_path, learn, dtype=torch.bfloat16, average=0.5, embedding_noise=1.0)
    learned = set(model.trainable())
    assert learned and learned != set(before)
    for name, weight in model.network.named_parameters():
        assert torch.equal(weight, before[name]) == (name not in learned), name
        assert weight.dtype == torch.float32
    assert set(CheckpointStore(tmp_path).load(STEPS).weights) == learned


def test_rows_of_a_step_may_be_one_and_the_noise_no_number_spoils(tiny_base: Path, tmp_path: Path) -> None:
    _, memory = run(tiny_base, tmp_path, "all", embedding_noise=5.0, rows_per_step=1)
    assert np.isfinite([step.loss for step in memory.steps]).all()
