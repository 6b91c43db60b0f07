"""Settings: layers win key by key, each value keeps its origin, and what is misspelt stops the plan."""

from __future__ import annotations

import math
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.app.planning import PlanSettings, recipe_names, resolve_plan
from fettle.config.read import flatten, place
from fettle.config.resolve import Layer, documented_keys, explain, resolve
from fettle.config.settings import Settings
from fettle.errors import RequestError

QUICK = settings(deadline=None, max_examples=100)


class Inner(Settings):
    """An inner table."""

    width: int = 1
    """How wide."""

    depth: int = 2
    """How deep."""


class Outer(Settings):
    """All there is to set."""

    seed: int = 0
    """Where chance
    begins."""

    note: str | None = None
    """A word."""

    inner: Inner = Inner()
    other: Inner | None = Inner(width=7)


KEYS = {"seed": 0, "inner.width": 1, "inner.depth": 2, "other.width": 7, "other.depth": 2}
layers_of_values = st.lists(st.dictionaries(st.sampled_from(sorted(KEYS)), st.integers(-99, 99)), max_size=4)


def nested(flat: dict[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in flat.items():
        place(tree, key, value)
    return tree


@QUICK
@given(layers_of_values)
def test_the_last_layer_that_speaks_of_a_key_wins_and_is_its_origin(layers: list[dict[str, int]]) -> None:
    resolved = resolve(Outer, [Layer(f"layer {number}", nested(flat)) for number, flat in enumerate(layers)])
    got = {line.key: line for line in explain(resolved)}
    for key in KEYS:
        speakers = [number for number, flat in enumerate(layers) if key in flat]
        assert got[key].origin == (f"layer {speakers[-1]}" if speakers else "default")
        if speakers:
            assert got[key].value == layers[speakers[-1]][key]
        elif not (key.startswith("other.") and any(k.startswith("other.") for flat in layers for k in flat)):
            assert got[key].value == KEYS[key]


@QUICK
@given(layers_of_values)
def test_layers_are_read_and_never_written(layers: list[dict[str, int]]) -> None:
    trees = [nested(flat) for flat in layers]
    before = [repr(tree) for tree in trees]
    resolve(Outer, [Layer("x", tree) for tree in trees])
    assert [repr(tree) for tree in trees] == before


def test_an_unknown_key_names_its_neighbours_and_the_layer_it_stands_in() -> None:
    with pytest.raises(RequestError) as caught:
        resolve(Outer, [Layer("recipe a", {"inner": {"widht": 3}})])
    assert caught.value.where == "recipe a"
    assert "'inner.widht'" in caught.value.problem
    assert "inner.width" in caught.value.attempt


def test_a_key_of_the_right_name_in_the_wrong_table_names_the_right_table() -> None:
    with pytest.raises(RequestError) as caught:
        resolve_plan("chat", ["data=x", "epochs=3"])
    assert caught.value.attempt == "training.epochs, vectors.epochs"


@QUICK
@given(
    st.sets(st.sampled_from(["sed", "innner.width", "inner.dept", "width", "note.x"]), min_size=1),
    st.dictionaries(st.sampled_from(["seed", "inner.width", "inner.depth"]), st.just("no number")),
)
def test_all_faults_of_all_layers_are_collected(unknown: set[str], invalid: dict[str, str]) -> None:
    layers = [Layer("recipe a", nested(dict.fromkeys(sorted(unknown), 1))), Layer("command line", nested(invalid))]
    with pytest.raises(RequestError) as caught:
        resolve(Outer, layers)
    faults = caught.value.faults
    assert len(faults) == len(unknown) + len(invalid)
    for key in unknown:
        assert any(repr(key) in fault.problem and fault.file == "recipe a" for fault in faults)
    for key in invalid:
        assert any(fault.problem.startswith(f"{key} = ") and fault.file == "command line" for fault in faults)


def test_what_is_missing_is_named_with_what_it_means() -> None:
    with pytest.raises(RequestError) as caught:
        resolve(PlanSettings, [])
    assert {fault.problem for fault in caught.value.faults} == {"task is missing", "data is missing"}
    assert all(fault.expected for fault in caught.value.faults)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("key", ["training.learning_rate", "training.epochs", "adapter.alpha", "goal.least_gain"])
def test_no_setting_is_infinite_or_no_number(key: str, value: float) -> None:
    with pytest.raises(RequestError):
        resolve_plan("chat", {"data": "x", key: value})


def test_every_setting_of_a_plan_is_explained() -> None:
    texts = documented_keys(PlanSettings)
    assert [key for key, text in texts.items() if not text.strip()] == []
    assert {"task", "base", "training.learning_rate", "adapter.rank", "decoding.temperature"} <= set(texts)


def test_the_keys_of_a_plan_are_the_leaves_of_its_values_in_one_order() -> None:
    plan = resolve_plan("chat", ["data=x"])
    assert list(flatten(plan.settings.model_dump())) == list(documented_keys(PlanSettings))
    assert [line.key for line in plan.explained()] == list(documented_keys(PlanSettings))


def test_the_text_of_a_setting_is_one_line() -> None:
    assert documented_keys(Outer)["seed"] == "Where chance begins."
    assert documented_keys(Outer)["other.depth"] == "How deep."


def test_nothing_writes_to_settings_after_they_are_resolved() -> None:
    resolved = resolve(Outer, [])
    with pytest.raises(ValueError):
        resolved.settings.seed = 5
    with pytest.raises(ValueError):
        resolved.settings.inner.width = 5


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_resolves_and_only_what_it_states_is_its_own(name: str) -> None:
    plan = resolve_plan(name, ["data=x", "seed=3"])
    origins = plan.resolved.origins
    assert origins["seed"] == "command line"
    assert plan.settings.seed == 3
    assert any(origin.startswith("recipe ") for origin in origins.values())
    default = resolve_plan(name, ["data=x"]).settings.model_dump()
    flat = flatten(MappingProxyType(default))
    for key, origin in origins.items():
        if origin == "default" and key != "seed":
            field: object = PlanSettings(task="chat", data="x")
            for part in key.split("."):
                field = getattr(field, part)
            assert flat[key] == field
