"""Checkpoints: all that a run needs to go on as if it had never stopped, private to the training room.

A checkpoint is a folder: safetensors for the learning weights and the optimizer, and a manifest, written last, with
the SHA-256 of each and of its own words. The order of rows, the learning rate and the noise of a step are pure
functions of seed and step, so no state of theirs is kept. What does not match its hash is never loaded; the one before
it is taken.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fettle.errors import DamagedFile, UnknownName
from fettle.storage.blobs import sha256_of_bytes, sha256_of_file
from fettle.storage.publish import publish_json, publishing_folder

_MANIFEST = "manifest.json"
_FORMAT = 1


@dataclass
class Progress:
    """Where a run stands. `best_value` is the watched value (lower is better) at `best_step`."""

    step: int = 0
    best_step: int = -1
    best_value: float = 1e300
    looks_without_gain: int = 0
    learned_tokens: int = 0
    seconds: float = 0.0
    is_stopped_early: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: weights and optimizer state by name, and the progress."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    progress: Progress


class CheckpointStore:
    """The checkpoints of one run, each a folder named by its step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> Path:
        """Publish a checkpoint whole; one of the same step that is there already is replaced."""
        path = self.path(checkpoint.progress.step)
        if path.exists():
            shutil.rmtree(path)
        with publishing_folder(path) as staged:
            save_file(_contiguous(checkpoint.weights), staged / "weights.safetensors")
            save_file(_contiguous(checkpoint.optimizer), staged / "optimizer.safetensors")
            hashes = {name: sha256_of_file(staged / name) for name in ("weights.safetensors", "optimizer.safetensors")}
            told = {"format": _FORMAT, "progress": asdict(checkpoint.progress), "sha256": hashes}
            publish_json(staged / _MANIFEST, {**told, "manifest_sha256": _digest(told)})
        return path

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self._folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in order."""
        if not self._folder.exists():
            return []
        return sorted(int(path.name.removeprefix("step-")) for path in self._folder.glob("step-*"))

    def load(self, step: int) -> Checkpoint:
        """Read one checkpoint; a changed byte anywhere is an error."""
        path = self.path(step)
        if not path.exists():
            known = ", ".join(map(str, self.steps())) or "none"
            raise UnknownName(f"there is no checkpoint of step {step}", expected=f"one of: {known}")
        try:
            manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
            if manifest.pop("manifest_sha256") != _digest(manifest) or manifest["progress"]["step"] != step:
                raise DamagedFile("the manifest of a checkpoint has changed", where=str(path / _MANIFEST))
            for name, digest in manifest["sha256"].items():
                if sha256_of_file(path / name) != digest:
                    raise DamagedFile("the bytes of a checkpoint have changed", where=str(path / name))
            progress = Progress(**manifest["progress"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            if isinstance(problem, DamagedFile):
                raise
            raise DamagedFile(f"the checkpoint cannot be read: {problem}", where=str(path)) from None
        return Checkpoint(load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors"), progress)

    def load_latest(self) -> tuple[Checkpoint | None, list[DamagedFile]]:
        """The latest checkpoint that is whole, and what was found damaged on the way to it."""
        damaged: list[DamagedFile] = []
        for step in reversed(self.steps()):
            try:
                return self.load(step), damaged
            except DamagedFile as problem:
                damaged.append(problem)
        return None, damaged

    def prune(self, keep_latest: int, best_step: int) -> None:
        """Remove all but the latest few and the best. 0 keeps all."""
        if keep_latest:
            for step in self.steps()[:-keep_latest]:
                if step != best_step:
                    shutil.rmtree(self.path(step))


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """The optimizer's state by weight name, as plain tensors."""
    state = optimizer.state_dict()["state"]
    return {f"{names[index]}|{key}": value for index, part in state.items() for key, value in part.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, names: list[str], tensors: dict[str, Tensor]) -> None:
    """Put the state that `optimizer_tensors` gave back."""
    index_of = {name: index for index, name in enumerate(names)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, part = key.rsplit("|", 1)
        state.setdefault(index_of[name], {})[part] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _digest(document: dict[str, object]) -> str:
    return sha256_of_bytes(json.dumps(document, sort_keys=True).encode())


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
