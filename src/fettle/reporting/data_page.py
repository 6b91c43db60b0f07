"""A data report as one HTML page that needs nothing else: no network, no script, no fonts.

The template lays out; here stands what is counted, sorted and left out. Every text of the data goes through `visible`
or `marked`: the environment's `finalize` sees to it even where the template forgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from fettle.reporting.charts import bar, coarser, histogram
from fettle.reporting.data_report import SEVERITIES, DataReport, Lengths, ShownFinding, ShownRow
from fettle.reporting.visible import differing, marked, visible

MOST_BYTES = 2_000_000
"""Of the whole page. Browsers open that at once, and mail servers carry it."""
MOST_FINDINGS = 100
MOST_EXAMPLES = 50
MOST_UNFOLDED = 5
MOST_PARTNERS = 5
MOST_PARTNER_CHARACTERS = 240
MOST_EVIDENCE = 12
MOST_CLASSES = 20
MOST_PARTS = 12
MOST_NOT_LOOKED = 40
MOST_LENGTHS = 4
MOST_TABLE_COLUMNS = 24

_QUANTILE_NAMES = {0.0: "shortest", 0.5: "median", 1.0: "longest"}
# Bytes beside the examples that grow with them: the fold around the later ones, and one sentence.
_BYTES_OF_A_FOLD = 300


@dataclass(frozen=True)
class Bars:
    """Counts under their names, largest first: what is drawn as bars, and what more there is."""

    drawn: tuple[tuple[str, int], ...]
    total: int
    num_names: int

    @property
    def num_more(self) -> int:
        """Names that are not drawn."""
        return self.num_names - len(self.drawn)

    @property
    def rows_more(self) -> int:
        """Rows under the names that are not drawn."""
        return self.total - sum(count for _, count in self.drawn)

    @property
    def largest(self) -> int:
        """The count that fills its bar."""
        return max((count for _, count in self.drawn), default=0)


@dataclass(frozen=True)
class _Told:
    """A finding with its place on the page, and its examples as HTML: `unfolded` seen at once, `folded` on demand."""

    finding: ShownFinding
    anchor: str
    unfolded: tuple[Markup, ...] = ()
    folded: tuple[Markup, ...] = ()

    @property
    def num_shown(self) -> int:
        return len(self.unfolded) + len(self.folded)

    @property
    def is_cut(self) -> bool:
        """Whether the page had no room for examples that it was given."""
        return self.num_shown < min(MOST_EXAMPLES, len(self.finding.examples))


def data_page(report: DataReport) -> str:
    """The report as HTML: the verdict, all findings, the shape of the data, then each finding with its examples.

    Examples are taken in turns, the first of every finding, then the second of each, until the page weighs
    `MOST_BYTES`; so one finding with long rows never leaves another without any.
    """
    told = [_Told(finding, f"finding-{place + 1}") for place, finding in enumerate(in_order(report.findings))]
    kept = told[:MOST_FINDINGS]
    left_out = [each.finding for each in told[MOST_FINDINGS:]]
    bare = _render(report, kept, left_out)
    room = MOST_BYTES - len(bare.encode()) - _BYTES_OF_A_FOLD * len(kept)
    return _render(report, _with_examples(kept, report.task, room), left_out)


def in_order(findings: Sequence[ShownFinding]) -> list[ShownFinding]:
    """Errors before warnings before notes; among these the ones with more rows first."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.num_rows))


def verdict(report: DataReport) -> str:
    """What the checks found, in one sentence.

    >>> verdict(DataReport("tickets", "classify", {"": 3}, "", "", (ShownFinding("empty", "error", "", 1),)))
    '1 error in 3 rows.'
    """
    found = Counter(finding.severity for finding in report.findings)
    parts = [_counted(found[severity], severity) for severity in SEVERITIES if found[severity]]
    what = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
    return f"{what or 'Nothing found'} in {_counted(report.num_rows, 'row')}."


