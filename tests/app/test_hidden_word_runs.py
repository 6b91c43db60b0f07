"""Encoders that go on with their pre-training: stopped and gone on with, put to use, and tuned further; and replay."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import hashes_of, intents, never_stop, notes, plan_of, stop_after, store_rows

from encoder_kit import write_tiny_encoder
from fettle.app.evaluating import evaluate
from fettle.app.listing import get_bundle
from fettle.app.opening import locate_base, open_base, open_tuned
from fettle.app.preflight import inspect
from fettle.app.preparing.rows import prepare
from fettle.app.running import resume_run, start_run
from fettle.app.using import load
from fettle.data.records import PlainText, Row
from fettle.errors import RequestError, UnsoundPlan
from fettle.models.forward import only_reading, use_own_attention
from fettle.models.load import OpenModel, lacks_word_head, open_model
from fettle.reporting.card import model_card
from fettle.storage.workspace import Workspace

WORDS = [row["text"] for row in (*intents(), *notes())]
GENERAL = [
    Row(PlainText(f"where is the {word} of the order {number}"), "general.txt", number + 1)
    for number, word in enumerate(["parcel", "card", "money", "payment", "refund", "delivery"] * 5)
]
LORA = ("adapter.kind=lora", "adapter.rank=4")
IDS = torch.tensor([[2, 9, 12, 30, 7, 3]])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny", WORDS)


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_encoder(tmp_path_factory.mktemp("encoders") / "headless", WORDS, has_word_head=False)


def hidden_states(model: OpenModel) -> torch.Tensor:
    """What the trunk says of a few tokens, through transformers' own attention."""
    with only_reading(model.network):
        use_own_attention(model.network)
        states: torch.Tensor = model.network.base_model(input_ids=IDS).last_hidden_state
    return states


