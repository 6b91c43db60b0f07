"""Long texts in windows: every unit is read once, where it has most around it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.tokens.tagging.windows import cut_windows


@st.composite
def texts_with_units(draw: st.DrawFn) -> tuple[int, list[int], int]:
    """Tokens of a text, at which of them a unit is read, and how many fit into a window."""
    num_tokens = draw(st.integers(0, 60))
    units = sorted(draw(st.sets(st.integers(0, num_tokens - 1)))) if num_tokens else []
    return num_tokens, units, draw(st.integers(1, 24))


@given(texts_with_units(), st.booleans())
def test_every_unit_is_read_in_one_window_that_has_its_token(text: tuple[int, list[int], int], is_causal: bool) -> None:
    num_tokens, token_of, most = text
    windows = cut_windows(num_tokens, np.asarray(token_of, np.int64), most, is_causal=is_causal)
    owned = [unit for window in windows for unit in window.units.tolist()]
    assert owned == list(range(len(token_of)))
    for window in windows:
        assert 0 <= window.start < window.end <= num_tokens
        assert window.end - window.start == min(most, num_tokens)
        assert all(window.start <= token_of[unit] < window.end for unit in window.units.tolist())


@given(texts_with_units(), st.booleans())
def test_no_other_place_for_a_window_would_show_much_more_of_a_unit(
    text: tuple[int, list[int], int], is_causal: bool
) -> None:
    """An eighth of a window is seen on each side of a unit at least, or the text ends before it."""
    num_tokens, token_of, most = text
    for window in cut_windows(num_tokens, np.asarray(token_of, np.int64), most, is_causal=is_causal):
        for token in (token_of[unit] for unit in window.units.tolist()):
            assert min(token, most // 8) <= token - window.start
            if not is_causal:
                assert min(num_tokens - 1 - token, most // 8) <= window.end - 1 - token


@given(st.integers(1, 80), st.integers(1, 24))
def test_windows_cover_a_text_and_overlap_by_a_quarter(num_tokens: int, most: int) -> None:
    windows = cut_windows(num_tokens, np.arange(num_tokens), most, is_causal=False)
    assert (windows[0].start, windows[-1].end) == (0, num_tokens)
    assert all(after.start <= before.end - most // 4 for before, after in pairwise(windows))
    step = most - most // 4
    assert len(windows) <= 1 + max(0, -(-(num_tokens - most) // step))


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_text_that_fits_is_one_window(is_causal: bool) -> None:
    (window,) = cut_windows(9, np.asarray([0, 4, 8]), 9, is_causal=is_causal)
    assert (window.start, window.end, window.units.tolist()) == (0, 9, [0, 1, 2])
    assert cut_windows(9, np.empty(0, np.int64), 9, is_causal=is_causal) == []


def test_a_causal_model_reads_a_unit_where_most_stands_before_it() -> None:
    windows = cut_windows(12, np.arange(12), 8, is_causal=True)
    assert [(one.start, one.end, one.units.tolist()) for one in windows] == [
        (0, 8, list(range(8))),
        (4, 12, list(range(8, 12))),
    ]
