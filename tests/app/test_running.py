"""Runs: stopped and gone on with, forked, refused. What they leave, and what they never touch."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import hashes_of, never_stop, plan_of, stop_after, with_other_weights

import fettle.app.running as running
from fettle.app.running import RunResult, resume_run, start_run
from fettle.app.workshop.importing import import_data
from fettle.errors import FettleError, RequestError, UnknownName
from fettle.jobs.run import RunFolder
from fettle.storage.catalogue import Catalogue
from fettle.storage.workspace import Workspace, open_workspace
from fettle.training.checkpoint import CheckpointStore

NOISE = ("adapter.dropout=0.1", "training.dropout=0.1")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_time(result: RunResult) -> list[dict[str, float]]:
    return result.progress.history


@pytest.mark.parametrize("recipe", ["classify", "classify-lora"])
def test_a_run_stopped_twice_leaves_the_same_bundle_weights(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    plan = plan_of(recipe, "intents", tiny_base, *NOISE)
    whole = start_run(workspace, plan, "whole")

    stop_after(monkeypatch, 1)
    assert start_run(workspace, plan, "torn").ending == "paused"
    assert workspace.catalogue.find_run("torn").state == "paused"
    stop_after(monkeypatch, 2)
    assert resume_run(workspace, "torn").progress.step == 3
    never_stop(monkeypatch)
    torn = resume_run(workspace, "torn")

    assert torn.ending == "done"
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
    assert without_time(torn) == without_time(whole)
    assert workspace.catalogue.find_run("torn").state == "done"
    events = [event["event"] for event in RunFolder(workspace.runs / "torn").events()]
    assert events.count("step") == 6
    assert [event for event in events if event in ("started", "paused", "done")] == [
        "started",
        "paused",
        "started",
        "paused",
        "started",
        "done",
    ]


def test_data_that_grows_meanwhile_changes_nothing(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base)
    whole = start_run(workspace, plan, "whole")
    stop_after(monkeypatch, 3)
    start_run(workspace, plan, "torn")
    never_stop(monkeypatch)
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps({"text": f"new {n}", "label": "refund"}) + "\n" for n in range(20)))
    running_before = workspace.catalogue.find_version("intents").content_hash
    from_there = import_data(workspace, [more], "intents")
    assert from_there.version.content_hash != running_before

    assert hashes_of(resume_run(workspace, "torn").bundle.path) == hashes_of(whole.bundle.path)


def test_the_plan_is_written_before_the_first_step_and_never_again(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 0)
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "first")
    path = workspace.runs / "first" / "plan.json"
    before = path.read_bytes()
    assert json.loads(before)["settings"]["data"] == "intents"
    never_stop(monkeypatch)

    with pytest.raises(RequestError, match="first"):
        start_run(workspace, plan_of("classify", "intents", tiny_base, "seed=9"), "first")
    assert path.read_bytes() == before
    resume_run(workspace, "first")

    assert path.read_bytes() == before


def test_the_result_tells_what_the_bundle_holds(workspace: Workspace, tiny_base: Path) -> None:
    for number, keep in enumerate(("best", "last")):
        result = start_run(
            workspace,
            plan_of("classify-lora", "intents", tiny_base, f"training.keep={keep}", "training.learning_rate=0.5"),
            f"run-{number}",
        )
        facts = result.as_json()
        training = result.bundle.part("training")

        assert facts["kept_step"] == training["kept_step"]
        assert facts["steps"] == training["steps"] == 6
        assert facts["learned_tokens"] == training["learned_tokens"]
        assert facts["bundle"] == str(result.bundle.path)
        assert facts["held_out"] == training["history"][-1]


def test_kept_weights_are_those_of_the_kept_step(workspace: Workspace, tiny_base: Path) -> None:
    from safetensors.torch import load_file

    result = start_run(
        workspace,
        plan_of("classify", "intents", tiny_base, "training.keep_checkpoints=0", "training.keep=last"),
        "last",
    )
    stored = CheckpointStore(workspace.runs / "last" / "checkpoints").load(6).weights
    kept = load_file(result.bundle.path / "model" / "model.safetensors")

    assert all(kept[name].equal(weight) for name, weight in stored.items())


def test_a_done_run_is_not_gone_on_with(workspace: Workspace, tiny_base: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "done")

    with pytest.raises(RequestError, match="is done"):
        resume_run(workspace, "done")
    with pytest.raises(UnknownName):
        resume_run(workspace, "never")


def test_a_death_between_bundle_and_catalogue_is_mended_by_going_on(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Catalogue.update_run

    def die(self: Catalogue, name: str, *, state: str, bundle: str | None = None) -> None:
        if state == "done":
            raise SystemExit(9)
        update(self, name, state=state, bundle=bundle)

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "update_run", die)
        with pytest.raises(SystemExit):
            start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "late")
    weights = hashes_of(workspace.bundles / "late")

    result = resume_run(workspace, "late")

    assert result.ending == "done"
    assert hashes_of(result.bundle.path) == weights
    assert workspace.catalogue.find_run("late").state == "done"
    assert (result.bundle.path / "README.md").exists()


def test_what_a_killed_save_left_behind_is_swept(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 2)
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "torn")
    never_stop(monkeypatch)
    # No process has this number: the largest is far below.
    left = workspace.runs / "torn" / "checkpoints" / f".step-00000003.{2**31 - 1}.{'0' * 32}.partial"
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")

    resume_run(workspace, "torn")

    assert not left.exists()


def test_a_base_that_changed_meanwhile_is_refused(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    stop_after(monkeypatch, 2)
    start_run(workspace, plan_of("classify-lora", "intents", base), "torn")
    never_stop(monkeypatch)
    shutil.rmtree(base)
    with_other_weights(tiny_base, base)

    with pytest.raises(RequestError, match="base has changed"):
        resume_run(workspace, "torn")


def test_a_run_is_gone_on_with_from_another_folder(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_base, tmp_path / "here" / "base")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stop_after(monkeypatch, 2)
    start_run(workspace, plan_of("classify-lora", "intents", "./base"), "torn")
    never_stop(monkeypatch)
    monkeypatch.chdir(tmp_path / "there")

    assert resume_run(workspace, "torn").ending == "done"


def test_a_fork_takes_the_weights_of_that_step_and_goes_its_own_way(workspace: Workspace, tiny_base: Path) -> None:
    keep_all = "training.keep_checkpoints=0"
    origin = start_run(workspace, plan_of("classify-lora", "intents", tiny_base, keep_all), "origin")
    before = files_of(workspace.runs / "origin")

    same = start_run(workspace, plan_of("classify-lora", "intents", tiny_base, keep_all), "same", fork=("origin", 2))
    other = start_run(
        workspace,
        plan_of("classify-lora", "intents", tiny_base, keep_all, "training.learning_rate=5e-2"),
        "other",
        fork=("origin", 2),
    )

    last = CheckpointStore(workspace.runs / "origin" / "checkpoints").load(6).weights
    last_same = CheckpointStore(workspace.runs / "same" / "checkpoints").load(6).weights
    last_other = CheckpointStore(workspace.runs / "other" / "checkpoints").load(6).weights
    assert all(last[name].equal(last_same[name]) for name in last)
    assert not all(last[name].equal(last_other[name]) for name in last)
    events = RunFolder(workspace.runs / "same").events()
    assert [event["step"] for event in events if event["event"] == "step"] == [3, 4, 5, 6]
    assert files_of(workspace.runs / "origin") == before
    assert same.ending == other.ending == origin.ending == "done"
    assert json.loads((workspace.runs / "same" / "plan.json").read_bytes())["fork"] == ["origin", 2]


@pytest.mark.parametrize("step", [2, 4])
def test_a_fork_whose_best_lies_before_it_still_ends_with_a_bundle(
    workspace: Workspace, tiny_base: Path, step: int
) -> None:
    """The rest only spoils the weights, so nothing after the fork is as good as what was before."""
    plain = ("training.keep_checkpoints=0", "training.watch=loss", "training.keep=best", "training.learning_rate=1e-3")
    start_run(workspace, plan_of("classify", "intents", tiny_base, *plain), "origin")

    fork = start_run(
        workspace,
        plan_of(
            "classify", "intents", tiny_base, "training.watch=loss", "training.keep=best", "training.learning_rate=10.0"
        ),
        "fork",
        fork=("origin", step),
    )

    assert fork.ending == "done"
    assert fork.bundle is not None


def test_a_fork_of_a_run_that_stopped_early_learns_on(workspace: Workspace, tiny_base: Path) -> None:
    # The rate grows and grows, so the first look is the best.
    bad = ("training.patience=1", "training.learning_rate=10.0", "training.warmup_share=0.95", "training.watch=loss")
    origin = start_run(workspace, plan_of("classify", "intents", tiny_base, *bad), "origin")
    assert origin.ending == "stopped_early"
    last = origin.progress.step
    assert last < 6

    fork = start_run(workspace, plan_of("classify", "intents", tiny_base), "fork", fork=("origin", last))

    assert fork.progress.step == 6


def test_a_fork_that_is_stopped_goes_on_from_its_own_checkpoint(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base, "training.keep_checkpoints=0")
    start_run(workspace, plan, "origin")
    whole = start_run(workspace, plan, "whole", fork=("origin", 2))
    for stop in (0, 1, 3):
        stop_after(monkeypatch, stop)
        start_run(workspace, plan, f"torn-{stop}", fork=("origin", 2))
        never_stop(monkeypatch)

        assert hashes_of(resume_run(workspace, f"torn-{stop}").bundle.path) == hashes_of(whole.bundle.path)


@pytest.mark.parametrize("words", [("classify", ()), ("classify-lora", ("adapter.rank=2",))])
def test_a_fork_of_another_shape_is_refused_in_plain_words(
    workspace: Workspace, tiny_base: Path, words: tuple[str, tuple[str, ...]]
) -> None:
    recipe, more = words
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "origin")

    with pytest.raises(FettleError):
        start_run(workspace, plan_of(recipe, "intents", tiny_base, *more), "fork", fork=("origin", 6))


def test_a_fork_on_another_base_is_refused(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "origin")
    other = with_other_weights(tiny_base, tmp_path / "other")

    with pytest.raises(RequestError, match="another base"):
        start_run(workspace, plan_of("classify-lora", "intents", other), "fork", fork=("origin", 6))


def test_a_fork_from_nowhere_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base)
    start_run(workspace, plan, "origin")

    with pytest.raises(UnknownName):
        start_run(workspace, plan, "a", fork=("nobody", 2))
    with pytest.raises(UnknownName, match="step 5"):
        start_run(workspace, plan, "b", fork=("origin", 5))
    assert [run.name for run in workspace.catalogue.runs()] == ["origin"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a b", "x\n"])
def test_names_that_are_no_names_are_refused(workspace: Workspace, tiny_base: Path, name: str) -> None:
    if name == "":
        assert start_run(workspace, plan_of("classify-lora", "intents", tiny_base), name).run
        return
    with pytest.raises(RequestError):
        start_run(workspace, plan_of("classify-lora", "intents", tiny_base), name)
    assert workspace.catalogue.runs() == []


def test_a_failure_is_kept_and_can_be_gone_on_from(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base)
    whole = start_run(workspace, plan, "whole")

    class Fails:
        def on_step(self, report: object) -> None:
            if report.step == 4:
                raise OSError("disk full")

        def on_held_out(self, report: object) -> None: ...
        def on_checkpoint(self, step: int, is_best: bool) -> None: ...
        def on_less_memory(self, step: int, max_tokens_per_call: int) -> None: ...

    with pytest.raises(OSError, match="disk full"):
        start_run(workspace, plan, "hurt", [Fails()])
    assert workspace.catalogue.find_run("hurt").state == "failed"
    assert "disk full" in str(list(RunFolder(workspace.runs / "hurt").events())[-1]["problem"])

    assert hashes_of(resume_run(workspace, "hurt").bundle.path) == hashes_of(whole.bundle.path)


def test_a_damaged_checkpoint_is_told_and_passed_over(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base, *NOISE)
    whole = start_run(workspace, plan, "whole")
    stop_after(monkeypatch, 3)
    start_run(workspace, plan, "hurt")
    never_stop(monkeypatch)
    path = workspace.runs / "hurt" / "checkpoints" / "step-00000003" / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")

    result = resume_run(workspace, "hurt")

    told = [event for event in RunFolder(workspace.runs / "hurt").events() if event["event"] == "damaged_checkpoint"]
    assert len(told) == 1
    assert str(path) in told[0]["problem"]
    assert hashes_of(result.bundle.path) == hashes_of(whole.bundle.path)


def test_another_device_is_refused(workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 1)
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "torn")
    never_stop(monkeypatch)
    path = workspace.runs / "torn" / "plan.json"
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "tpu"'))

    with pytest.raises(RequestError, match="started on tpu"):
        resume_run(workspace, "torn")


def test_decisions_about_the_machine_are_those_of_the_plan(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 1)
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "torn")
    never_stop(monkeypatch)
    path = workspace.runs / "torn" / "plan.json"
    path.write_text(path.read_text().replace('"layout": "tree"', '"layout": "padded"'))
    used = []
    job = running._job
    monkeypatch.setattr(running, "_job", lambda *words: used.append(job(*words)) or used[-1])

    result = resume_run(workspace, "torn")

    assert used[0].layout == "padded"
    assert result.bundle.part("plan")["machine"]["layout"] == "padded"


def test_a_workspace_elsewhere_holds_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETTLE_HOME", str(tmp_path / "home"))

    assert open_workspace().root == (tmp_path / "home").resolve()
    assert open_workspace(tmp_path / "other").catalogue.runs() == []
