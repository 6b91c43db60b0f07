"""Retrieval: BM25 is its formula, search sorts all scores, and a rank is the place where a search finds the text."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.quality.alike import retrieval
from fettle.quality.alike.retrieval import Retriever
from fettle.quality.alike.words import WordScores

SENTENCES = st.lists(st.text("ab cé ", max_size=12), min_size=1, max_size=8)


def by_formula(texts: list[str], query: str) -> list[float]:
    """BM25 word by word, written down as the formula stands."""
    read = [re.findall(r"\w+", text.lower()) for text in texts]
    mean = sum(map(len, read)) / len(read)
    scores = []
    for words in read:
        score = 0.0
        for word in re.findall(r"\w+", query.lower()):
            in_texts = sum(word in other for other in read)
            if word in words:
                idf = math.log(1 + (len(read) - in_texts + 0.5) / (in_texts + 0.5))
                often = words.count(word)
                score += idf * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(words) / mean))
        scores.append(score)
    return scores


@given(SENTENCES, SENTENCES)
@settings(deadline=None)
def test_scores_of_words_are_those_of_the_formula(texts: list[str], queries: list[str]) -> None:
    found = WordScores(texts)(queries)
    for query, scores in zip(queries, found, strict=True):
        assert scores == pytest.approx(by_formula(texts, query), abs=1e-12)


def test_scores_of_words_are_those_of_bm25s() -> None:
    """Its method `lucene` leaves the factor k1 + 1 out, which is the same for all texts."""
    bm25s = pytest.importorskip("bm25s", reason="the oracle is not in [dev]")
    draw = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join(draw.choice(words, draw.integers(1, 30))) for _ in range(60)]
    oracle = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    oracle.index([text.split() for text in texts], show_progress=False)
    for query in texts[:20]:
        scores = oracle.get_scores(query.split()) * 2.2
        assert WordScores(texts)([query])[0] == pytest.approx(scores, rel=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.integers(1, 10))
def test_a_search_is_all_scores_sorted_and_a_rank_the_place_in_it(counts: list[int], most: int) -> None:
    retriever = Retriever.by_count(counts)
    found = retriever.search(["a", "b"], most)
    wanted = sorted(range(len(counts)), key=lambda place: (-counts[place], place))
    assert found.places_QK.tolist() == [wanted[:most]] * 2
    assert found.scores_QK[0].tolist() == [counts[place] for place in wanted[:most]]
    ranks = retriever.ranks(["a"] * len(counts), range(len(counts)))
    assert [wanted[rank - 1] for rank in ranks] == list(range(len(counts)))
    for own in range(len(counts)):
        others = [place for place in range(len(counts)) if place != own]
        assert retriever.ranks(["a"], [own], [others]) == [1]


def test_vectors_are_searched_by_their_cosine_in_blocks_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    vector_of = {f"t{number}": draw.normal(size=6) for number in range(30)}

    def embed(texts: list[str]) -> np.ndarray:
        rows = np.asarray([vector_of[text] for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    texts, queries = list(vector_of)[:20], list(vector_of)[15:]
    found = Retriever.by_vectors(texts, embed).search(queries, 4)
    cosines = embed(queries) @ embed(texts).T
    assert found.places_QK.tolist() == np.argsort(-cosines, axis=1)[:, :4].tolist()
    assert found.places_QK[:5, 0].tolist() == [15, 16, 17, 18, 19]
    ranks = Retriever.by_vectors(texts, embed).ranks(queries, range(15))
    monkeypatch.setattr(retrieval, "_SCORES_AT_ONCE", 45)
    again = Retriever.by_vectors(texts, embed)
    assert again.search(queries, 4).places_QK.tolist() == found.places_QK.tolist()
    assert again.ranks(queries, range(15)) == ranks


def test_nothing_to_search_in_or_for_finds_nothing() -> None:
    assert Retriever.by_words(["a lamp"]).search([], 3).places_QK.shape == (0, 1)
    assert Retriever.by_words([]).search(["a lamp"], 3).places_QK.shape == (1, 0)
    assert WordScores(["", "lamp"])(["", "unknown"]).tolist() == [[0.0, 0.0], [0.0, 0.0]]
