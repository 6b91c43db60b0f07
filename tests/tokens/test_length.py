"""Examples that are too long: a cut is a beginning, and sections lose and repeat nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.tokens.example import Example, TokenReads
from fettle.tokens.length import cut_example, fit_example, split_example


def document(length: int) -> Example:
    """A text of so many tokens between two ends; every token is another."""
    ids = np.arange(length + 1)
    return Example(ids, TokenReads.of(ids.tolist(), [*ids[1:].tolist(), 0], [1.0] * len(ids)), "book.txt:1")


@given(st.integers(0, 90), st.integers(1, 30))
def test_sections_learn_every_token_of_a_document_once_and_in_order(length: int, most: int) -> None:
    whole = document(length)
    sections = split_example(whole, most)

    assert [token for section in sections for token in section.reads.token.tolist()] == whole.reads.token.tolist()
    assert [token for section in sections for token in section.ids.tolist()] == whole.ids.tolist()
    assert sum(section.learned_weight for section in sections) == whole.learned_weight
    assert all(section.num_tokens == most for section in sections[:-1])
    assert 1 <= sections[-1].num_tokens <= most
    for section in sections:
        assert section.reads.at.tolist() == list(range(section.num_tokens))
        assert (section.source, section.num_cut_tokens, section.is_stop_learned) == ("book.txt:1", 0, True)
    for before, after in pairwise(sections):
        assert before.reads.token[-1] == after.ids[0], "learned in the one, only read in the other"


@given(st.integers(0, 60), st.integers(1, 30))
def test_what_fits_is_left_alone_and_what_does_not_is_cut_or_split(length: int, most: int) -> None:
    whole = document(length)
    for too_long in ("cut", "drop", "split"):
        fitted = fit_example(whole, most, too_long)
        assert all(section.num_tokens <= most for section in fitted)
        if whole.num_tokens <= most:
            assert fitted == [whole]
        elif too_long != "split":
            assert [section.num_cut_tokens for section in fitted] == [whole.num_tokens - most]


def test_a_section_in_which_nothing_is_learned_is_left_out() -> None:
    answer = Example(np.arange(9), TokenReads.of([7, 8], [1, 2], [1.0, 1.0]))
    assert [section.ids.tolist() for section in split_example(answer, 3)] == [[6, 7, 8]]
    assert fit_example(answer, 3, "cut") == []


@pytest.mark.parametrize(("weight", "is_kept"), [(0.0, False), (1.0, True)])
def test_a_cut_that_leaves_only_looked_at_tokens_leaves_nothing(weight: float, is_kept: bool) -> None:
    cut = cut_example(Example(np.arange(4), TokenReads.of([0, 3], [7, 7], [weight, 1.0])), 2)
    assert (cut is not None and cut.num_learned == 1) == is_kept
