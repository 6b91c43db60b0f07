"""Which base model is meant: a bundled one, a local folder, a hub id, or the same shape with fresh weights.

Finding is light: nothing is loaded. An earlier bundle may be a base too; it is opened above this room, which is
then handed the folder of the base and the folder of the adapter.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from fettle.errors import DamagedFile, MissingFile, UnknownName, near_misses
from fettle.models.folders.hub import fetch_from_hub
from fettle.models.folders.safety import refuse_unsafe_folder

BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "bases"
DEFAULT_BUNDLED = "base-v0"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_IDENTITY_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Base:
    """A base that was found. `kind` is bundled, folder or hub; `is_random` asks for fresh weights of its shape."""

    reference: str
    kind: str
    folder: Path
    is_random: bool = False


def bundled_names() -> list[str]:
    """The bases that ship with fettle."""
    return sorted(folder.name for folder in BUNDLED_FOLDER.iterdir() if (folder / "config.json").exists())


def find_base(reference: str) -> Base:
    """Find what a `base=` setting names; refuse folders that could run code."""
    is_random = reference.startswith("random:")
    name = reference.removeprefix("random:")
    base = _find(reference, name, is_random)
    refuse_unsafe_folder(base.folder, needs_weights=not is_random)
    return base


def _find(reference: str, name: str, is_random: bool) -> Base:
    if name in ("bundled", *bundled_names()):
        return Base(reference, "bundled", BUNDLED_FOLDER / (DEFAULT_BUNDLED if name == "bundled" else name), is_random)
    folder = _folder_named(name)
    if folder is not None:
        if not (folder / "config.json").exists():
            raise MissingFile(
                "the folder holds no model",
                where=str(folder),
                expected="config.json, tokenizer.json and *.safetensors, as Hugging Face lays them out",
            )
        return Base(reference, "folder", folder.resolve(), is_random)
    if _HUB_ID.fullmatch(name):
        return Base(reference, "hub", fetch_from_hub(name, bundled_names()), is_random)
    raise UnknownName(
        f"there is no base model {name!r}",
        expected=f"one of the bundled bases ({near_misses(name, bundled_names())}), a local folder, an earlier bundle, "
        "a hub id like owner/name, or new",
        attempt="base=bundled",
    )


def _folder_named(name: str) -> Path | None:
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (RuntimeError, OSError):  # ~nobody, or longer than a path may be
        return None


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of everything that decides what a base computes: weights, shape, tokenizer, template."""
    prints = {}
    weights = hashlib.sha256()
    for shard in sorted(folder.glob("*.safetensors")):
        with shard.open("rb") as stream:
            weights.update(hashlib.file_digest(stream, "sha256").digest())
    prints["weights"] = weights.hexdigest()
    for name in _IDENTITY_FILES:
        path = folder / name
        prints[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    return prints


def read_model_config(folder: Path) -> dict[str, object]:
    """The model's config.json as a dictionary."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as problem:
        raise DamagedFile(f"the model's configuration cannot be read: {problem}", where=str(path)) from None
    if not isinstance(config, dict):
        raise DamagedFile("the model's configuration is no JSON object", where=str(path))
    return config
