"""Rows, settings and small helpers for the tests of the app room."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import fettle.app.running as running
from fettle.app.planning import ResolvedPlan, resolve_plan
from fettle.app.workshop.versions import Operation, describe_version
from fettle.data.records import Row
from fettle.data.versions import write_rows
from fettle.jobs.signals import StopRequest
from fettle.storage.blobs import sha256_of_file
from fettle.storage.workspace import Workspace

LABELS = ("delivery", "payment", "refund")
SETTINGS = (
    "training.max_steps=6",
    "training.rows_per_step=8",
    "training.evaluate_every_steps=2",
    "training.learning_rate=5e-3",
    "training.keep=last",  # the best step may lie before the one at which a test stops a run
    "adapter.rank=4",
    "decoding.max_new_tokens=8",
)
_ASKS = {
    "delivery": ("where is my parcel", "when will it arrive", "the delivery is late"),
    "payment": ("the card was charged twice", "which cards do you take", "the payment failed"),
    "refund": ("send the money back", "please cancel the order", "I want a refund"),
}


def intents() -> list[dict[str, str]]:
    """Texts and their labels."""
    return [
        {"text": f"{_ASKS[label][number % 3]}, order {number}", "label": label}
        for number in range(20)
        for label in LABELS
    ]


def replies() -> list[dict[str, object]]:
    """Conversations, some of two turns."""
    rows = []
    for number, row in enumerate(intents()[:40]):
        messages = [
            {"role": "user", "content": row["text"]},
            {"role": "assistant", "content": f"It is about {row['label']}."},
        ]
        if number % 4 == 0:
            messages += [{"role": "user", "content": "thanks"}, {"role": "assistant", "content": "You are welcome."}]
        rows.append({"messages": messages})
    return rows


def notes() -> list[dict[str, str]]:
    """Plain documents of unlike length."""
    return [
        {"text": " ".join(row["text"] for row in intents()[: 1 + number % 5]) + f" {number}"} for number in range(30)
    ]


def plan_of(recipe: str, data: str, base: Path | str, *more: str) -> ResolvedPlan:
    """A small plan; later words win."""
    return resolve_plan(recipe, [f"data={data}", f"base={base}", *SETTINGS, *more])


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Have the next runs asked to stop once so many steps are taken; the loop asks once before each."""

    class Asked(StopRequest):
        def __init__(self) -> None:
            super().__init__()
            self._left = steps

        def is_set(self) -> bool:
            self._left -= 1
            return self._left < 0

    monkeypatch.setattr(running, "StopRequest", Asked)


def never_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo `stop_after`."""
    monkeypatch.setattr(running, "StopRequest", StopRequest)


def hashes_of(bundle: Path) -> dict[str, str]:
    """SHA-256 of every weight file of a bundle."""
    return {path.relative_to(bundle).as_posix(): sha256_of_file(path) for path in bundle.rglob("*.safetensors")}


def store_rows(workspace: Workspace, name: str, task: str, rows: Sequence[Row]) -> None:
    """A version by hand, with the parts that its rows name."""
    with workspace.blobs.growing() as blob:
        written = write_rows(blob.stream, rows)
    version = describe_version(name, task, written, Operation("import", {}))
    workspace.catalogue.add_version(replace(version, rows_blob=blob.name))


def with_other_weights(base: Path, folder: Path) -> Path:
    """A copy of a base whose weights are others, and nothing else."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 1.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def refuse_to(what: str) -> Callable[..., object]:
    """A stand-in that must not be called."""

    def fail(*_words: object, **_named: object) -> object:
        raise AssertionError(f"it should not {what}")

    return fail
