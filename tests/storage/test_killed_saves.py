"""A process that saves, killed right before and right after each thing that it does to the disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_kit import SHELF, label_of, quick_folder, save

from fettle.storage.sealed import Shelf, is_whole

PROCESS = Path(__file__).with_name("saving_process.py")
NUM_OPERATIONS = {"follow": 20, "replace": 21, "sweep": 6}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What every killed process left; none of them had torch."""
    with quick_folder(tmp_path_factory.mktemp("killed")) as home:
        done = subprocess.run([sys.executable, PROCESS, "kill", home], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["heavy"] == [], "saving needs neither torch nor numpy"
        yield told["told"]


def test_killed_anywhere_the_old_or_the_new_one_is_there_and_no_rubbish_stays(cases: list[dict[str, Any]]) -> None:
    seen = Counter()
    for case in cases:
        shelf = Path(case["root"]) / SHELF
        assert case["ending"] == -signal.SIGKILL, case
        label, num_damaged = label_of(shelf)
        is_told_saved = (shelf.parent / "saved").exists()
        assert label in (("B",) if is_told_saved or case["work"] == "sweep" else ("A", "B")), case
        assert num_damaged == 0, case

        Shelf(shelf, "step").sweep()
        assert label_of(shelf) == (label, 0), case
        assert all(path.name in ("step-00000001", "step-00000002") for path in shelf.iterdir()), case
        assert all(is_whole(path) for path in shelf.iterdir()), case
        save(shelf, 3, "C")
        assert label_of(shelf) == ("C", 0), case
        seen[case["work"], case["side"], label] += 1

    assert {key for key in seen if key[0] != "sweep"} == {
        (work, side, label) for work in ("follow", "replace") for side in ("before", "after") for label in "AB"
    }
    assert Counter((case["work"], case["side"]) for case in cases) == {
        (work, side): count for work, count in NUM_OPERATIONS.items() for side in ("before", "after")
    }
