"""What checks and operations may use beside the rows: a base to count tokens and to embed texts with.

Light: nothing here opens a model. `lens.py` does, for whoever names a base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle.data.records import Record, Row
from fettle.quality.finding import Embed, Given

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
