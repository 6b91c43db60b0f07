"""`base=new`: a vocabulary learned from the rows, and the shape of a model to go with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fettle.data.records import Row, texts_of
from fettle.errors import UnsoundPlan
from fettle.models.config import NEW_BASE, ShapeSettings
from fettle.models.fresh.base import base_key, make_fresh_base
from fettle.storage.publish import write_file
from fettle.storage.sealed import is_whole, write_sealed
from fettle.storage.workspace import Workspace


def make_base(workspace: Workspace, shape: ShapeSettings, rows: Sequence[Row], label: str) -> str:
    """Learn a vocabulary from rows, write the base down, and give the reference by which it is found again.

    The same rows and shape are the same base: it is made once, and found whole by whoever asks later.
    """
    texts = texts_to_learn_from(rows, label)
    key = base_key(texts, shape)
    folder = workspace.bases / key
    if not is_whole(folder):
        made = make_fresh_base(texts, shape)
        writers = {name: _writer_of(data) for name, data in made.files.items()}
        facts = {"data": label, "shape": shape.model_dump(mode="json"), "num_tokens": made.num_tokens}
        write_sealed(folder, writers, facts)
    return f"{NEW_BASE}:{key}"


def texts_to_learn_from(rows: Sequence[Row], label: str) -> list[str]:
    """All that people wrote in rows; no row at all is an error."""
    texts = [text for row in rows for text in texts_of(row.record)]
    if not texts:
        raise UnsoundPlan("there is no row to make a base from", where=label, expected="rows in the part train")
    return texts


def _writer_of(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_file(path, [data])

    return write
