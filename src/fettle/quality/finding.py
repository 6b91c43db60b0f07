"""The noun of the room: a finding, and what a check may use to make one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from fettle.data.records import Record, Row

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

VERSION_WORD = "{version}"
"""Stands in a mend for the name of the version that was looked at, which no check knows."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong, or worth a look, and the rows that show it.

    `members` are places of rows in the version that was checked, counted from 0, the most telling first. `others` are
    places in the version that it was held against, where there is one (a leak, a sample of real inputs). `problem` is
    a sentence with the figures, `mend` a command with `{version}` in the place of the version, or empty where only
    its owner can mend it. `evidence` is plain JSON: spans, figures, pairs. `reasons` say of each member why it is one,
    in the order of `members`, where that differs from row to row.
    """

    kind: str
    severity: Severity
    problem: str
    members: tuple[int, ...]
    mend: str = ""
    others: tuple[int, ...] = ()
    evidence: dict[str, Any] = {}
    reasons: tuple[str, ...] = ()


class Embed(Protocol):
    """Texts to vectors that lie close where the texts mean the same. Models fill it; TF-IDF stands in for them."""

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors [number of texts, width], each of length 1."""
        ...


@dataclass(frozen=True)
class Given:
    """What checks may use beside the rows.

    `num_tokens` counts the tokens of a record under the chosen base and `most_tokens` is its context; `like` are rows
    as the model will meet them; `progress` is told what is being done. All may be missing, and a check that needs
    what is missing finds nothing.
    """

    task: str
    embed: Embed | None = None
    num_tokens: Callable[[Record], int] | None = None
    most_tokens: int = 0
    like: Sequence[Row] = ()
    language: str = ""
    progress: Callable[[str], None] = field(default=lambda _: None)


class Check(Protocol):
    """Rows in, findings out. The same rows give the same findings."""

    def __call__(self, rows: Sequence[Row], given: Given) -> Iterable[Finding]:
        """What the check finds."""
        ...
