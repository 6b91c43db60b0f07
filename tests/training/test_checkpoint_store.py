"""Checkpoints are published whole or not at all, and the best is never thrown away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_kit import are_same_bits

import fettle.storage.publish as publish
import fettle.training.checkpoint as checkpoint
from fettle.errors import UnknownName
from fettle.training.checkpoint import Checkpoint, CheckpointStore, Progress


def checkpoint_of(step: int) -> Checkpoint:
    tensors = {"a": torch.full((3, 2), float(step)), "b": torch.arange(4) * step}
    optimizer = {"a|exp_avg": torch.full((3, 2), -0.5 * step), "a|step": torch.tensor(float(step))}
    return Checkpoint(
        tensors, optimizer, Progress(step=step, best_step=step, history=[{"step": step, "loss": 0.1 + step}])
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    saved = checkpoint_of(3)

    store.save(saved)
    read = store.load(3)

    assert are_same_bits(saved.weights, read.weights)
    assert are_same_bits(saved.optimizer, read.optimizer)
    assert read.progress == saved.progress


def test_views_and_transposed_tensors_are_saved_as_they_look(tmp_path: Path) -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    store = CheckpointStore(tmp_path)

    store.save(Checkpoint({"t": wide.T}, {}, Progress(step=1)))

    assert torch.equal(store.load(1).weights["t"], wide.T)
    assert store.load(1).optimizer == {}


def test_same_checkpoint_same_bytes(tmp_path: Path) -> None:
    paths = [CheckpointStore(tmp_path / name).save(checkpoint_of(2)) for name in ("one", "two")]

    for name in names(paths[0]):
        assert (paths[0] / name).read_bytes() == (paths[1] / name).read_bytes()


def test_latest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in (9, 100, 11):
        store.save(checkpoint_of(step))

    start, damaged = store.load_latest()

    assert store.steps() == [9, 11, 100]
    assert start is not None
    assert start.progress.step == 100
    assert damaged == []
    assert CheckpointStore(tmp_path / "none").load_latest() == (None, [])


def test_unknown_step_names_those_there_are(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(4))

    with pytest.raises(UnknownName) as caught:
        store.load(5)
    assert "4" in caught.value.expected


class Killed(Exception):
    """Stands for a full disk or a failed write."""


def failing_at(number: int, real: object) -> object:
    """A function that fails at its call `number`, counted from 0."""
    calls = iter(range(10_000))

    def work(*words: object, **named: object) -> object:
        if next(calls) == number:
            raise Killed
        return real(*words, **named)

    return work


SEAMS = [
    (checkpoint, "save_file", 2),
    (checkpoint, "sha256_of_file", 2),
    (checkpoint, "publish_json", 1),
    (publish, "sync_file", 6),
    (os, "rename", 1),
]


@pytest.mark.parametrize(("module", "name", "number"), [(m, n, k) for m, n, calls in SEAMS for k in range(calls)])
def test_failure_in_the_middle_leaves_the_old_ones_and_no_half_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, number: int
) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(1))
    before = names(tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, failing_at(number, getattr(module, name)))
        with pytest.raises(Killed):
            store.save(checkpoint_of(2))

    assert names(tmp_path) == before
    start, damaged = store.load_latest()
    assert (start and start.progress.step, damaged) == (1, [])
    store.save(checkpoint_of(2))
    assert store.load(2).progress.step == 2


@pytest.mark.parametrize(("module", "name", "number"), [(m, n, k) for m, n, calls in SEAMS for k in range(calls)])
def test_kill_in_the_middle_leaves_no_half_folder_under_a_name(
    tmp_path: Path, module: object, name: str, number: int
) -> None:
    """A real death: a child that ends at once, with no chance to tidy up."""
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(1))
    child = os.fork()
    if child == 0:
        real = getattr(module, name)
        calls = iter(range(10_000))
        setattr(module, name, lambda *words, **named: os._exit(9) if next(calls) == number else real(*words, **named))
        try:
            store.save(checkpoint_of(2))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 9
    assert store.steps() == [1]
    start, damaged = store.load_latest()
    assert (start and start.progress.step, damaged) == (1, [])
    store.save(checkpoint_of(2))
    assert store.load(2).progress.step == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 4), st.data())
def test_prune_keeps_the_latest_and_the_best(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int], keep: int, data: st.DataObject
) -> None:
    best = data.draw(st.sampled_from([*sorted(steps), -1]))
    folder = tmp_path_factory.mktemp("checkpoints")
    store = CheckpointStore(folder)
    for step in steps:
        store.path(step).mkdir()

    store.prune(keep, best)

    wanted = set(sorted(steps)[-keep:]) | ({best} - {-1}) if keep else steps
    assert set(store.steps()) == wanted
