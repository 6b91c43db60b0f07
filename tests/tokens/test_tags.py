"""Spans as tags and back, and the likeliest tags that mean spans."""

from __future__ import annotations

import math
import re
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.dialects.tagged import bio_tags, spans_of_tags
from fettle.data.records import Span
from fettle.tokens.config import Scheme
from fettle.tokens.tagging.decoding import likeliest_tags
from fettle.tokens.tagging.tags import Tags, overlapping
from fettle.tokens.tagging.units import Units
from fettle.tokens.tagging.words import cut_further

SETTINGS = settings(deadline=None, max_examples=60)
LABELS = ("NAME", "PLACE")
schemes = st.sampled_from(["bio", "bilou"])


@st.composite
def units(draw: st.DrawFn, most: int = 6) -> Units:
    """Units side by side, with and without a gap between them."""
    steps = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=most))
    edges = np.cumsum(np.asarray(steps, np.int64).reshape(-1)).reshape(-1, 2)
    return Units(edges[:, 0], edges[:, 1], np.arange(len(edges)))


@st.composite
def runs_of(draw: st.DrawFn, found: Units) -> list[Span]:
    """Spans from the start of one unit to the end of another, side by side."""
    spans, place = [], 0
    while place < len(found):
        length = draw(st.integers(0, len(found) - place))
        if length:
            label = draw(st.sampled_from(LABELS))
            spans.append(Span(int(found.start[place]), int(found.end[place + length - 1]), label))
        place += max(1, length)
    return spans


@SETTINGS
@given(st.data(), schemes)
def test_reading_undoes_writing(data: st.DataObject, scheme: Scheme) -> None:
    found = data.draw(units())
    spans = data.draw(runs_of(found))
    tags = Tags(LABELS, scheme)
    written = tags.write(found, data.draw(st.permutations(spans)))
    assert (written.moved, written.lost) == ((), ())
    assert tags.read(written.tag_U, found) == spans


@SETTINGS
@given(st.data(), schemes)
def test_the_names_are_what_the_rest_of_the_house_reads(data: st.DataObject, scheme: Scheme) -> None:
    tokens = data.draw(st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=6))
    lengths = np.asarray([len(token) for token in tokens], np.int64)
    starts = np.cumsum(lengths + 1) - lengths - 1
    found = Units(starts, starts + lengths, np.arange(len(tokens)))
    spans = data.draw(runs_of(found))
    tags = Tags(LABELS, scheme)
    names = [tags.names[tag] for tag in tags.write(found, spans).tag_U]
    assert spans_of_tags(tokens, names) == spans
    if scheme == "bio":
        assert names == bio_tags(tokens, spans)


@SETTINGS
@given(st.data(), schemes)
def test_what_cannot_be_written_is_told_and_the_rest_is_as_it_was(data: st.DataObject, scheme: Scheme) -> None:
    found = data.draw(units())
    edges = sorted(data.draw(st.sets(st.integers(0, 30), max_size=8)))
    spans = [
        Span(start, end, data.draw(st.sampled_from(LABELS)))
        for start, end in pairwise(edges)
        if data.draw(st.booleans())
    ]
    tags = Tags(LABELS, scheme)
    written = tags.write(found, spans)
    read = tags.read(written.tag_U, found)
    whole = [span for span in spans if span not in written.moved + written.lost]
    assert len(read) == len(spans) - len(written.lost)
    assert [span for span in read if span in whole] == whole
    touched = [
        (one.start <= start < one.end) or (start <= one.start < end) for one in spans for start, end in of(found)
    ]
    assert (len(written.lost) < len(spans)) == any(touched)
    # Cut where spans begin and end, every span that has a character of a unit is written.
    cut = cut_further(np.stack([found.start, found.end], axis=1), np.asarray(edges, np.int64))
    finer = Units(cut[:, 0], cut[:, 1], np.arange(len(cut)))
    has_characters = [any(one.start < end and start < one.end for start, end in of(found)) for one in spans]
    assert len(tags.write(finer, spans).lost) == has_characters.count(False)


def of(found: Units) -> list[tuple[int, int]]:
    return list(zip(found.start.tolist(), found.end.tolist(), strict=True))


def test_a_span_that_shares_its_only_unit_with_an_earlier_one_is_lost() -> None:
    found = Units(np.asarray([0, 6]), np.asarray([5, 8]), np.asarray([0, 1]))
    first, second, third = Span(0, 2, "NAME"), Span(2, 4, "PLACE"), Span(4, 8, "PLACE")
    written = Tags(LABELS, "bio").write(found, [first, second, third])
    assert written.lost == (second,)
    assert written.moved == (first, third)
    assert Tags(LABELS, "bio").read(written.tag_U, found) == [Span(0, 5, "NAME"), Span(6, 8, "PLACE")]


def test_a_label_that_was_never_learned_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        Tags(("NAME",), "bio").write(Units(*np.asarray([[0], [1], [0]])), [Span(0, 1, "PLACE")])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=5))
def test_spans_overlap_where_two_have_a_character_in_common(drawn: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + length, "NAME") for start, length in drawn]
    counts = np.bincount([place for span in spans for place in range(span.start, span.end)], minlength=1)
    found = overlapping(spans)
    assert (found is not None) == bool(counts.max() > 1)
    if found is not None:
        one, other = found
        assert set(range(one.start, one.end)) & set(range(other.start, other.end))


# What tags may follow each other, as people would write it down.
ALLOWED = {
    "bio": re.compile(r"(?:O |B-(\w+) (?:I-\1 )*)*"),
    "bilou": re.compile(r"(?:O |U-\w+ |B-(\w+) (?:I-\1 )*L-\1 )*"),
}


def allowed(tags: Tags, num_units: int) -> list[tuple[int, ...]]:
    """All tags of so many units that mean spans."""
    everything = product(range(len(tags.names)), repeat=num_units)
    spelt = [f"{name} " for name in tags.names]
    return [one for one in everything if ALLOWED[tags.scheme].fullmatch("".join(spelt[tag] for tag in one))]


@SETTINGS
@given(st.integers(0, 4), schemes, st.integers(0, 2**32 - 1), st.sampled_from([0.5, 4.0, 60.0]))
def test_the_likeliest_tags_are_those_of_looking_at_all(
    num_units: int, scheme: Scheme, seed: int, spread: float
) -> None:
    tags = Tags(LABELS[: 2 if scheme == "bio" else 1], scheme)
    scores_UK = np.random.default_rng(seed).normal(0, spread, (num_units, len(tags.names)))
    sums = {one: float(scores_UK[range(num_units), list(one)].sum()) for one in allowed(tags, num_units)}
    best = max(sums, key=sums.__getitem__)
    found_U, share = likeliest_tags(scores_UK, tags)
    assert tuple(found_U.tolist()) == best
    assert share == pytest.approx(1 / sum(math.exp(value - sums[best]) for value in sums.values()), rel=1e-9)


@SETTINGS
@given(st.data(), schemes)
def test_what_is_written_is_allowed(data: st.DataObject, scheme: Scheme) -> None:
    found = data.draw(units())
    tags = Tags(LABELS, scheme)
    tag_U = tags.write(found, data.draw(runs_of(found))).tag_U
    sure_UK = np.where(np.arange(len(tags.names)) == tag_U[:, None], 0.0, -50.0)
    assert likeliest_tags(sure_UK, tags)[0].tolist() == tag_U.tolist()
