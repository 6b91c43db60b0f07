"""Where a text is cut into words, in characters of the text as it stands. No tokenizer is known here.

Axes: W words; 2 is the start of a word and the place after its end.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache

import numpy as np

from fettle.tokens.config import CutAt
from fettle.tokens.example import Ints

# Thai, Lao, Myanmar, Khmer, kana, Chinese characters: people who write them put no blank between words.
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_ZERO_WIDTH_BLANKS = "\u200b\ufeff"


class _Kind(Enum):
    GAP = "stands between words"
    JOINER = "belongs to what stands before it"
    LETTER = "goes on with a word"
    ALONE = "is a word of its own"


def cut_words(text: str, cut_at: CutAt = "signs") -> Ints:
    """The words of a text, [W, 2], side by side in order. Every character but blanks and controls is in one of them.

    A word is a run of letters and digits, a sign alone, or one letter of a script without blanks; with `blanks` signs
    go with the letters beside them. Accents, joiners and other marks without a width stay with what they follow.

    >>> text = "Dr. O'Hara, 東京"
    >>> [text[start:end] for start, end in cut_words(text)]
    ['Dr', '.', 'O', "'", 'Hara', ',', '東', '京']
    >>> [text[start:end] for start, end in cut_words(text, "blanks")]
    ['Dr.', "O'Hara,", '東', '京']
    """
    edges: list[tuple[int, int]] = []
    last = _Kind.GAP
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind is _Kind.GAP:
            last = kind
            continue
        if kind is _Kind.ALONE and cut_at == "blanks" and not _WITHOUT_BLANKS.match(character):
            kind = _Kind.LETTER
        if last is not _Kind.GAP and (kind is _Kind.JOINER or last is kind is _Kind.LETTER):
            edges[-1] = (edges[-1][0], place + 1)
            continue
        edges.append((place, place + 1))
        last = _Kind.LETTER if kind is _Kind.JOINER else kind
    return np.asarray(edges, np.int64).reshape(-1, 2)


def cut_further(words_W2: Ints, places: Ints) -> Ints:
    """The same words, cut in two wherever one of the places falls inside one.

    >>> cut_further(np.asarray([[0, 4], [5, 6]]), np.asarray([2, 4, 5])).tolist()
    [[0, 2], [2, 4], [5, 6]]
    """
    if not len(words_W2):
        return words_W2
    places = np.unique(places)
    before = np.maximum(np.searchsorted(words_W2[:, 0], places) - 1, 0)
    inside = places[(words_W2[before, 0] < places) & (places < words_W2[before, 1])]
    return np.stack([np.sort(np.concatenate([column, inside])) for column in words_W2.T], axis=1)


@lru_cache(maxsize=2**14)
def _kind(character: str) -> _Kind:
    category = unicodedata.category(character)
    if character.isspace() or category == "Cc" or character in _ZERO_WIDTH_BLANKS:
        return _Kind.GAP
    if category[0] == "M" or category == "Cf":
        return _Kind.JOINER
    is_letter = category[0] in "LN" or category == "Pc"
    return _Kind.LETTER if is_letter and not _WITHOUT_BLANKS.match(character) else _Kind.ALONE
