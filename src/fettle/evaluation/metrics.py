"""What one answer, or a column of answers, is worth against what was expected.

Pure functions from text to numbers. A share runs from 0 to 1, never to 100. This file knows neither models nor files,
nor how sure a score is: intervals and tests are made from these numbers in `fettle.evaluation.statistics`.

A metric of one row gives one number, so that rows can be resampled and paired. Macro-F1 and pooled chrF are no means
of rows; they take all rows at once, and to resample them is to compute them again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

_ROUGE_TOKEN = re.compile("[a-z0-9]+")


def _check_rows(expected: Sequence[object], predicted: Sequence[object]) -> None:
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
    _check_rows(expected, predicted)
    return [float(want == got) for want, got in zip(expected, predicted, strict=True)]


def label_codes(expected: Sequence[str], predicted: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the labels of two columns alike, 0 upwards in order of first sight.

    Trap: numpy's own text arrays drop trailing NULs, so that two labels may become one; hence a dict.

    >>> want, got = label_codes(["no", "yes"], ["no", "maybe"])
    >>> want.tolist(), got.tolist()
    ([0, 1], [0, 2])
    """
    _check_rows(expected, predicted)
    codes: dict[str, int] = {}
    want = [codes.setdefault(label, len(codes)) for label in expected]
    got = [codes.setdefault(label, len(codes)) for label in predicted]
    return np.array(want, dtype=np.intp), np.array(got, dtype=np.intp)


def macro_f1_of_codes(expected: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    """Take macro-F1 of numbered labels: the form for resampling, where the same rows are scored thousands of times.

    The classes are those that occur in these very rows: a resample that lost a rare class is not charged for it.

    >>> expected, predicted = label_codes(["a", "a", "b"], ["a", "b", "b"])
    >>> rows = np.array([0, 0, 2])
    >>> macro_f1_of_codes(expected[rows], predicted[rows])
    1.0
    """
    num_codes = int(max(expected.max(), predicted.max())) + 1
    hits = np.bincount(expected[expected == predicted], minlength=num_codes)
    # Expected plus predicted count of a class is 2 TP + FN + FP, the denominator of its F1.
    occurrences = np.bincount(expected, minlength=num_codes) + np.bincount(predicted, minlength=num_codes)
    occurs = occurrences > 0
    return float(np.mean(2.0 * hits[occurs] / occurrences[occurs]))


def macro_f1(expected: Sequence[str], predicted: Sequence[str]) -> float:
    """Average F1 = 2 TP / (2 TP + FP + FN) over the classes that occur, each class counting the same.

    Trap: a class that is only ever predicted counts too, with F1 0; one stray label among two classes takes a third of
    the score. The same number as scikit-learn's `f1_score(average="macro", zero_division=0)`.

    >>> macro_f1(["a", "a", "b", "b"], ["a", "a", "b", "oops"])
    0.5555555555555555
    """
    return macro_f1_of_codes(*label_codes(expected, predicted))


def chrf(hypothesis: str, reference: str) -> float:
    """Score one text by its character n-grams (chrF2, n up to 6), 0 to 1, with sacrebleu's defaults.

    Trap: blanks are dropped first, so "a b" and "ab" are alike, and two empty texts score 0, not 1.
    Source: Popović 2015, chrF: character n-gram F-score for automatic MT evaluation.

    >>> chrf("the cat", "the cat"), chrf("", "the cat")
    (1.0, 0.0)
    """
    return float(CHRF().sentence_score(hypothesis, [reference]).score) / 100.0


def corpus_chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Score all rows as one text: n-gram counts are pooled before the division, 0 to 1.

    Trap: this is not the mean of `chrf` over the rows; long rows weigh more here. Papers report this one.

    >>> corpus_chrf(["ab", "long text"], ["xy", "long text"]) > (chrf("ab", "xy") + chrf("long text", "long text")) / 2
    True
    """
    _check_rows(references, hypotheses)
    return float(CHRF().corpus_score(list(hypotheses), [list(references)]).score) / 100.0


def longest_common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Count the tokens of the longest sequence that both hold in order, gaps allowed.

    One row of the textbook table is one big integer: a zero bit marks a column where the length grows by one, so a
    row costs a few machine instructions for every 64 columns.
    Source: Hyyrö 2004, Bit-parallel LCS-length computation revisited.

    >>> longest_common_subsequence("the cat sat down".split(), "the dog sat".split())
    2
    """
    places: dict[str, int] = {}
    for column, token in enumerate(left):
        places[token] = places.get(token, 0) | 1 << column
    every_column = (1 << len(left)) - 1
    row = every_column
    for token in right:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & every_column
    return len(left) - row.bit_count()


def rouge_l(hypothesis: str, reference: str) -> float:
    """Score one text by the longest common subsequence of words: F1 of LCS / length on either side, 0 to 1.

    Words are runs of [a-z0-9] after lower-casing, unstemmed, as in the package rouge-score. Trap: letters beyond
    ASCII are blanks to it, so a Greek or Chinese text scores 0 even against itself; use `chrf` there.
    Source: Lin 2004, ROUGE: a package for automatic evaluation of summaries.

    >>> rouge_l("The cat sat.", "the dog sat")
    0.6666666666666666
    >>> rouge_l("γάτα", "γάτα")
    0.0
    """
    hypothesis_words = _ROUGE_TOKEN.findall(hypothesis.lower())
    reference_words = _ROUGE_TOKEN.findall(reference.lower())
    num_words = len(hypothesis_words) + len(reference_words)
    if num_words == 0:
        return 0.0
    return 2.0 * longest_common_subsequence(hypothesis_words, reference_words) / num_words


def bits_per_byte(loss_nats: float, num_bytes: int) -> float:
    """Turn the summed loss of a text into bits for each byte of its UTF-8; a text without bytes has 0.

    Models with different tokenizers compare, since the bytes of a text are the same to all.

    >>> bits_per_byte(8 * math.log(2), 4)
    2.0
    """
    return loss_nats / math.log(2) / num_bytes if num_bytes else 0.0


def perplexity(mean_loss_nats: float) -> float:
    """Turn mean loss for each token into perplexity, e to the loss; beyond what a float holds it is infinite.

    Trap: perplexities of models with different tokenizers do not compare, since the tokens are not the same.

    >>> perplexity(0.0), perplexity(1e6)
    (1.0, inf)
    """
    try:
        return math.exp(mean_loss_nats)
    except OverflowError:
        return math.inf
