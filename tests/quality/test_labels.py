"""Wrong labels: planted ones are the most suspect, no row teaches itself, the counts are those of the definition."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.quality.whole.labels import (
    FEWEST_ROWS,
    NUM_FOLDS,
    confident_joint,
    confident_labels,
    folds,
    knowledge,
    normalised_margin,
    out_of_fold,
    self_confidence,
    suspect_labels,
)

# Twelve rows of three labels, and what cleanlab 2.9.0 says of them.
PROBABILITIES = np.array(
    [
        [0.31, 0.45, 0.24], [0.08, 0.62, 0.30], [0.0, 0.332, 0.668], [0.704, 0.188, 0.108],
        [0.23, 0.28, 0.49], [0.02, 0.308, 0.672], [0.708, 0.272, 0.02], [0.012, 0.836, 0.152],
        [0.69, 0.15, 0.16], [0.872, 0.12, 0.008], [0.06, 0.808, 0.132], [0.24, 0.0, 0.76],
    ]
)  # fmt: skip
GIVEN = np.array([0, 1, 2] * 4)
JOINT = [[3, 0, 0], [0, 2, 0], [1, 0, 3]]
MARGINS = [0.43, 0.66, 0.668, 0.758, 0.395, 0.682, 0.718, 0.842, 0.235, 0.876, 0.838, 0.76]


def clouds(num_rows=400, num_labels=5, seed=0, spread=0.15):
    """Vectors around one point for each label, and the labels."""
    generator = np.random.default_rng(seed)
    given = generator.permutation(np.arange(num_rows) % num_labels)
    vectors = np.eye(num_labels, 12)[given] + spread * generator.normal(size=(num_rows, 12))
    return vectors.astype(np.float32), [f"label {each}" for each in given]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_wrong_labels_take_nothing_from_what_a_classifier_knows(share):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 4_000)
    sure = 1.0 - 0.7 * generator.random(4_000) ** 2
    says = np.where(generator.random(4_000) < sure, truth, (truth + generator.integers(1, 4, 4_000)) % 4)
    probabilities = np.repeat((1.0 - sure)[:, None] / 3, 4, axis=1)
    probabilities[np.arange(4_000), says] = np.maximum(sure, 0.31)
    is_wrong = generator.random(4_000) < share
    given = np.where(is_wrong, (truth + generator.integers(1, 4, 4_000)) % 4, truth)
    known = ((probabilities.argmax(axis=1) == truth).mean() - 0.25) / 0.75
    assert knowledge(probabilities, given) == pytest.approx(known, abs=0.06)


@given(st.integers(0, 2**16), st.integers(2, 6))
@settings(max_examples=30)
def test_labels_by_chance_are_not_known(seed, num_labels):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(num_labels), 3_000)
    assert knowledge(probabilities, generator.integers(0, num_labels, 3_000)) < 0.1


def flipped(labels, share, seed):
    """Labels of which some are another of the set, and the places of those."""
    generator = np.random.default_rng(seed)
    names, found = sorted(set(labels)), list(labels)
    places = generator.choice(len(labels), round(share * len(labels)), replace=False)
    for place in places:
        found[place] = names[(names.index(found[place]) + int(generator.integers(1, len(names)))) % len(names)]
    return found, set(places.tolist())


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_flips_are_the_most_suspect_and_flagged(seed):
    vectors, labels = clouds(seed=seed)
    spoilt, planted = flipped(labels, 0.05, seed)
    found = suspect_labels(vectors, spoilt)
    assert set(found.ranked()[: len(planted)].tolist()) == planted
    assert 0.9 * len(planted) <= len(found.flagged) <= len(planted)
    assert set(found.flagged) <= planted
    assert all(found.names[found.likelier[place]] == labels[place] for place in planted)
    assert all(found.likelier_probability[place] > found.given_probability[place] for place in planted)


def test_every_row_is_ranked_and_flags_stand_in_the_order_of_the_ranks():
    vectors, labels = clouds(120)
    found = suspect_labels(vectors, flipped(labels, 0.1, 3)[0])
    ranked = found.ranked().tolist()
    assert sorted(ranked) == list(range(120))
    assert list(found.flagged) == sorted(found.flagged, key=ranked.index)
    assert (np.diff(found.suspicion[ranked]) <= 0).all()


def test_the_names_of_labels_do_not_matter_and_neither_does_asking_twice():
    vectors, labels = clouds(150)
    spoilt, _ = flipped(labels, 0.06, 1)
    found, again = suspect_labels(vectors, spoilt), suspect_labels(vectors, [f"z{label}" for label in spoilt])
    assert found.flagged == again.flagged
    assert found.suspicion.tolist() == again.suspicion.tolist()


def test_rows_of_rare_labels_are_ranked_last_and_never_flagged():
    vectors, labels = clouds(100)
    labels[10] = labels[20] = "a rare one"
    found = suspect_labels(vectors, labels)
    assert set(found.ranked()[-2:].tolist()) == {10, 20}
    assert not {10, 20} & set(found.flagged)


@pytest.mark.parametrize(
    "labels",
    [
        [],
        ["one"],
        ["one"] * 80,
        ["one", "two"] * 20,
        [f"label {place // 2}" for place in range(80)],
        ["one"] * 79 + ["two"],
    ],
)
def test_sets_too_small_to_say_anything_say_nothing(labels):
    vectors = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    assert suspect_labels(vectors, labels) is None


def test_rows_that_are_all_alike_and_rows_of_zeros_do_not_crash():
    for vectors in (np.ones((FEWEST_ROWS, 3), np.float32), np.zeros((FEWEST_ROWS, 3), np.float32)):
        found = suspect_labels(vectors, ["one", "two"] * (FEWEST_ROWS // 2))
        assert np.isfinite(found.suspicion).all()


def test_no_row_teaches_itself():
    """Each row has a direction of its own, so whoever learned it would know its label, and nobody else can."""
    generator = np.random.default_rng(0)
    given = generator.integers(0, 2, 200)
    own = self_confidence(out_of_fold(np.eye(200, dtype=np.float32), given, np.ones(200, bool)), given)
    assert own.max() < 0.65


def test_rows_that_are_left_out_teach_nothing():
    vectors, labels = clouds(100, 4)
    given = np.array([int(label[-1]) for label in labels])
    found = out_of_fold(vectors, given, given != 3)
    assert not found[:, 3].any()
    assert found.sum(axis=1) == pytest.approx(np.ones(100))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(2, NUM_FOLDS), st.integers(0, 5))
@settings(deadline=None, max_examples=80)
def test_every_label_is_spread_evenly_over_the_folds(labels, num_folds, seed):
    given_labels = np.array(labels)
    found = folds(given_labels, num_folds, np.random.default_rng(seed))
    for label in set(labels):
        counts = np.bincount(found[given_labels == label], minlength=num_folds)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(found, minlength=num_folds)
    assert counts.max() - counts.min() <= 1


def test_counts_and_scores_are_those_that_cleanlab_gives():
    confident = confident_labels(PROBABILITIES, GIVEN)
    assert confident_joint(PROBABILITIES, GIVEN).tolist() == JOINT
    assert np.flatnonzero((confident >= 0) & (confident != GIVEN)).tolist() == [8]
    assert self_confidence(PROBABILITIES, GIVEN).tolist() == [
        PROBABILITIES[at, label] for at, label in enumerate(GIVEN)
    ]
    assert normalised_margin(PROBABILITIES, GIVEN) == pytest.approx(MARGINS)


def joint_by_definition(probabilities, given_labels):
    """The confident joint, row by row and label by label."""
    num_labels = len(probabilities[0])
    joint = [[0] * num_labels for _ in range(num_labels)]
    thresholds = []
    for label in range(num_labels):
        its = [row[label] for row, each in zip(probabilities, given_labels, strict=True) if each == label]
        thresholds.append(sum(its) / len(its) - 1e-6 if its else 2.0)
    for row, each in zip(probabilities, given_labels, strict=True):
        candidates = [label for label in range(num_labels) if row[label] >= thresholds[label]]
        if candidates:
            joint[each][max(candidates, key=lambda label: row[label])] += 1
    return joint


def drawn(seed, num_rows=60, num_labels=4):
    """Random probabilities that lean to the given labels."""
    generator = np.random.default_rng(seed)
    given_labels = generator.permutation(np.arange(num_rows) % num_labels)
    probabilities = generator.dirichlet(np.ones(num_labels), num_rows) + np.eye(num_labels)[given_labels]
    return probabilities / 2, given_labels


@pytest.mark.parametrize("seed", range(20))
def test_the_joint_is_that_of_its_definition(seed):
    probabilities, given_labels = drawn(seed)
    expected = joint_by_definition(probabilities.tolist(), given_labels.tolist())
    assert confident_joint(probabilities, given_labels).tolist() == expected


@pytest.mark.skipif(importlib.util.find_spec("cleanlab") is None, reason="cleanlab is not installed")
@pytest.mark.parametrize("seed", range(5))
def test_counts_and_scores_agree_with_cleanlab(seed):
    count, filters, rank = (importlib.import_module(f"cleanlab.{name}") for name in ("count", "filter", "rank"))
    probabilities, given_labels = drawn(seed)
    joint = count.compute_confident_joint(given_labels, probabilities, calibrate=False)
    assert confident_joint(probabilities, given_labels).tolist() == joint.tolist()
    issues = filters.find_label_issues(given_labels, probabilities, filter_by="confident_learning", n_jobs=1)
    confident = confident_labels(probabilities, given_labels)
    assert ((confident >= 0) & (confident != given_labels)).tolist() == issues.tolist()
    for method, ours in (("self_confidence", self_confidence), ("normalized_margin", normalised_margin)):
        scores = rank.get_label_quality_scores(given_labels, probabilities, method=method)
        assert ours(probabilities, given_labels) == pytest.approx(scores)
