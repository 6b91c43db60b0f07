"""Likely wrong labels: what a classifier that never saw a row says of the row's label.

Confident learning (Northcutt, Jiang and Chuang, 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels"): probabilities from cross-validation, one threshold for each label, and the rows whose probability of another
label is above that label's threshold. Every row gets a suspicion besides, so that all can be ranked. Nothing here knows
of texts: rows are vectors, labels are names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from fettle.quality.whole.vectors import Floats

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

FEWEST_ROWS = 50
FEWEST_ROWS_OF_A_LABEL = 3
"""Rows of rarer labels teach the others and are not judged: with one of three left out, two still speak for a label."""

NUM_FOLDS = 5
MOST_ROWS_FITTED = 50_000
"""A fold learns from an even sample of no more rows than these; all rows are judged."""

MOST_ROWS_COMPARED = 20_000
"""Up to here every row is also held against its nearest rows of each label, which takes the square of the rows."""

_STRENGTH = 3.0
_NUM_STEPS = 40
_WEIGHT_OF_NEIGHBOURS = 5.0
_NUM_NEIGHBOURS = 3
_SHARE_LEFT_OUT = 0.03
_FLOOR = 1e-4
_SHARE_OF_THE_SUREST = 0.2


@dataclass(frozen=True, slots=True)
class Suspicions:
    """What was found of each row's label; places count from 0, `given` and `likelier` are places in `names`.

    `suspicion` ranks the rows, higher is more suspect; rows of labels too rare to judge stand at the very end.
    `flagged` are the most suspect rows, as many as confident learning counts, the most suspect first. (The very rows
    that it counts are fewer of the wrong ones: of 500 flips among 10,003 it names 353, and the first 497 hold 465.)
    `knowledge` is how well the classifier knows the labels, from 0 (no better than drawing labels) to 1.
    """

    names: tuple[str, ...]
    given: Places
    likelier: Places
    given_probability: Doubles
    likelier_probability: Doubles
    suspicion: Doubles
    flagged: tuple[int, ...]
    knowledge: float

    def ranked(self) -> Places:
        """All rows, the most suspect first; rows of equal suspicion in their order."""
        return np.argsort(-self.suspicion, kind="stable")


def suspect_labels(vectors: Floats, labels: Sequence[str], seed: int = 0) -> Suspicions | None:
    """Judge every label by rows that it was not learned from; None where a set is too small to say anything.

    Two passes: in the second the rows that looked worst in the first teach nothing, so that a wrong label does not
    speak for its like.

    >>> vectors = np.eye(2, dtype=np.float32)[[0, 1] * 40]
    >>> labels = ["card", "cash"] * 40
    >>> found = suspect_labels(vectors, ["cash", *labels[1:]])
    >>> found.flagged, found.names[found.likelier[0]]
    ((0,), 'card')
    """
    names = tuple(sorted(set(labels)))
    place_of = {name: place for place, name in enumerate(names)}
    given = np.array([place_of[label] for label in labels], np.int64)
    counts = np.bincount(given, minlength=len(names))
    judged = counts[given] >= FEWEST_ROWS_OF_A_LABEL if len(given) else np.zeros(0, bool)
    if judged.sum() < FEWEST_ROWS or (counts >= FEWEST_ROWS_OF_A_LABEL).sum() < 2:
        return None
    first = _probabilities(vectors, given, np.ones(len(given), bool), seed)
    worst = np.where(judged, _suspicion(first, given), -np.inf)
    learned = worst <= np.quantile(worst[judged], 1.0 - _SHARE_LEFT_OUT)
    second = _probabilities(vectors, given, learned, seed + 1)
    return _suspicions(names, given, _softmax(np.log(first + _FLOOR) / 2 + np.log(second + _FLOOR) / 2), judged)


def _suspicions(
    names: tuple[str, ...], given: Places, probabilities: Doubles, judged: npt.NDArray[np.bool_]
) -> Suspicions:
    """Put together what the probabilities say."""
    rows = np.arange(len(given))
    rivals = probabilities.copy()
    rivals[rows, given] = -1.0
    suspicion = np.where(judged, _suspicion(probabilities, given), -np.inf)
    confident = confident_labels(probabilities, given)
    num_wrong = int((judged & (confident >= 0) & (confident != given)).sum())
    doubted = suspicion > -np.inf
    doubted &= rivals.max(axis=1) > self_confidence(probabilities, given)
    flagged = np.argsort(np.where(doubted, -suspicion, np.inf), kind="stable")[: min(num_wrong, int(doubted.sum()))]
    return Suspicions(
        names,
        given,
        rivals.argmax(axis=1),
        self_confidence(probabilities, given),
        rivals.max(axis=1),
        suspicion,
        tuple(flagged.tolist()),
        knowledge(probabilities, given),
    )


def knowledge(probabilities: Doubles, given: Places) -> float:
    """How far beyond chance a classifier knows the right labels, by rows that it did not learn from.

    Wrong labels are no ignorance of it: where it is surest it hardly errs, so the share of given labels that it
    disputes there is taken for the share that is wrong everywhere, unless it disputes so many that it may know
    nothing. Chance is a label drawn as the labels are spread (Cohen's kappa, 1960).

    >>> found = np.array([[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
    >>> knowledge(found, np.array([0] * 10 + [1] * 10)), knowledge(found, np.array([0, 1] * 10))
    (1.0, 0.0)
    """
    agrees = probabilities.argmax(axis=1) == given
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")[: max(1, int(_SHARE_OF_THE_SUREST * len(given)))]
    undisputed = float(agrees[surest].mean())
    chance = float(((np.bincount(given) / len(given)) ** 2).sum())
    is_trusted = undisputed - chance >= (1.0 - chance) / 2
    right = min(1.0, float(agrees.mean()) / undisputed) if is_trusted else float(agrees.mean())
    return max(0.0, (right - chance) / (1.0 - chance)) if chance < 1.0 else 0.0


def _suspicion(probabilities: Doubles, given: Places) -> Doubles:
    """How unlikely the given label is. Of wrong labels drawn by chance this finds more than the margin to the best.

    Measured on 10,003 bank queries with 5 % of labels flipped: of flips to any label 93 % were within the 5 % most
    suspect rows and 88 % of flips to the most similar label within 10 %; the margin found 91 % and 91 %.
    """
    return -np.log(self_confidence(probabilities, given) + 1e-9)


def _probabilities(vectors: Floats, given: Places, learned: npt.NDArray[np.bool_], seed: int) -> Doubles:
    """A classifier's word on each row it did not learn from, moved by the nearest rows of each label."""
    num_labels = int(given.max()) + 1
    found = out_of_fold(vectors, given, learned, seed)
    if len(given) > MOST_ROWS_COMPARED:
        return found
    return _softmax(np.log(found + _FLOOR) + _WEIGHT_OF_NEIGHBOURS * _nearness(vectors, given, learned, num_labels))


def out_of_fold(vectors: Floats, given: Places, learned: npt.NDArray[np.bool_], seed: int = 0) -> Doubles:
    """The probability of every label for every row, by a classifier that learned from the other folds.

    Only `learned` rows teach. A label without a teacher in the other folds has probability 0 there.

    >>> vectors = np.eye(2, dtype=np.float32)[[0, 1] * 10]
    >>> out_of_fold(vectors, np.array([0, 1] * 10), np.ones(20, bool)).argmax(axis=1).tolist() == [0, 1] * 10
    True
    """
    generator = np.random.default_rng(seed)
    fold_of = folds(given, min(NUM_FOLDS, len(given)), generator)
    found = np.zeros((len(given), int(given.max()) + 1))
    for fold in range(NUM_FOLDS):
        held, teachers = np.flatnonzero(fold_of == fold), np.flatnonzero((fold_of != fold) & learned)
        if len(teachers) > MOST_ROWS_FITTED:
            teachers = np.sort(generator.choice(teachers, MOST_ROWS_FITTED, replace=False))
        if len(held) and len(teachers):
            present, targets = np.unique(given[teachers], return_inverse=True)
            weights = _fit(_with_one(vectors[teachers]), targets, len(present))
            found[np.ix_(held, present)] = _softmax(_with_one(vectors[held]) @ weights)
    return found


def folds(given: Places, num_folds: int, generator: np.random.Generator) -> Places:
    """A fold for each row, every label spread over all of them as evenly as its rows allow.

    >>> folds(np.array([0, 0, 0, 0, 1, 1]), 2, np.random.default_rng(0)).tolist().count(0)
    3
    """
    shuffled = generator.permutation(len(given))
    by_label = shuffled[np.argsort(given[shuffled], kind="stable")]
    found = np.zeros(len(given), np.int64)
    found[by_label] = np.arange(len(given)) % num_folds
    return found


def _fit(vectors: Floats, targets: Places, num_labels: int) -> Floats:
    """Softmax regression with a quadratic penalty, by a few dozen steps of L-BFGS."""
    rows, width = np.arange(len(targets)), vectors.shape[1]
    penalty = 1.0 / (_STRENGTH * len(targets))

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(width, num_labels).astype(np.float32)
        scores = vectors @ weights
        scores -= scores.max(axis=1, keepdims=True)
        wrong = np.exp(scores)
        total = wrong.sum(axis=1, keepdims=True)
        value = float(np.mean(np.log(total[:, 0]) - scores[rows, targets], dtype=np.float64))
        wrong /= total
        wrong[rows, targets] -= 1.0
        slope = vectors.T @ wrong
        slope /= len(targets)
        value += 0.5 * penalty * float(flat @ flat)
        return value, slope.astype(np.float64).ravel() + penalty * flat

    start = np.zeros(width * num_labels)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _NUM_STEPS})
    return np.asarray(found.x.reshape(width, num_labels), np.float32)


def _with_one(vectors: Floats) -> Floats:
    """Vectors with a constant, so that a label may be frequent."""
    return np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])


