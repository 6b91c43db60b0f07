"""Reading settings: values are TOML where they are TOML, else the text itself; keys are dotted."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.config.read import flatten, place, read_assignments, read_toml
from fettle.errors import MissingFile, RequestError

QUICK = settings(deadline=None, max_examples=100)
names = st.text(st.sampled_from("abcdef_"), min_size=1, max_size=3)
leaves = st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.lists(st.integers(), max_size=2))
trees = st.recursive(
    st.dictionaries(names, leaves, min_size=1, max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(leaves, inner), min_size=1, max_size=3),
    max_leaves=12,
)


@QUICK
@given(trees)
def test_place_undoes_flatten(tree: dict[str, object]) -> None:
    again: dict[str, object] = {}
    for key, value in flatten(tree).items():
        place(again, key, value)
    assert again == tree


@QUICK
@given(trees)
def test_flat_keys_lead_to_their_values(tree: dict[str, object]) -> None:
    for key, value in flatten(tree).items():
        found: object = tree
        for part in key.split("."):
            assert isinstance(found, dict)
            found = found[part]
        assert found == value
        assert not isinstance(value, dict)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("3", 3),
        ("-0.5", -0.5),
        ("true", True),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("tickets", "tickets"),
        ("tickets@test#1a2b", "tickets@test#1a2b"),
        ("all-linear", "all-linear"),
        ("", ""),
        ("a=b", "a=b"),
        ("/folder/of a/model", "/folder/of a/model"),
        ("random:bundled", "random:bundled"),
        ("True", "True"),
    ],
)
def test_a_value_is_toml_where_it_is_toml(written: str, value: object) -> None:
    got = read_assignments([f"key={written}"])["key"]
    assert got == value
    assert type(got) is type(value)


@QUICK
@given(st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_numbers_come_back_as_they_were_written(value: object) -> None:
    got = read_assignments([f"a.b={json.dumps(value)}"])
    assert got == {"a": {"b": value}}
    assert type(got["a"]["b"]) is type(value)  # type: ignore[index]


@QUICK
@given(st.text(st.characters(codec="utf-8"), max_size=12))
@example("1\nother = 2")
@example("true\n[table]\nx = 1")
def test_a_text_is_itself_or_one_toml_value_and_nothing_of_it_is_lost(text: str) -> None:
    got = read_assignments([f"key={text}"])
    assert list(got) == ["key"]
    if got["key"] != text:
        assert tomllib.loads(f"key = {text}") == got


def test_the_first_sign_parts_key_and_value_and_later_words_win() -> None:
    assert read_assignments(["a.x=1", "b= y=z", "a.x=2"]) == {"a": {"x": 2}, "b": " y=z"}


@pytest.mark.parametrize("word", ["epochs", "=3", " =3", ""])
def test_a_word_that_is_no_assignment_is_refused(word: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_assignments([word])
    assert caught.value.expected == "KEY=VALUE"


def test_a_key_is_a_value_or_a_table_and_not_both() -> None:
    with pytest.raises(RequestError):
        read_assignments(["training=1", "training.epochs=2"])


def test_a_recipe_file_is_toml_and_its_faults_name_the_file(tmp_path: Path) -> None:
    good, bad, binary = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "binary.toml"
    good.write_text("[training]\nepochs = 2\n", encoding="utf-8")
    bad.write_text("task = \n", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\x00")
    assert read_toml(good) == {"training": {"epochs": 2}}
    for path, kind in ((bad, RequestError), (binary, RequestError), (tmp_path, RequestError)):
        with pytest.raises(kind) as caught:
            read_toml(path)
        assert caught.value.where == str(path)
    with pytest.raises(MissingFile):
        read_toml(tmp_path / "none.toml")
