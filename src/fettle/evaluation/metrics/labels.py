"""What an answer of a closed set is worth: one label, or several.

Several labels are written as a JSON list; whatever is no such list is one label. So `macro_f1` and `micro_f1` serve
both, and an answer that cannot be read as a list counts as one label that is wrong. Trap: a single label that is
itself written as a JSON list of texts is read as several.

Axes: D draws, R rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fettle.data.records import NONE_OF_THESE
from fettle.evaluation.metric import Outcomes, share_metric, statistic_metric
from fettle.evaluation.report import Outcome
from fettle.evaluation.statistics import Statistic, plain_value, safe_ratio, share_of

_as_list = msgspec.json.Decoder(list[str])


def check_rows(expected: Sequence[object], predicted: Sequence[object]) -> None:
    """Refuse columns that do not pair up, and empty ones.

    >>> check_rows(["a"], ["b"])
    """
    if len(expected) != len(predicted):
        raise ValueError(f"{len(expected)} expected rows against {len(predicted)} predicted: rows must pair up")
    if not expected:
        raise ValueError("no rows: there is nothing to score")


def accuracy_hits(expected: Sequence[str], predicted: Sequence[str]) -> list[float]:
    """Score each row 1.0 where the answer is the expected one to the character, else 0.0.

    Law: the mean of the hits is the accuracy. Case and blanks count; whoever wants them ignored strips them first.

    >>> accuracy_hits(["spam", "ham"], ["spam", "Ham"])
    [1.0, 0.0]
    """
    check_rows(expected, predicted)
    return [float(want == got) for want, got in zip(expected, predicted, strict=True)]


def labels_of(text: str) -> frozenset[str]:
    """The labels that a text names: those of a JSON list of texts, or the text itself.

    >>> sorted(labels_of('["b", "a", "b"]')), sorted(labels_of("a")), sorted(labels_of("[]"))
    (['a', 'b'], ['a'], [])
    """
    if text.startswith("["):
        try:
            return frozenset(_as_list.decode(text))
        except msgspec.DecodeError:
            pass
    return frozenset([text])


def exact_match_hits(expected: Sequence[str], predicted: Sequence[str]) -> list[float]:
    """Score each row 1.0 where the answer names the very labels that are expected, in whatever order, else 0.0.

    Law: for rows of one label these are the hits of the accuracy. scikit-learn calls their mean subset accuracy.

    >>> exact_match_hits(['["a", "b"]', '["a"]'], ['["b", "a"]', '["a", "b"]'])
    [1.0, 0.0]
    """
    check_rows(expected, predicted)
    return [float(labels_of(want) == labels_of(got)) for want, got in zip(expected, predicted, strict=True)]


def label_counts(expected: Sequence[str], predicted: Sequence[str]) -> tuple[csr_array, csr_array]:
    """Count the labels of every row, labels numbered in order of first sight: hits_RL, and occurrences_RL.

    A hit is a label that is expected and answered; it occurs once for each of the two, so occurrences are the
    2 TP + FN + FP of its F1. Trap: numpy's own text arrays drop trailing NULs, so that two labels may become one;
    hence a dict.

    >>> hits, occurrences = label_counts(["a", "b"], ["a", "a"])
    >>> hits.toarray().tolist(), occurrences.toarray().tolist()
    ([[1.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [1.0, 1.0]])
    """
    check_rows(expected, predicted)
    wanted, given = [labels_of(text) for text in expected], [labels_of(text) for text in predicted]
    numbers: dict[str, int] = {}
    for labels in [*wanted, *given]:
        for label in sorted(labels):
            numbers.setdefault(label, len(numbers))

    def column(rows: Sequence[frozenset[str]]) -> csr_array:
        places = [(row, numbers[label]) for row, labels in enumerate(rows) for label in labels]
        at = tuple(zip(*places, strict=True)) or ((), ())
        return csr_array((np.ones(len(places)), at), shape=(len(rows), len(numbers)))

    hits = column([want & got for want, got in zip(wanted, given, strict=True)])
    return hits, column(wanted) + column(given)


def macro_f1_statistic(expected: Sequence[str], predicted: Sequence[str]) -> Statistic:
    """Make the form of `macro_f1` for resampling, where the same rows are scored thousands of times.

    The classes are those that occur in the drawn rows: a resample that lost a rare class is not charged for it.
    """
    hits_RL, occurrences_RL = label_counts(expected, predicted)

    def statistic(counts_DR: NDArray[np.float64]) -> NDArray[np.float64]:
        occurrences_DL = counts_DR @ occurrences_RL
        f1_DL = safe_ratio(2.0 * (counts_DR @ hits_RL), occurrences_DL)
        return safe_ratio(f1_DL.sum(axis=1), (occurrences_DL > 0.0).sum(axis=1).astype(np.float64))

    return statistic


def micro_f1_statistic(expected: Sequence[str], predicted: Sequence[str]) -> Statistic:
    """Make the form of `micro_f1` for resampling."""
    hits_RL, occurrences_RL = label_counts(expected, predicted)
    return share_of(2.0 * hits_RL.sum(axis=1), occurrences_RL.sum(axis=1))


def macro_f1(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """Average F1 = 2 TP / (2 TP + FP + FN) over the classes that occur, each class counting the same.

    Trap: a class that is only ever predicted counts too, with F1 0; one stray label among two classes takes a third of
    the score. The same number as scikit-learn's `f1_score(average="macro", zero_division=0)`. Where no row has any
    label there is no class, and the score is 0.

    >>> macro_f1(["a", "a", "b", "b"], ["a", "a", "b", "oops"])
    0.5555555555555555
    >>> macro_f1(['["a", "b"]', '["a"]'], ['["a"]', '["a"]'])
    0.5
    """
    return plain_value(len(expected), macro_f1_statistic(expected, predicted))


def micro_f1(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """F1 = 2 TP / (2 TP + FP + FN) over the labels of all rows together, so that a frequent label counts more.

    Law: where every row has one label and gets one, this is the accuracy. Trap: a row that expects no label and gets
    none adds nothing, right as it is; `exact_match` sees it. Where no row has any label the score is 0.

    >>> micro_f1(['["a", "b"]', '["a"]'], ['["a"]', '["a"]'])
    0.8
    """
    return plain_value(len(expected), micro_f1_statistic(expected, predicted))


def _columns(systems: Sequence[Outcomes]) -> tuple[list[str], list[str]]:
    rows = [row for system in systems for row in system]
    return [row.expected for row in rows], [row.answer for row in rows]


def _hits(rows: Sequence[Outcome]) -> list[float]:
    return [float(row.answer == row.expected) for row in rows]


METRICS = (
    share_metric("accuracy", lambda rows: accuracy_hits(*_columns([rows]))),
    share_metric("exact_match", lambda rows: exact_match_hits(*_columns([rows]))),
    statistic_metric("macro_f1", lambda *systems: macro_f1_statistic(*_columns(systems)), is_higher_better=True),
    statistic_metric("micro_f1", lambda *systems: micro_f1_statistic(*_columns(systems)), is_higher_better=True),
    # Of the rows that belong to no label, how many were told so; and the accuracy of all others.
    share_metric("out_of_scope_recall", lambda rows: _hits([row for row in rows if row.expected == NONE_OF_THESE])),
    share_metric("in_scope_accuracy", lambda rows: _hits([row for row in rows if row.expected != NONE_OF_THESE])),
)
