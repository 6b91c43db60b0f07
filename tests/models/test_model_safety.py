"""Hostile model folders: refused, and nothing of them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fettle.errors import DamagedFile, FettleError, UnsafeModel
from fettle.models.config import AdapterSettings
from fettle.models.folders.base import find_base
from fettle.models.load import add_adapter, open_model, read_adapter, save_adapter


class Canary:
    """A pickle that touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"touch {self.path}",))


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "weights.pkl"])
def test_pickled_weights_are_refused_and_never_loaded(base: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (base / "model.safetensors").unlink()
    (base / name).write_bytes(pickle.dumps(Canary(canary)))
    for opening in (lambda: find_base(str(base)), lambda: open_model(base)):
        with pytest.raises(UnsafeModel) as caught:
            opening()
        assert name in caught.value.problem
    assert not canary.exists()
    pickle.loads((base / name).read_bytes())
    assert canary.exists(), "the canary does not sing, so this test has shown nothing"


def test_pickled_weights_beside_a_decoy_are_not_loaded(base: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (base / "model.safetensors").rename(base / "decoy.safetensors")
    (base / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(FettleError):
        open_model(base)
    assert not canary.exists()


def test_a_pickled_adapter_is_refused_beside_a_decoy_too(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    save_adapter(add_adapter(open_model(base), AdapterSettings(rank=2), 0), folder, "tiny")
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").rename(folder / "decoy.safetensors")
    with pytest.raises(DamagedFile):
        read_adapter(open_model(base), folder)
    (folder / "decoy.safetensors").unlink()
    with pytest.raises(UnsafeModel):
        read_adapter(open_model(base), folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.Tokenizer", None]}),
        ("trust_remote_code", True),
        ("custom_pipelines", {"x": {"impl": "evil.Pipeline"}}),
        ("_attn_implementation", "someone/kernel"),
        ("attn_implementation", "someone/kernel"),
    ],
)
def test_what_asks_for_code_is_refused(base: Path, tmp_path: Path, file: str, key: str, value: object) -> None:
    canary = tmp_path / "canary"
    (base / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Model: pass\nclass Tokenizer: pass\n")
    document = json.loads((base / file).read_text(encoding="utf-8"))
    (base / file).write_text(json.dumps({**document, key: value}), encoding="utf-8")
    for opening in (lambda: find_base(str(base)), lambda: open_model(base), lambda: open_model(base, random_seed=0)):
        with pytest.raises(UnsafeModel) as caught:
            opening()
        assert key in caught.value.problem
        assert caught.value.where == str(base / file)
    assert not canary.exists()


def test_a_chat_template_runs_in_a_sandbox(base: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (base / "chat_template.jinja").write_text(
        "{{ cycler.__init__.__globals__.os.system('touch " + str(canary) + "') }}", encoding="utf-8"
    )
    tokenizer = open_model(base).tokenizer
    with pytest.raises(FettleError, match="chat template"):
        tokenizer.render([{"role": "user", "content": "x"}], True)
    assert not canary.exists()
