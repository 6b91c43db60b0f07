"""Drawings show the counts they are given, and lengths are counted without losing a row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from fettle.reporting.charts import BOTTOM, HEIGHT, MOST_DRAWN_COLUMNS, TOP, WIDTH, bar, coarser, has_tail, histogram
from fettle.reporting.data_report import MOST_COLUMNS, Lengths, lengths_of

COUNTED = st.dictionaries(st.integers(0, 3000), st.integers(0, 50), max_size=40)
COLUMNS = st.lists(st.integers(0, 1000), max_size=150).map(
    lambda counts: Lengths("tokens", tuple(range(0, 10 * len(counts) + 1, 10)), tuple(counts))
)


def rects(svg: str) -> list[dict[str, float]]:
    """The rectangles of a drawing as numbers."""
    return [
        {key: float(value) for key, value in node.attributes.items() if key != "class"}
        for node in LexborHTMLParser(svg).css("rect")
    ]


@given(COUNTED)
def test_lengths_lose_no_row(counted: dict[int, int]) -> None:
    lengths = lengths_of(counted, "characters")
    total = sum(counted.values())
    assert (lengths is None) == (total == 0)
    if lengths is None:
        return
    assert sum(lengths.counts) == total
    assert len(lengths.counts) <= MOST_COLUMNS + 1
    for low, high, count in zip(lengths.edges, lengths.edges[1:], lengths.counts, strict=False):
        assert count == sum(rows for length, rows in counted.items() if low <= length < high)


@given(COUNTED)
def test_quantiles_are_lengths_that_occur(counted: dict[int, int]) -> None:
    lengths = lengths_of(counted, "characters")
    if lengths is None:
        return
    each = np.repeat(list(counted), list(counted.values()))
    for share, length in lengths.quantiles:
        assert length == np.quantile(each, share, method="inverted_cdf")


def test_a_long_tail_gets_one_column_and_leaves_the_others_room() -> None:
    lengths = lengths_of({**dict.fromkeys(range(100, 200), 10), 90_000: 1}, "characters")
    assert lengths is not None and lengths.edges[-2:] == (200, 90_001) and lengths.counts[-1] == 1
    assert has_tail(lengths)
    assert 'class="tail"' in histogram(lengths)
    just_beyond = lengths_of({5: 1000, 6: 1}, "tokens")
    assert just_beyond is not None and just_beyond.edges[-2:] == (6, 7) and just_beyond.counts[-2:] == (1000, 1)
    even = lengths_of(dict.fromkeys(range(100, 200), 10), "characters")
    assert even is not None and not has_tail(even)
    assert 'class="tail"' not in histogram(even)


@given(COLUMNS)
def test_columns_stand_within_the_drawing_as_high_as_their_counts(lengths: Lengths) -> None:
    drawn = rects(histogram(lengths))
    shown = [count for count in coarser(lengths, MOST_DRAWN_COLUMNS).counts if count]
    assert len(drawn) == len(shown)
    room = HEIGHT - TOP - BOTTOM
    for rect, count in zip(drawn, shown, strict=True):
        assert rect["height"] == pytest.approx(max(1.0, room * count / max(shown)), abs=0.01)
        assert rect["y"] + rect["height"] == pytest.approx(HEIGHT - BOTTOM, abs=0.02)
        assert rect["x"] >= 0 and rect["x"] + rect["width"] <= WIDTH + 0.01
    assert all(left["x"] + left["width"] <= right["x"] + 0.02 for left, right in pairwise(drawn))


@given(COLUMNS, st.integers(1, 80))
def test_coarser_columns_hold_the_same_rows(lengths: Lengths, most_columns: int) -> None:
    fewer = coarser(lengths, most_columns)
    assert len(fewer.counts) <= most_columns
    assert sum(fewer.counts) == sum(lengths.counts)
    assert set(fewer.edges) <= set(lengths.edges)
    assert fewer.edges[-1] == lengths.edges[-1]


@pytest.mark.parametrize("num_columns", range(1, MOST_DRAWN_COLUMNS + 1))
def test_figures_under_the_columns_do_not_touch(num_columns: int) -> None:
    lengths = Lengths("tokens", tuple(range(num_columns + 1)), (1,) * num_columns)
    texts = [node for node in LexborHTMLParser(histogram(lengths)).css("text") if "text-anchor" in node.attributes]
    places = [float(node.attributes["x"] or "") for node in texts]
    assert places == sorted(places)
    assert places[-1] == WIDTH
    assert all(right - left >= WIDTH / 12 for left, right in pairwise(places))


def test_a_drawing_has_a_name_and_its_unit_cannot_act() -> None:
    svg = histogram(Lengths('"><script>', (0, 1), (1,)))
    page = LexborHTMLParser(svg)
    assert not page.css("script")
    node = page.css_first("svg")
    assert node.attributes["role"] == "img" and '"><script>' in (node.attributes["aria-label"] or "")
    assert "1 row<" in svg


@given(st.floats(-1, 2))
def test_a_bar_shows_its_share(share: float) -> None:
    width = rects(bar(share))[0]["width"]
    assert width == (0 if share <= 0 else pytest.approx(max(0.5, 100 * min(share, 1)), rel=1e-3))


@pytest.mark.parametrize(
    ("edges", "counts"), [((0, 1), ()), ((0, 1), (1, 2)), ((0, 0), (1,)), ((5, 3), (1,)), ((0, 1), (-1,))]
)
def test_columns_that_make_no_sense_are_refused(edges: tuple[int, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        Lengths("tokens", edges, counts)
