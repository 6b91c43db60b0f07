"""Words: how a text is divided into them, and the tokenizer of a table of vectors.

A word is a run of letters and digits; marks stand alone. Files of vectors were made from texts divided in one of
several ways, which shows in their words, so the way is read off them: whether capitals are told apart, whether
hyphens join, and what becomes of "don't" (one word, as in word2vec's own; do and n't, as in the Penn Treebank).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

PAD, UNKNOWN = "<pad>", "<unk>"
CONTROL_WORDS = (PAD, UNKNOWN)
"""Padding, and the word for all words that the table does not hold; the ids are 0 and 1."""

Contractions = Literal["whole", "treebank", "apart"]

_LETTER = r"[\p{L}\p{M}\p{N}_]"
_NUMBER = r"\p{N}+(?:[.,]\p{N}+)+"
# Marks that tables hold as one word; all others stand alone.
_MARKS = r"\.\.\.|--|``|''|\S"
_ENDINGS = r"(?:s|m|d|re|ve|ll|S|M|D|RE|VE|LL)"
# Enough to meet what every large table holds among its first, and little beside the reading of the table.
_NUM_LOOKED_AT = 50_000


@dataclass(frozen=True)
class Division:
    """How texts are divided into words."""

    is_lower: bool = True
    joins_hyphens: bool = True
    contractions: Contractions = "whole"

    def pattern(self) -> str:
        """What a word is, as an expression of Oniguruma; the first alternative that fits is taken."""
        inner = "-" if self.joins_hyphens else ""
        if self.contractions == "whole":
            inner += "'’"
        run = rf"{_LETTER}+(?:[{inner}]{_LETTER}+)*" if inner else rf"{_LETTER}+"
        joined = rf"{_NUMBER}|{run}"

        if self.contractions != "treebank":
            return rf"{joined}|{_MARKS}"
        # Before n't a word ends early: do|n't, ca|n't.
        negated = rf"{_LETTER}+?(?=[nN]['’][tT]\b)|[nN]['’][tT]\b"
        return rf"{negated}|['’]{_ENDINGS}\b|{joined}|{_MARKS}"


def division_of(words: Sequence[str]) -> Division:
    """The way in which the texts were divided that a table was made from.

    >>> division_of(["the", "n't", "well-known"])
    Division(is_lower=True, joins_hyphens=True, contractions='treebank')
    >>> division_of(["The", "cat"]).is_lower
    False
    """
    known = set(words)
    first = list(islice(words, _NUM_LOOKED_AT))
    contractions: Contractions = "treebank" if "n't" in known else "whole" if "don't" in known else "apart"
    return Division(
        is_lower=all(word == word.lower() for word in first if word.strip("</>").isalpha()),
        joins_hyphens=any("-" in word.strip("-") and word.replace("-", "").isalpha() for word in first),
        contractions=contractions,
    )


def word_tokenizer(vocabulary: Mapping[str, int], division: Division) -> Tokenizer:
    """The tokenizer: each word that the vocabulary holds has its id, every other the one of the unknown word.

    >>> tokenizer = word_tokenizer({"<pad>": 0, "<unk>": 1, "the": 2, "cat": 3, ".": 4}, Division())
    >>> encoded = tokenizer.encode("The CAT, the dog.")
    >>> encoded.ids, encoded.offsets[-2:]
    ([2, 3, 1, 2, 1, 4], [(13, 16), (16, 17)])
    """
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), unk_token=UNKNOWN))
    if division.is_lower:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(division.pattern()), behavior="removed", invert=True)
    tokenizer.add_special_tokens(list(CONTROL_WORDS))
    return tokenizer


def with_control_words(words: Iterable[str]) -> dict[str, int]:
    """The vocabulary of a table: the control words, then the words in their order. Each stands once."""
    return {word: number for number, word in enumerate((*CONTROL_WORDS, *words))}


def tokenizer_files(words: Sequence[str], division: Division) -> dict[str, bytes]:
    """The files of the tokenizer as transformers reads them."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": None,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "model_max_length": int(1e30),
    }
    return {
        "tokenizer.json": word_tokenizer(with_control_words(words), division).to_str().encode(),
        "tokenizer_config.json": (json.dumps(config, indent=1) + "\n").encode(),
    }
