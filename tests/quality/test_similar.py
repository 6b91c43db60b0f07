"""Alike texts: brute force over Python sets is the law, and what is planted is found."""

import functools
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.records import PlainText, Row, normalised
from fettle.errors import RequestError
from fettle.quality.alike import similar
from fettle.quality.alike.candidates import CROWD, bands_for
from fettle.quality.alike.shingles import blocks, jaccard, shingles
from fettle.quality.alike.similar import Pairs, clusters, semantic_across, semantic_pairs, similar_across, similar_pairs

WORDS = tuple("".join(random.Random(seed).choices("abcdefghijklmnop", k=2 + seed % 7)) for seed in range(300))


@functools.cache
def plain_shingles(text):
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return {text[start : start + 5] for start in range(max(len(text) - 4, 1))}


def plain_jaccard(one, other):
    one, other = plain_shingles(one), plain_shingles(other)
    return len(one & other) / len(one | other)


def brute_pairs(texts, threshold):
    return {
        (left, right)
        for right in range(len(texts))
        for left in range(right)
        if plain_jaccard(texts[left], texts[right]) >= threshold
    }


def firsts_of(texts):
    seen = {}
    return [seen.setdefault(normalised(text), place) for place, text in enumerate(texts)]


def edited(text, draw):
    """The text with one to three letters changed, so that it is near, or nearly near."""
    letters = list(text)
    for _ in range(draw.randint(1, 3)):
        letters[draw.randrange(len(letters))] = draw.choice("xyz q")
    return "".join(letters)


def drawn_texts(num_texts, seed, num_words=14):
    draw = random.Random(seed)
    texts = []
    while len(texts) < num_texts:
        texts.append(" ".join(draw.choices(WORDS, k=draw.randint(3, num_words))))
        texts += [edited(texts[-1], draw) for _ in range(draw.randint(0, 2))]
    draw.shuffle(texts)
    return texts[:num_texts]


some_text = st.one_of(
    st.text(max_size=12),
    st.text("ab ", max_size=30),
    st.lists(st.sampled_from(WORDS[:12]), max_size=9).map(" ".join),
    st.sampled_from(
        ["", " ", "a", "A", "ﬁle", "file", "İstanbul is far", "\ud800 lone", "😀 grin 😀 grin", "abcd", "abcd\0"]
    ),
)


@given(st.lists(some_text, max_size=25))
@settings(deadline=None, max_examples=60)
def test_sets_are_the_sets_of_python(texts):
    texts = [normalised(text) for text in texts]
    sets = shingles(texts)
    sizes = np.diff(sets.offsets)
    assert sizes.tolist() == [len(plain_shingles(text)) for text in texts]
    pairs = [(left, right) for left in range(len(texts)) for right in range(len(texts))]
    if pairs:
        found = jaccard(texts, *np.array(pairs).T)
        assert found.tolist() == [plain_jaccard(texts[left], texts[right]) for left, right in pairs]


@given(some_text)
def test_a_normalised_text_is_what_input_keys_see(text):
    same = Row(PlainText(normalised(text)), "", 1).input_key
    assert same == Row(PlainText(text), "", 1).input_key
    assert normalised(normalised(text)) == normalised(text) or not text.isascii()


def test_a_short_text_is_no_part_of_a_longer_one_and_what_fills_it_is_not_seen():
    texts = ["abc", "abc\0", "abc\0\0", "abcd", "abcde", ""]
    left, right = np.triu_indices(len(texts), 1)
    assert jaccard(texts, left, right).tolist() == [0.0] * len(left)
    assert jaccard(texts, np.arange(6), np.arange(6)).tolist() == [1.0] * 6


def test_blocks_cover_all_texts_once_and_are_small():
    texts = ["x" * size for size in (0, 5, 200_000, 3, 131_072, 1, 131_071)] + [""] * 70_000
    slices = list(blocks(texts))
    assert [place for chosen in slices for place in range(len(texts))[chosen]] == list(range(len(texts)))
    for chosen in slices:
        assert len(texts[chosen]) == 1 or sum(map(len, texts[chosen])) <= 131_072
        assert len(texts[chosen]) <= 32_768


