"""Probabilities become answers: the likeliest label, or every label that is likely enough.

Axes: K labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fettle.data.records import NONE_OF_THESE
from fettle.generation.answer import Answer

OF_SCOPE = ("out_of_scope_recall", "in_scope_accuracy")
_LIKELY = 0.5


def answer_with_one(labels: Sequence[str], shares_K: NDArray[np.float64], least: float) -> Answer:
    """The likeliest label, or none of these where it is less likely than `least`.

    >>> answer_with_one(("a", "b"), np.asarray([0.4, 0.6]), 0.5).text
    'b'
    >>> answer_with_one(("a", "b"), np.asarray([0.4, 0.6]), 0.7).text
    'none of these'
    """
    best = int(np.argmax(shares_K))
    text = labels[best] if shares_K[best] >= least else NONE_OF_THESE
    return Answer(text, dict(zip(labels, shares_K.tolist(), strict=True)))


def answer_with_several(labels: Sequence[str], shares_K: NDArray[np.float64], least: float) -> Answer:
    """Every label that is at least so likely (0: likelier than not), as a JSON list.

    >>> answer_with_several(("a", "b", "c"), np.asarray([0.4, 0.6, 0.5]), 0.0).text
    '["b", "c"]'
    """
    chosen = [label for label, share in zip(labels, shares_K.tolist(), strict=True) if share >= (least or _LIKELY)]
    return Answer(labels_as_json(chosen), dict(zip(labels, shares_K.tolist(), strict=True)))


def labels_as_json(labels: Sequence[str]) -> str:
    """Several labels as an answer, sorted.

    >>> labels_as_json(["b", "a"])
    '["a", "b"]'
    """
    return json.dumps(sorted(labels), ensure_ascii=False)
