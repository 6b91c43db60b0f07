"""Word vectors as a base: from a file or from texts to a bundle, found again, and tuned where rows meet them."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import hashes_of, intents, never_stop, refuse_to, stop_after, store_rows
from safetensors.torch import load_file

import fettle.app.bases.vectors as vectors
from fettle.app.evaluating import evaluate
from fettle.app.listing import base_cards, get_bundle
from fettle.app.opening import open_tuned
from fettle.app.planning import ResolvedPlan, resolve_plan
from fettle.app.preflight import inspect
from fettle.app.preparing.rows import Prepared, prepare
from fettle.app.running import resume_run, start_run
from fettle.app.using import load
from fettle.data.records import PlainText, Row, Span, TaggedText, TextPair
from fettle.errors import MissingFile, RequestError, UnsoundPlan
from fettle.models.config import WAYS_TO_LEARN_VECTORS
from fettle.storage.workspace import Workspace, open_workspace

SETTINGS = (
    "vectors.size=8",
    "vectors.epochs=2",
    "vectors.least_count=1",
    "training.max_steps=6",
    "training.rows_per_step=8",
    "training.evaluate_every_steps=2",
    "training.learning_rate=0.05",
    "training.keep=last",  # the best step may lie before the one at which a test stops a run
)
KNOWN = ("where", "is", "my", "parcel", "the", "card", "money", "back", "unmet", "nowhere")


def plan_of(base: Path | str, *more: str, recipe: str = "classify-head", data: str = "intents") -> ResolvedPlan:
    """A small plan; later words win."""
    return resolve_plan(recipe, [f"data={data}", f"base={base}", *SETTINGS, *more])


def table_of(folder: Path) -> torch.Tensor:
    return load_file(folder / "model.safetensors")["words.weight"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of vectors: two of its words stand in no row, and one line of it is broken."""
    numbers = np.random.default_rng(0).normal(size=(len(KNOWN), 8)).round(3)
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(KNOWN, numbers, strict=True)]
    path = tmp_path / "small.vec"
    path.write_text("\n".join([*lines[:5], "broken 1 2", *lines[5:]]) + "\n")
    return path


def numbers_of(file: Path) -> dict[str, list[float]]:
    rows = (line.split(" ") for line in file.read_text().splitlines())
    return {word: [float(number) for number in numbers] for word, *numbers in rows if len(numbers) == 8}


def unknown_share(prepared: Prepared) -> float:
    ids = np.concatenate([example.ids for row in prepared.learned for example in row])
    return float((ids == 1).mean())


def test_a_file_becomes_a_base_that_a_plan_describes(workspace: Workspace, file: Path) -> None:
    plan = plan_of(file)
    prepared = prepare(workspace, plan.settings)
    preflight = inspect(prepared, plan.settings)

    made = preflight.made_vectors
    assert made is not None
    assert (made.num_words, made.size, made.way, made.data) == (10, 8, "GloVe text", "small.vec")
    assert 0.2 < made.unknown_share == unknown_share(prepared) < 1
    told = " ".join(preflight.warnings)
    assert f"1 lines of small.vec were left out: {file}:6: 2 numbers end the line where others have 8" in told
    assert f"{made.unknown_share:.2f} of the rows' words have no vector" in told
    assert (preflight.machine.dtype, preflight.machine.layout) == ("float32", "packed")
    assert torch.equal(table_of(prepared.source.folder)[2:], torch.tensor(list(numbers_of(file).values())))
    (card,) = (card for card in base_cards(workspace) if card["kind"] == "vectors")
    assert card == {
        "name": prepared.source.reference,
        "kind": "vectors",
        "about": "10 word vectors (GloVe text) from small.vec",
    }


