"""Texts to vectors of length 1: what a trunk says of their tokens, pooled, whole or cut to a beginning.

Axes: N texts, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from fettle.errors import RequestError
from fettle.generation.reading import numbers_of_examples
from fettle.models.head import Head, HeadShape
from fettle.models.load import OpenModel
from fettle.tokens.example import Pooling, pooled_example

MOST_TOKENS = 256
"""A longer text is read up to there, where nothing else is known: sentence encoders are trained on no more."""


@dataclass(frozen=True)
class TextEmbedder:
    """A trunk ready to embed texts. The same text always gets the same vector.

    `before` is put in front of every text. `size` cuts vectors to their first numbers (0: whole).
    """

    model: OpenModel
    pooling: Pooling
    most_tokens: int
    before: str = ""
    size: int = 0
    dtype: torch.dtype = torch.float32

    def num_tokens(self, text: str) -> int:
        """How many tokens a text has, those that the encoder puts around it among them."""
        return len(self.model.tokenizer.encode_whole(self.before + text)[0])

    def __call__(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> npt.NDArray[np.float32]:
        """Unit vectors [N, D], in the order of the texts; a text that comes several times is read once."""
        width = self.model.width
        if self.size > width:
            raise RequestError(f"vectors have {width} numbers, and {self.size} are wanted", expected=f"at most {width}")
        different = list(dict.fromkeys(texts))
        trunk = replace(self.model, head=Head(HeadShape(0), width))
        read = [
            pooled_example(
                self.model.tokenizer.encode_whole(self.before + text, most=self.most_tokens)[0], self.pooling, None
            )
            for text in different
        ]
        vectors = numbers_of_examples(trunk, read, self.dtype, progress, is_pooled=True)
        place_of = {text: place for place, text in enumerate(different)}
        found_ND = np.zeros((len(different), width))
        for place, vector in enumerate(vectors):
            found_ND[place] = vector[0]
        cut_ND = found_ND[[place_of[text] for text in texts], : self.size or width]
        lengths_N1 = np.linalg.norm(cut_ND, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = (cut_ND / np.maximum(lengths_N1, 1e-12)).astype(np.float32)
        return unit
