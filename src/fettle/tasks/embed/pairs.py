"""Pairs as a model reads them: each text for itself, with the part that it plays in its pair.

Axes: N texts, D width, P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fettle.data.records import Record, TextPair
from fettle.generation.embedding import TextEmbedder
from fettle.generation.reading import RowLoss, numbers_of_examples
from fettle.models.head import HeadShape
from fettle.models.load import OpenModel
from fettle.tasks.task import Terms
from fettle.tasks.whole import WholeTexts, text_before
from fettle.tokens.example import Example, Target
from fettle.tokens.layout import Layout
from fettle.training.losses.prefixes import over_prefixes
from fettle.training.objective import Objective
from fettle.training.step_vectors import StepVectors

TEXT, MATCH, OTHER = 0, 1, 2
"""The parts of a pair: what is asked with, what belongs to it, and what does not."""

BLANK = Target(np.asarray([TEXT, 0.0], np.float32))


class PairLosses(Protocol):
    """What pairs cost each other."""

    def __call__(self, vectors_ND: Tensor, examples: Sequence[Example]) -> Tensor:
        """The loss of each pair, [P], from the vectors of all texts, in their order."""
        ...

    def right(self, vectors_ND: Tensor, examples: Sequence[Example]) -> list[float]:
        """For each pair 1.0 where its match is the nearest of all; 0.0 where nothing is ranked."""
        ...


class PairEncoder:
    """The texts of a pair in the order text, match, others. The pair's weight is that of its text.

    A target holds the part and the score of the pair.
    """

    def __init__(self, terms: Terms) -> None:
        self._texts = WholeTexts(terms)

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, TextPair):
            raise TypeError(f"embed takes pairs, not {type(record).__name__}")
        parts = [(TEXT, record.text), (MATCH, record.match), *((OTHER, other) for other in record.others)]
        return [self._example(part, text, record.score or 0.0, source) for part, text in parts]

    def expected(self, record: Record) -> str:
        if not isinstance(record, TextPair):
            return ""
        return record.match if record.score is None else f"{record.score:g}"

    def _example(self, part: int, text: str, score: float, source: str) -> Example:
        target = Target(np.asarray([part, score], np.float32), 1.0 if part == TEXT else 0.0)
        return self._texts.read(text, "", source, target)


class PairReader:
    """What pairs cost, among as many as a step has."""

    def __init__(self, losses: PairLosses, terms: Terms) -> None:
        self._losses = losses
        self._dtype = terms.dtype
        self._pairs_at_once = terms.training.rows_per_step

    def losses(self, model: OpenModel, rows: Sequence[Sequence[Example]]) -> list[RowLoss]:
        """One for each row, in order."""
        found = []
        for first in range(0, len(rows), self._pairs_at_once):
            examples = [example for row in rows[first : first + self._pairs_at_once] for example in row]
            numbers = numbers_of_examples(model, examples, self._dtype, is_pooled=True)
            vectors_ND = torch.from_numpy(np.concatenate(numbers))
            costs = self._losses(vectors_ND, examples).tolist()
            found += [
                RowLoss(cost, 1.0, right)
                for cost, right in zip(costs, self._losses.right(vectors_ND, examples), strict=True)
            ]
        return found


def embedder_of(terms: Terms, model: OpenModel, size: int = 0) -> TextEmbedder:
    """The model as it embeds texts, in training and after."""
    return TextEmbedder(model, terms.pooling, terms.max_length, text_before(terms), size, terms.dtype)


def no_head(_terms: Terms) -> HeadShape:
    """The vector is what was pooled."""
    return HeadShape(0)


def objective_of(losses: PairLosses, terms: Terms, layout: Layout) -> Objective:
    """All pairs of a step against each other, over every beginning of the vectors that is to be of use."""

    def summed(vectors_ND: Tensor, examples: Sequence[Example]) -> Tensor:
        weights = [target.weight for target in map(target_of, examples) if target.values[0] == TEXT]
        weights_P = vectors_ND.new_tensor(weights)
        width = vectors_ND.shape[1]
        sizes = dict.fromkeys([*(size for size in terms.head.sizes if size < width), width], 1.0)
        return over_prefixes(lambda cut_ND: losses(cut_ND, examples) @ weights_P, vectors_ND, sizes)

    return StepVectors(layout, summed, BLANK)


def target_of(example: Example) -> Target:
    """The part that a text plays, and the score of its pair."""
    if example.target is None:
        raise TypeError(f"{example.source}: a text without its part in a pair")
    return example.target


def places_of(part: int, examples: Sequence[Example]) -> list[int]:
    """Where the texts of one part stand."""
    return [place for place, example in enumerate(examples) if target_of(example).values[0] == part]
