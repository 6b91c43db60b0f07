"""Finding a base: light, fast, and clear about what there is instead."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from fettle.errors import FettleError, MissingFile, RequestError, UnknownName
from fettle.models.folders.base import BUNDLED_FOLDER, bundled_names, find_base, fingerprint, read_model_config


@pytest.mark.parametrize("name", ["bundled", *bundled_names()])
def test_a_bundled_base_is_found_by_its_name(name: str) -> None:
    base = find_base(name)
    assert (base.kind, base.reference, base.is_random) == ("bundled", name, False)
    assert base.folder.parent == BUNDLED_FOLDER
    assert read_model_config(base.folder)["model_type"]


def test_a_folder_is_found_wherever_one_stands(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_base.parent)
    for written in (str(tiny_base), f"./{tiny_base.name}", tiny_base.name):
        base = find_base(written)
        assert (base.kind, base.folder, base.reference) == ("folder", tiny_base.resolve(), written)
    monkeypatch.setenv("HOME", str(tiny_base.parent))
    assert find_base(f"~/{tiny_base.name}").folder == tiny_base.resolve()


def test_random_is_the_same_place_with_fresh_weights(tiny_base: Path, tmp_path: Path) -> None:
    base = find_base(f"random:{tiny_base}")
    assert base.is_random
    assert base.folder == tiny_base
    assert find_base("random:bundled").is_random
    shape_only = tmp_path / "shape"
    shutil.copytree(tiny_base, shape_only, ignore=shutil.ignore_patterns("*.safetensors"))
    assert find_base(f"random:{shape_only}").folder == shape_only
    with pytest.raises(FettleError, match="no weights"):
        find_base(str(shape_only))


@pytest.mark.parametrize("name", ["bundeld", "~nobody-of-that-name/model", "x" * 5000, "a/b/c", "no/such/folder/"])
def test_an_unknown_name_is_answered_with_what_there_is(name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        find_base(name)
    assert "base-v0" in caught.value.expected
    assert "local folder" in caught.value.expected


@pytest.mark.parametrize("name", ["owner/name", "random:owner/name", "own--er/name", "owner/name.", "o" * 97 + "/name"])
def test_a_hub_id_without_a_network_is_one_clear_error_at_once(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(RequestError) as caught:
        find_base(name)
    assert time.monotonic() - began < 5
    assert name.removeprefix("random:") in caught.value.problem
    assert "base-v0" in caught.value.attempt
    assert caught.value.__suppress_context__


def test_a_folder_without_a_model_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        find_base(str(tmp_path))
    assert caught.value.where == str(tmp_path)
    assert "config.json" in caught.value.expected


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_configuration_that_is_none_is_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FettleError) as caught:
        read_model_config(tmp_path)
    assert str(tmp_path) in caught.value.where


def test_the_fingerprint_changes_with_every_file_that_decides(tiny_base: Path, tmp_path: Path) -> None:
    before = fingerprint(tiny_base)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        folder = tmp_path / name
        shutil.copytree(tiny_base, folder)
        assert fingerprint(folder) == before
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)
        after = fingerprint(folder)
        assert [key for key in before if before[key] != after[key]] == [name.replace("model.safetensors", "weights")]
