"""What there is: bases, runs. Read only, and light."""

from __future__ import annotations

import json

from fettle.artifacts.bundle import MANIFEST
from fettle.jobs.run import RunFolder
from fettle.models.base import BUNDLED_FOLDER, bundled_names, find_base, fingerprint, read_model_config
from fettle.storage.workspace import Workspace

_SHAPE = (
    "model_type",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
)


def base_cards(workspace: Workspace) -> list[dict[str, object]]:
    """The bundled bases and the bundles that may serve as one."""
    cards: list[dict[str, object]] = []
    for name in bundled_names():
        title = (BUNDLED_FOLDER / name / "README.md").read_text(encoding="utf-8").splitlines()[0]
        cards.append({"name": name, "kind": "bundled", "about": title.lstrip("# ")})
    for path in sorted(workspace.bundles.glob(f"*/{MANIFEST}")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        about = f"{manifest['task']}, tuned from {manifest['base']['name']} with {manifest['data']['version']}"
        cards.append({"name": path.parent.name, "kind": "bundle", "about": about})
    return cards


def base_facts(workspace: Workspace, reference: str) -> dict[str, object]:
    """Where a base lies, its shape and its fingerprint."""
    inside = workspace.bundles / reference
    folder = inside / "model" if (inside / "model").is_dir() else find_base(reference).folder
    config = read_model_config(folder)
    return {
        "reference": reference,
        "folder": str(folder),
        **{name: config.get(name) for name in _SHAPE},
        "weights_bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        "weights_sha256": fingerprint(folder)["weights"],
    }


def run_facts(workspace: Workspace, name: str) -> dict[str, object]:
    """A run's state, its looks at held-out rows, and its checkpoints."""
    run = workspace.catalogue.find_run(name)
    folder = RunFolder(workspace.runs / name)
    looks = [event for event in folder.events() if event.get("event") == "held_out"]
    return {
        **vars(run),
        "held_out": [{"step": look["step"], "scores": look["scores"], "is_best": look["is_best"]} for look in looks],
        "checkpoints": [path.name for path in sorted(folder.checkpoints.glob("step-*"))],
    }
