"""Rows that are looked for, and what checks and operations may use beside the rows: a base to look at them with.

Nothing here opens a model. `lens.py` does, for whoever names a base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle.app.workshop.versions import load_rows
from fettle.cleaning.where import Where, fields_of
from fettle.data.records import Record, Row, texts_of
from fettle.quality.finding import Embed, Given
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Lens:
    """A base, as far as looking at rows needs it: `count` makes, for rows of a task, what counts their tokens."""

    count: Callable[[str, Sequence[Row]], Callable[[Record], int]]
    most_tokens: int
    embed: Embed | None = None


def given_for(
    task: str,
    rows: Sequence[Row],
    lens: Lens | None = None,
    like: Sequence[Row] = (),
    progress: Progress = lambda _: None,
) -> Given:
    """The given of rows of a task. Without a lens no tokens are counted, and texts are compared by their words."""
    if lens is None:
        return Given(task=task, like=like, progress=progress)
    return Given(
        task=task,
        like=like,
        progress=progress,
        embed=lens.embed,
        num_tokens=lens.count(task, rows),
        most_tokens=lens.most_tokens,
    )


def find_rows(
    workspace: Workspace, reference: str, where: str = "", search: str = ""
) -> tuple[StoredVersion, list[Row]]:
    """The rows of a version that fulfil an expression, and in which all words of `search` stand."""
    version, rows = load_rows(workspace, reference)
    if where:
        asked = Where.parse(where)
        asked.check_names(fields_of(rows))
        rows = [row for row, holds in zip(rows, asked.holds(rows), strict=True) if holds]
    words = search.casefold().split()
    if words:
        rows = [row for row in rows if _holds_all(row, words)]
    return version, rows


def _holds_all(row: Row, words: Sequence[str]) -> bool:
    said = "\n".join([*texts_of(row.record), *row.fields.values()]).casefold()
    return all(word in said for word in words)
