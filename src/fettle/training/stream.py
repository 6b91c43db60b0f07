"""Which rows make up an optimizer step. A pure function of seed and step, so that resuming needs no memory of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fettle.tokens.example import Example, Ints


class Stream(Protocol):
    """Where the rows of a step come from."""

    def rows(self, step: int) -> list[Example]:
        """The examples of step `step`, counted from 0."""
        ...


class EpochStream(Stream, Protocol):
    """A stream that comes round."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every row once."""
        ...


Vary = Callable[[Example, np.random.Generator], Example]
"""A row made anew for a step, with what it draws."""

_SALT_OF_VARIED, _SALT_OF_REPLAYED = 1, 2  # else two streams of one seed would draw the same numbers


class VariedRows:
    """The rows of another stream, each made anew for the step: what it draws is decided by seed, step and place."""

    def __init__(self, stream: EpochStream, vary: Vary, seed: int) -> None:
        self._stream = stream
        self._vary = vary
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        return self._stream.steps_per_epoch

    def rows(self, step: int) -> list[Example]:
        return [
            self._vary(example, np.random.default_rng([self._seed, step, place, _SALT_OF_VARIED]))
            for place, example in enumerate(self._stream.rows(step))
        ]


class ReplayedRows:
    """The rows of another stream, and beside them others, drawn afresh for each step: `share` of all rows are theirs.

    Where the share comes to no whole number of rows, it does on average. How many rows there are to draw from changes
    neither the number of steps nor the length of an epoch.
    """

    def __init__(self, stream: EpochStream, others: Sequence[Sequence[Example]], share: float, seed: int) -> None:
        self._stream = stream
        self._others = others
        self._share = share
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        return self._stream.steps_per_epoch

    def rows(self, step: int) -> list[Example]:
        own = self._stream.rows(step)
        draw = np.random.default_rng([self._seed, step, 0, _SALT_OF_REPLAYED])
        count = int(len(own) * self._share / (1 - self._share) + draw.random())
        chosen = draw.choice(len(self._others), count, replace=count > len(self._others))
        return own + [example for index in chosen for example in self._others[index]]


class ShuffledRows:
    """Every row once an epoch, in an order that the seed decides; the last step of an epoch may be shorter.

    A row may have several examples (turns whose prompts do not continue each other); they stay in one step.
    `first` is the order of the first epoch, where that is not the seed's.
    """

    def __init__(
        self, rows: Sequence[Sequence[Example]], rows_per_step: int, seed: int, first: Ints | None = None
    ) -> None:
        self._rows = rows
        self._rows_per_step = rows_per_step
        self._order = _Order(len(rows), seed, first)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self._rows) / self._rows_per_step)

    def rows(self, step: int) -> list[Example]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._order.of(epoch)
        chosen = order[place * self._rows_per_step : (place + 1) * self._rows_per_step]
        return [example for index in chosen for example in self._rows[index]]


class RowsByTokens:
    """Every row once an epoch, in an order that the seed decides, in steps of about `tokens_per_step` tokens.

    An epoch is laid end to end and divided into equal stretches; a row belongs to the step in whose stretch it begins.
    So all epochs have the same number of steps, none of them is a short rest, and each is within one row of the mean.
    Where the longest row has more tokens than a step, steps are made as long as that row, so that none is empty.
    """

    def __init__(
        self, rows: Sequence[Sequence[Example]], tokens_per_step: int, seed: int, first: Ints | None = None
    ) -> None:
        self._rows = rows
        self._lengths: Ints = np.asarray([sum(example.num_tokens for example in row) for row in rows], np.int64)
        self._order = _Order(len(rows), seed, first)
        self._num_tokens = int(self._lengths.sum())
        most = self._num_tokens // max(1, int(self._lengths.max(initial=0)))
        self._num_steps = max(1, min(most, round(self._num_tokens / tokens_per_step)))

    @property
    def steps_per_epoch(self) -> int:
        return self._num_steps

    def rows(self, step: int) -> list[Example]:
        epoch, place = divmod(step, self._num_steps)
        order = self._order.of(epoch)
        lengths = self._lengths[order]
        begins = np.cumsum(lengths) - lengths
        chosen = order[begins * self._num_steps // max(1, self._num_tokens) == place]
        return [example for index in chosen for example in self._rows[index]]


def order_by(keys: Sequence[float], seed: int) -> Ints:
    """Places of rows by their keys, small ones first, rows without a key (NaN) last; the seed orders what is alike.

    >>> order_by([0.5, math.nan, 0.25], seed=0).tolist()
    [2, 0, 1]
    """
    drawn = np.random.default_rng([seed, 0]).permutation(len(keys))
    return drawn[np.argsort(np.asarray(keys, np.float64)[drawn], kind="stable")]


class _Order:
    """The order of the rows in each epoch: drawn from seed and epoch, but for a first one that was given."""

    def __init__(self, num_rows: int, seed: int, first: Ints | None) -> None:
        self._num_rows, self._seed, self._first = num_rows, seed, first

    def of(self, epoch: int) -> Ints:
        if epoch == 0 and self._first is not None:
            return self._first
        return np.random.default_rng([self._seed, epoch]).permutation(self._num_rows)
