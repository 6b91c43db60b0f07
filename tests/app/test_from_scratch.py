"""From a dataset of texts to a tokenizer and a model: made once, found again, carried by the bundle."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import hashes_of, never_stop, refuse_to, stop_after, store_rows

import fettle.app.bases.fresh as fresh
from fettle.app import evaluating
from fettle.app.evaluating import HeldOut, evaluate
from fettle.app.listing import base_cards, base_facts, get_bundle
from fettle.app.opening import base_of_bundle, open_base
from fettle.app.planning import ResolvedPlan, resolve_plan
from fettle.app.preflight import inspect
from fettle.app.preparing.machine import make_stream
from fettle.app.preparing.rows import prepare
from fettle.app.running import resume_run, start_run
from fettle.app.using import Continuation, export, load
from fettle.data.records import PlainText, Row
from fettle.errors import DamagedFile, RequestError, UnknownName, UnsoundPlan
from fettle.evaluation.metrics.losses import bits_per_byte
from fettle.generation.reading import RowLoss
from fettle.jobs.run import RunFolder
from fettle.storage.workspace import Workspace, open_workspace

TINY = ("shape.vocabulary=300", "shape.width=32", "shape.layers=2", "shape.heads=2", "shape.context=64")
SETTINGS = (
    *TINY,
    "training.max_steps=6",
    "training.tokens_per_step=300",
    "training.evaluate_every_steps=2",
    "training.keep=last",  # the best step may lie before the one at which a test stops a run
    "decoding.max_new_tokens=8",
)


def plan_of(*more: str, recipe: str = "pretrain", data: str = "notes") -> ResolvedPlan:
    """A small plan without a base; later words win."""
    return resolve_plan(recipe, [f"data={data}", *SETTINGS, *more])


def made_bases(workspace: Workspace) -> list[Path]:
    return sorted(path for path in workspace.bases.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("more", [(), ("training.optimizer=adamw", "training.tokens_per_step=0")])
def test_a_run_stopped_twice_leaves_the_same_bundle_weights(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    whole = start_run(workspace, plan_of(*more), "whole")
    stop_after(monkeypatch, 1)
    assert start_run(workspace, plan_of(*more), "torn").ending == "paused"
    monkeypatch.setattr(fresh, "make_fresh_base", refuse_to("learn the vocabulary again"))
    stop_after(monkeypatch, 2)
    assert resume_run(workspace, "torn").progress.step == 3
    never_stop(monkeypatch)
    torn = resume_run(workspace, "torn")

    assert torn.ending == "done"
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
    assert torn.progress.history == whole.progress.history
    [folder] = made_bases(workspace)
    assert torn.bundle.part("base")["reference"] == f"new:{folder.name}"


def test_a_resume_in_a_workspace_that_was_moved_ends_alike(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start_run(workspace, plan_of(), "whole")
    stop_after(monkeypatch, 3)
    start_run(workspace, plan_of(), "torn")
    never_stop(monkeypatch)
    shutil.move(workspace.root, tmp_path / "elsewhere")
    moved = open_workspace(tmp_path / "elsewhere")

    torn = resume_run(moved, "torn")

    assert hashes_of(torn.bundle.path) == hashes_of(moved.bundles / whole.run)


def test_a_base_that_was_changed_or_is_gone_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 2)
    start_run(workspace, plan_of(), "torn")
    never_stop(monkeypatch)
    [folder] = made_bases(workspace)
    kept = shutil.copytree(folder, workspace.root / "kept")
    path = folder / "chat_template.jinja"

    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DamagedFile, match=r"chat_template\.jinja"):
        resume_run(workspace, "torn")
    (card,) = (card for card in base_cards(workspace) if card["kind"] == "new")
    assert str(card["about"]).startswith("damaged")
    shutil.rmtree(folder)
    with pytest.raises(UnknownName, match="there is no base 'new:") as caught:
        resume_run(workspace, "torn")
    assert "base=new" in caught.value.attempt

    shutil.copytree(kept, folder)
    assert resume_run(workspace, "torn").ending == "done"


def test_a_damaged_base_is_made_again_the_same(workspace: Workspace) -> None:
    prepare(workspace, plan_of().settings)
    [folder] = made_bases(workspace)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "tokenizer.json").write_bytes(b"{}")

    prepare(workspace, plan_of().settings)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_base_is_made_once_for_the_rows_that_are_learned_and_the_shape(workspace: Workspace) -> None:
    first = prepare(workspace, plan_of().settings)
    again = prepare(workspace, plan_of("seed=7", "training.learning_rate=0.1").settings)
    assert first.source.prints == again.source.prints
    assert len(made_bases(workspace)) == 1

    prepare(workspace, plan_of("shape.layers=1").settings)
    rows = [Row(PlainText(f"zebra {number} zebra"), "f", number, part="test") for number in range(5)]
    rows += [Row(PlainText(f"the cat sat on the mat {number}"), "f", 9 + number, part="train") for number in range(5)]
    store_rows(workspace, "apart", "text", [*rows, Row(PlainText("zebra zebra"), "f", 20, part="validation")])
    apart = prepare(workspace, plan_of(data="apart").settings)

    assert len(made_bases(workspace)) == 3
    words = apart.tokenizer.inner.get_vocab()
    assert "Ġcat" in words or "Ġthe" in words
    assert not [word for word in words if "zeb" in word], "no word comes from rows that are not learned"


def test_the_bundle_holds_all_that_it_needs(workspace: Workspace, tmp_path: Path) -> None:
    result = start_run(workspace, plan_of(), "first")
    shutil.rmtree(workspace.bases)
    moved = open_workspace(tmp_path / "other")
    packed = tmp_path / "first.fettle"
    export(workspace, "first", "file", packed)

    bundle = get_bundle(moved, str(packed))
    source = base_of_bundle(moved, bundle)

    assert source.prints == result.bundle.part("base")["fingerprint"]
    assert source.folder.is_relative_to(moved.root)
    assert open_base(source).tokenizer.vocabulary_size == 300
    assert "trained from scratch" in (bundle.path / "README.md").read_text()
    assert "base_model" not in (bundle.path / "README.md").read_text()
    (bundle.path / "base" / "stray.json").write_text("{}")
    with pytest.raises(DamagedFile, match="added"):
        get_bundle(moved, str(bundle.path))


def test_it_learns_is_scored_in_bits_for_each_byte_and_goes_on_with_a_text(workspace: Workspace) -> None:
    result = start_run(workspace, plan_of("training.max_steps=40", "training.learning_rate=1e-2"), "first")

    uniform = math.log(300)
    history = result.progress.history
    assert history[-1]["loss"] < 0.6 * uniform
    report = evaluate(workspace, "first").as_json()
    for system in ("base", "tuned"):
        outcomes = evaluate_outcomes(workspace, system)
        total, num_bytes = sum(one.loss for one in outcomes), sum(one.num_bytes for one in outcomes)
        value = report["systems"][system]["bits_per_byte"]["value"]
        assert value == pytest.approx(bits_per_byte(total, num_bytes))
    assert report["systems"]["base"]["loss"]["value"] == pytest.approx(uniform, abs=0.15)
    by_metric = {pair["metric"]: pair for pair in report["paired"]}
    assert by_metric["bits_per_byte"]["interval"][1] < 0
    assert next(iter(by_metric)) == "bits_per_byte"

    model = load("first", workspace)
    [answer] = model.predict(["where is my"])
    talk = model.chat()
    pieces: list[str] = []
    assert isinstance(talk, Continuation)
    assert talk.say("where is my", pieces.append) == "".join(pieces) == answer.text != ""
    assert talk.say("parcel " * 200)


def evaluate_outcomes(workspace: Workspace, system: str) -> list:
    from fettle.app.listing import show_report

    return show_report(workspace, "first").outcomes[system]


def test_the_log_has_the_loss_of_each_token_and_of_each_byte(workspace: Workspace) -> None:
    start_run(workspace, plan_of("prompt.max_length=16"), "first")
    prepared = prepare(workspace, plan_of("prompt.max_length=16").settings)
    stream = make_stream(prepared, plan_of("prompt.max_length=16").settings)
    sizes = prepared.tokenizer.bytes_of_tokens
    events = list(RunFolder(workspace.runs / "first").events())

    for event in (event for event in events if event["event"] == "step"):
        examples = stream.rows(event["step"] - 1)
        num_bytes = sum(int(sizes[token]) for example in examples for token in example.reads.token)
        num_tokens = sum(len(example.reads) for example in examples)
        assert event["bits_per_byte"] == pytest.approx(event["loss"] * num_tokens / math.log(2) / num_bytes)
    looks = [event["scores"] for event in events if event["event"] == "held_out"]
    num_bytes = sum(len(row.record.text.encode()) for row, _ in prepared.held_out)
    weight = sum(example.learned_weight for _, examples in prepared.held_out for example in examples)
    for scores in looks:
        assert scores["bits_per_byte"] == pytest.approx(scores["loss"] * weight / math.log(2) / num_bytes)


def test_smoothed_losses_are_not_told_for_each_byte(workspace: Workspace) -> None:
    start_run(workspace, plan_of("training.label_smoothing=0.1", "training.max_steps=1"), "first")
    start_run(workspace, resolve_plan("chat", ["data=replies", *SETTINGS, "base=new", "training.max_steps=1"]), "talk")
    for name in ("first", "talk"):
        steps = [event for event in RunFolder(workspace.runs / name).events() if event["event"] == "step"]
        assert steps and not any("bits_per_byte" in event for event in steps)


def test_of_many_held_out_rows_some_are_looked_at(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of()
    prepared = prepare(workspace, plan.settings)
    num_tokens = sum(example.num_tokens for _, examples in prepared.held_out for example in examples)
    monkeypatch.setattr(evaluating, "MOST_HELD_OUT_TOKENS", num_tokens // 2)
    seen: list[int] = []

    class Reader:
        def losses(self, _model: object, rows: list) -> list[RowLoss]:
            seen.append(len(rows))
            return [RowLoss(1.0, 1.0)] * len(rows)

    watched = replace(prepared, method=replace(prepared.method, reader=lambda _terms: Reader()))
    HeldOut(watched, torch.float32).measure(open_base(prepared.source))
    assert 0 < seen[0] < len(prepared.held_out)


def test_long_documents_are_split_into_rows_of_their_own(workspace: Workspace) -> None:
    rows = [
        Row(PlainText(f"{number} " + "the cat sat on the mat " * 40), "f", number, part="train") for number in range(4)
    ]
    store_rows(workspace, "long", "text", [*rows, Row(PlainText("short"), "f", 9, part="validation")])
    plan = plan_of("training.tokens_per_step=100", data="long")
    prepared = prepare(workspace, plan.settings)
    preflight = inspect(prepared, plan.settings)
    stream = make_stream(prepared, plan.settings)

    wanted = sum(len(prepared.tokenizer.encode_plain(row.record.text)) + 1 for row in rows)
    assert preflight.num_learned == wanted
    assert (preflight.num_split, preflight.num_cut, preflight.lost) == (4, 0, {})
    assert preflight.num_sections == sum(map(len, prepared.learned)) > 8
    assert preflight.as_json()["rows_split"] == 4
    seen = [example for step in range(stream.steps_per_epoch) for example in stream.rows(step)]
    assert sum(example.num_learned for example in seen) == wanted
    assert {id(example) for example in seen} == {id(part) for row in prepared.learned for part in row}
    first = stream.rows(0)
    assert 36 < sum(example.num_tokens for example in first) < 164
    assert len({example.source for step in range(2) for example in stream.rows(step)}) > 1, (
        "parts of one text are apart"
    )
    cut = prepare(workspace, plan_of("prompt.too_long=cut", data="long").settings)
    assert (cut.num_cut, cut.num_split) == (4, 0)
    assert sum(example.num_learned for row in cut.learned for example in row) == 4 * 64
    with pytest.raises(UnsoundPlan, match="stop token") as caught:
        inspect(cut, plan.settings)
    assert caught.value.attempt == "prompt.too_long=split, which loses nothing"


def test_a_text_too_short_for_its_vocabulary_is_told(workspace: Workspace) -> None:
    plan = plan_of("shape.vocabulary=9000")
    preflight = inspect(prepare(workspace, plan.settings), plan.settings)

    made = preflight.made_base
    assert made is not None and 260 < made.num_tokens < 9000
    assert f"a vocabulary of {made.num_tokens:,} tokens, not the 9,000 asked for" in " ".join(preflight.warnings)
    assert preflight.as_json()["made_base"] == {"num_tokens": made.num_tokens, "num_weights": made.num_weights}
    fitting = inspect(prepare(workspace, plan_of().settings), plan_of().settings)
    assert not [warning for warning in fitting.warnings if "vocabulary" in warning]


def test_sizes_that_are_not_used_are_told(workspace: Workspace, tiny_base: Path) -> None:
    plan = plan_of(f"base={tiny_base}")
    preflight = inspect(prepare(workspace, plan.settings), plan.settings)

    assert preflight.made_base is None
    assert any(warning.startswith("shape.* is not used") for warning in preflight.warnings)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("adapter.kind=lora",), "adapter.kind"),
        (("shape.width=33",), "shape.width"),
        (("shape.heads=3", "shape.width=36", "shape.key_heads=2"), "shape.key_heads"),
    ],
)
def test_what_can_make_no_base_is_refused_before_anything_is_made(words: tuple[str, ...], where: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_of(*words)
    assert caught.value.where == where
    assert caught.value.expected and caught.value.attempt


def test_all_that_is_wrong_with_a_new_base_is_told_at_once() -> None:
    with pytest.raises(RequestError, match="2 settings are wrong") as caught:
        plan_of("adapter.kind=dora", "shape.width=33")
    assert {fault.file for fault in caught.value.faults} == {"adapter.kind", "shape.width"}
    assert resolve_plan("classify-lora", ["data=x", "shape.width=33"]).settings.base == "bundled"


def test_without_a_row_to_learn_from_nothing_is_made(workspace: Workspace) -> None:
    store_rows(workspace, "tested", "text", [Row(PlainText("a"), "f", 1, part="test")])

    with pytest.raises(UnsoundPlan, match="no row to make a base from"):
        prepare(workspace, plan_of(data="tested").settings)
    assert not made_bases(workspace)


@pytest.mark.parametrize(("recipe", "data"), [("chat", "replies"), ("classify", "intents")])
def test_other_tasks_begin_from_nothing_too(workspace: Workspace, recipe: str, data: str) -> None:
    plan = plan_of("base=new", "training.max_steps=2", "shape.context=256", recipe=recipe, data=data)
    result = start_run(workspace, plan, "first")

    assert result.ending == "done"
    assert evaluate(workspace, "first").as_json()["systems"].keys() == {"base", "tuned"}
    with pytest.raises(RequestError, match="only plain text can be split"):
        prepare(workspace, plan_of("prompt.too_long=split", recipe=recipe, data=data).settings)


def test_the_bundle_is_tuned_on_as_a_chat(workspace: Workspace, tmp_path: Path) -> None:
    first = start_run(workspace, plan_of("shape.context=256"), "first")
    settings = ["data=replies", "base=first", "training.max_steps=2", "decoding.max_new_tokens=4"]
    for recipe in ("chat", "chat-lora"):
        second = start_run(workspace, resolve_plan(recipe, settings), f"then-{recipe}")
        assert second.bundle.part("base")["lineage"] == [first.bundle.identity]
        assert load(second.run, workspace).chat().say("hello") is not None
    parity = export(workspace, "then-chat", "hf", tmp_path / "hf")
    assert parity is not None and parity.relative_difference <= 1e-5


def test_a_made_base_is_listed_and_can_be_named_again(workspace: Workspace) -> None:
    prepared = prepare(workspace, plan_of().settings)
    reference = prepared.source.reference
    (card,) = (card for card in base_cards(workspace) if card["kind"] == "new")

    assert card["name"] == reference
    assert prepared.version.label in str(card["about"])
    assert base_facts(workspace, reference)["vocab_size"] == 300
    again = prepare(workspace, plan_of(f"base={reference}").settings)
    assert again.source == prepared.source
    for none in ("none", "", "../bases/" + prepared.source.folder.name):
        with pytest.raises(UnknownName, match="there is no base 'new:"):
            prepare(workspace, plan_of(f"base=new:{none}").settings)
    assert json.loads((prepared.source.folder / "config.json").read_text())["hidden_size"] == 32
