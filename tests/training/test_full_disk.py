"""A full disk stops a run cleanly, and when there is space again it goes on as if nothing had been."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from training_kit import (
    HeldOutLoss,
    Memory,
    are_same_bits,
    copy_of,
    flat,
    make_job,
    open_tiny,
    random_rows,
)

import fettle.storage.publish as publish
import fettle.storage.sealed as sealed
from fettle.errors import FettleError
from fettle.training.checkpoint import Checkpoint, CheckpointStore, Progress
from fettle.training.loop import TrainingJob, train

ROWS = random_rows(8, seed=11)
HELD_OUT = flat(random_rows(3, seed=12))
STEPS = 7
WANTS_SPACE = ("open_new", "write_piece", "sync_file", "sync_folder", "rename", "make_folder")


@contextmanager
def disk_that_fills_up(is_full: Callable[[str, Path], bool]) -> Iterator[None]:
    """From the first operation of which `is_full` says so, nothing that wants space gets any."""
    filled: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in WANTS_SPACE:
            real = getattr(publish, name)

            def refusing(target: Any, *rest: Any, name: str = name, real: Callable[..., Any] = real) -> Any:
                path = target if isinstance(target, Path) else Path(target.name)
                if filled or is_full(name, path):
                    filled.append(True)
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))
                return real(target, *rest)

            for module in (publish, sealed):
                if hasattr(module, name):
                    patch.setattr(module, name, refusing)
        yield


def operation(number: int) -> Callable[[str, Path], bool]:
    """Full at the operation of that number, counted from 0."""
    done = iter(range(1_000_000))
    return lambda _name, _path: next(done) == number


def checkpoint_of(step: int) -> Checkpoint:
    weights = {"a": torch.full((100, 700), float(step)), "b": torch.arange(4) * step}
    return Checkpoint(weights, {"a|exp_avg": torch.full((100, 700), -0.5 * step)}, Progress(step=step))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_wherever_a_save_meets_a_full_disk_the_older_one_stands_and_nothing_lies_about(tmp_path: Path) -> None:
    number = 0
    while True:
        store = CheckpointStore(tmp_path / str(number), "blue-heron")
        store.save(checkpoint_of(1))
        before = contents(tmp_path / str(number))
        with disk_that_fills_up(operation(number)):
            try:
                store.save(checkpoint_of(2))
                break
            except FettleError as problem:
                told = problem
        assert "disk is full" in told.problem and "step 2" in told.problem
        assert told.where == str(store.path(2))
        assert told.expected == "0.5 MiB of free space"
        assert told.attempt == "free some space, then fettle train --resume blue-heron"
        if store.steps() == [1]:
            assert contents(tmp_path / str(number)) == before
        else:  # it was whole and had its name; only that the disk knows of the name could not be said
            assert contents(tmp_path / str(number)).items() > before.items()
        start, damaged = store.load_latest()
        assert damaged == []
        assert start is not None and start.progress.step == max(store.steps())
        assert not list((tmp_path / str(number)).glob(".*"))
        store.save(checkpoint_of(2))
        assert are_same_bits(store.load(2).weights, checkpoint_of(2).weights)
        number += 1

    assert number == 16, "make 1, open 3, write 3 + 2 + 1, sync 3 + 1, rename 1, sync 1 more"


def test_a_full_disk_in_a_replacement_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(1))
    again = Checkpoint(checkpoint_of(2).weights, {}, Progress(step=1))
    number, steps = 0, []
    while True:
        with disk_that_fills_up(operation(number)):
            try:
                store.save(again)
                break
            except FettleError:
                pass
        start, damaged = store.load_latest()
        assert start is not None and damaged == []
        steps.append(float(start.weights["a"][0, 0]))
        number += 1

    assert steps == sorted(steps), "the old one, until the new one has the name"
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_other_errors_of_the_disk_are_told_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(publish, "sync_file", fail)
    with pytest.raises(OSError, match="Input/output error"):
        CheckpointStore(tmp_path).save(checkpoint_of(1))
    assert list(tmp_path.iterdir()) == []


def job_in(base: Path, folder: Path, memory: Memory) -> TrainingJob:
    model = open_tiny(base, dropout=0.1)
    return make_job(
        model,
        folder,
        rows=ROWS,
        probe=HeldOutLoss(HELD_OUT),
        num_steps=STEPS,
        watchers=[memory],
        keep="last",
        keep_checkpoints=1,
    )


@pytest.mark.parametrize("name", ["open_new", "write_piece", "sync_file", "sync_folder", "rename"])
def test_a_run_goes_on_after_space_is_made_and_ends_with_the_same_bits(
    tiny_base: Path, tmp_path: Path, name: str
) -> None:
    """Full while step 6 is saved, the checkpoint of step 4 being the only one that is kept."""
    whole, broken, after = Memory(), Memory(), Memory()
    wanted = job_in(tiny_base, tmp_path / "whole", whole)
    train(wanted)

    job = job_in(tiny_base, tmp_path / "run", broken)
    with (
        disk_that_fills_up(lambda verb, path: verb == name and "step-00000006" in str(path)),
        pytest.raises(FettleError, match="disk is full") as caught,
    ):
        train(job)
    assert "step 6" in caught.value.problem
    assert "fettle train --resume" in caught.value.attempt
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["step-00000004"]
    assert [step for step, _ in broken.checkpoints] == [2, 4], "what was not saved is not reported as saved"

    start, damaged = job.store.load_latest()
    assert start is not None and damaged == []
    going_on = job_in(tiny_base, tmp_path / "run", after)
    outcome = train(going_on, start)

    assert outcome.ending == "done"
    assert are_same_bits(copy_of(wanted.model), copy_of(going_on.model))
    last, wanted_last = going_on.store.load(STEPS), wanted.store.load(STEPS)
    assert are_same_bits(last.optimizer, wanted_last.optimizer)
    assert [step.loss for step in whole.steps[4:]] == [step.loss for step in after.steps]
