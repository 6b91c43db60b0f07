"""Model folders are hostile archives until shown otherwise: safetensors only, no code, no surprises in the config.

`trust_remote_code` is never passed. What a folder could use to have code fetched or run is refused here, before any
library reads it.
"""

from __future__ import annotations

import json
from pathlib import Path

from fettle.errors import DamagedFile, UnsafeModel

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
_REFUSED_CONFIG_KEYS = (
    "auto_map",
    "custom_pipelines",
    "trust_remote_code",
    "_attn_implementation",
    "_attn_implementation_internal",
    "_attn_implementation_autoset",
    "attn_implementation",
)


def refuse_unsafe_folder(folder: Path, needs_weights: bool) -> None:
    """Refuse a folder that has pickled weights and no safetensors, or links that lead out of it."""
    names = sorted(path.name for path in folder.iterdir())
    safe = [name for name in names if name.endswith(".safetensors")]
    pickled = [name for name in names if name.endswith(_PICKLED)]
    if needs_weights and not safe:
        if pickled:
            raise UnsafeModel(
                f"the weights are pickled ({', '.join(pickled[:3])}): loading them could run any code",
                where=str(folder),
                expected="*.safetensors",
                attempt="ask the model's publisher for safetensors, or convert it on a machine you can afford to lose",
            )
        raise DamagedFile("the folder holds no weights", where=str(folder), expected="*.safetensors")
    for name in ("config.json", "tokenizer_config.json", "generation_config.json", "adapter_config.json"):
        path = folder / name
        if path.exists():
            _refuse_unsafe_json(path)


def _refuse_unsafe_json(path: Path) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as problem:
        raise DamagedFile(f"not readable as JSON: {problem}", where=str(path)) from None
    for key in _REFUSED_CONFIG_KEYS:
        if isinstance(document, dict) and document.get(key):
            raise UnsafeModel(
                f"{key!r} asks for code from outside the libraries",
                where=str(path),
                expected="an architecture that transformers has itself",
                attempt=f"remove {key!r} from the file if the architecture is a standard one",
            )