def test_a_base_is_made_once_and_found_again(workspace: Workspace, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(workspace, plan_of(file).settings).source
    learned = prepare(workspace, plan_of("glove").settings).source
    smaller = prepare(workspace, plan_of(file, "vectors.most=3").settings).source
    monkeypatch.setattr(vectors, "read_vectors", refuse_to("read the file again"))
    monkeypatch.setattr(vectors, "base_of_texts", refuse_to("learn again"))
    copy = shutil.copy(file, file.with_name("copy.txt"))
    assert prepare(workspace, plan_of(copy).settings).source == first
    assert prepare(workspace, plan_of("glove").settings).source == learned
    assert prepare(workspace, plan_of(first.reference).settings).source == first
    assert len(table_of(smaller.folder)) == 5
    for other in ("seed=1", "vectors.size=9", "vectors.window=2"):
        with pytest.raises(AssertionError, match="learn again"):
            prepare(workspace, plan_of("glove", other).settings)


def test_only_the_words_that_rows_hold_learn_and_the_bundle_has_them_all(workspace: Workspace, file: Path) -> None:
    plan = plan_of(file)
    bundle = start_run(workspace, plan, "tuned").bundle
    assert bundle is not None
    before, after = numbers_of(file), table_of(bundle.path / "model")[2:]
    moved = {word for word, row in zip(KNOWN, after, strict=True) if not torch.equal(row, torch.tensor(before[word]))}
    held = {word for row in intents() for word in row["text"].replace(",", "").split()}
    assert moved == set(KNOWN) & held
    assert "unmet" not in moved and len(moved) >= 6
    assert not (bundle.path / "base").exists()  # the file is the user's, and may be large
    assert load("tuned", workspace).predict(["where is my parcel"])[0].text in {"delivery", "payment", "refund"}


def test_with_the_head_alone_no_vector_moves(workspace: Workspace, file: Path) -> None:
    bundle = start_run(workspace, plan_of(file, "adapter.learn=head"), "frozen").bundle
    assert bundle is not None
    assert torch.equal(table_of(bundle.path / "model")[2:], torch.tensor(list(numbers_of(file).values())))


@pytest.mark.parametrize("base", [*WAYS_TO_LEARN_VECTORS, "file"])
def test_a_run_stopped_and_resumed_leaves_the_same_bundle(
    workspace: Workspace, file: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(file if base == "file" else base)
    whole = start_run(workspace, plan, "whole")
    stop_after(monkeypatch, 3)
    assert start_run(workspace, plan, "torn").ending == "paused"
    never_stop(monkeypatch)
    monkeypatch.setattr(vectors, "make_vectors", refuse_to("make the base again"))
    torn = resume_run(workspace, "torn")

    assert torn.bundle is not None and whole.bundle is not None
    assert hashes_of(torn.bundle.path) == hashes_of(whole.bundle.path) != {}
    assert torn.progress.history == whole.progress.history


def test_a_base_learned_from_rows_goes_where_the_bundle_goes(workspace: Workspace, tmp_path: Path) -> None:
    bundle = start_run(workspace, plan_of("word2vec"), "first").bundle
    assert bundle is not None
    report = evaluate(workspace, "first").as_json()
    elsewhere = open_workspace(tmp_path / "elsewhere")
    shutil.copytree(bundle.path, elsewhere.bundles / "first")
    shutil.rmtree(workspace.bases)
    moved = get_bundle(elsewhere, "first")
    assert open_tuned(elsewhere, moved).network.config.model_type == "word_vectors"
    assert report["systems"].keys() == {"base", "tuned"}
    shutil.copytree(workspace.root / "blobs", elsewhere.root / "blobs", dirs_exist_ok=True)
    assert (moved.path / "base" / "model.safetensors").is_file()


def test_a_bundle_from_a_file_says_which_base_is_missing(workspace: Workspace, file: Path) -> None:
    start_run(workspace, plan_of(file), "first")
    shutil.rmtree(workspace.bases)
    workspace.bases.mkdir()
    assert load("first", workspace).predict(["where is my parcel"])
    with pytest.raises(MissingFile, match="is not where it was"):
        evaluate(workspace, "first")
    prepare(workspace, plan_of(file).settings)  # made again, it is the same
    assert evaluate(workspace, "first").as_json()["systems"].keys() == {"base", "tuned"}


def test_a_bundle_of_vectors_is_tuned_on(workspace: Workspace, file: Path) -> None:
    first = start_run(workspace, plan_of(file), "first").bundle
    second = start_run(workspace, plan_of("first"), "second").bundle
    assert first is not None and second is not None
    assert second.part("base")["lineage"] == [first.identity]
    assert not torch.equal(table_of(first.path / "model"), table_of(second.path / "model"))


def test_vectors_are_learned_from_the_text_that_is_named(workspace: Workspace) -> None:
    rows = [Row(PlainText("alpha beta gamma " * 4), "f", 1), Row(PlainText("secret words"), "f", 2, part="test")]
    store_rows(workspace, "other", "text", rows)
    plan = plan_of("skip-gram", "vectors.text=other")
    prepared = prepare(workspace, plan.settings)
    made = inspect(prepared, plan.settings).made_vectors
    assert made is not None and made.unknown_share == 1.0
    assert made.num_words == 3 and made.data.startswith("other#")
    assert prepared.tokenizer.encode_plain("Alpha secret") == [prepared.tokenizer.encode_plain("alpha")[0], 1]


def test_capitals_are_told_apart_where_that_is_asked_for(workspace: Workspace) -> None:
    store_rows(workspace, "other", "text", [Row(PlainText("Turkey turkey " * 4), "f", 1)])
    for word, count in (("false", 2), ("true", 1)):
        plan = plan_of("glove", "vectors.text=other", f"vectors.lowercase={word}", "vectors.window=1")
        if count == 1:
            with pytest.raises(UnsoundPlan, match="no words to learn"):
                prepare(workspace, plan.settings)
        else:
            assert len(table_of(prepare(workspace, plan.settings).source.folder)) == 2 + count


def test_an_archive_of_one_file_is_read_and_of_two_refused(workspace: Workspace, file: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    with zipfile.ZipFile(one, "w") as archive:
        archive.write(file, "small.txt")
    with zipfile.ZipFile(two, "w") as archive:
        archive.write(file, "a.txt")
        archive.write(file, "b.txt")
    assert len(table_of(prepare(workspace, plan_of(one).settings).source.folder)) == 12
    with pytest.raises(RequestError, match=r"2 files: a\.txt, b\.txt"):
        prepare(workspace, plan_of(two).settings)


@pytest.mark.parametrize(
    ("words", "where"),
    [(("adapter.kind=lora",), "adapter.kind"), (("training.dtype=bfloat16",), "training.dtype")],
)
def test_what_cannot_be_done_with_vectors_is_refused(
    workspace: Workspace, file: Path, words: tuple[str, ...], where: str
) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(workspace, plan_of(file, *words).settings)
    assert caught.value.where == where and caught.value.attempt


def test_settings_of_vectors_for_another_base_are_told(workspace: Workspace, tiny_base: Path) -> None:
    plan = plan_of(tiny_base)
    assert any(
        line.startswith("vectors.* is not used")
        for line in inspect(prepare(workspace, plan.settings), plan.settings).warnings
    )


def test_a_tagger_sees_the_words_beside_a_word(workspace: Workspace) -> None:
    """What a name is shows in the word before it, so without its neighbours no word could be tagged."""
    rows = []
    for number in range(120):
        opening, kind = (("we met in ", "PLACE"), ("he works for ", "FIRM"))[number % 2]
        name = f"name{number // 2 % 9}"
        text = f"{opening}{name} {'again ' * (number % 7)}{number}"
        part = "train" if number < 90 else "validation" if number < 100 else "test"
        span = Span(len(opening), len(opening) + len(name), kind)
        rows.append(Row(TaggedText(text, (span,)), "f", number + 1, part=part))
    store_rows(workspace, "names", "tag", rows)
    more = ("training.max_steps=60", "training.evaluate_every_steps=30")
    plan = plan_of("glove", *more, recipe="tag", data="names")
    bundle = start_run(workspace, plan, "tagger").bundle
    assert bundle is not None
    config = json.loads((bundle.path / "model" / "config.json").read_text())
    assert (config["window"], config["hidden_size"]) == (2, 40)
    scores = evaluate(workspace, "tagger").as_json()["systems"]["tuned"]
    assert scores["entity_f1"]["value"] > 0.9


def test_an_embedder_of_vectors_is_tuned(workspace: Workspace) -> None:
    rows = [
        Row(TextPair(row["text"], f"about {row['label']} {number}"), "f", number + 1)
        for number, row in enumerate(intents())
    ]
    store_rows(workspace, "pairs", "embed", rows)
    result = start_run(workspace, plan_of("skip-gram", recipe="embed", data="pairs"), "embedder")
    assert result.ending == "done"


def test_a_rate_for_deep_models_is_told(workspace: Workspace, file: Path) -> None:
    slow, fast = plan_of(file, "training.learning_rate=1e-4"), plan_of(file)
    told = [" ".join(inspect(prepare(workspace, plan.settings), plan.settings).warnings) for plan in (slow, fast)]
    assert ["is one for deep models" in words for words in told] == [True, False]
    assert resolve_plan("classify-vectors", ["data=intents"]).settings.base == "skip-gram"
