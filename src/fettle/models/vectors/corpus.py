"""Texts as the runs of words that vectors are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import trainers

from fettle.models.vectors.words import CONTROL_WORDS, Division, with_control_words, word_tokenizer

# Encodings hold far more than ids, so texts are encoded in parts.
_TEXTS_AT_ONCE = 10_000


@dataclass(frozen=True, eq=False)
class Corpus:
    """The words of all texts, end to end, the rare ones left out: `words_T` counts in `words`, `text_T` tells the text.

    `words` stand by falling count. No window reaches from one text into another.
    """

    words: list[str]
    words_T: npt.NDArray[np.int32]
    text_T: npt.NDArray[np.int32]

    @property
    def counts_V(self) -> npt.NDArray[np.int64]:
        """How often each word stands in the texts."""
        return np.bincount(self.words_T, minlength=len(self.words))


def read_corpus(texts: Sequence[str], division: Division, most: int, least_count: int) -> Corpus:
    """Divide texts into words and keep the `most` commonest of those that occur `least_count` times.

    Among words that are equally common the order of their letters decides, so the same texts give the same corpus.
    """
    tokenizer = word_tokenizer(with_control_words([]), division)
    trainer = trainers.WordLevelTrainer(
        vocab_size=most + len(CONTROL_WORDS),
        min_frequency=least_count,
        special_tokens=list(CONTROL_WORDS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    words = sorted(vocabulary.keys() - set(CONTROL_WORDS), key=lambda word: vocabulary[word])
    ids: list[npt.NDArray[np.int32]] = []
    sizes: list[int] = []
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        part = list(texts[first : first + _TEXTS_AT_ONCE])
        for encoded in tokenizer.encode_batch_fast(part, add_special_tokens=False):
            of_text = np.asarray(encoded.ids, np.int32) - len(CONTROL_WORDS)
            ids.append(of_text[of_text >= 0])
            sizes.append(len(ids[-1]))
    joined = np.concatenate([np.empty(0, np.int32), *ids])
    return Corpus(words, joined, np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
