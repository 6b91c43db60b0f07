"""What a written answer is worth against the expected text: n-grams of characters, words in common.

A share runs from 0 to 1, never to 100. Pooled chrF is no mean of rows; it takes all rows at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sacrebleu.metrics.chrf import CHRF

from fettle.evaluation.metric import Metric, Outcomes, mean_metric
from fettle.evaluation.metrics.labels import check_rows

_ROUGE_TOKEN = re.compile("[a-z0-9]+")


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
    check_rows(references, hypotheses)
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


def _mean_of(name: str, measure: Callable[[str, str], float]) -> Metric:
    def columns(rows: Outcomes) -> tuple[list[float], None]:
        return [measure(row.answer, row.expected) for row in rows], None

    return mean_metric(name, columns, is_higher_better=True)


METRICS = (_mean_of("chrf", chrf), _mean_of("rouge_l", rouge_l))
