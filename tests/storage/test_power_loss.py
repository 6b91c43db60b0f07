"""A thousand power losses: what was saved is there, whole, and each fsync is what makes it so.

A process without torch saves, and tells what it did to the disk. A simulated disk follows it up to some point, forgets
whatever was not synced (bytes cut, zeroed or gone, names as before or not), and the store is opened on what is left.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from disk_kit import SHELF, SYNCS, SimulatedDisk, label_of, quick_folder, tree_of

from fettle.storage.sealed import Shelf

PROCESS = Path(__file__).with_name("saving_process.py")
LOSSES = 1000
# How often each scenario syncs. A figure that shrinks was a sync that went; one that grows must prove its worth below.
NUM_SYNCS = {
    "first": 8,
    "following": 18,
    "replacing": 13,
    "replacing cut short": 13,
    "again after a cut": 8,
    "one file": 7,
}
Log = Sequence[Sequence[str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Log], Path]:
    """What the saving process did, by scenario, and the folder in which it did it."""
    home = tmp_path_factory.mktemp("recorded")
    done = subprocess.run([sys.executable, PROCESS, "record", home], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["heavy"] == [], "saving needs neither torch nor numpy"
    return told["told"], home


@pytest.fixture
def losses(tmp_path: Path) -> Iterator[Path]:
    """A place for what the losses leave."""
    with quick_folder(tmp_path) as folder:
        yield folder


def promised(log: Log) -> set[str | None]:
    """What may be found: the last that was reported as saved, and whatever has been begun since."""
    allowed: set[str | None] = {None}
    for verb, *words in log:
        if verb == "mark" and words[0] == "saved":
            allowed = {words[1]}
        elif verb == "mark":
            allowed.add(words[1])
    return allowed


def lose_power(log: Log, chance: random.Random, target: Path) -> set[str | None]:
    """Carry out a part of the log, lose the power, and give what is promised to be found in `target`."""
    part = log[: chance.randrange(len(log) + 1)]
    disk = SimulatedDisk()
    for operation in part:
        if operation[0] != "mark":
            disk.follow(operation)
    disk.materialise(target, chance)
    return promised(part)


def found(scenario: str, root: Path) -> tuple[str | None, int]:
    """What is there: the label of a save, None, or an error for what is neither."""
    if scenario != "one file":
        return label_of(root / SHELF)
    path = root / SHELF / "state"
    data = path.read_bytes() if path.exists() else None
    labels = {None: None, b"A" * 900: "A", b"B" * 900: "B"}
    return labels.get(data, "neither"), 0


@pytest.mark.parametrize("scenario", NUM_SYNCS)
def test_the_simulated_disk_saw_all_that_was_done(
    recorded: tuple[dict[str, Log], Path], scenario: str, tmp_path: Path
) -> None:
    """Nothing goes around the seam: replayed without a loss, the disk is what the process left."""
    logs, home = recorded
    disk = SimulatedDisk()
    for operation in logs[scenario]:
        if operation[0] != "mark":
            disk.follow(operation)
    disk.materialise(tmp_path / "replayed", None)

    assert tree_of(tmp_path / "replayed") == tree_of(home / scenario)
    assert sum(operation[0] in SYNCS for operation in logs[scenario]) == NUM_SYNCS[scenario]


@pytest.mark.parametrize("scenario", NUM_SYNCS)
def test_after_a_power_loss_the_old_or_the_new_one_is_there(
    recorded: tuple[dict[str, Log], Path], scenario: str, losses: Path
) -> None:
    """Reported as saved: the new one. Before: the old or the new one. Sweeping loses nothing and leaves no rubbish."""
    log = recorded[0][scenario]
    outcomes = set()
    for seed in range(LOSSES):
        root = losses / str(seed)
        allowed = lose_power(log, random.Random(seed), root)
        label, num_damaged = found(scenario, root)
        assert label in allowed, f"loss {seed}"
        assert num_damaged == 0, f"loss {seed}"
        Shelf(root / SHELF, "step").sweep()
        assert found(scenario, root) == (label, 0), f"loss {seed}"
        outcomes.add(label)
        shutil.rmtree(root)

    assert outcomes == promised([["mark", "saving", mark[2]] for mark in log if mark[0] == "mark"])


@pytest.mark.parametrize(
    ("scenario", "number"), [(scenario, number) for scenario, count in NUM_SYNCS.items() for number in range(count)]
)
def test_without_any_one_sync_something_is_lost(
    recorded: tuple[dict[str, Log], Path], scenario: str, number: int, losses: Path
) -> None:
    log = list(recorded[0][scenario])
    syncs = [place for place, operation in enumerate(log) if operation[0] in SYNCS]
    removed = log.pop(syncs[number])

    for seed in range(LOSSES):
        root = losses / str(seed)
        allowed = lose_power(log, random.Random(seed), root)
        if found(scenario, root)[0] not in allowed:
            return
        shutil.rmtree(root)
    pytest.fail(f"no loss in {LOSSES} shows that this is needed: {removed}")
