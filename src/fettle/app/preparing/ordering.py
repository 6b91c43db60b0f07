"""What rows are ordered by in the first epoch: what a column says of them, or how hard the base finds them.

Losses of the base are measured once, before the first step, and kept with the run: the model that a run is gone on
with is the base no more. Everything else is made anew from the rows and the seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from fettle.data.records import Row
from fettle.errors import DamagedFile, RequestError, near_misses
from fettle.generation.reading import Reader
from fettle.models.load import OpenModel
from fettle.storage.publish import publish_json
from fettle.tokens.example import Example

LOSSES = "losses-of-the-base.json"
_COLUMN = "field:"


def values_of_column(rows: Sequence[Row], order: str) -> list[str]:
    """What the column that `training.order` names says of each row; empty where it says nothing, or none is named."""
    if not order.startswith(_COLUMN):
        return ["" for _ in rows]
    name = order.removeprefix(_COLUMN)
    values = [row.fields.get(name, "").strip() for row in rows]
    if not any(values):
        known = sorted({field for row in rows for field in row.fields})
        raise RequestError(
            f"no row to learn from has a column {name!r}",
            where="training.order",
            expected=f"one of: {near_misses(name, known)}" if known else "rows with columns that no part of them took",
        )
    return values


def keys_of_column(values: Sequence[str]) -> list[float]:
    """Numbers as they are; where one value is no number, all as texts, in order. Nothing said: NaN.

    >>> keys_of_column(["10", "9", ""])
    [10.0, 9.0, nan]
    >>> keys_of_column(["10", "9", "hard"])
    [0.0, 1.0, 2.0]
    """
    said = sorted({value for value in values if value})
    try:
        key_of = {value: float(value) for value in said}
    except ValueError:
        key_of = {value: float(place) for place, value in enumerate(said)}
    return [key_of.get(value, math.nan) for value in values]


def losses_of_base(folder: Path, model: OpenModel, reader: Reader, rows: Sequence[Sequence[Example]]) -> list[float]:
    """The mean loss of each row under the base, in nats: read from the run's folder, or measured and kept there."""
    path = folder / LOSSES
    if not path.exists():
        means = [row.loss / (row.weight or math.nan) for row in reader.losses(model, rows)]
        publish_json(path, [mean if math.isfinite(mean) else None for mean in means])
    try:
        stored = json.loads(path.read_bytes())
        if len(stored) != len(rows):
            raise ValueError(f"{len(stored)} numbers for {len(rows)} rows")
        return [math.nan if value is None else float(value) for value in stored]
    except (ValueError, TypeError) as problem:
        raise DamagedFile(f"the losses of the base cannot be read: {problem}", where=str(path)) from None
