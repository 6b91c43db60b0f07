"""Ways of tuning as settings of a plan: shown before, refused where they cannot be, kept over a stop, in the bundle."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import hashes_of, intents, never_stop, plan_of, stop_after
from safetensors.torch import load_file

from fettle.app import running
from fettle.app.evaluating import evaluate
from fettle.app.planning import resolve_plan
from fettle.app.preflight import inspect
from fettle.app.preparing.machine import make_stream
from fettle.app.preparing.ordering import LOSSES
from fettle.app.preparing.rows import prepare
from fettle.app.running import resume_run, start_run
from fettle.app.workshop.importing import import_data
from fettle.errors import DamagedFile, IncompatibleModel, RequestError
from fettle.generation.scoring import read_tokens
from fettle.models.load import open_model, read_adapter
from fettle.storage.workspace import Workspace
from fettle.training.checkpoint import CheckpointStore

WAYS = {
    "last": ("classify", "adapter.learn=last:1", "training.average=0.9"),
    "pissa": ("classify-lora", "adapter.kind=pissa", "training.embedding_noise=5"),
    "losses": ("classify", "training.order=loss", "training.layer_decay=0.8"),
    "length": ("classify-lora", "training.order=length", "training.average=0.5"),
    "head": ("classify-head", "adapter.learn=head", "training.embedding_noise=5", "training.average=0.9"),
    "head over a layer": ("classify-head", "adapter.learn=last:1", "training.layer_decay=0.5"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_was_stopped_leaves_the_same_bundle(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    recipe, *words = WAYS[way]
    plan = plan_of(recipe, "intents", tiny_base, *words)
    whole = start_run(workspace, plan, "whole")
    for stop in (0, 3):
        stop_after(monkeypatch, stop)
        assert start_run(workspace, plan, f"torn-{stop}").ending == "paused"
        never_stop(monkeypatch)
        torn = resume_run(workspace, f"torn-{stop}")
        assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
        assert torn.progress.history == whole.progress.history


def test_a_bundle_of_principal_adapters_is_a_plain_one(workspace: Workspace, tiny_base: Path) -> None:
    plan = plan_of("classify-lora", "intents", tiny_base, "adapter.kind=pissa")
    seen = {}
    keep = running._bundle

    def looking(*words: object) -> object:
        model = words[5]
        ids = torch.tensor([[5, 9, 200, 31]])
        model.network.set_attn_implementation("sdpa")
        model.network.eval()
        with torch.no_grad():
            seen["wanted"] = model.network(ids).logits
        return keep(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_bundle", looking)
        bundle = start_run(workspace, plan, "principal").bundle
    folder = bundle.path / "adapter"
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 8, "twice the rank"
    again = read_adapter(open_model(tiny_base), folder)
    with torch.no_grad():
        found = again.network(torch.tensor([[5, 9, 200, 31]])).logits
    assert (found - seen["wanted"]).abs().max() <= 1e-5 * seen["wanted"].abs().max()
    assert evaluate(workspace, "principal").num_rows > 0


def test_the_bundle_holds_the_average(workspace: Workspace, tiny_base: Path) -> None:
    result = start_run(workspace, plan_of("classify", "intents", tiny_base, "training.average=0.9"), "smooth")
    stored = CheckpointStore(workspace.runs / "smooth" / "checkpoints").load(6)
    weights = load_file(result.bundle.path / "model" / "model.safetensors")
    assert stored.average.keys() == stored.weights.keys()
    assert all(torch.equal(weights[name], mean) for name, mean in stored.average.items())
    assert not all(torch.equal(weights[name], last) for name, last in stored.weights.items())


@pytest.mark.parametrize(
    ("recipe", "words", "learning"),
    [
        ("classify", (), lambda sizes: sum(sizes.values())),
        ("classify", ("adapter.learn=*norm*",), lambda s: sum(size for name, size in s.items() if "norm" in name)),
        ("classify-lora", ("adapter.targets=q_proj",), lambda _: 2 * 4 * (32 + 32)),
        ("classify-lora", ("adapter.kind=pissa", "adapter.targets=q_proj"), lambda _: 2 * 4 * (32 + 32)),
    ],
)
def test_the_plan_shows_how_many_weights_learn(
    workspace: Workspace, tiny_base: Path, recipe: str, words: tuple[str, ...], learning: object
) -> None:
    settings = plan_of(recipe, "intents", tiny_base, *words).settings
    shown = inspect(prepare(workspace, settings), settings).as_json()["weights"]
    sizes = {name: weight.numel() for name, weight in open_model(tiny_base).network.named_parameters()}
    assert shown == {"learning": learning(sizes), "base": sum(sizes.values())}


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("adapter.learn=last:1",), "adapter.learn"),
        (("adapter.kind=full", "adapter.learn=last:0"), "adapter.learn"),
        (("adapter.kind=full", "adapter.learn=last:two"), "adapter.learn"),
        (("training.embedding_noise=5", "training.layout=tree"), "training.layout"),
        (("adapter.learn=head",), "adapter.learn"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_opened(words: tuple[str, ...], where: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve_plan("classify-lora", ["data=x", *words])
    assert caught.value.where == where


def test_a_new_base_learns_whole() -> None:
    with pytest.raises(RequestError, match="could stay as it is"):
        resolve_plan("pretrain", ["data=x", "adapter.learn=last:1"])


@pytest.mark.parametrize("order", ["shortest", "field:", ""])
def test_an_order_that_is_none_is_refused(order: str) -> None:
    with pytest.raises(RequestError, match=r"training\.order"):
        resolve_plan("classify", ["data=x", f"training.order={order}"])


def test_a_pattern_that_fits_no_weight_is_refused_by_the_plan(workspace: Workspace, tiny_base: Path) -> None:
    settings = plan_of("classify", "intents", tiny_base, "adapter.learn=*.selfattn.*").settings
    with pytest.raises(RequestError, match="self_attn") as caught:
        inspect(prepare(workspace, settings), settings)
    assert caught.value.where == "adapter.learn"


def import_levels(workspace: Workspace, folder: Path, levels: list[str]) -> None:
    rows = [{**row, **({"level": level} if level else {})} for row, level in zip(intents(), levels, strict=True)]
    (folder / "levels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_data(workspace, [folder / "levels.jsonl"], "levels")


def test_a_column_orders_the_first_epoch_and_rows_without_it_come_last(
    workspace: Workspace, tiny_base: Path, tmp_path: Path
) -> None:
    levels = [str(number % 11) if number % 5 else "" for number in range(60)]
    import_levels(workspace, tmp_path, levels)
    plan = plan_of("classify", "levels", tiny_base, "training.order=field:level", "training.max_steps=0")
    prepared = prepare(workspace, plan.settings)
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "train", lambda job, _start: seen.extend(first_epoch_of(job)) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            start_run(workspace, plan, "ordered")
    level_of = {f"levels.jsonl:{number + 1}": level for number, level in enumerate(levels)}
    found = [level_of[Path(source).name] for source in seen]
    assert len(found) == len(prepared.learned)
    said = [int(level) for level in found if level]
    assert said == sorted(said) and len(set(said)) > 5
    silent = sum(not level for level in found)
    assert silent > 0 and not any(found[len(said) :])
    [warning] = [text for text in inspect(prepared, plan.settings).warnings if "have no level" in text]
    assert warning.startswith(f"{silent} of {len(found)} rows")


def first_epoch_of(job: object) -> list[str]:
    return [example.source for step in range(job.stream.steps_per_epoch) for example in job.stream.rows(step)]


def test_a_column_that_no_row_has_names_its_neighbours(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    import_levels(workspace, tmp_path, ["1"] * 60)
    with pytest.raises(RequestError) as caught:
        prepare(workspace, plan_of("classify", "levels", tiny_base, "training.order=field:levle").settings)
    assert caught.value.where == "training.order"
    assert "level" in caught.value.expected


def test_rows_that_the_base_finds_easy_come_first_and_are_measured_once(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("classify", "intents", tiny_base, "training.order=loss")
    stop_after(monkeypatch, 2)
    start_run(workspace, plan, "easy")
    never_stop(monkeypatch)
    path = workspace.runs / "easy" / LOSSES
    losses = json.loads(path.read_text())
    prepared = prepare(workspace, plan.settings)
    model = open_model(tiny_base)
    read = read_tokens(model, [example for row in prepared.learned for example in row])
    by_hand = [
        -float((one.log_probabilities * row[0].reads.weight).sum() / row[0].learned_weight)
        for row, one in zip(prepared.learned, read, strict=True)
    ]
    assert losses == pytest.approx(by_hand, rel=1e-5)
    path.write_text(json.dumps([-loss for loss in losses]))
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "train", lambda job, _start: seen.extend(first_epoch_of(job)) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume_run(workspace, "easy")
    stream = make_stream(prepared, plan.settings, running.order_by(losses, 0))
    first = [example.source for step in range(stream.steps_per_epoch) for example in stream.rows(step)]
    loss_of = {row[0].source: loss for row, loss in zip(prepared.learned, losses, strict=True)}
    assert [loss_of[source] for source in first] == sorted(losses)
    assert [loss_of[source] for source in seen] == sorted(losses, reverse=True), "what is kept is what counts"


def test_losses_that_are_not_of_these_rows_are_refused(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 2)
    start_run(workspace, plan_of("classify", "intents", tiny_base, "training.order=loss"), "easy")
    never_stop(monkeypatch)
    (workspace.runs / "easy" / LOSSES).write_text("[1.0, 2.0]")
    with pytest.raises(DamagedFile, match="2 numbers"):
        resume_run(workspace, "easy")


def test_a_run_that_ends_within_an_ordered_epoch_is_told(workspace: Workspace, tiny_base: Path) -> None:
    for words, is_told in ((("training.max_steps=2",), True), (("training.max_steps=0", "training.epochs=1"), False)):
        settings = plan_of("classify", "intents", tiny_base, "training.order=length", *words).settings
        warnings = inspect(prepare(workspace, settings), settings).warnings
        assert any("within the first epoch" in text for text in warnings) == is_told


def test_a_fresh_head_alone_learns_and_the_trunk_stays_as_it_was(workspace: Workspace, tiny_base: Path) -> None:
    plan = plan_of("classify-head", "intents", tiny_base, "adapter.learn=head")
    prepared = prepare(workspace, plan.settings)
    shown = inspect(prepared, plan.settings).as_json()["weights"]
    assert shown["learning"] == 3 * (32 + 1)
    bundle = start_run(workspace, plan, "apart").bundle
    before = open_model(tiny_base, "trunk").network.state_dict()
    after = load_file(bundle.path / "model" / "model.safetensors")
    assert all(torch.equal(after[name], weight) for name, weight in before.items() if name in after)
    assert len(after) > 10
    head = load_file(bundle.path / "head" / "head.safetensors")
    assert {name: list(weight.shape) for name, weight in head.items()} == {"bias": [3], "weight": [3, 32]}
    assert head["bias"].abs().max() > 0


def test_a_fresh_head_finds_nothing_easy(workspace: Workspace, tiny_base: Path) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(workspace, plan_of("classify-head", "intents", tiny_base, "training.order=loss").settings)
    assert caught.value.where == "training.order"


def test_a_fork_between_principal_adapters_and_others_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "plain")
    principal = plan_of("classify-lora", "intents", tiny_base, "adapter.kind=pissa")
    with pytest.raises(IncompatibleModel) as caught:
        start_run(workspace, principal, "fork", fork=("plain", 2))
    assert caught.value.where == "adapter.kind"
    assert caught.value.expected == "lora"


def test_noise_on_embeddings_keeps_rows_apart(workspace: Workspace, tiny_base: Path) -> None:
    for noise, layout in (("0", "tree"), ("5", "packed")):
        settings = plan_of("classify", "intents", tiny_base, f"training.embedding_noise={noise}").settings
        assert inspect(prepare(workspace, settings), settings).machine.layout == layout
