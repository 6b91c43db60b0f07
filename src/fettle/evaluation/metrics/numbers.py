"""What an answered number is worth against the expected one: do the two rise together, and how far are they apart?

A correlation knows neither unit nor offset; the errors do. Where one side does not vary at all nothing can rise with
it, and the correlation is 0 by our definition (scipy gives no number), also in a resample that drew one value only.

Axes: D draws, R rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fettle.errors import RequestError
from fettle.evaluation.metric import Outcomes, mean_metric, statistic_metric
from fettle.evaluation.metrics.labels import check_rows
from fettle.evaluation.statistics import ROUNDING, Statistic, plain_value, safe_ratio

_Column = NDArray[np.float64]


def pearson(expected: Sequence[float], answered: Sequence[float]) -> float:
    """Correlate two columns, -1 to 1; 0 where one of them is constant.

    Trap: one row far off all others decides the number alone.

    >>> round(pearson([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]), 6), pearson([1.0, 2.0], [5.0, 5.0])
    (1.0, 0.0)
    """
    check_rows(expected, answered)
    return plain_value(len(expected), _pearson_statistic(_standard(expected), _standard(answered)))


def spearman(expected: Sequence[float], answered: Sequence[float]) -> float:
    """Correlate the ranks of two columns, -1 to 1; equal values share the mean of their ranks.

    0 where one of the columns is constant. Source: Spearman 1904, The proof and measurement of association.

    >>> round(spearman([1.0, 2.0, 3.0], [1.0, 10.0, 1000.0]), 6)
    1.0
    """
    check_rows(expected, answered)
    return plain_value(len(expected), _spearman_statistic(np.asarray(expected, float), np.asarray(answered, float)))


def rmse(expected: Sequence[float], answered: Sequence[float]) -> float:
    """Take the root of the mean squared error, in the unit of the numbers; large errors weigh most.

    >>> rmse([1.0, 2.0], [1.0, 4.0]) == math.sqrt(2.0)
    True
    """
    check_rows(expected, answered)
    return plain_value(len(expected), _rmse_statistic(np.asarray(expected, float), np.asarray(answered, float)))


def absolute_errors(expected: Sequence[float], answered: Sequence[float]) -> list[float]:
    """Measure how far each answer is off, in the unit of the numbers. Law: their mean is the mean absolute error.

    >>> absolute_errors([1.0, 2.0], [1.5, 0.0])
    [0.5, 2.0]
    """
    check_rows(expected, answered)
    return [abs(want - got) for want, got in zip(expected, answered, strict=True)]


def _standard(values: Sequence[float]) -> _Column:
    """The values with mean 0 and spread 1: a correlation stays, and sums of squares lose no digits.

    Two systems that answer on different scales can so be swapped row by row.
    """
    column = np.asarray(values, dtype=np.float64)
    # First to within 1, so that nothing overflows.
    largest = float(np.abs(column).max(initial=0.0))
    column = column / largest if largest > 0.0 else column
    column = column - column.mean()
    spread = float(np.sqrt(np.mean(column**2)))
    return column / spread if spread > ROUNDING else np.zeros_like(column)


def _correlation(num_rows: _Column, sums_D5: _Column) -> _Column:
    """The correlation from sums of x, y, x x, y y and x y over so many rows, for each draw."""
    x, y, xx, yy, xy = sums_D5.T
    spread_x, spread_y = xx - x * x / num_rows, yy - y * y / num_rows
    varies = (spread_x > ROUNDING * xx) & (spread_y > ROUNDING * yy)
    below = np.where(varies, np.sqrt(np.where(varies, spread_x * spread_y, 1.0)), 0.0)
    return np.clip(safe_ratio(xy - x * y / num_rows, below), -1.0, 1.0)


def _pearson_statistic(x: _Column, y: _Column) -> Statistic:
    columns_R5 = np.stack([x, y, x * x, y * y, x * y], axis=1)
    return lambda counts_DR: _correlation(counts_DR.sum(axis=1), counts_DR @ columns_R5)


def _centred_ranks(values: _Column) -> Callable[[_Column], _Column]:
    """Make the function from counts_RD to ranks_RD: what rank each row has where rows are drawn so often.

    Rows of one value share the mean of the ranks that they fill together; the mean of all ranks is taken off, which
    keeps their squares small. Sorting is done once, and rows lie in front so that to reorder them is to copy lines.
    """
    _, group_of_row, sizes = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(group_of_row, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def ranks(counts_RD: _Column) -> _Column:
        filled = np.add.reduceat(counts_RD[order], starts, axis=0)
        reached = np.cumsum(filled, axis=0)
        return np.asarray((reached - (filled + reached[-1]) / 2.0)[group_of_row])

    return ranks


def _spearman_statistic(x: _Column, y: _Column) -> Statistic:
    ranks_of_x, ranks_of_y = _centred_ranks(x), _centred_ranks(y)

    def statistic(counts_DR: _Column) -> _Column:
        counts_RD = np.ascontiguousarray(counts_DR.T)
        x_RD, y_RD = ranks_of_x(counts_RD), ranks_of_y(counts_RD)
        weighed_x, weighed_y = counts_RD * x_RD, counts_RD * y_RD
        pairs = ((weighed_x, x_RD), (weighed_y, y_RD), (weighed_x, y_RD))
        xx, yy, xy = (np.einsum("rd,rd->d", left, right) for left, right in pairs)
        zero = np.zeros_like(xx)
        return _correlation(counts_DR.sum(axis=1), np.stack([zero, zero, xx, yy, xy], axis=1))

    return statistic


def _rmse_statistic(x: _Column, y: _Column) -> Statistic:
    squares = (x - y) ** 2
    return lambda counts_DR: np.sqrt(counts_DR @ squares / counts_DR.sum(axis=1))


def _numbers(rows: Outcomes) -> tuple[list[float], list[float]]:
    """Expected and answered numbers; a text that is none stops the scoring, since no number may stand for it."""
    columns: tuple[list[float], list[float]] = ([], [])
    for row in rows:
        for column, text in zip(columns, (row.expected, row.answer), strict=True):
            try:
                column.append(float(text))
            except ValueError:
                column.append(math.nan)
            if not math.isfinite(column[-1]):
                raise RequestError(f"{text!r} is no finite number", where=row.source, expected="a number as text")
    return columns


def _prepared(
    statistic: Callable[[_Column, _Column], Statistic], scale: Callable[[Sequence[float]], _Column]
) -> Callable[..., Statistic]:
    """Columns of all systems behind one another, the numbers of each system brought to scale by themselves."""

    def prepare(*systems: Outcomes) -> Statistic:
        pairs = [_numbers(rows) for rows in systems]
        expected, answered = (np.concatenate([scale(pair[side]) for pair in pairs]) for side in (0, 1))
        return statistic(expected, answered)

    return prepare


METRICS = (
    statistic_metric("pearson", _prepared(_pearson_statistic, _standard), is_higher_better=True),
    statistic_metric("spearman", _prepared(_spearman_statistic, rankdata), is_higher_better=True),
    statistic_metric("rmse", _prepared(_rmse_statistic, np.asarray), is_higher_better=False),
    mean_metric("mae", lambda rows: (absolute_errors(*_numbers(rows)), None), is_higher_better=False),
)