def _softmax(scores: npt.NDArray[np.floating]) -> Doubles:
    """Scores to probabilities, row by row."""
    raised = np.exp(np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)


def _nearness(vectors: Floats, given: Places, learned: npt.NDArray[np.bool_], num_labels: int) -> Doubles:
    """For each row and label the mean cosine of the few nearest other rows with that label."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-9)
    found = np.zeros((len(given), num_labels))
    for label in range(num_labels):
        its = np.flatnonzero((given == label) & learned)
        if not len(its):
            continue
        cosines = unit @ unit[its].T
        cosines[its, np.arange(len(its))] = -1.0
        most = min(_NUM_NEIGHBOURS, len(its))
        nearest = np.partition(cosines, len(its) - most, axis=1)[:, len(its) - most :]
        found[:, label] = np.where(nearest > -1.0, nearest, 0.0).mean(axis=1)
    return found


def confident_labels(probabilities: Doubles, given: Places) -> Places:
    """The label that each row confidently has, -1 where it has none.

    A row confidently has a label when its probability reaches the mean probability of that label over the rows that
    were given it; of several the likeliest.

    >>> confident_labels(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([0, 1, 1])).tolist()
    [0, -1, 1]
    """
    num_labels = probabilities.shape[1]
    counts = np.bincount(given, minlength=num_labels)
    sums = np.bincount(given, probabilities[np.arange(len(given)), given], num_labels)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    above = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    return np.where(above.max(axis=1) >= 0.0, above.argmax(axis=1), -1)


def confident_joint(probabilities: Doubles, given: Places) -> Places:
    """How many rows with the given label (down) confidently have which label (across).

    >>> confident_joint(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), np.array([0, 1, 1])).tolist()
    [[1, 0], [0, 1]]
    """
    found = np.zeros((probabilities.shape[1],) * 2, np.int64)
    confident = confident_labels(probabilities, given)
    known = confident >= 0
    np.add.at(found, (given[known], confident[known]), 1)
    return found


def self_confidence(probabilities: Doubles, given: Places) -> Doubles:
    """The probability of each row's own label.

    >>> self_confidence(np.array([[0.9, 0.1]]), np.array([1])).tolist()
    [0.1]
    """
    return np.asarray(probabilities[np.arange(len(given)), given])


def normalised_margin(probabilities: Doubles, given: Places) -> Doubles:
    """How far a row's own label is above the best other, from 0 (surely wrong) to 1.

    >>> normalised_margin(np.array([[0.75, 0.25]]), np.array([0])).tolist()
    [0.75]
    """
    rivals = probabilities.copy()
    rivals[np.arange(len(given)), given] = -np.inf
    return np.asarray((self_confidence(probabilities, given) - rivals.max(axis=1) + 1.0) / 2.0)
