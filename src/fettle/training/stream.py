"""Which rows make up an optimizer step. A pure function of seed and step, so that resuming needs no memory of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


class ShuffledRows:
    """Every row once an epoch, in an order that the seed decides; the last step of an epoch may be shorter.

    A row may have several examples (turns whose prompts do not continue each other); they stay in one step.
    """

    def __init__(self, rows: Sequence[Sequence[Example]], rows_per_step: int, seed: int) -> None:
        self._rows = rows
        self._rows_per_step = rows_per_step
        self._seed = seed

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self._rows) / self._rows_per_step)

    def rows(self, step: int) -> list[Example]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _order_of(epoch, len(self._rows), self._seed)
        chosen = order[place * self._rows_per_step : (place + 1) * self._rows_per_step]
        return [example for index in chosen for example in self._rows[index]]


class RowsByTokens:
    """Every row once an epoch, in an order that the seed decides, in steps of about `tokens_per_step` tokens.

    An epoch is laid end to end and divided into equal stretches; a row belongs to the step in whose stretch it begins.
    So all epochs have the same number of steps, none of them is a short rest, and each is within one row of the mean.
    Where the longest row has more tokens than a step, steps are made as long as that row, so that none is empty.
    """

    def __init__(self, rows: Sequence[Sequence[Example]], tokens_per_step: int, seed: int) -> None:
        self._rows = rows
        self._lengths: Ints = np.asarray([sum(example.num_tokens for example in row) for row in rows], np.int64)
        self._seed = seed
        self._num_tokens = int(self._lengths.sum())
        most = self._num_tokens // max(1, int(self._lengths.max(initial=0)))
        self._num_steps = max(1, min(most, round(self._num_tokens / tokens_per_step)))

    @property
    def steps_per_epoch(self) -> int:
        return self._num_steps

    def rows(self, step: int) -> list[Example]:
        epoch, place = divmod(step, self._num_steps)
        order = _order_of(epoch, len(self._rows), self._seed)
        lengths = self._lengths[order]
        begins = np.cumsum(lengths) - lengths
        chosen = order[begins * self._num_steps // max(1, self._num_tokens) == place]
        return [example for index in chosen for example in self._rows[index]]


def _order_of(epoch: int, num_rows: int, seed: int) -> Ints:
    return np.random.default_rng([seed, epoch]).permutation(num_rows)