@pytest.mark.parametrize("more", [(), LORA], ids=["full", "adapter"])
def test_a_run_that_was_stopped_leaves_the_same_bundle_and_fills_in_words(
    workspace: Workspace, encoder: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    plan = plan_of("adapt", "notes", encoder, "prompt.max_length=24", *more)
    preflight = inspect(prepare(workspace, plan.settings), plan.settings)
    assert preflight.method == "masked"
    assert preflight.num_split > 0
    assert preflight.share_with_stop is None
    hidden = [token.text for _, tokens in preflight.shown for token in tokens if token.is_learned]
    assert hidden and all("→" in text for text in hidden)
    whole = start_run(workspace, plan, "whole")
    stop_after(monkeypatch, 3)
    assert start_run(workspace, plan, "torn").ending == "paused"
    never_stop(monkeypatch)
    torn = resume_run(workspace, "torn")
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
    assert torn.progress.history == whole.progress.history
    assert {"loss", "token_accuracy"} <= whole.progress.history[0].keys()

    report = evaluate(workspace, "whole")
    assert set(report.scores["tuned"]) == {"loss", "perplexity", "token_accuracy"}
    assert [one.weight for one in report.outcomes["base"]] == [one.weight for one in report.outcomes["tuned"]]
    assert [one.loss for one in report.outcomes["base"]] != [one.loss for one in report.outcomes["tuned"]]

    model = load("whole", workspace)
    one, two = model.predict(["where is my [MASK]", "the [MASK] was [MASK] twice"])
    assert one.text == max(one.probabilities, key=one.probabilities.__getitem__)
    assert len(json.loads(two.text)) == 2
    assert not model.writes
    with pytest.raises(RequestError, match="writes nothing"):
        model.chat()
    with pytest.raises(RequestError, match="no word is hidden"):
        model.predict(["where is my parcel"])


@pytest.mark.parametrize("more", [("adapter.kind=full",), LORA], ids=["full", "adapter"])
def test_what_was_learned_of_hidden_words_is_a_base_for_other_tasks(
    workspace: Workspace, encoder: Path, more: tuple[str, ...]
) -> None:
    start_run(workspace, plan_of("adapt", "notes", encoder, *more), "words")
    learned = hidden_states(open_tuned(workspace, get_bundle(workspace, "words")))
    untouched = hidden_states(open_model(encoder, "trunk"))
    trunk = open_base(locate_base(workspace, "words", 0), "trunk")
    assert torch.allclose(hidden_states(trunk), learned, atol=1e-5)
    assert not torch.allclose(learned, untouched, atol=1e-3)

    labels = start_run(workspace, plan_of("classify-head", "intents", "words", *LORA), "labels")
    assert labels.bundle.part("base")["name"] == "words"
    assert evaluate(workspace, "labels").num_rows > 0
    assert load("labels", workspace).predict(["where is my parcel"])[0].text in labels.bundle.labels
    # The adapter of the words belongs to a network that fills in, that of the labels to its trunk.
    further = hidden_states(open_base(locate_base(workspace, "labels", 0), "trunk"))
    tuned = hidden_states(open_tuned(workspace, get_bundle(workspace, "labels")))
    assert torch.allclose(further, tuned, atol=1e-5)
    assert not torch.allclose(further, learned, atol=1e-4)


def test_layers_that_say_words_begin_at_random_where_a_base_has_none_and_that_is_told(
    workspace: Workspace, encoder: Path, headless: Path
) -> None:
    assert lacks_word_head(headless) and not lacks_word_head(encoder)
    first, again = (open_model(headless, "masked").network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    stored = open_model(headless, "trunk").network.state_dict()
    assert all(torch.equal(first[f"bert.{name}"], weight) for name, weight in stored.items())
    plan = plan_of("adapt", "notes", headless)
    assert any("begin at random" in one for one in inspect(prepare(workspace, plan.settings), plan.settings).warnings)
    bundle = start_run(workspace, plan, "words").bundle
    assert "began at random" in model_card(bundle.manifest, bundle.identity, None)
    assert not lacks_word_head(bundle.path / "model")
    with pytest.raises(RequestError, match="no layers that say words") as caught:
        prepare(workspace, plan_of("adapt", "notes", headless, *LORA).settings)
    assert caught.value.attempt == "adapter.kind=full"
    own = plan_of("adapt", "notes", encoder)
    assert not any("random" in one for one in inspect(prepare(workspace, own.settings), own.settings).warnings)


def test_a_method_wants_its_own_sort_of_base(workspace: Workspace, encoder: Path, tiny_base: Path) -> None:
    for base, method in ((encoder, "causal"), (tiny_base, "masked")):
        with pytest.raises(RequestError) as caught:
            prepare(workspace, plan_of("adapt", "notes", base, f"method={method}").settings)
        assert caught.value.where == "base"
    assert prepare(workspace, plan_of("adapt", "notes", tiny_base).settings).method.name == "causal"


@pytest.mark.parametrize("base", ["encoder", "tiny_base"])
def test_rows_of_another_dataset_are_replayed_looked_at_and_pinned(
    workspace: Workspace, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    folder = request.getfixturevalue(base)
    store_rows(workspace, "general", "text", GENERAL[:20])
    plain = start_run(workspace, plan_of("adapt", "notes", folder), "plain")
    plan = plan_of("adapt", "notes", folder, "replay.data=general", "replay.share=0.5")
    prepared = prepare(workspace, plan.settings)
    assert inspect(prepared, plan.settings).rows["replayed"] == len(prepared.replay.learned)
    assert len(prepared.replay.learned) + len(prepared.replay.held_out) == 20
    whole = start_run(workspace, plan, "whole")
    assert "replay_loss" in whole.progress.history[-1]
    assert "replay_loss" not in plain.progress.history[-1]
    assert whole.progress.step == plain.progress.step
    assert whole.progress.learned_tokens > plain.progress.learned_tokens
    assert hashes_of(whole.bundle.path) != hashes_of(plain.bundle.path)
    assert "0.5 of the rows of each step" in model_card(whole.bundle.manifest, "", None)

    stop_after(monkeypatch, 3)
    start_run(workspace, plan, "torn")
    never_stop(monkeypatch)
    store_rows(workspace, "general", "text", GENERAL)  # it has grown since
    torn = resume_run(workspace, "torn")
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
    assert torn.progress.history == whole.progress.history


def test_a_replay_that_holds_the_test_or_other_rows_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    leaking = [Row(PlainText(row["text"]), "notes.txt", line) for line, row in enumerate(notes(), start=1)]
    store_rows(workspace, "leaking", "text", leaking)
    with pytest.raises(UnsoundPlan, match="test stand among"):
        prepare(workspace, plan_of("adapt", "notes", tiny_base, "replay.data=leaking").settings)
    with pytest.raises(RequestError, match="holds rows for classify"):
        prepare(workspace, plan_of("adapt", "notes", tiny_base, "replay.data=intents").settings)
    with pytest.raises(RequestError, match="closed set"):
        prepare(workspace, plan_of("classify", "intents", tiny_base, "replay.data=intents").settings)
    chat = prepare(workspace, plan_of("chat", "replies", tiny_base, "replay.data=replies").settings)
    assert len(chat.replay.learned) == len(chat.learned), "its own dataset again is no leak"
