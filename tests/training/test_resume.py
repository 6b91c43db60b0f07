"""A run that was stopped and gone on with ends, to the bit, as one that never stopped."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
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

from fettle.errors import DamagedFile
from fettle.training.checkpoint import Checkpoint, CheckpointStore
from fettle.training.loop import Outcome, train

pytestmark = pytest.mark.filterwarnings(PEFT_WARNING)
ROWS = random_rows(8, seed=11)
HELD_OUT = flat(random_rows(3, seed=12))
STEPS = 7
NOISE = 0.1


def run(
    base: Path,
    folder: Path,
    *,
    kind: str = "full",
    stop: int = 1000,
    start: Checkpoint | None = None,
    probe: object = None,
    dropout: float = NOISE,
    seed: int = 0,
    **settings: object,
) -> tuple[dict[str, Tensor], Outcome, Memory]:
    """One process of a run: from `start` until `stop` steps are taken in it, or the end."""
    model = open_tiny(base, kind=kind, dropout=dropout, seed=seed)
    memory = Memory()
    job = make_job(
        model,
        folder,
        rows=ROWS,
        probe=probe or HeldOutLoss(HELD_OUT),
        num_steps=STEPS,
        seed=seed,
        watchers=[memory],
        should_stop=stop_after(stop),
        **{"keep": "last", "keep_checkpoints": 0, **settings},
    )
    outcome = train(job, start)
    return copy_of(model), outcome, memory


def go_on(base: Path, folder: Path, **words: object) -> tuple[dict[str, Tensor], Outcome, Memory]:
    """Another process: from the latest whole checkpoint."""
    start, _ = CheckpointStore(folder).load_latest()
    return run(base, folder, start=start, **words)


def without_time(outcome: Outcome) -> dict[str, object]:
    return {name: value for name, value in asdict(outcome.progress).items() if name != "seconds"}


def losses(memory: Memory) -> list[tuple[int, float, float, float]]:
    return [(step.step, step.loss, step.learning_rate, step.gradient_norm) for step in memory.steps]


@pytest.mark.parametrize("keep", ["last", "best"])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_stopping_at_any_step_and_going_on_changes_no_bit(
    tiny_base: Path, tmp_path: Path, kind: str, keep: str
) -> None:
    wanted, wanted_outcome, wanted_memory = run(tiny_base, tmp_path / "whole", kind=kind, keep=keep)
    wanted_optimizer = CheckpointStore(tmp_path / "whole").load(STEPS).optimizer

    for stop in range(STEPS):
        folder = tmp_path / f"stopped-{stop}"
        _, paused, before = run(tiny_base, folder, kind=kind, keep=keep, stop=stop)
        assert (paused.ending, paused.progress.step) == ("paused", stop)
        weights, outcome, after = go_on(tiny_base, folder, kind=kind, keep=keep)

        assert outcome.ending == "done"
        assert are_same_bits(wanted, weights), f"stopped at {stop}"
        assert without_time(outcome) == without_time(wanted_outcome)
        assert losses(before) + losses(after) == losses(wanted_memory)
        assert are_same_bits(wanted_optimizer, CheckpointStore(folder).load(STEPS).optimizer)


def test_stopping_at_every_step_in_turn_changes_no_bit(tiny_base: Path, tmp_path: Path) -> None:
    wanted, _, _ = run(tiny_base, tmp_path / "whole", kind="lora", keep="best", keep_checkpoints=1)

    for _ in range(STEPS):
        _, outcome, _ = go_on(tiny_base, tmp_path / "torn", kind="lora", keep="best", keep_checkpoints=1, stop=1)
        assert outcome.ending in ("paused", "done")
    weights, outcome, _ = go_on(tiny_base, tmp_path / "torn", kind="lora", keep="best", keep_checkpoints=1)

    assert outcome.ending == "done"
    assert are_same_bits(wanted, weights)


def test_noise_was_at_work_and_is_drawn_by_step(tiny_base: Path, tmp_path: Path) -> None:
    """Without this the laws above would hold of a run that has no noise at all."""
    for kind in ("full", "lora"):
        noisy, _, _ = run(tiny_base, tmp_path / f"{kind}-noisy", kind=kind)
        quiet, _, _ = run(tiny_base, tmp_path / f"{kind}-quiet", kind=kind, dropout=0.0)
        assert not are_same_bits(noisy, quiet)


def test_each_step_has_noise_of_its_own(tiny_base: Path, tmp_path: Path) -> None:
    """The same rows and, at a rate of nearly nothing, the same weights: only the noise is another."""
    memory = Memory()
    model = open_tiny(tiny_base, dropout=NOISE)
    train(
        make_job(model, tmp_path, rows=ROWS[:3], num_steps=5, learning_rate=1e-30, watchers=[memory], weight_decay=0.0)
    )

    assert len({round(step.loss, 4) for step in memory.steps}) == 5


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_same_seed_same_bits_other_seed_others(tiny_base: Path, tmp_path: Path, kind: str) -> None:
    first, _, first_memory = run(tiny_base, tmp_path / "1", kind=kind)
    torch.manual_seed(999)  # noise that something else has drawn meanwhile
    torch.rand(7)
    second, _, second_memory = run(tiny_base, tmp_path / "2", kind=kind)
    other, _, other_memory = run(tiny_base, tmp_path / "3", kind=kind, seed=1)

    assert are_same_bits(first, second)
    assert losses(first_memory) == losses(second_memory)
    assert not are_same_bits(first, other)
    assert losses(first_memory) != losses(other_memory)


def test_watching_and_looking_change_nothing(tiny_base: Path, tmp_path: Path) -> None:
    class Meddler(Memory):
        def on_step(self, report: object) -> None:
            torch.rand(3)

    wanted, _, _ = run(tiny_base, tmp_path / "1")
    model = open_tiny(tiny_base, dropout=NOISE)
    train(
        make_job(
            model,
            tmp_path / "2",
            rows=ROWS,
            probe=HeldOutLoss(HELD_OUT),
            num_steps=STEPS,
            look_every_steps=1,
            watchers=[Meddler()],
            keep="last",
        )
    )

    assert are_same_bits(wanted, copy_of(model))


def test_early_stopping_counts_on_after_a_stop(tiny_base: Path, tmp_path: Path) -> None:
    """Best at the second look, worse at the third (step 6) and fourth (step 7): a patience of 2 ends at step 7."""
    values = [3.0, 2.0, 2.5, 2.6]
    words = {"patience": 2, "keep": "best"}
    wanted, whole, _ = run(tiny_base, tmp_path / "whole", probe=ScriptedLoss(values), **words)
    assert whole.ending == "stopped_early"

    for stop in range(STEPS):
        folder = tmp_path / str(stop)
        run(tiny_base, folder, stop=stop, probe=ScriptedLoss(values), **words)
        weights, outcome, _ = go_on(tiny_base, folder, probe=ScriptedLoss(values, looks_done=stop // 2), **words)

        assert outcome.ending == "stopped_early"
        assert without_time(outcome) == without_time(whole)
        assert are_same_bits(wanted, weights)


@pytest.mark.parametrize(("patience", "steps"), [(1, 4), (2, 6), (0, 7)])
def test_patience_is_the_number_of_looks_without_gain(
    tiny_base: Path, tmp_path: Path, patience: int, steps: int
) -> None:
    probe = ScriptedLoss([2.0, 2.0, 2.1, 2.2])
    _, outcome, memory = run(tiny_base, tmp_path, probe=probe, patience=patience, keep="best")

    assert outcome.progress.step == steps
    assert outcome.ending == ("stopped_early" if patience else "done")
    assert [look.is_best for look in memory.looks] == [True] + [False] * (len(memory.looks) - 1)


def test_going_on_after_an_early_stop_takes_no_step(tiny_base: Path, tmp_path: Path) -> None:
    wanted, _, _ = run(tiny_base, tmp_path, probe=ScriptedLoss([2.0, 3.0]), patience=1, keep="best")

    weights, outcome, memory = go_on(tiny_base, tmp_path, probe=ScriptedLoss([]), patience=1, keep="best")

    assert outcome.ending == "stopped_early"
    assert memory.steps == []
    assert are_same_bits(wanted, weights)


@pytest.mark.parametrize(
    ("values", "best"), [([1.0, 2.0, 3.0, 4.0], 2), ([4.0, 1.0, 2.0, 3.0], 4), ([4.0, 3.0, 2.0, 1.0], 7)]
)
@pytest.mark.parametrize("keep_checkpoints", [0, 1])
def test_keep_best_leaves_the_weights_of_the_best_look(
    tiny_base: Path, tmp_path: Path, values: list[float], best: int, keep_checkpoints: int
) -> None:
    weights_of = {}

    class AtCheckpoints(Memory):
        def on_checkpoint(self, step: int, is_best: bool) -> None:
            super().on_checkpoint(step, is_best)
            weights_of[step] = copy_of(self.model)

    model = open_tiny(tiny_base, dropout=NOISE)
    memory = AtCheckpoints(model)
    outcome = train(
        make_job(
            model,
            tmp_path,
            rows=ROWS,
            probe=ScriptedLoss(values),
            num_steps=STEPS,
            watchers=[memory],
            keep="best",
            keep_checkpoints=keep_checkpoints,
        )
    )

    assert outcome.progress.best_step == best
    assert are_same_bits(weights_of[best], copy_of(model))
    assert dict(memory.checkpoints)[best]
    assert len({weight["model.norm.weight"].numpy().tobytes() for weight in weights_of.values()}) == len(weights_of)


def test_higher_is_better_where_the_job_says_so(tiny_base: Path, tmp_path: Path) -> None:
    job = make_job(open_tiny(tiny_base), tmp_path, rows=ROWS, probe=ScriptedLoss([0.1, 0.7, 0.3, 0.7]), num_steps=STEPS)
    job.is_higher_better = True

    assert train(job).progress.best_step == 4


def test_keep_last_leaves_the_last_weights(tiny_base: Path, tmp_path: Path) -> None:
    model = open_tiny(tiny_base)
    memory = Memory(model)
    train(
        make_job(model, tmp_path, rows=ROWS, probe=ScriptedLoss([1.0, 2.0, 3.0, 4.0]), watchers=[memory], keep="last")
    )

    assert are_same_bits(memory.weights[-1], copy_of(model))


DAMAGES = (
    "flip-weights",
    "flip-optimizer",
    "flip-manifest",
    "cut-weights",
    "cut-manifest",
    "no-weights",
    "no-manifest",
)


def damage(checkpoint: Path, how: str) -> None:
    verb, _, part = how.partition("-")
    path = checkpoint / {"manifest": "manifest.json"}.get(part, f"{part}.safetensors")
    if verb == "no":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    if verb == "cut":
        path.write_bytes(bytes(data[: len(data) // 2]))
        return
    place = len(data) // 2
    if part == "manifest":  # a digit of the progress: it still reads as JSON
        place = data.index(b'"learned_tokens": ') + len(b'"learned_tokens": ')
    data[place] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_checkpoint_falls_back_and_still_ends_with_the_same_bits(
    tiny_base: Path, tmp_path: Path, how: str
) -> None:
    wanted, wanted_outcome, _ = run(tiny_base, tmp_path / "whole", keep="best")
    run(tiny_base, tmp_path / "hurt", stop=5, keep="best")
    store = CheckpointStore(tmp_path / "hurt")
    assert store.steps() == [2, 4, 5]
    damage(store.path(5), how)

    start, damaged = store.load_latest()
    assert start is not None
    assert start.progress.step == 4
    assert len(damaged) == 1
    assert isinstance(damaged[0], DamagedFile)
    assert str(store.path(5)) in damaged[0].where
    weights, outcome, _ = go_on(tiny_base, tmp_path / "hurt", keep="best")

    assert are_same_bits(wanted, weights)
    assert without_time(outcome) == without_time(wanted_outcome)


def test_nothing_whole_is_left_so_it_begins_anew(tiny_base: Path, tmp_path: Path) -> None:
    wanted, _, _ = run(tiny_base, tmp_path / "whole")
    run(tiny_base, tmp_path / "hurt", stop=5)
    store = CheckpointStore(tmp_path / "hurt")
    for step in store.steps():
        damage(store.path(step), "flip-weights")

    start, damaged = store.load_latest()
    assert start is None
    assert len(damaged) == 3
    weights, _, _ = go_on(tiny_base, tmp_path / "hurt")

    assert are_same_bits(wanted, weights)


def test_every_flipped_byte_is_found(tiny_base: Path, tmp_path: Path) -> None:
    """Any byte of the manifest, and bytes all over the tensors: loaded as it was, or not at all."""
    run(tiny_base, tmp_path / "run", kind="lora", stop=3)
    store = CheckpointStore(tmp_path / "run")
    whole = store.load(3)
    folder = store.path(3)
    silent = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        step = 1 if path.name == "manifest.json" else max(1, len(data) // 60)
        for place in [*range(0, len(data), step), len(data) - 1]:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            try:
                read = store.load(3)
            except DamagedFile:
                continue
            finally:
                path.write_bytes(data)
            if asdict(read.progress) != asdict(whole.progress) or not are_same_bits(read.weights, whole.weights):
                silent.append((path.name, place, data[max(0, place - 12) : place + 12]))

    assert silent == []


def test_checkpoint_under_another_step_is_not_taken_for_it(tiny_base: Path, tmp_path: Path) -> None:
    run(tiny_base, tmp_path / "run", stop=3)
    store = CheckpointStore(tmp_path / "run")
    shutil.copytree(store.path(2), store.path(6))

    with pytest.raises(DamagedFile):
        store.load(6)
