"""A run's folder: the plan, and a log that a crash may cut short at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fettle.jobs.run as run
from fettle.errors import DamagedFile
from fettle.jobs.run import FINAL_STATES, LESS_MEMORY, STATES, RunFolder, new_run_name

FACTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in ("at", "event", "kind")
    ),
    st.one_of(st.integers(), st.booleans(), st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
    max_size=3,
)


def told(folder: RunFolder) -> list[dict[str, object]]:
    """The events without their time."""
    return [{name: value for name, value in event.items() if name != "at"} for event in folder.events()]


def test_plan_is_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "blue-heron")
    plan = {"settings": {"seed": 3, "name": "Ünïcödé"}, "fork": None}

    folder.write_plan(plan)

    assert folder.read_plan() == plan


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"a": ', b"\xff\xfe"])
def test_plan_that_cannot_be_read_is_said_to_be_damaged(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "plan.json").write_bytes(content)

    with pytest.raises(DamagedFile) as caught:
        RunFolder(tmp_path).read_plan()
    assert "plan.json" in caught.value.where


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(FACTS, max_size=5))
def test_every_event_is_read_back_in_order(tmp_path_factory: pytest.TempPathFactory, facts: list[dict]) -> None:
    """Whatever the text holds: line separators of Unicode and quotes too."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    for number, fact in enumerate(facts):
        folder.log(f"event-{number}", **fact)

    assert told(folder) == [{"event": f"event-{number}", **fact} for number, fact in enumerate(facts)]


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\x0bb\x0cc", "a\nb\r\nc"])
def test_separators_inside_a_text_do_not_break_the_log(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.log("failed", problem=text)

    assert told(folder) == [{"event": "failed", "problem": text}]


def test_no_folder_no_events(tmp_path: Path) -> None:
    assert list(RunFolder(tmp_path / "none").events()) == []


def test_log_cut_at_any_byte_loses_the_last_event_at_most_and_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log("step", step=1)
    folder.log("step", step=2, text="größer 你好")
    path = tmp_path / "events.jsonl"
    data = path.read_bytes()
    first_end = data.index(b"\n") + 1
    for cut in range(first_end, len(data)):
        path.write_bytes(data[:cut])
        events = told(folder)
        assert events[0] == {"event": "step", "step": 1}
        assert len(events) <= 2

        folder.log("started", step=1)

        after = told(folder)
        assert after[0] == {"event": "step", "step": 1}
        assert after[-1] == {"event": "started", "step": 1}, f"cut at {cut}"


def test_a_new_name_is_not_taken() -> None:
    taken: set[str] = set()
    for _ in range(600):  # more than there are pairs of a colour and a bird
        name = new_run_name(taken)
        assert name not in taken
        assert name.replace("-", "").isalnum()
        taken.add(name)


def test_final_states_are_states() -> None:
    assert set(STATES) > FINAL_STATES
    assert "running" not in FINAL_STATES
    assert "paused" not in FINAL_STATES


def test_what_a_resume_must_do_again_is_on_the_disk_before_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line first, then the name of the file that holds it; other events may wait in memory."""
    folder, synced = RunFolder(tmp_path), []

    def note_file(path: Path) -> None:
        synced.append((path.name, path.read_bytes().endswith(b'"max_tokens_per_call": 64}\n')))

    monkeypatch.setattr(run, "sync_file", note_file)
    monkeypatch.setattr(run, "sync_folder", lambda path: synced.append((path.name, True)))

    folder.log("step", step=5)
    assert synced == []
    folder.log(LESS_MEMORY, step=5, max_tokens_per_call=64)
    assert synced == [("events.jsonl", True), (tmp_path.name, True)]
    assert folder.call_limits() == {5: 64}
