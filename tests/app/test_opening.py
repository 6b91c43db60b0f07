"""Which base and which bundle is meant, and that a bundle is never run on another base than its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from app_fixtures import Shop, one_core, shop, workspace  # noqa: F401
from app_kit import hashes_of, plan_of, with_other_weights

from fettle.app.evaluating import evaluate
from fettle.app.listing import find_bundle, get_bundle
from fettle.app.opening import base_of_bundle, locate_base, open_base, open_tuned
from fettle.app.running import start_run
from fettle.app.using import export, load, load_base
from fettle.errors import IncompatibleModel, MissingFile, RequestError, UnknownName
from fettle.models.forward import only_reading
from fettle.models.load import OpenModel
from fettle.storage.workspace import Workspace

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)


def logits(model: OpenModel) -> torch.Tensor:
    with only_reading(model.network):
        return model.network(input_ids=torch.tensor([[20, 30, 40, 50]])).logits.clone()


def test_an_adapter_is_refused_on_other_weights(shop: Shop, tmp_path: Path) -> None:
    other = with_other_weights(shop.base, tmp_path / "tiny")
    bundle = get_bundle(shop.workspace, "lora")

    for use in (
        lambda: open_tuned(shop.workspace, bundle, str(other)),
        lambda: load("lora", shop.workspace, str(other)),
    ):
        with pytest.raises(IncompatibleModel, match="another base") as caught:
            use()
        assert "weights" in caught.value.problem
        assert bundle.part("base")["fingerprint"]["weights"][:12] in caught.value.expected


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"])
def test_an_adapter_is_refused_on_a_changed_tokenizer_template_or_shape(shop: Shop, tmp_path: Path, name: str) -> None:
    other = shutil.copytree(shop.base, tmp_path / "tiny")
    (other / name).write_text((other / name).read_text() + "\n")

    with pytest.raises(IncompatibleModel) as caught:
        open_tuned(shop.workspace, get_bundle(shop.workspace, "lora"), str(other))
    assert name in caught.value.problem


def test_the_same_base_elsewhere_is_the_same_base(shop: Shop, tmp_path: Path) -> None:
    moved = shutil.copytree(shop.base, tmp_path / "moved")
    bundle = get_bundle(shop.workspace, "lora")

    assert evaluate(shop.workspace, "lora", base=str(moved)).scores.keys() == {"base", "tuned"}
    assert torch.equal(
        logits(open_tuned(shop.workspace, bundle, str(moved))), logits(open_tuned(shop.workspace, bundle))
    )


def test_a_base_that_changed_in_its_place_is_refused(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    start_run(workspace, plan_of("classify-lora", "intents", base), "lora")
    shutil.rmtree(base)
    with pytest.raises(MissingFile, match="not where it was"):
        load("lora", workspace)
    with_other_weights(tiny_base, base)

    elsewhere = shutil.copytree(tiny_base, tmp_path / "elsewhere")
    assert evaluate(workspace, "lora", base=str(elsewhere)).scores.keys() == {"base", "tuned"}
    for use in (load, load_base):
        with pytest.raises(IncompatibleModel):
            use("lora", workspace)
    with pytest.raises(IncompatibleModel):
        evaluate(workspace, "lora")


def test_a_full_bundle_runs_without_its_base(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    start_run(workspace, plan_of("classify", "intents", base), "full")
    shutil.rmtree(base)

    assert len(load("full", workspace).predict(["where is my parcel"])) == 1


def test_a_bundle_is_found_by_name_folder_and_file(shop: Shop, tmp_path: Path) -> None:
    bundle = get_bundle(shop.workspace, "lora")
    export(shop.workspace, "lora", "file", tmp_path / "lora.fettle")

    for reference in (str(bundle.path), str(tmp_path / "lora.fettle")):
        assert get_bundle(shop.workspace, reference).identity == bundle.identity
    assert find_bundle(shop.workspace, "") is None
    assert find_bundle(shop.workspace, "none") is None
    with pytest.raises(UnknownName) as caught:
        get_bundle(shop.workspace, "lorra")
    assert "lora" in caught.value.expected
    answers = [load(name, shop.workspace).predict(["send it back"]) for name in ("lora", str(tmp_path / "lora.fettle"))]
    assert answers[0] == answers[1]


def test_fresh_weights_are_of_the_shape_and_follow_the_seed(workspace: Workspace, tiny_base: Path) -> None:
    plain = open_base(locate_base(workspace, str(tiny_base), 0))
    first, again, other = (open_base(locate_base(workspace, f"random:{tiny_base}", seed)) for seed in (1, 1, 2))

    assert torch.equal(logits(first), logits(again))
    assert not torch.equal(logits(first), logits(other))
    assert not torch.equal(logits(first), logits(plain))
    assert [weight.shape for weight in first.network.parameters()] == [w.shape for w in plain.network.parameters()]


@pytest.mark.parametrize("recipe", ["classify", "classify-lora"])
def test_fresh_weights_train_and_evaluate(workspace: Workspace, tiny_base: Path, recipe: str) -> None:
    run = start_run(workspace, plan_of(recipe, "intents", f"random:{tiny_base}", "seed=3"), "fresh")

    assert run.bundle.part("base")["random_seed"] == 3
    before = logits(open_base(locate_base(workspace, f"random:{tiny_base}", 3)))
    assert torch.equal(logits(open_base(base_of_bundle(workspace, run.bundle))), before)
    assert not torch.equal(logits(open_tuned(workspace, run.bundle)), before)
    assert evaluate(workspace, "fresh").scores.keys() == {"base", "tuned"}


@pytest.mark.parametrize("first", ["lora", "full"])
@pytest.mark.parametrize("recipe", ["classify", "classify-lora"])
def test_an_earlier_bundle_as_a_base(workspace: Workspace, tiny_base: Path, first: str, recipe: str) -> None:
    before = start_run(
        workspace, plan_of("classify-lora" if first == "lora" else "classify", "intents", tiny_base), first
    )
    tuned = logits(open_tuned(workspace, before.bundle))
    after = start_run(workspace, plan_of(recipe, "intents", first), "second")
    third = start_run(workspace, plan_of("classify-lora", "intents", "second"), "third")

    base = after.bundle.part("base")
    assert (base["kind"], base["name"], base["lineage"]) == ("bundle", first, [before.bundle.identity])
    assert third.bundle.part("base")["lineage"] == [after.bundle.identity, before.bundle.identity]
    assert torch.allclose(logits(open_base(base_of_bundle(workspace, after.bundle))), tuned, rtol=1e-5, atol=1e-5)
    for name in ("second", "third"):
        assert evaluate(workspace, name).scores.keys() == {"base", "tuned"}
        assert load(name, workspace).predict(["hello"])[0].text in ("delivery", "payment", "refund")
    # An adapter bundle stands on the bytes below it: nothing but that bundle will do in its place.
    with pytest.raises(IncompatibleModel):
        base_of_bundle(workspace, third.bundle, str(tiny_base))


def test_a_bundle_whose_adapter_changed_is_no_base(workspace: Workspace, tiny_base: Path) -> None:
    run = start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "lora")
    [name] = hashes_of(run.bundle.path)
    path = run.bundle.path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")

    with pytest.raises(OSError, match="has changed"):
        start_run(workspace, plan_of("classify", "intents", "lora"), "second")


def test_a_folder_of_the_same_name_does_not_stand_in_for_a_bundle(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "lora").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "lora")
    start_run(workspace, plan_of("classify-lora", "intents", "lora"), "second")

    assert load("second", workspace).predict(["hello"])


def test_paths_in_bundles_are_whole(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle made in one folder is used from another."""
    (tmp_path / "here").mkdir()
    shutil.copytree(tiny_base, tmp_path / "here" / "base")
    monkeypatch.chdir(tmp_path / "here")
    run = start_run(workspace, plan_of("classify-lora", "intents", "base"), "lora")
    monkeypatch.chdir(tmp_path)

    assert run.bundle.part("base")["reference"] == str((tmp_path / "here" / "base").resolve())
    assert load("lora", workspace).predict(["hello"])


def test_planted_files_beside_the_weights_are_not_run(workspace: Workspace, tiny_base: Path) -> None:
    """What is read with the weights belongs to the identity: a file that no hash covers must not change the answers."""
    run = start_run(workspace, plan_of("classify", "intents", tiny_base), "full")
    lora = start_run(workspace, plan_of("classify-lora", "intents", "full"), "lora")
    for path in (lora.bundle.path / "adapter").iterdir():
        shutil.copy(path, run.bundle.path / "model" / path.name)

    with pytest.raises((RequestError, OSError)):
        load("full", workspace).predict(["where is my parcel"])


def test_the_template_of_training_is_the_template_of_use(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    run = start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "lora")

    for name in ("lora",):
        model = load(name, workspace)._model
        assert model.tokenizer.template_sha256 == run.bundle.manifest["template_sha256"]
    stored = json.loads((run.bundle.path / "bundle.json").read_text())
    assert stored["template_sha256"] == open_base(locate_base(workspace, str(tiny_base), 0)).tokenizer.template_sha256
