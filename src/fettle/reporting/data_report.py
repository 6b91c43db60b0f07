"""What a page about a dataset version says, as plain data. Nothing here knows how rows are checked, or of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
MOST_COLUMNS = 24


@dataclass(frozen=True)
class Mark:
    """Characters `start` to just before `end` of a text are what a finding is about; `label` says what they are."""

    start: int
    end: int
    label: str = ""


@dataclass(frozen=True)
class ShownRow:
    """One row that shows what a finding says.

    `line` counts from 1; 0 says that the file has no lines. `evidence` are pairs of a name and its value as people
    read them. `partners` are rows that belong to this one (its duplicates, the row it leaked to), `num_partners` how
    many there are where not all are given. Trap: the page shows what it is given, so personal data is masked here.
    """

    file: str
    line: int
    text: str
    part: str = ""
    answer: str = ""
    marks: tuple[Mark, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    partners: tuple[ShownRow, ...] = ()
    num_partners: int = 0


@dataclass(frozen=True)
class ShownFinding:
    """One thing that is wrong, or worth a look: a sentence with the figures, the rows that show it, what mends it.

    `num_rows` counts all its rows, of which `examples` are the most telling. `mend` is a command, or empty where only
    a person can decide.
    """

    kind: str
    severity: Severity
    problem: str
    num_rows: int
    examples: tuple[ShownRow, ...] = ()
    mend: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {', '.join(SEVERITIES)}")
        if self.num_rows < 0:
            raise ValueError(f"{self.kind} counts {self.num_rows} rows")


@dataclass(frozen=True)
class Lengths:
    """How long the rows are: column `i` holds `counts[i]` rows of `edges[i]` to just below `edges[i + 1]` units.

    `quantiles` are pairs: the share of rows that are at most that long, and the length.
    """

    unit: str
    edges: tuple[int, ...]
    counts: tuple[int, ...]
    quantiles: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} columns have {len(self.counts) + 1} edges, not {len(self.edges)}")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of the columns do not rise")
        if any(count < 0 for count in self.counts):
            raise ValueError("a column holds fewer than no rows")


@dataclass(frozen=True)
class NotLooked:
    """A check that could not run, and why."""

    check: str
    reason: str


@dataclass(frozen=True)
class DataReport:
    """What was found in one version of a dataset.

    `parts` counts the rows of each part, those of no part under the empty name; `class_counts` is empty where rows
    have no labels. `made_at` and `made_with` say when and by which fettle it was made. `mend` is one command that
    mends all that commands can, if there is one.
    """

    version: str
    task: str
    parts: Mapping[str, int]
    made_at: str
    made_with: str
    findings: tuple[ShownFinding, ...] = ()
    class_counts: Mapping[str, int] = field(default_factory=dict)
    lengths: tuple[Lengths, ...] = ()
    not_looked: tuple[NotLooked, ...] = ()
    mend: str = ""

    @property
    def num_rows(self) -> int:
        """All rows of the version."""
        return sum(self.parts.values())


def lengths_of(num_rows_by_length: Mapping[int, int], unit: str) -> Lengths | None:
    """Columns and quantiles of lengths that were counted; None where there are no rows.

    Columns are 1, 2 or 5 times a power of ten wide and reach to the length that 99 of 100 rows keep; one last column
    takes the long tail, which would else press all others into a corner.

    >>> lengths_of({3: 2, 4: 1, 7: 1}, "tokens").counts
    (0, 0, 0, 2, 1, 0, 0, 1)
    """
    counted = sorted((length, count) for length, count in num_rows_by_length.items() if count > 0)
    if not counted:
        return None
    quantiles = tuple((share, _quantile(counted, share)) for share in QUANTILES)
    common, longest = dict(quantiles)[0.99], counted[-1][0]
    width = _column_width(common + 1)
    edges = list(range(0, common + width + 1, width))
    if longest >= edges[-1]:
        edges.append(longest + 1)
    counts = [0] * (len(edges) - 1)
    for length, count in counted:
        counts[min(length // width, len(counts) - 1)] += count
    return Lengths(unit, tuple(edges), tuple(counts), quantiles)


def _quantile(counted: list[tuple[int, int]], share: float) -> int:
    """The least length such that this share of the rows is at most so long."""
    wanted, seen = share * sum(count for _, count in counted), 0
    for length, count in counted:
        seen += count
        if seen >= wanted:
            return length
    return counted[-1][0]


def _column_width(reach: int) -> int:
    """The least 1, 2 or 5 times a power of ten with which few columns reach so far."""
    width, factors = 1, (2, 2.5, 2)
    step = 0
    while reach > width * (MOST_COLUMNS - 1):
        width = int(width * factors[step % 3])
        step += 1
    return width
