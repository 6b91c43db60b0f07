"""What a model that embeds answers where there is nothing to rank or to compare: the vector itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from fettle.generation.answer import Answer
from fettle.generation.embedding import TextEmbedder

_DIGITS = 6


def vector_answers(
    embed: TextEmbedder, texts: Sequence[str], progress: Callable[[int], None] | None = None
) -> list[Answer]:
    """A JSON list of numbers for each text."""
    vectors = embed(texts, progress)
    return [Answer(json.dumps([round(float(number), _DIGITS) for number in vector])) for vector in vectors]
