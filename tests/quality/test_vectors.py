"""Vectors: of length 1 or 0, close where texts are alike, and the ways of large sets find what those of small do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_labels import clouds, flipped
from test_sets import mixed

from fettle.quality.whole import labels, outliers, vectors
from fettle.quality.whole.labels import suspect_labels
from fettle.quality.whole.outliers import strangeness
from fettle.quality.whole.vectors import dense_vectors, nearest, nearest_mean, sparse_vectors, text_vectors

TEXTS = ["where is my card", "where is my new card", "why was I charged twice", "why was I charged", ""]


@given(st.lists(st.text("abc é😀\n", max_size=20), min_size=1, max_size=15))
@settings(deadline=None, max_examples=100)
def test_vectors_have_length_one_or_say_nothing(texts):
    found = sparse_vectors(texts)
    sizes = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    assert found.shape[0] == len(texts)
    assert all(size == pytest.approx(1.0, abs=1e-5) or size == 0.0 for size in sizes)
    assert np.isfinite(dense_vectors(found, 4)).all()


def test_the_nearest_text_is_the_most_alike():
    found = sparse_vectors(TEXTS)
    places, cosines = nearest(found, block_rows=2)
    assert places[:4].tolist() == [1, 0, 3, 2]
    assert 0.3 < cosines[0] < 1.0 and cosines[4] == 0.0
    exact = (found @ found.T).toarray()
    np.fill_diagonal(exact, -1.0)
    assert cosines == pytest.approx(np.maximum(exact.max(axis=1), 0.0), abs=1e-6)
    assert nearest_mean(found, 2, block_rows=2) == pytest.approx(np.sort(exact)[:, -2:].mean(axis=1), abs=1e-6)


def test_dense_vectors_keep_the_products_and_repeat():
    found = sparse_vectors(TEXTS)
    dense = dense_vectors(found, 4, seed=3)
    assert dense.shape == (5, 4) and dense.dtype == np.float32
    assert (dense @ dense.T) == pytest.approx((found @ found.T).toarray(), abs=0.02)
    assert dense_vectors(found, 4, seed=3).tolist() == dense.tolist()


def test_a_model_goes_before_words():
    assert text_vectors(TEXTS, 3, lambda texts: np.full((len(texts), 7), 0.5, np.float32)).shape == (5, 7)


@pytest.mark.parametrize("step_rows", [70, 40])
def test_many_rows_are_projected_on_what_a_sample_says(monkeypatch, step_rows):
    texts = [f"{text} number {each}" for each in range(20) for text in TEXTS]
    whole = dense_vectors(sparse_vectors(texts), 4)
    monkeypatch.setattr(vectors, "MOST_ROWS_OF_AN_SVD", step_rows)
    monkeypatch.setattr(vectors, "MOST_ROWS_WITH_CHARACTERS", 10)
    found = dense_vectors(sparse_vectors(texts), 4)
    assert found.shape == whole.shape
    assert found[0] @ found[5] > found[0] @ found[2]


def test_in_many_rows_wrong_labels_are_found_by_a_sample(monkeypatch):
    monkeypatch.setattr(labels, "MOST_ROWS_FITTED", 120)
    monkeypatch.setattr(labels, "MOST_ROWS_COMPARED", 100)
    rows, names = clouds()
    spoilt, planted = flipped(names, 0.05, 0)
    found = suspect_labels(rows, spoilt)
    assert len(planted & set(found.ranked()[: len(planted)].tolist())) >= 0.9 * len(planted)


def test_many_rows_are_judged_in_parts(monkeypatch):
    monkeypatch.setattr(outliers, "MOST_ROWS_AT_ONCE", 700)
    texts, planted = mixed(1_800, 54, 0)
    found = strangeness(texts)
    assert len(planted & set(found.strange)) >= 0.9 * len(planted)
    assert len(set(found.strange) - planted) <= 36
    assert [found.scores[place] for place in found.strange] == sorted(found.scores[list(found.strange)], reverse=True)
