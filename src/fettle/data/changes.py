"""What an operation did to rows: one entry for each row that it dropped, changed or added, with the reason."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

Action = Literal["dropped", "changed", "relabelled", "added", "moved", "left"]
ACTIONS: tuple[Action, ...] = ("dropped", "changed", "relabelled", "added", "moved", "left")

_COLUMNS = ("action", "file", "line", "before", "after", "step", "reason")


class RowChange(msgspec.Struct, frozen=True):
    """One row before and after. `before` and `after` are content keys, empty where there is no row.

    `moved` says that only the part of the row is another, `left` that the row could not be changed as it should have
    been. `step` is the operation, in the words it was asked for.
    """

    action: Action
    file: str
    line: int
    before: str
    after: str
    step: str
    reason: str


def write_changes(changes: Sequence[RowChange]) -> bytes:
    """The changes as a Parquet file, which other programs can open. Law: `read_changes` undoes it."""
    columns = {name: [getattr(change, name) for change in changes] for name in _COLUMNS}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def read_changes(data: bytes) -> list[RowChange]:
    """The changes that `write_changes` wrote.

    >>> change = RowChange("dropped", "a.csv", 3, "0f", "", "deduplicate=exact", "the same as a.csv:1")
    >>> read_changes(write_changes([change])) == [change]
    True
    """
    table = pq.read_table(io.BytesIO(data), use_threads=False)
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    return [RowChange(*values) for values in zip(*columns, strict=True)]
