"""Words, and the tokens that speak for them, with tokenizers of every sort."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from fettle.tokens.config import CutAt
from fettle.tokens.example import Ints
from fettle.tokens.tagging.units import find_units
from fettle.tokens.tagging.words import cut_further, cut_words
from tagging_kit import SORTS, texts, wrapped

SETTINGS = settings(deadline=None, max_examples=50)
cuts = st.sampled_from(["signs", "blanks"])


@pytest.fixture(scope="module", params=sorted(SORTS))
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return wrapped(SORTS[request.param]())


def is_gap(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cc" or character in "\u200b\ufeff"


@SETTINGS
@given(texts, cuts)
def test_every_character_but_blanks_is_in_one_word(text: str, cut_at: CutAt) -> None:
    words = cut_words(text, cut_at).tolist()
    places = [place for start, end in words for place in range(start, end)]
    assert places == [place for place, character in enumerate(text) if not is_gap(character)]
    assert all(start < end for start, end in words)


@SETTINGS
@given(texts)
def test_words_between_blanks_are_made_of_words_between_signs(text: str) -> None:
    fine, wide = (cut_words(text, cut_at) for cut_at in ("signs", "blanks"))
    np.testing.assert_array_equal(cut_further(wide, fine.ravel()), fine)


@pytest.mark.parametrize(
    ("text", "signs", "blanks"),
    [
        ("Osc-Dis, 1,200 km_h", "Osc - Dis , 1 , 200 km_h", "Osc-Dis, 1,200 km_h"),
        ("naïve nai\u0308ve", "naïve nai\u0308ve", "naïve nai\u0308ve"),
        ("हिन्दी", "हिन्दी", "हिन्दी"),
        ("می\u200cخواهم", "می\u200cخواهم", "می\u200cخواهم"),
        ("\u200fשלום", "\u200fשלום", "\u200fשלום"),
        ("東京タワー(東)", "東 京 タ ワ ー ( 東 )", "東 京 タ ワ ー ( 東 )"),
        ("บ้าน", "บ้ า น", "บ้ า น"),
        ("a\u200bb\ufeffc\x00d", "a b c d", "a b c d"),
        ("so\u00adlo", "so\u00adlo", "so\u00adlo"),
    ],
)
def test_words_of_many_scripts(text: str, signs: str, blanks: str) -> None:
    for cut_at, wanted in (("signs", signs), ("blanks", blanks)):
        assert [text[start:end] for start, end in cut_words(text, cut_at)] == wanted.split(" ")


@SETTINGS
@given(texts, st.lists(st.integers(0, 40)))
def test_words_cut_further_have_the_same_characters(text: str, places: list[int]) -> None:
    words = cut_words(text, "blanks")
    found = cut_further(words, np.asarray(places, np.int64)).tolist()
    inside = {place for place in places if any(start < place < end for start, end in words.tolist())}
    edges = {edge for word in words.tolist() for edge in word}
    assert [place for start, end in found for place in range(start, end)] == [
        place for start, end in words.tolist() for place in range(start, end)
    ]
    assert {edge for word in found for edge in word} == edges | inside


def units_by_looking(
    words: list[list[int]], offsets: list[tuple[int, int]], is_causal: bool
) -> list[tuple[int, int, int]]:
    """The units of words, each word beside each token, character by character."""
    characters_of = [set(range(*pair)) for pair in offsets]
    found: list[tuple[int, int, int]] = []
    for start, end in words:
        tokens = [place for place, characters in enumerate(characters_of) if characters & set(range(start, end))]
        if not tokens:
            continue
        token = tokens[-1] if is_causal else tokens[0]
        if found and token <= found[-1][2]:
            found[-1] = (found[-1][0], end, found[-1][2])
        else:
            found.append((start, end, token))
    return found


def units_of(words: Ints, offsets: list[tuple[int, int]], is_causal: bool) -> list[tuple[int, int, int]]:
    units = find_units(words, np.asarray(offsets, np.int64).reshape(-1, 2), is_causal=is_causal)
    assert all(one < other for one, other in pairwise(units.token.tolist()))
    return list(zip(units.start.tolist(), units.end.tolist(), units.token.tolist(), strict=True))


@SETTINGS
@given(texts, cuts, st.booleans())
def test_a_unit_is_read_at_a_token_of_its_own(
    tokenizer: PreTrainedTokenizerFast, text: str, cut_at: CutAt, is_causal: bool
) -> None:
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    words = cut_words(text, cut_at)
    assert units_of(words, offsets, is_causal) == units_by_looking(words.tolist(), offsets, is_causal)


@SETTINGS
@given(texts, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 4)), max_size=12), st.booleans())
def test_tokens_in_any_order_and_without_characters_do_no_harm(
    text: str, drawn: list[tuple[int, int]], is_causal: bool
) -> None:
    offsets = [(start, start + length) for start, length in drawn]
    words = cut_words(text)
    assert units_of(words, offsets, is_causal) == units_by_looking(words.tolist(), offsets, is_causal)


def test_plain_words_are_units_whatever_the_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "please cancel the order,  the parcel   is on its way."
    if tokenizer.backend_tokenizer.pre_tokenizer is None:
        pytest.skip("its tokens may span words")
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    for is_causal in (False, True):
        units = find_units(cut_words(text), np.asarray(offsets), is_causal=is_causal)
        found = [text[start:end] for start, end in zip(units.start, units.end, strict=True)]
        assert found == text.replace(",", " ,").replace(".", " .").split()
        first = [text[slice(*offsets[token])].strip() for token in units.token]
        edge = str.endswith if is_causal else str.startswith
        assert all(edge(word, token) for word, token in zip(found, first, strict=True))


def test_what_a_normaliser_drops_is_no_unit_and_what_it_swallows_is_one() -> None:
    tokenizer = wrapped(SORTS["word pieces"]())
    text = "Ada \u0301 ẞẞẞ order"
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    units = find_units(cut_words(text), np.asarray(offsets), is_causal=False)
    assert [text[start:end] for start, end in zip(units.start, units.end, strict=True)] == ["Ada", "ẞẞẞ", "order"]
