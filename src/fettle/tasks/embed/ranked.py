"""Pairs that are ranked: a text is to lie nearer to its own match than to those of all other texts of the step.

Axes: N texts, D width, P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fettle.data.records import Record, TextPair
from fettle.generation.answer import Answer, Answerer
from fettle.models.load import OpenModel
from fettle.quality.alike.retrieval import Retriever
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
)
from fettle.tasks.embed.samples import RANKED_SAMPLES
from fettle.tasks.task import Method, Terms
from fettle.tokens.example import Example
from fettle.training.losses.ranking import Candidates, RankingShape, ranking_losses


class RankedLosses:
    """Cross-entropy of the match among all matches and others of the step."""

    def __init__(self, terms: Terms) -> None:
        given = terms.embed
        self._shape = RankingShape(given.temperature, given.is_symmetric)
        self._repeats_count = given.repeats_count

    def __call__(self, vectors_ND: Tensor, examples: Sequence[Example]) -> Tensor:
        if not places_of(MATCH, examples):  # texts alone, with which layers are compiled
            return vectors_ND.sum(-1) * 0.0
        texts, rest, candidates = self._sides(examples)
        return ranking_losses(vectors_ND[texts], vectors_ND[rest], candidates.to(vectors_ND.device), self._shape)

    def right(self, vectors_ND: Tensor, examples: Sequence[Example]) -> list[float]:
        texts, rest, candidates = self._sides(examples)
        cosines_QC = normalize(vectors_ND[texts], dim=-1) @ normalize(vectors_ND[rest], dim=-1).T
        nearest_Q = cosines_QC.masked_fill(candidates.is_left_out_QC, -torch.inf).argmax(1)
        return (nearest_Q == candidates.match_Q).double().tolist()

    def _sides(self, examples: Sequence[Example]) -> tuple[list[int], list[int], Candidates]:
        """Places of the texts that ask, of all other texts, and which of those is whose match."""
        number_of: dict[bytes, int] = {}
        numbers = [number_of.setdefault(example.ids.tobytes(), len(number_of)) for example in examples]
        texts = places_of(TEXT, examples)
        matches = set(places_of(MATCH, examples))
        rest = sorted(set(range(len(examples))).difference(texts))
        candidates = Candidates.of(
            [numbers[place] for place in texts],
            [numbers[place] for place in rest],
            [number for number, place in enumerate(rest) if place in matches],
            repeats_count=self._repeats_count,
        )
        return texts, rest, candidates


class NearestAnswerer:
    """The nearest of all matches that the records have, and the place of a record's own.

    Another match of the same text is right as well, and is looked past. Records without a match get their vector.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        pairs = [record for record in records if isinstance(record, TextPair)]
        embed = embedder_of(self._terms, model)
        matches = list(dict.fromkeys(pair.match for pair in pairs if pair.match))
        texts = [pair.text for pair in pairs]
        if not matches:
            return vector_answers(embed, texts, progress)
        place_of = {match: place for place, match in enumerate(matches)}
        right: dict[str, set[int]] = defaultdict(set)
        for pair in pairs:
            right[pair.text].add(place_of.get(pair.match, -1))
        retriever = Retriever.by_vectors(matches, embed)
        nearest = retriever.search(texts, 1).places_QK[:, 0]
        own = [place_of.get(pair.match, -1) for pair in pairs]
        beside = [right[pair.text].difference({place}) for pair, place in zip(pairs, own, strict=True)]
        ranks = retriever.ranks(texts, own, beside)
        if progress:
            progress(len(pairs))
        return [
            Answer(matches[int(place)], rank=rank if pair.match else 0)
            for pair, place, rank in zip(pairs, nearest, ranks, strict=True)
        ]


def _answerer(terms: Terms) -> Answerer:
    return NearestAnswerer(terms)


RANKED = Method(
    "ranked",
    "trunk",
    ("recall_at_3", "recall_at_1", "recall_at_10", "ndcg_at_10", "mrr", "loss"),
    encoder=PairEncoder,
    objective=lambda terms, layout: objective_of(RankedLosses(terms), terms, layout),
    reader=lambda terms: PairReader(RankedLosses(terms), terms),
    answerer=_answerer,
    head=no_head,
    embedder=embedder_of,
    looked_at=("recall_at_3", "mrr"),
    samples=RANKED_SAMPLES,
)
