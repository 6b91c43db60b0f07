"""What the loss of the expected answer comes to: for each token, for each byte, as perplexity. Less is better; only of
the share of what was the likeliest is more.

Loss is in nats, summed over the learned tokens of a row; the division comes last, so long rows weigh more.
"""

from __future__ import annotations

import math
import sys

from fettle.evaluation.comparing import Difference
from fettle.evaluation.metric import Metric, Outcomes, mean_metric
from fettle.evaluation.statistics import Estimate


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


def _losses(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Mean loss of each row, and its weight."""
    return [row.loss / row.weight if row.weight else 0.0 for row in rows], [row.weight for row in rows]


def _bits(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Bits for each byte of each row, and its weight: its bytes."""
    return [bits_per_byte(row.loss, row.num_bytes) for row in rows], [float(row.num_bytes) for row in rows]


def _rights(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Share of each row's weight that was the likeliest, and the weight."""
    return [row.right / row.weight if row.weight else 0.0 for row in rows], [row.weight for row in rows]


_LOSS = mean_metric("loss", _losses, is_higher_better=False)


def _finite_perplexity(loss: float) -> float:
    """Perplexity that a JSON document can hold: the largest number stands for all beyond it."""
    return min(perplexity(loss), sys.float_info.max)


def _perplexity(rows: Outcomes) -> float:
    return _finite_perplexity(_LOSS.value(rows))


def _estimate_perplexity(rows: Outcomes) -> Estimate:
    loss = _LOSS.estimate(rows)
    low, high = loss.interval
    return Estimate(_finite_perplexity(loss.value), (_finite_perplexity(low), _finite_perplexity(high)))


def _compare_perplexity(a: Outcomes, b: Outcomes) -> Difference:
    """The test of the loss; the difference and its interval as perplexities around b's."""
    loss = _LOSS.compare(a, b)
    floor = _LOSS.value(b)

    def apart(difference: float) -> float:
        return _finite_perplexity(floor + difference) - _finite_perplexity(floor)

    return Difference(apart(loss.value), (apart(loss.interval[0]), apart(loss.interval[1])), loss.p)


METRICS = (
    _LOSS,
    mean_metric("bits_per_byte", _bits, is_higher_better=False),
    mean_metric("token_accuracy", _rights, is_higher_better=True),
    Metric("perplexity", False, _perplexity, _estimate_perplexity, _compare_perplexity),
)
