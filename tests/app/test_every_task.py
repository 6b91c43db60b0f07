"""The whole trip of every method of every task, on its own samples: train, stop, go on, evaluate, answer, pack."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

from pathlib import Path

import pytest
from app_fixtures import one_core  # noqa: F401
from app_kit import hashes_of, never_stop, stop_after, store_rows

from fettle.app.evaluating import evaluate
from fettle.app.listing import get_bundle
from fettle.app.planning import resolve_plan
from fettle.app.running import resume_run, start_run
from fettle.app.using import load
from fettle.artifacts.bundle import pack_bundle
from fettle.data.records import Row
from fettle.storage.workspace import Workspace, open_workspace
from fettle.tasks.contract import make_bases
from fettle.tasks.table import open_task, task_names

RECIPES = {"classify": "classify", "chat": "chat", "text": "adapt", "tag": "tag", "embed": "embed", "score": "score"}
WAYS = ("full", "lora")


def _trips() -> list[tuple[str, str, str, str]]:
    found = []
    for name in task_names():
        for method in open_task(name).methods:
            for base, unfit in (("decoder", "masked"), ("encoder", "causal")):
                if method.network != unfit:
                    found += [(name, method.name, base, way) for way in WAYS]
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def workspace(one_core: None, tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "home")


@pytest.mark.parametrize(("name", "method", "base", "way"), _trips())
def test_the_whole_trip(
    workspace: Workspace,
    bases: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    method: str,
    base: str,
    way: str,
) -> None:
    samples = open_task(name).method(method).samples
    parts = ["train"] * (len(samples) - 4) + ["validation"] * 2 + ["test"] * 2
    rows = [
        Row(record, "f", line, part=part) for line, (record, part) in enumerate(zip(samples, parts, strict=True), 1)
    ]
    store_rows(workspace, "rows", name, rows)
    words = [
        *("data=rows", f"base=random:{bases[base]}", f"method={method}", f"adapter.kind={way}"),
        *("training.max_steps=4", "training.rows_per_step=2", "training.evaluate_every_steps=2"),
        *("training.epochs=9", "training.keep=last", "adapter.rank=2", "decoding.max_new_tokens=4"),
    ]
    plan = resolve_plan(RECIPES[name], words)
    whole = start_run(workspace, plan, "whole")
    assert whole.bundle is not None
    stop_after(monkeypatch, 3)
    assert start_run(workspace, plan, "torn").ending == "paused"
    never_stop(monkeypatch)
    torn = resume_run(workspace, "torn")
    assert torn.bundle is not None
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}

    report = evaluate(workspace, "whole")
    assert report.num_rows == 2
    metrics = list(open_task(name).method(method).metrics)
    assert [list(scores) for scores in report.scores.values()] == [metrics, metrics]
    texts = ["where is it?", ""]
    answers = load("whole", workspace).predict(texts)
    assert len(answers) == 2
    packed = load(str(pack_bundle(get_bundle(workspace, "whole"), tmp_path / "one")), workspace)
    assert [answer.text for answer in packed.predict(texts)] == [answer.text for answer in answers]
