"""What a ranking is worth whose one right entry is known: at which place did it stand? 1 is the first.

A row in which nothing was ranked (rank 0) scores 0 in all of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fettle.evaluation.metric import Metric, Outcomes, mean_metric, share_metric


def recall_hit(rank: int, most: int) -> float:
    """Score 1.0 where the right entry is among the first `most`, else 0.0.

    >>> recall_hit(3, 3), recall_hit(4, 3), recall_hit(0, 3)
    (1.0, 0.0, 0.0)
    """
    return float(1 <= rank <= most)


def reciprocal_rank(rank: int) -> float:
    """One over the place of the right entry; the mean over rows is known as MRR.

    >>> reciprocal_rank(4)
    0.25
    """
    return 1.0 / rank if rank else 0.0


def discounted_gain(rank: int, most: int) -> float:
    """1 / log2(1 + rank) among the first `most` places, else 0: NDCG where one entry is right and all others wrong.

    The best that can be had is 1, so the gain needs no further scaling.
    Source: Järvelin and Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques.

    >>> discounted_gain(1, 10), discounted_gain(3, 10), discounted_gain(11, 10)
    (1.0, 0.5, 0.0)
    """
    return recall_hit(rank, most) / math.log2(1 + max(rank, 1))


def _recall(most: int) -> Metric:
    return share_metric(f"recall_at_{most}", lambda rows: [recall_hit(row.rank, most) for row in rows])


def _mean(name: str, gain: Callable[[int], float]) -> Metric:
    def columns(rows: Outcomes) -> tuple[list[float], None]:
        return [gain(row.rank) for row in rows], None

    return mean_metric(name, columns, is_higher_better=True)


METRICS = (
    _recall(1),
    _recall(3),
    _recall(10),
    _mean("ndcg_at_10", lambda rank: discounted_gain(rank, 10)),
    _mean("mrr", reciprocal_rank),
)
