"""What there is: bases, bundles, reports, runs. Read only, and light: no model is opened."""

from __future__ import annotations

import json
from pathlib import Path

from fettle.app.bases.made import find_made_base, made_base_cards
from fettle.artifacts.bundle import FILE_SUFFIX, MANIFEST, Bundle, read_bundle, unpack_bundle
from fettle.errors import UnknownName, near_misses
from fettle.evaluation.report import Report, decode_report
from fettle.jobs.run import RunFolder
from fettle.models.folders.base import BUNDLED_FOLDER, bundled_names, find_base, fingerprint, read_model_config
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
    """The bundled bases, those that were made here, and the bundles that may serve as one."""
    cards: list[dict[str, object]] = []
    for name in bundled_names():
        title = (BUNDLED_FOLDER / name / "README.md").read_text(encoding="utf-8").splitlines()[0]
        cards.append({"name": name, "kind": "bundled", "about": title.lstrip("# ")})
    cards += made_base_cards(workspace)
    for path in sorted(workspace.bundles.glob(f"*/{MANIFEST}")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        about = f"{manifest['task']}, tuned from {manifest['base']['name']} with {manifest['data']['version']}"
        cards.append({"name": path.parent.name, "kind": "bundle", "about": about})
    return cards


def base_facts(workspace: Workspace, reference: str) -> dict[str, object]:
    """Where a base lies, its shape and its fingerprint."""
    inside = workspace.bundles / reference
    if (inside / "model").is_dir():
        folder = inside / "model"
    else:
        folder = find_made_base(workspace, reference) or find_base(reference).folder
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


def get_bundle(workspace: Workspace, reference: str) -> Bundle:
    """The bundle of that name or path; unknown ones name their neighbours."""
    bundle = find_bundle(workspace, reference)
    if bundle is None:
        names = [path.name for path in workspace.bundles.iterdir() if not path.name.startswith(".")]
        raise UnknownName(
            f"there is no bundle {reference!r}",
            expected=f"one of: {near_misses(reference, names) or 'none yet'}, or a path",
        )
    return bundle


def find_bundle(workspace: Workspace, reference: str) -> Bundle | None:
    """A bundle by its name in the workspace, its folder, or its one file; None when it is none of them."""
    if not reference:
        return None
    for path in (workspace.bundles / reference, Path(reference).expanduser()):
        if (path / MANIFEST).is_file():
            return read_bundle(path)
        if path.suffix == FILE_SUFFIX and path.is_file():
            return unpack_bundle(path, workspace.root / "unpacked")
    return None


def show_report(workspace: Workspace, reference: str) -> Report:
    """The latest report of a bundle, from its file alone: no model is opened."""
    bundle = get_bundle(workspace, reference)
    reports = bundle.reports()
    if not reports:
        raise UnknownName(f"{bundle.name} has no report yet", attempt=f"fettle evaluate {bundle.name}")
    return decode_report(reports[-1].read_bytes(), str(reports[-1]))
