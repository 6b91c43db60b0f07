"""Which rows make up an optimizer step. A pure function of seed and step, so that resuming needs no memory of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from fettle.tokens.example import Example


class Stream(Protocol):
    """Where the rows of a step come from."""

    def rows(self, step: int) -> list[Example]:
        """The examples of step `step`, counted from 0."""
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
        """Steps that see every row once."""
        return math.ceil(len(self._rows) / self._rows_per_step)

    def rows(self, step: int) -> list[Example]:
        """The examples of step `step`, counted from 0."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._rows))
        chosen = order[place * self._rows_per_step : (place + 1) * self._rows_per_step]
        return [example for index in chosen for example in self._rows[index]]
