"""Vectors to compute losses of, and what sentence-transformers makes of them.

`python tests/training/vector_loss_kit.py`, where sentence-transformers is installed, writes the expected numbers anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

EXPECTED = Path(__file__).with_name("vector_losses.json")
SIZES = {8: 1.0, 5: 0.5, 2: 0.25}


def drawn(seed: int, count: int, width: int = 8, *, columns: int = 2) -> list[Tensor]:
    """Columns of vectors, [count, width] each, in float64; the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, width, generator=generator, dtype=torch.float64) for _ in range(columns)]


def scores_of(seed: int, count: int) -> Tensor:
    """Scores from 0 to 1 with ties among them."""
    return torch.randint(0, 5, (count,), generator=torch.Generator().manual_seed(seed)).to(torch.float64) / 4


class _Model:
    """Stands in for an encoder where an oracle asks for one: its texts are the vectors themselves."""

    device = torch.device("cpu")

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(features)

    def __call__(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.forward(features)

    def get_embedding_dimension(self) -> int:
        return 8


def by_sentence_transformers(name: str, columns: Sequence[Tensor], scores: Tensor | None = None) -> Tensor:
    """The loss of that name by sentence-transformers, a scalar. Law: it is the mean over rows, but for CoSENT."""
    from sentence_transformers.sentence_transformer import losses

    model: Any = _Model()
    symmetric = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    loss: Any
    match name.removesuffix("_prefixes"):
        case "ranking":
            loss = losses.MultipleNegativesRankingLoss(model, scale=20.0)
        case "symmetric":
            loss = losses.MultipleNegativesRankingLoss(model, scale=20.0, **symmetric)
        case "order":
            loss = losses.CoSENTLoss(model, scale=20.0)
        case "cosine":
            loss = losses.CosineSimilarityLoss(model)
    if not name.endswith("_prefixes"):
        found: Tensor = loss.compute_loss_from_embeddings(list(columns), scores)
        return found
    # Its own prefixes go through the model; here they are cut by hand and weighed as it weighs them.
    parts = [
        weight * loss.compute_loss_from_embeddings([column[:, :size] for column in columns], scores)
        for size, weight in SIZES.items()
    ]
    return torch.stack(parts).sum()


def cases() -> dict[str, tuple[list[Tensor], Tensor | None]]:
    """Every loss on drawn vectors, with and without texts named as wrong."""
    return {
        "ranking": (drawn(1, 6, columns=4), None),
        "symmetric": (drawn(2, 5, columns=3), None),
        "order": (drawn(3, 9), scores_of(3, 9)),
        "cosine": (drawn(4, 7), scores_of(4, 7)),
        "ranking_prefixes": (drawn(5, 6, columns=3), None),
        "order_prefixes": (drawn(6, 8), scores_of(6, 8)),
    }


def measured() -> dict[str, dict[str, object]]:
    """What sentence-transformers computes for every case: the loss, and its gradient by the first column."""
    found: dict[str, dict[str, object]] = {}
    for name, (columns, scores) in cases().items():
        columns[0].requires_grad_()
        loss = by_sentence_transformers(name, columns, scores)
        [gradient] = torch.autograd.grad(loss, columns[:1])
        found[name] = {"loss": float(loss.detach()), "gradient": gradient.tolist()}
    return found


if __name__ == "__main__":
    from importlib.metadata import version

    document = {"made_with": f"sentence-transformers {version('sentence-transformers')}", "cases": measured()}
    EXPECTED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
