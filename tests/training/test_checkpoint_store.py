"""Checkpoints are published whole or not at all, and the best is never thrown away."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from training_kit import are_same_bits

import fettle.storage.publish as publish
import fettle.storage.sealed as sealed
import fettle.training.checkpoint as checkpoint
from fettle.errors import DamagedFile, UnknownName
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
    (checkpoint, "write_file", 2),
    (publish, "open_new", 3),
    (publish, "write_piece", 7),
    (sealed, "sha256_of_file", 4),
    (publish, "sync_file", 3),
    (publish, "sync_folder", 1),
    (sealed, "rename", 1),
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
@given(st.sets(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, 4), st.data())
def test_prune_keeps_the_latest_the_best_and_the_last_that_is_whole(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int], keep: int, data: st.DataObject
) -> None:
    best = data.draw(st.sampled_from([*sorted(steps), -1]))
    hurt = data.draw(st.sets(st.sampled_from(sorted(steps))))
    store = CheckpointStore(tmp_path_factory.mktemp("checkpoints"))
    for step in steps:
        store.save(checkpoint_of(step))
        if step in hurt:
            (store.path(step) / "weights.safetensors").write_bytes(b"")
    before, _ = store.load_latest()

    store.prune(keep, best)

    last_whole = {max(steps - hurt)} if steps - hurt else set()
    wanted = set(sorted(steps)[-keep:]) | ({best} - {-1}) | last_whole if keep else steps
    assert set(store.steps()) == wanted
    after, _ = store.load_latest()
    assert (before and before.progress) == (after and after.progress)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.bool, torch.uint8, torch.int32])
def test_tensors_of_every_kind_and_shape_are_read_back_by_safetensors(tmp_path: Path, dtype: torch.dtype) -> None:
    """The files are plain safetensors, each tensor aligned, whatever lies before it."""
    draw = torch.Generator().manual_seed(0)
    tensors = {
        "odd": (torch.rand(3, generator=draw) * 2).to(dtype),
        "matrix": (torch.rand(5, 7, generator=draw) * 2).to(dtype).T,
        "scalar": torch.tensor(1).to(dtype),
        "empty": torch.empty(0, 4, dtype=dtype),
        "exact": torch.rand(3, generator=draw),
    }
    path = CheckpointStore(tmp_path).save(Checkpoint(tensors, {}, Progress(step=1)))

    read = load_file(path / "weights.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == dtype or name == "exact"
        assert torch.equal(read[name], tensor)
    data = (path / "weights.safetensors").read_bytes()
    assert (8 + int.from_bytes(data[:8], "little")) % 8 == 0


def test_an_older_format_is_told_and_passed_over(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(1))
    manifest = store.save(checkpoint_of(2)) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))

    start, damaged = store.load_latest()

    assert start is not None
    assert start.progress.step == 1
    assert "format 1" in str(damaged[0])


def put(path: Path, data: bytes) -> None:
    """Change a file in place: ext4 waits for the disk where one is emptied first, thousands of times here."""
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate()


def test_two_thousand_flipped_or_cut_bytes_are_all_found(tmp_path: Path) -> None:
    """Anywhere in a checkpoint, the manifest included: never loaded, named, and the one before it is taken."""
    store = CheckpointStore(tmp_path)
    store.save(checkpoint_of(1))
    files = sorted(store.save(checkpoint_of(2)).iterdir())
    whole = {path: path.read_bytes() for path in files}
    places = [(path, place) for path in files for place in range(len(whole[path]))]
    chance = random.Random(0)
    # Every byte once, and then at random until there are two thousand.
    chosen = [*places, *chance.choices(places, k=max(0, 2000 - len(places)))]
    for number, (path, place) in enumerate(chosen):
        data = bytearray(whole[path])
        if number % 4 == 3:
            del data[place : place + chance.choice((1, len(data)))]  # one byte, or all from here on
        else:
            data[place] ^= 1 << chance.randrange(8)
        put(path, data)
        with pytest.raises(DamagedFile) as caught:
            store.load(2)
        assert str(store.path(2)) in caught.value.where
        if number % 20 == 0:
            start, damaged = store.load_latest()
            assert start is not None
            assert start.progress == checkpoint_of(1).progress
            assert are_same_bits(start.weights, checkpoint_of(1).weights)
            assert len(damaged) == 1
        put(path, whole[path])

    assert len(chosen) >= 2000
    assert are_same_bits(store.load(2).weights, checkpoint_of(2).weights)
