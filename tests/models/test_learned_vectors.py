"""Vectors learned from texts: gradients equal autograd's on the loss written out, counts equal counting, and the same
texts give the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from fettle.errors import UnsoundPlan
from fettle.models.config import WAYS_TO_LEARN_VECTORS, VectorSettings
from fettle.models.vectors import cooccurrence, predicting
from fettle.models.vectors.base import base_of_texts, learn_vectors
from fettle.models.vectors.cooccurrence import Tile, count_pairs, glove_gradients, weigh_pairs
from fettle.models.vectors.corpus import Corpus, read_corpus
from fettle.models.vectors.predicting import Step, cbow_gradients, skip_gram_gradients
from fettle.models.vectors.words import Division

SETTINGS = settings(deadline=None, max_examples=40)
NEGATIVE = 3
# Two worlds of words that never meet, so that what belongs together is known.
_FARM, _TOWN = ("cow", "hay", "barn", "field", "milk"), ("tram", "street", "lamp", "shop", "crowd")
TEXTS = [" ".join(np.random.default_rng(number).choice(world, 12)) for number in range(120) for world in (_FARM, _TOWN)]
TINY = VectorSettings(size=12, window=3, epochs=30)


def drawn_step(seed: int) -> Step:
    """Vectors and neighbours at random, some centres without any."""
    random = torch.Generator().manual_seed(seed)
    sees = (torch.rand(2, 4, 6, generator=random) < 0.4).double()
    sees[0, 1] = 0
    shapes = ((2, 4, 5), (2, 6, 5), (7, 5))
    centres, neighbours, noise = (torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes)
    return Step(centres, neighbours, noise, sees)


def skip_gram_loss(centres: Tensor, neighbours: Tensor, noise: Tensor, sees: Tensor) -> Tensor:
    """Pair by pair, as the paper has it, the noise words in the place of the draw that is expected."""
    loss = torch.zeros((), dtype=torch.float64)
    for block, centre, other in torch.nonzero(sees).tolist():
        vector = centres[block, centre]
        loss = loss - logsigmoid(vector @ neighbours[block, other])
        loss = loss - NEGATIVE * logsigmoid(-(noise @ vector)).mean()
    return loss


def cbow_loss(centres: Tensor, neighbours: Tensor, noise: Tensor, sees: Tensor) -> Tensor:
    loss = torch.zeros((), dtype=torch.float64)
    for block in range(len(centres)):
        for centre in range(centres.shape[1]):
            seen = torch.nonzero(sees[block, centre])[:, 0]
            if len(seen):
                mean = neighbours[block, seen].mean(0)
                loss = loss - logsigmoid(centres[block, centre] @ mean)
                loss = loss - NEGATIVE * logsigmoid(-(noise @ mean)).mean()
    return loss


@pytest.mark.parametrize(("gradients", "loss"), [(skip_gram_gradients, skip_gram_loss), (cbow_gradients, cbow_loss)])
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_the_loss_written_out(gradients, loss, seed: int) -> None:  # type: ignore[no-untyped-def]
    step = drawn_step(seed)
    vectors = [part.requires_grad_() for part in (step.centres_NPD, step.neighbours_NQD, step.noise_MD)]
    expected = torch.autograd.grad(loss(*vectors, step.sees_NPQ), vectors)
    with torch.no_grad():
        found = gradients(step, NEGATIVE)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_glove_s_gradients_are_those_of_its_loss(seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = np.where(random.random((4, 6)) < 0.5, random.exponential(60, (4, 6)), 0)
    rows, columns = np.nonzero(counts)
    found = counts[rows, columns]
    tile = Tile(counts.shape, np.searchsorted(rows, np.arange(5)), columns, *weigh_pairs(found))
    left, right = torch.randn(4, 7), torch.randn(6, 7)
    left[:, -1], right[:, -2] = 1, 1

    vectors, biases = [left[:, :-2].double(), right[:, :-2].double()], [left[:, -2].double(), right[:, -1].double()]
    learned = [part.requires_grad_() for part in (*vectors, *biases)]
    loss = torch.zeros((), dtype=torch.float64)
    for row, column, count in zip(rows.tolist(), columns.tolist(), found.tolist(), strict=True):
        error = vectors[0][row] @ vectors[1][column] + biases[0][row] + biases[1][column] - np.log(count)
        loss = loss + min(1.0, (count / 100) ** 0.75) * error**2 / 2
    expected = torch.autograd.grad(loss, learned)
    grad_left, grad_right = glove_gradients(left, right, tile)

    parts = (grad_left[:, :-2], grad_right[:, :-2], grad_left[:, -2], grad_right[:, -1])
    for mine, theirs in zip(parts, expected, strict=True):
        assert torch.allclose(mine.double(), theirs, rtol=1e-4, atol=1e-4)
    assert not grad_left[:, -1].any() and not grad_right[:, -2].any()


@SETTINGS
@given(
    texts=st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=5),
    window=st.integers(1, 4),
    part=st.integers(1, 9),
)
def test_pairs_are_counted_within_texts_by_one_over_their_distance(
    texts: list[list[int]], window: int, part: int
) -> None:
    expected = np.zeros((7, 7))
    for text in texts:
        for here, word in enumerate(text):
            for there in range(here + 1, min(here + window + 1, len(text))):
                expected[word, text[there]] += 1 / (there - here)
                expected[text[there], word] += 1 / (there - here)
    sizes = [len(text) for text in texts]
    joined = np.asarray([word for text in texts for word in text], np.int32)
    corpus = Corpus([str(word) for word in range(7)], joined, np.repeat(np.arange(len(texts), dtype=np.int32), sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cooccurrence, "_TOKENS_AT_ONCE", part)
        assert np.allclose(count_pairs(corpus, window).toarray(), expected)


@pytest.mark.parametrize("window", [1, 3])
def test_windows_end_where_texts_do_and_every_word_is_a_centre_once(window: int) -> None:
    sizes = [5, 1, 40, 17, 2]
    text_T = torch.from_numpy(np.repeat(np.arange(5), sizes))
    centres: list[int] = []
    for _, at_NP, at_NQ, sees_NPQ in predicting._steps(text_T, window, np.random.default_rng(0)):
        for block, centre, other in torch.nonzero(sees_NPQ).tolist():
            here, there = int(at_NP[block, centre]), int(at_NQ[block, other])
            assert text_T[here] == text_T[there]
            assert 1 <= abs(here - there) <= window
        for block in range(len(at_NP)):
            first = int(at_NP[block, 0])
            centres += range(first, min(first + 32, len(text_T)))
            # A neighbour at a distance of one is seen whatever width was drawn.
            for place in range(first, min(first + 32, len(text_T)) - 1):
                if text_T[place] == text_T[place + 1]:
                    seen = at_NQ[block][sees_NPQ[block, place - first] > 0].tolist()
                    assert seen.count(place + 1) == 1
    assert sorted(centres) == list(range(sum(sizes)))


def test_frequent_words_are_passed_over_as_often_as_the_formula_says() -> None:
    words = np.repeat(np.arange(3, dtype=np.int32), [900_000, 90_000, 10_000])
    corpus = Corpus(["a", "b", "c"], words, np.zeros(len(words), np.int32))
    kept, _ = predicting._subsample(corpus, 0.02, np.random.default_rng(0))
    shares = np.bincount(kept.numpy(), minlength=3) / corpus.counts_V
    frequency = corpus.counts_V / len(words)
    expected = np.minimum(1, np.sqrt(0.02 / frequency) + 0.02 / frequency)
    assert np.allclose(shares, expected, atol=0.01)


@SETTINGS
@given(texts=st.lists(st.text("ab c", max_size=20), max_size=8), most=st.integers(1, 5), least=st.integers(1, 3))
def test_a_corpus_holds_the_commonest_words_in_order(texts: list[str], most: int, least: int) -> None:
    corpus = read_corpus(texts, Division(), most, least)
    counts: dict[str, int] = {}
    for text in texts:
        for word in text.split():
            counts[word] = counts.get(word, 0) + 1
    expected = sorted((word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word))[:most]
    assert corpus.words == expected
    assert corpus.counts_V.tolist() == [counts[word] for word in expected]
    runs = [[word for word in text.split() if word in expected] for text in texts]
    assert [corpus.words[word] for word in corpus.words_T] == [word for run in runs for word in run]
    assert corpus.text_T.tolist() == [number for number, run in enumerate(runs) for _ in run]


@pytest.mark.parametrize("way", WAYS_TO_LEARN_VECTORS)
def test_words_that_stand_together_lie_together(way: str) -> None:
    corpus = read_corpus(TEXTS, Division(), 100, 1)
    vectors = learn_vectors(corpus, way, TINY, 0)
    assert vectors.shape == (10, 12) and np.isfinite(vectors).all()
    # What all words have in common says nothing of which belong together.
    apart = vectors - vectors.mean(0)
    near = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    likeness = near @ near.T
    is_farm = np.asarray([word in _FARM for word in corpus.words])
    same = is_farm[:, None] == is_farm[None, :]
    np.fill_diagonal(same, False)
    assert likeness[same].min() > likeness[is_farm[:, None] != is_farm[None, :]].max()


@pytest.mark.parametrize("way", WAYS_TO_LEARN_VECTORS)
def test_the_same_texts_and_seed_give_the_same_bytes(way: str) -> None:
    first, second, other = (base_of_texts(TEXTS, way, TINY, 0, seed) for seed in (0, 0, 1))
    assert first.files == second.files == other.files
    assert np.array_equal(first.table_VD, second.table_VD)
    assert not np.array_equal(first.table_VD, other.table_VD)


def test_another_process_learns_the_same() -> None:
    code = (
        "import hashlib, json, sys, torch; torch.set_num_threads(1)\n"
        "from fettle.models.config import VectorSettings\n"
        "from fettle.models.vectors.base import base_of_texts\n"
        "texts, settings = json.load(sys.stdin)\n"
        "for way in ('word2vec', 'skip-gram', 'glove'):\n"
        "    base = base_of_texts(texts, way, VectorSettings(**settings), 0, 0)\n"
        "    print(hashlib.sha256(base.table_VD.tobytes() + b''.join(base.files.values())).hexdigest())\n"
    )
    given = json.dumps([TEXTS, {"size": 12, "window": 3, "epochs": 2}])
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            input=given,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(runs[0].split()) == 3


def test_texts_without_words_are_refused() -> None:
    with pytest.raises(UnsoundPlan, match="no words") as caught:
        base_of_texts(["once each", ""], "glove", TINY, 0, 0)
    assert "vectors.least_count=1" in caught.value.attempt
