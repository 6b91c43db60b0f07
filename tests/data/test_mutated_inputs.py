"""Five hundred spoilt files through the import; `python -m benchmarks.mutated_inputs` runs a hundred thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.mutated_inputs import outcome_of, run, sound_files


@pytest.mark.parametrize("name", sorted(sound_files()))
def test_the_files_are_sound_before_they_are_spoilt(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(sound_files()[name])
    assert outcome_of(path) == "rows"


@pytest.mark.parametrize("seed", range(0, 500, 50))
def test_spoilt_files_are_answered_and_lose_no_row(tmp_path, seed):
    outcomes = run(50, seed, tmp_path)
    assert not outcomes.unhandled, outcomes.unhandled[0]
    assert not outcomes.slow
    assert sum(outcomes.by_form.values()) == 50
