"""Which words of a text are hidden, and behind what, as in Devlin et al. 2019 (arXiv:1810.04805).

Of the words chosen, eight in ten are replaced by the mask, one by any other word, and one stays as it is; the model is
to say of each what it was. Where the original ids are the reads' tokens, a text can be uncovered again.

Axes: T tokens of a text, V vocabulary.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fettle.tokens.example import Example, Ints, TokenReads

_SHARE_MASKED, _SHARE_CHANGED = 0.8, 0.9
_SEED_OF_HELD_OUT = 15


@dataclass(frozen=True, slots=True, eq=False)
class Hiding:
    """The share of words that is hidden, the mask, and which ids are words: control tokens are never hidden."""

    share: float
    mask_id: int
    is_word_V: NDArray[np.bool_]

    def hide(self, example: Example, draw: np.random.Generator) -> Example:
        """The same text with its words hidden anew: the share of them, at least one where there is any."""
        original_T = uncover(example)
        words = np.flatnonzero(self.is_word_V[original_T])
        count = min(len(words), max(1, round(self.share * len(words))))
        places = np.sort(draw.choice(words, count, replace=False))
        kind = draw.random(count)
        others = draw.choice(np.flatnonzero(self.is_word_V), count)
        ids_T = original_T.copy()
        ids_T[places[kind < _SHARE_CHANGED]] = others[kind < _SHARE_CHANGED]
        ids_T[places[kind < _SHARE_MASKED]] = self.mask_id
        reads = TokenReads(places, original_T[places], np.ones(count, np.float32))
        return replace(example, ids=ids_T, reads=reads)

    def hide_once(self, example: Example) -> Example:
        """The same text, its words hidden as they are wherever it is looked at: a function of the text alone."""
        return self.hide(example, np.random.default_rng([_SEED_OF_HELD_OUT, zlib.crc32(uncover(example).tobytes())]))


def uncover(example: Example) -> Ints:
    """The ids as they were before any was hidden."""
    ids_T = example.ids.copy()
    ids_T[example.reads.at] = example.reads.token
    return ids_T
