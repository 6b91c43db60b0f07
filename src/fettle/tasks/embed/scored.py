"""Pairs with scores: the cosine of two texts is to rise with how near people say they are.

Axes: N texts, D width, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from fettle.data.records import Record, TextPair
from fettle.errors import RequestError
from fettle.generation.answer import Answer, Answerer
from fettle.models.load import OpenModel
from fettle.tasks.embed.answers import vector_answers
from fettle.tasks.embed.pairs import (
    MATCH,
    TEXT,
    PairEncoder,
    PairReader,
    embedder_of,
    no_head,
    objective_of,
    places_of,
    target_of,
)
from fettle.tasks.embed.samples import SCORED_SAMPLES
from fettle.tasks.task import Method, Terms
from fettle.tokens.example import Example
from fettle.training.losses.nearness import cosine_errors, order_loss


class ScoredLosses:
    """By the order of the scores, where each pair has an equal share of the one loss, or by the scores as cosines."""

    def __init__(self, terms: Terms) -> None:
        self._temperature = terms.embed.temperature
        self._by_order = terms.embed.scores == "order"

    def __call__(self, vectors_ND: Tensor, examples: Sequence[Example]) -> Tensor:
        texts, matches = places_of(TEXT, examples), places_of(MATCH, examples)
        if not matches:  # texts alone, with which layers are compiled
            return vectors_ND.sum(-1) * 0.0
        left_PD, right_PD = vectors_ND[texts], vectors_ND[matches]
        targets = [target_of(examples[place]) for place in texts]
        scores_P = vectors_ND.new_tensor([float(target.values[1]) for target in targets])
        if not self._by_order:
            return cosine_errors(left_PD, right_PD, scores_P)
        weights_P = vectors_ND.new_tensor([target.weight for target in targets])
        return order_loss(left_PD, right_PD, scores_P, weights_P, self._temperature).expand(len(texts))

    def right(self, vectors_ND: Tensor, examples: Sequence[Example]) -> list[float]:
        return [0.0] * len(places_of(TEXT, examples))


class ScoredEncoder(PairEncoder):
    """Pairs with a score each; scores that are to be cosines have the range of cosines."""

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._are_cosines = terms.embed.scores == "cosine"

    def examples(self, record: Record, source: str) -> list[Example]:
        score = record.score if isinstance(record, TextPair) else None
        if self._are_cosines and score is not None and abs(score) > 1:
            raise RequestError(
                f"the score {score:g} is no cosine",
                where=source,
                expected="scores from -1 to 1",
                attempt="embed.scores=order",
            )
        return super().examples(record, source)


class CosineAnswerer:
    """The cosine of the two texts. Records without a second text get their vector."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        pairs = [record for record in records if isinstance(record, TextPair)]
        embed = embedder_of(self._terms, model)
        if not any(pair.match for pair in pairs):
            return vector_answers(embed, [pair.text for pair in pairs], progress)
        left, right = embed([pair.text for pair in pairs]), embed([pair.match for pair in pairs])
        if progress:
            progress(len(pairs))
        return [Answer(f"{cosine:.6g}") for cosine in (left.astype("f8") * right).sum(axis=1)]


def _answerer(terms: Terms) -> Answerer:
    return CosineAnswerer(terms)


SCORED = Method(
    "scored",
    "trunk",
    ("spearman", "pearson", "loss"),
    encoder=ScoredEncoder,
    objective=lambda terms, layout: objective_of(ScoredLosses(terms), terms, layout),
    reader=lambda terms: PairReader(ScoredLosses(terms), terms),
    answerer=_answerer,
    head=no_head,
    embedder=embedder_of,
    looked_at=("spearman",),
    samples=SCORED_SAMPLES,
)