def largest(counts: Mapping[str, int], most_names: int) -> Bars:
    """The names with the largest counts, and how many there are in all.

    >>> largest({"refund": 2, "status": 5, "other": 1}, 2).drawn
    (('status', 5), ('refund', 2))
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Bars(tuple(ordered[:most_names]), sum(counts.values()), len(counts))


def _with_examples(told: Sequence[_Told], task: str, room_bytes: int) -> list[_Told]:
    """As many examples as there is room for, taken in turns."""
    template = _PAGES.get_template("example.html")
    html: dict[str, list[Markup]] = {each.anchor: [] for each in told}
    for turn in range(MOST_EXAMPLES):
        for each in told:
            if turn >= len(each.finding.examples) or len(html[each.anchor]) < turn:
                continue
            row = each.finding.examples[turn]
            one = Markup(template.render(row=row, anchor=f"{each.anchor}-row-{turn + 1}", task=task))
            weight = len(one.encode())
            if weight <= room_bytes:
                html[each.anchor].append(one)
                room_bytes -= weight
    return [
        replace(each, unfolded=tuple(rows[:MOST_UNFOLDED]), folded=tuple(rows[MOST_UNFOLDED:]))
        for each, rows in ((each, html[each.anchor]) for each in told)
    ]


def _render(report: DataReport, told: Sequence[_Told], left_out: Sequence[ShownFinding]) -> str:
    found = Counter(each.finding.severity for each in told)
    lost = Counter(finding.severity for finding in left_out)
    return _PAGES.get_template("data_page.html").render(
        report=report,
        verdict=verdict(report),
        told=told,
        severities=[severity for severity in SEVERITIES if found[severity]],
        left_out=[_counted(lost[severity], severity) for severity in SEVERITIES if lost[severity]],
        classes=largest(report.class_counts, MOST_CLASSES),
        parts=largest(report.parts, MOST_PARTS),
        lengths=report.lengths[:MOST_LENGTHS],
    )


def _counted(count: int, noun: str) -> str:
    """A number with its noun, as people write it.

    >>> _counted(1, "row"), _counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _share(count: int, total: int) -> str:
    """A count as percent of the total; what is not nothing is never shown as 0 %, what is not all never as 100 %."""
    if not total:
        return "–"
    percent = 100 * count / total
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def _bins(lengths: Lengths) -> list[tuple[str, int]]:
    """The columns of a histogram in words: the lengths from and to, and the rows."""
    lengths = coarser(lengths, MOST_TABLE_COLUMNS)
    pairs = zip(lengths.edges, lengths.edges[1:], lengths.counts, strict=False)
    return [(f"{low:,}" if low == high - 1 else f"{low:,} to {high - 1:,}", count) for low, high, count in pairs]


def _quantiles(lengths: Lengths) -> list[tuple[str, int]]:
    """Quantiles under names that people read."""
    return [
        (_QUANTILE_NAMES.get(share, f"{100 * share:.3g} % at most"), length) for share, length in lengths.quantiles[:8]
    ]


def _title(kind: str) -> str:
    """A kind as words: `wrong-label` is "Wrong label"."""
    words = kind.replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _place(row: ShownRow) -> str:
    """File and line of a row; of a long path its end."""
    file = visible(row.file, 60, from_end=True)
    return f"{file}:{row.line}" if row.line else file


def _beside(partner: ShownRow, row: ShownRow) -> Markup:
    """The text of a partner with its marks; where it has none, with the words that the row does not have."""
    if partner.marks:
        return marked(partner.text, partner.marks, MOST_PARTNER_CHARACTERS)
    return marked(partner.text, differing(partner.text, row.text), MOST_PARTNER_CHARACTERS, "differs")


def _finalize(value: Any) -> Any:
    """What the template writes is visible, whoever wrote it."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _pages() -> ImmutableSandboxedEnvironment:
    pages = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {"shown": visible, "marked": marked, "title_of": _title, "place": _place, "beside": _beside}
    figures = {"share": _share, "counted": _counted, "bins": _bins, "quantiles": _quantiles}
    pages.filters.update({**words, **figures, "histogram": histogram, "bar": bar})
    pages.globals.update(MOST_PARTNERS=MOST_PARTNERS, MOST_EVIDENCE=MOST_EVIDENCE, MOST_NOT_LOOKED=MOST_NOT_LOOKED)
    return pages


_PAGES = _pages()