@given(st.lists(some_text, max_size=40), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
@settings(deadline=None, max_examples=100, derandomize=True)
def test_pairs_are_those_of_brute_force_among_firsts(texts, threshold):
    firsts = firsts_of(texts)
    found = list(similar_pairs(texts, threshold))
    copies = {(first, place) for place, first in enumerate(firsts) if first != place}
    near = {pair for pair in brute_pairs(texts, threshold) if firsts[pair[0]] == pair[0] and firsts[pair[1]] == pair[1]}
    assert {(left, right) for left, right, _ in found} == copies | near
    assert found == sorted(found) and all(left < right for left, right, _ in found)
    assert all(score == plain_jaccard(texts[left], texts[right]) >= threshold for left, right, score in found)


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_edited_texts_are_found_as_brute_force_finds_them(threshold):
    texts = list(dict.fromkeys(map(normalised, drawn_texts(700, seed=int(threshold * 10)))))
    expected = brute_pairs(texts, threshold)
    assert len(expected) > 10
    found = {(left, right): score for left, right, score in similar_pairs(texts, threshold)}
    assert set(found) == expected
    assert all(score == plain_jaccard(texts[left], texts[right]) for (left, right), score in found.items())


def test_nearly_all_planted_near_duplicates_between_80_and_95_percent_are_found():
    draw = random.Random(3)
    texts, planted = [], []
    while len(planted) < 4_000:
        text = " ".join(draw.choices(WORDS, k=draw.randint(6, 16)))
        near = edited(text, draw)
        if 0.8 <= plain_jaccard(text, near) <= 0.95:
            planted.append((len(texts), len(texts) + 1))
            texts += [text, near]
    found = {(left, right) for left, right, _ in similar_pairs(texts)}
    assert sum(pair in found for pair in planted) >= 0.998 * len(planted)


def test_the_threshold_itself_is_near():
    one = "abcdefghijklmnop"
    other = one[:13]
    exact = plain_jaccard(one, other)
    assert list(similar_pairs([one, other], exact)) == [(0, 1, exact)]
    assert len(similar_pairs([one, other], np.nextafter(exact, 1.0))) == 0


def test_the_order_of_texts_changes_no_pair():
    texts = list(dict.fromkeys(map(normalised, drawn_texts(500, seed=8))))
    expected = {frozenset((texts[left], texts[right])) for left, right, _ in similar_pairs(texts)}
    for seed in range(3):
        mixed = random.Random(seed).sample(texts, len(texts))
        assert {frozenset((mixed[left], mixed[right])) for left, right, _ in similar_pairs(mixed)} == expected


def test_groups_are_never_paired_and_pair_as_if_alone():
    texts = drawn_texts(300, seed=5)
    texts += texts[:40]
    groups = [place % 3 for place in range(len(texts))]
    found = {(left, right): score for left, right, score in similar_pairs(texts, groups=groups)}
    expected = {}
    for group in range(3):
        places = [place for place in range(len(texts)) if groups[place] == group]
        for left, right, score in similar_pairs([texts[place] for place in places]):
            expected[places[left], places[right]] = score
    assert found == expected and expected


@given(st.lists(some_text, max_size=25), st.lists(some_text, max_size=25))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_across_is_within_of_the_union_with_only_cross_pairs(ours, theirs):
    expected = {
        (left, right - len(ours)) for left, right in brute_pairs(ours + theirs, 0.8) if left < len(ours) <= right
    }
    firsts_a, firsts_b = firsts_of(ours), firsts_of(theirs)
    found = list(similar_across(ours, theirs))
    pairs = {(left, right) for left, right, _ in found}
    assert len(pairs) == len(found) and pairs <= expected
    assert {(a, b) for a, b in pairs if firsts_a[a] == a and firsts_b[b] == b} == {
        (a, b) for a, b in expected if firsts_a[a] == a and firsts_b[b] == b
    }
    assert {a for a, _ in pairs} == {a for a, _ in expected}
    assert {b for _, b in pairs} == {b for _, b in expected}
    assert all(score == plain_jaccard(ours[left], theirs[right]) for left, right, score in found)
    assert {(b, a) for a, b, _ in similar_across(theirs, ours)} >= {
        (a, b) for a, b in pairs if firsts_a[a] == a and firsts_b[b] == b
    }


def test_a_further_copy_goes_with_the_text_most_like_it():
    texts = ["where is my parcel, please?", "where is my parcel, please?"]
    others = ["where is my parcel, pleas?", "where is my parcel, please??"]
    assert [(a, b) for a, b, _ in similar_across(texts, others, 0.7)] == [(0, 0), (0, 1), (1, 1)]
    assert [(a, b) for a, b, _ in similar_across(others, texts, 0.7)] == [(0, 0), (1, 0), (1, 1)]
    equally = ["where is my parcel, please!", "where is my parcel, please+"]
    assert [(a, b) for a, b, _ in similar_across(texts, equally, 0.7)] == [(0, 0), (0, 1), (1, 0)]


def test_groups_across():
    found = similar_across(["hello there", "hello there!"], ["hello there", "hello there"], 0.8, ([0, 1], [1, 0]))
    assert [(a, b) for a, b, _ in found] == [(0, 1), (1, 0)]


def test_a_crowd_of_one_template_is_one_cluster_and_no_flood():
    texts = [f"please cancel order number {number:05d} and send me all of the money back" for number in range(3_000)]
    found = similar_pairs(texts)
    assert max(map(len, clusters(len(texts), found))) == len(texts)
    assert len(found) < len(texts) * 200
    sample = list(found)[:: len(found) // 500]
    assert all(score == plain_jaccard(texts[left], texts[right]) >= 0.8 for left, right, score in sample)
    texts = [f"{text} as soon as you can, since I have been waiting for it all the time" for text in texts[:1_500]]
    across = similar_across(texts[: 2 * CROWD], texts[2 * CROWD :])
    assert {b for _, b, _ in across} == set(range(len(texts) - 2 * CROWD))
    assert {a for a, _, _ in across} == set(range(2 * CROWD))


def test_every_pair_is_found_up_to_a_crowd_and_beyond_it_every_tie_to_the_first():
    tail = "since I have been waiting for all of it since the beginning of the last month and cannot wait any longer"
    texts = [f"order number {number:03d} has not arrived yet and I want my money back, {tail}" for number in range(600)]
    few = texts[:CROWD]
    assert {(a, b) for a, b, _ in similar_pairs(few)} == {(a, b) for b in range(CROWD) for a in range(b)}
    assert {b for a, b, _ in similar_pairs(texts) if a == 0} == set(range(1, 600))


def test_sets_made_block_by_block_are_the_same_sets(monkeypatch):
    texts = [normalised(text) for text in drawn_texts(120, seed=2)]
    left, right = np.triu_indices(len(texts), 1)
    groups = [place % 2 for place in range(len(texts))]
    once = jaccard(texts, left, right, groups)
    monkeypatch.setattr("fettle.quality.alike.shingles._KEPT_ELEMENTS", 0)
    monkeypatch.setattr("fettle.quality.alike.shingles._BLOCK_ELEMENTS", 3_000)
    assert jaccard(texts, left, right, groups).tolist() == once.tolist() and once.any()


def test_planted_near_duplicates_are_found_within_a_crowd():
    draw = random.Random(4)
    texts = [
        f"please cancel order of {draw.choice(WORDS)} {draw.choice(WORDS)} and send the {draw.choice(WORDS)} back"
        for _ in range(5_000)
    ]
    planted = []
    for place in range(300):
        near = edited(texts[place], draw)
        if plain_jaccard(texts[place], near) >= 0.8:
            planted.append((texts.index(texts[place]), len(texts)))
            texts.append(near)
    found = {(left, right) for left, right, _ in similar_pairs(texts)}
    assert len(planted) > 50
    assert sum(pair in found for pair in planted) >= 0.97 * len(planted)


def test_candidates_beyond_the_limit_keep_the_closest(monkeypatch):
    """Where memory sets the limit, each text still has a link to what is most like it."""
    monkeypatch.setattr("fettle.quality.alike.candidates.CANDIDATES_PER_TEXT", 2)
    monkeypatch.setattr("fettle.quality.alike.candidates._LEAST_KEPT", 64)
    texts = [f"{word} the template of them all, nothing else matters here and now" for word in WORDS[:150]]
    texts += [f"{text}!" for text in texts]
    found = {(left, right) for left, right, _ in similar_pairs(texts)}
    firsts = firsts_of(texts)
    assert {(firsts[place], firsts[place + 150]) for place in range(150)} <= found | {(p, p) for p in range(300)}
    assert len(found) < 2_000


def test_strange_texts_are_sound():
    huge = "".join(random.Random(1).choices("abcdefghij klmno", k=600_000))
    texts = [
        "",
        "",
        " \n",
        huge,
        f"{huge[:300_000]}?{huge[300_000:]}",
        "a" * 5,
        "a" * 50_000,
        "\ud800\udc00 x",
        "é" * 9,
    ]
    found = list(similar_pairs(texts))
    assert [(left, right) for left, right, _ in found] == [(0, 1), (0, 2), (3, 4), (5, 6)]
    assert found[2][2] > 0.9999 and found[3][2] == 1.0
    assert list(similar_pairs([])) == [] and list(similar_across([], ["a text"])) == []
    assert list(similar_across(["a text"], [])) == [] and list(similar_pairs(["only one"])) == []


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_a_threshold_that_is_none_is_refused(threshold):
    for attempt in (lambda: similar_pairs(["a"], threshold), lambda: similar_across(["a"], ["a"], threshold)):
        with pytest.raises(RequestError, match="threshold"):
            attempt()


def test_bands_miss_little_at_every_threshold():
    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
        num_bands, width = bands_for(threshold)
        assert num_bands * width <= 120
        assert (1 - threshold**width) ** num_bands <= 1e-4


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_clusters_are_what_pairs_reach(links):
    links = sorted({(min(pair), max(pair)) for pair in links if pair[0] != pair[1]})
    left, right = np.array(links, np.int64).reshape(-1, 2).T
    found = clusters(20, Pairs(left, right, np.ones(len(left))))
    label = list(range(20))
    for one, other in links:
        label = [label[one] if each == label[other] else each for each in label]
    expected = {}
    for place in range(20):
        expected.setdefault(label[place], []).append(place)
    assert found == sorted(tuple(members) for members in expected.values() if len(members) > 1)


def test_a_pair_of_no_text_is_refused():
    with pytest.raises(RequestError, match="names text 5 of 3"):
        clusters(3, Pairs(np.array([1]), np.array([5]), np.ones(1)))


def unit_vectors(num_vectors, seed, width=16):
    vectors = np.random.default_rng(seed).standard_normal((num_vectors, width)).astype(np.float32)
    vectors[num_vectors // 2 :] = vectors[: num_vectors - num_vectors // 2]
    vectors += 0.08 * np.random.default_rng(seed + 1).standard_normal(vectors.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_meanings_are_those_of_brute_force_whatever_the_blocks(monkeypatch):
    vectors = unit_vectors(150, seed=1)
    cosine = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    expected = {(int(a), int(b)) for a, b in zip(*np.nonzero(cosine >= 0.9), strict=True) if a < b}
    assert len(expected) > 50
    for size in (7, 64, 2048):
        monkeypatch.setattr(similar, "_VECTOR_BLOCK", size)
        found = list(semantic_pairs(vectors, 0.9))
        assert {(a, b) for a, b, _ in found} == expected
        assert [score for _, _, score in found] == pytest.approx([cosine[a, b] for a, b, _ in found], abs=1e-5)
        across = {(a, b + 70) for a, b, _ in semantic_across(vectors[:70], vectors[70:], 0.9)}
        assert across == {(a, b) for a, b in expected if a < 70 <= b}


def test_many_copies_of_one_meaning_are_one_cluster_and_no_flood(monkeypatch):
    monkeypatch.setattr(similar, "_VECTOR_BLOCK", 64)
    vectors = np.tile(np.eye(3, dtype=np.float32), (200, 1))
    found = semantic_pairs(vectors, 0.99)
    assert len(clusters(len(vectors), found)) == 3
    assert all((right - left) % 3 == 0 for left, right, _ in found)
    assert len(found) < 600 * 20 * 10


def test_a_vector_keeps_its_closest_even_where_that_one_has_many_closer():
    near = np.array([0.96, (1 - 0.96**2) ** 0.5], np.float32)
    crowd = np.tile(np.array([1, 0], np.float32), (40, 1))
    found = semantic_across(crowd[:3], np.vstack([crowd, near]), 0.95)
    assert 40 in found.right.tolist()
