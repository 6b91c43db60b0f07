"""Small drawings as SVG that stands inside a page: no colours of its own, no network, no script.

The page's style gives colours by class. Figures that are drawn stand in a table of the page too, so drawings carry a
name for those who cannot see them and nothing more.
"""

from __future__ import annotations

import math

from markupsafe import Markup, escape

from fettle.reporting.data_report import Lengths
from fettle.reporting.visible import visible

WIDTH, HEIGHT = 360, 132
TOP, BOTTOM = 18, 18
MOST_TICKS = 5
MOST_DRAWN_COLUMNS = 60
GAP = 1.0


def bar(share: float) -> Markup:
    """A bar that fills this share of its width; what is more than nothing can be seen.

    >>> '<rect width="50" height="1"/>' in bar(0.5)
    True
    """
    width = 0.0 if share <= 0 else max(0.5, min(1.0, share) * 100)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width:.4g}" height="1"/></svg>'
    )


def histogram(lengths: Lengths) -> Markup:
    """Columns of equal width, one for each bin; a last one that is wider than the others is drawn as a tail."""
    lengths = coarser(lengths, MOST_DRAWN_COLUMNS)
    tallest = max(lengths.counts, default=0)
    name = f"Histogram of lengths in {visible(lengths.unit, 40)}; the table holds its figures."
    drawn = [f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">']
    if tallest:
        drawn.append(f'<line class="grid" x1="0" x2="{WIDTH}" y1="{TOP - 0.5}" y2="{TOP - 0.5}"/>')
        drawn.append(f'<text x="0" y="{TOP - 6}">{tallest:,} row{"s" * (tallest != 1)}</text>')
        drawn += _columns(lengths, tallest)
    foot = HEIGHT - BOTTOM + 0.5
    drawn.append(f'<line class="axis" x1="0" x2="{WIDTH}" y1="{foot}" y2="{foot}"/>')
    return Markup("".join([*drawn, *_ticks(lengths), "</svg>"]))


def coarser(lengths: Lengths, most_columns: int) -> Lengths:
    """The same rows in at most so many columns: neighbours are put together.

    >>> coarser(Lengths("tokens", (0, 1, 2, 3), (5, 1, 2)), 2)
    Lengths(unit='tokens', edges=(0, 2, 3), counts=(6, 2), quantiles=())
    """
    group = max(1, math.ceil(len(lengths.counts) / most_columns))
    starts = range(0, len(lengths.counts), group)
    counts = tuple(sum(lengths.counts[start : start + group]) for start in starts)
    edges = tuple(lengths.edges[start] for start in starts) + lengths.edges[-1:]
    return Lengths(lengths.unit, edges, counts, lengths.quantiles)


def has_tail(lengths: Lengths) -> bool:
    """Whether the last column gathers what lies beyond columns of one width."""
    edges = lengths.edges
    return len(edges) > 2 and edges[-1] - edges[-2] > 2 * (edges[-2] - edges[-3])


def _columns(lengths: Lengths, tallest: int) -> list[str]:
    width = WIDTH / len(lengths.counts)
    drawn = []
    for place, count in enumerate(lengths.counts):
        if not count:
            continue
        height = max(1.0, count / tallest * (HEIGHT - TOP - BOTTOM))
        tail = ' class="tail"' if has_tail(lengths) and place == len(lengths.counts) - 1 else ""
        drawn.append(
            f'<rect{tail} x="{place * width + GAP / 2:.2f}" '
            f'y="{HEIGHT - BOTTOM - height:.2f}" width="{width - GAP:.2f}" height="{height:.2f}"/>'
        )
    return drawn


def _ticks(lengths: Lengths) -> list[str]:
    """Some edges by their value, the last one always; none so near it that the two would touch."""
    num_columns = len(lengths.counts)
    step = max(1, math.ceil(num_columns / MOST_TICKS))
    places = [place for place in range(0, num_columns, step) if num_columns - place > step / 2]
    y = HEIGHT - 5
    drawn = []
    for place in places:
        anchor = "start" if place == 0 else "middle"
        x = place * WIDTH / max(1, num_columns)
        drawn.append(f'<text x="{x:.2f}" y="{y}" text-anchor="{anchor}">{lengths.edges[place]:,}</text>')
    drawn.append(f'<text x="{WIDTH}" y="{y}" text-anchor="end">{lengths.edges[-1] - 1:,}</text>')
    return drawn
