"""What gets a tag, and the token at which the model is read for it: words beside the tokenizer's own offsets.

Axes: W words, N tokens, U units; 2 is the start and the place after the end, in characters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fettle.tokens.example import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Runs of characters, side by side in order, and for each the token that speaks for it, in rising order."""

    start: Ints
    end: Ints
    token: Ints

    def __len__(self) -> int:
        return len(self.token)


def find_units(words_W2: Ints, offsets_N2: Ints, *, is_causal: bool) -> Units:
    """A unit a word, read at the first token that has a character of it.

    A causal model is read at the last one, where it has seen the whole word. A word without any token (the normaliser
    dropped its characters) is no unit: nothing can be said of it. Words that are read at the same token are one unit:
    the model could not tell them apart.

    >>> words, offsets = np.asarray([[0, 3], [4, 6], [6, 7]]), np.asarray([[0, 2], [2, 3], [3, 7]])
    >>> units = find_units(words, offsets, is_causal=False)
    >>> list(zip(units.start.tolist(), units.end.tolist(), units.token.tolist()))
    [(0, 3, 0), (4, 7, 2)]
    """
    first_W, last_W = _tokens_of_words(words_W2, offsets_N2)
    has_token_W = last_W >= 0
    words_W2 = words_W2[has_token_W]
    # Where a normaliser puts marks into another order, a token may begin before the one that it follows.
    token_W = np.maximum.accumulate((last_W if is_causal else first_W)[has_token_W])
    begins_W = np.diff(token_W, prepend=-1) > 0
    ends_W = np.diff(token_W, append=len(offsets_N2)) > 0
    return Units(words_W2[begins_W, 0], words_W2[ends_W, 1], token_W[begins_W])


def _tokens_of_words(words_W2: Ints, offsets_N2: Ints) -> tuple[Ints, Ints]:
    """The first and the last token that has a character of each word; N and -1 where there is none."""
    num_tokens = len(offsets_N2)
    first_W = np.full(len(words_W2), num_tokens)
    last_W = np.full(len(words_W2), -1)
    # Tokens have a run of characters each, and words too, so one looks for the words between two places.
    low_N = np.searchsorted(words_W2[:, 1], offsets_N2[:, 0], side="right")
    high_N = np.searchsorted(words_W2[:, 0], offsets_N2[:, 1], side="left")
    has_characters_N = offsets_N2[:, 0] < offsets_N2[:, 1]
    count_N = np.where(has_characters_N, np.maximum(high_N - low_N, 0), 0)
    token = np.repeat(np.arange(num_tokens), count_N)
    nth = np.arange(len(token)) - np.repeat(np.cumsum(count_N) - count_N, count_N)
    word = np.repeat(low_N, count_N) + nth
    np.minimum.at(first_W, word, token)
    np.maximum.at(last_W, word, token)
    return first_W, last_W
