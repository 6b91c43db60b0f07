"""Checkpoints: all that a run needs to go on as if it had never stopped, private to the training room.

A checkpoint is a sealed folder: safetensors for the learning weights and the optimizer, and the progress among the
facts of the manifest. The order of rows, the learning rate and the noise of a step are pure functions of seed and step,
so no state of theirs is kept. What does not match its hash is never loaded; the one before it is taken.

Here tensors become files and files tensors; that neither a crash, a power loss nor a full disk costs more than the
checkpoint being written is the work of `storage/sealed.py`.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fettle.errors import DamagedFile, FullDisk, UnknownName
from fettle.storage.publish import write_file
from fettle.storage.sealed import Shelf, latest_readable

_WEIGHTS, _OPTIMIZER, _AVERAGE = "weights.safetensors", "optimizer.safetensors", "average.safetensors"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_TYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


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
    """What was read back: weights and optimizer state by name, the progress, and the average of the weights, if any."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    progress: Progress
    average: dict[str, Tensor] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of one run, each a folder named by its step. `run` is what people resume it by."""

    def __init__(self, folder: Path, run: str = "RUN") -> None:
        self._shelf = Shelf(folder, "step")
        self._run = run

    def save(self, checkpoint: Checkpoint) -> Path:
        """Publish a checkpoint whole, and prove it; one of the same step that is there already is replaced."""
        step = checkpoint.progress.step
        parts = {_WEIGHTS: checkpoint.weights, _OPTIMIZER: checkpoint.optimizer}
        if checkpoint.average:
            parts[_AVERAGE] = checkpoint.average
        writers = {name: _writer(tensors) for name, tensors in parts.items()}
        try:
            return self._shelf.write(step, writers, {"progress": asdict(checkpoint.progress)})
        except OSError as problem:
            if problem.errno not in _FULL:
                raise
            wanted = sum(tensor.nbytes for tensors in parts.values() for tensor in tensors.values())
            raise FullDisk(
                f"the disk is full; the checkpoint of step {step} was not saved, those before it stand",
                where=str(self.path(step)),
                expected=f"{max(wanted / 2**20, 0.1):,.1f} MiB of free space",
                attempt=f"free some space, then fettle train --resume {self._run}",
            ) from problem

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self._shelf.path(step)

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in order."""
        return self._shelf.numbers()

    def load(self, step: int) -> Checkpoint:
        """Read one checkpoint; a changed byte anywhere is an error."""
        if step not in self.steps():
            known = ", ".join(map(str, self.steps())) or "none"
            raise UnknownName(f"there is no checkpoint of step {step}", expected=f"one of: {known}")
        sealed = self._shelf.read(step)
        try:
            progress = Progress(**sealed.facts["progress"])
            weights, optimizer = load_file(sealed.path / _WEIGHTS), load_file(sealed.path / _OPTIMIZER)
            average = load_file(sealed.path / _AVERAGE) if (sealed.path / _AVERAGE).exists() else {}
            return Checkpoint(weights, optimizer, progress, average)
        except (KeyError, TypeError, OSError, SafetensorError) as problem:
            raise DamagedFile(f"the checkpoint cannot be read: {problem}", where=str(sealed.path)) from None

    def load_latest(self) -> tuple[Checkpoint | None, list[DamagedFile]]:
        """The latest checkpoint that is whole, and what was found damaged on the way to it."""
        return latest_readable(self.steps(), self.load)

    def prune(self, keep_latest: int, best_step: int) -> None:
        """Remove all but the latest few and the best, and never the latest that is whole. 0 keeps all."""
        self._shelf.prune(keep_latest, best_step)

    def sweep(self) -> None:
        """Tidy up what killed processes left in the middle of a save."""
        self._shelf.sweep()


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


def _writer(tensors: Mapping[str, Tensor]) -> Callable[[Path], None]:
    return lambda path: write_file(path, _safetensors_pieces(tensors))


def _safetensors_pieces(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """A safetensors file piece by piece: no more than one tensor at a time is copied to the processor's memory."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so that each begins aligned
    header, end = {}, 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        shape, kind = list(tensors[name].shape), _TYPE_NAMES[tensors[name].dtype]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    yield len(words).to_bytes(8, "little") + words
    for name in order:
        yield tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
