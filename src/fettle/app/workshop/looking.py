"""What checks and operations may use beside the rows: a base to count tokens and to embed texts with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fettle.data.records import Row
from fettle.quality.finding import Given


def given_for(
    task: str, base: str = "", like: Sequence[Row] = (), progress: Callable[[str], None] = lambda _: None
) -> Given:
    """The given of a task. Without a base nothing is counted in tokens, and texts are compared by their words."""
    return Given(task=task, like=like, progress=progress)
