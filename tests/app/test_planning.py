"""Recipes resolve lightly, and a misspelt key names its neighbours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fettle.app.planning import RECIPES, plan_from_json, recipe_names, resolve_plan, show_recipe
from fettle.errors import FettleError, MissingFile, RequestError, UnknownName

LIGHT = """
import sys
from fettle.app.planning import recipe_names, resolve_plan
for name in recipe_names():
    plan = resolve_plan(name, ["data=tickets", "training.epochs=2"])
    plan.explained(), plan.as_json()
heavy = {"torch", "transformers", "peft", "safetensors", "pyarrow", "scipy", "sqlalchemy"} & set(sys.modules)
sys.exit(f"loaded: {heavy}" if heavy else 0)
"""


@pytest.mark.parametrize(
    ("key", "neighbour"),
    [
        ("training.epoch", "training.epochs"),
        ("training.learningrate", "training.learning_rate"),
        ("adapter.rnak", "adapter.rank"),
        ("epochs", "training.epochs"),
        ("lora.rank", "adapter.rank"),
        ("dat", "data"),
        ("goal.metrics", "goal.metric"),
    ],
)
def test_misspelt_key_names_its_neighbours(key: str, neighbour: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve_plan("chat", ["data=x", f"{key}=1"])

    assert key in caught.value.problem
    assert neighbour in caught.value.attempt
    assert caught.value.where == "command line"


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        resolve_plan("chat", ["training.epoch=1", "adapter.rank=-3", "training.dtype=float8", "seed=many"])

    problems = " | ".join(fault.problem for fault in caught.value.faults)
    for text in ("training.epoch", "adapter.rank", "training.dtype", "seed", "data is missing"):
        assert text in problems
    assert len(caught.value.faults) == 5


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves(name: str) -> None:
    plan = resolve_plan(name, ["data=tickets"])

    assert plan.settings.data == "tickets"
    assert plan.resolved.origins["task"].startswith("recipe ")  # its own, or that of the recipe that it differs from
    assert plan.resolved.origins["data"] == "command line"
    assert plan.resolved.origins["training.beta1"] == "default"
    assert show_recipe(name).startswith("# ")
    explained = {setting.key: setting for setting in plan.explained()}
    assert all(setting.text for setting in explained.values())
    assert explained["training.learning_rate"].origin == f"recipe {name}"
    assert explained["data"].value == "tickets"


def test_there_are_recipes() -> None:
    assert {"chat", "classify", "adapt", "chat-lora", "classify-lora"} <= set(recipe_names())


def test_later_layers_win_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('recipe = "classify-lora"\ndata = "tickets"\n[training]\nepochs = 9\nseed_is_elsewhere = 1\n')
    with pytest.raises(RequestError, match="seed_is_elsewhere") as caught:
        resolve_plan(str(file))
    assert caught.value.where == str(file)
    file.write_text('recipe = "classify-lora"\ndata = "tickets"\n[training]\nepochs = 9\nmax_steps = 5\n')

    plan = resolve_plan(str(file), ["training.max_steps=7"])

    training, origins = plan.settings.training, plan.resolved.origins
    assert (training.learning_rate, origins["training.learning_rate"]) == (2e-3, "recipe classify-lora")
    assert (training.epochs, origins["training.epochs"]) == (9, str(file))
    assert (training.max_steps, origins["training.max_steps"]) == (7, "command line")
    assert (training.patience, origins["training.patience"]) == (0, "default")


def test_settings_as_a_mapping_are_the_same_settings() -> None:
    words = resolve_plan("chat", ["data=tickets", "training.epochs=2", "goal.words=be kind"])
    mapped = resolve_plan("chat", {"data": "tickets", "training.epochs": 2, "goal": {"words": "be kind"}})

    assert mapped.settings == words.settings
    assert mapped.resolved.origins["training.epochs"] == "given"


@pytest.mark.parametrize("name", recipe_names())
def test_a_stored_plan_comes_back_as_it_was(name: str) -> None:
    plan = resolve_plan(name, ["data=tickets@train", "seed=12", "training.learning_rate=1e-4"])

    assert plan_from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_unknown_recipe_names_its_neighbours(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        resolve_plan("clasify", ["data=x"])
    assert "classify" in caught.value.expected
    with pytest.raises(MissingFile):
        resolve_plan(str(tmp_path / "none.toml"), ["data=x"])


def test_a_recipe_that_differs_from_itself_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(f'recipe = "{two}"\ntask = "chat"\n')
    two.write_text(f'recipe = "{one}"\n')

    for path in (one, two):
        with pytest.raises(FettleError) as caught:
            resolve_plan(str(path), ["data=x"])
        assert str(path) in str(caught.value)


def test_settings_never_change() -> None:
    plan = resolve_plan("chat", ["data=x"])

    with pytest.raises(ValueError, match="frozen"):
        plan.settings.seed = 3


def test_resolving_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


def test_recipes_state_only_what_differs() -> None:
    """A value that a recipe repeats from the defaults would go stale in silence."""
    for path in RECIPES.glob("*.toml"):
        plan = resolve_plan(path.stem, ["data=x"])
        default = {"task": "", "data": ""}
        blank = type(plan.settings)(**default).model_dump()
        repeated = []
        for key, origin in plan.resolved.origins.items():
            if origin != f"recipe {path.stem}" or key == "adapter.kind":
                continue
            ours, theirs = plan.settings.model_dump(), blank
            for name in key.split("."):
                ours, theirs = ours[name], theirs[name]
            if ours == theirs and key != "training.epochs":
                repeated.append(key)
        assert repeated == []
