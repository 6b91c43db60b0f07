"""Hidden words: how encoders go on with their pre-training. They say what stood where a word is hidden.

A row is read as the tokenizer surrounds whole texts. Its words are hidden anew in every step; where it is only looked
at they are hidden once and for all, so that two looks, and two models, are asked the same.
"""

from __future__ import annotations

import numpy as np

from fettle.data.records import PlainText, Record
from fettle.errors import RequestError
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import Method, Terms
from fettle.tasks.text.hiding import Hiding
from fettle.tasks.words import next_token, word_reader
from fettle.tokens.example import Example, TokenReads
from fettle.training.stream import Vary

_NO_READS = TokenReads.of([], [], [])


class HiddenWords:
    """Texts whose words are hidden once; longer ones are cut, or read in sections that together lose nothing."""

    def __init__(self, terms: Terms) -> None:
        self._tokenizer = terms.tokenizer
        self._hiding = hiding_of(terms)
        self._is_split = terms.prompt.too_long == "split"
        self._room = terms.max_length - sum(map(len, terms.tokenizer.surroundings))
        if self._room < 1:
            raise RequestError(
                f"{terms.max_length} tokens hold no word beside those that surround a text",
                where="prompt.max_length",
            )

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, PlainText):
            raise TypeError(f"text takes plain texts, not {type(record).__name__}")
        ids = np.asarray(self._tokenizer.encode_plain(record.text), np.int64)
        before, behind = self._tokenizer.surroundings
        starts = range(0, len(ids), self._room) if self._is_split else [0]
        num_cut = 0 if self._is_split else max(0, len(ids) - self._room)
        sections = [np.concatenate([before, ids[start : start + self._room], behind]) for start in starts]
        hidden = [
            self._hiding.hide_once(Example(section, _NO_READS, source, num_cut_tokens=num_cut)) for section in sections
        ]
        return [example for example in hidden if len(example.reads)]

    def expected(self, record: Record) -> str:
        return ""


def hiding_of(terms: Terms) -> Hiding:
    """What is hidden of this base's words."""
    if terms.tokenizer.mask_id is None:
        raise RequestError(
            "the tokenizer has no token that hides a word",
            where="base",
            expected="mask_token in tokenizer_config.json",
            attempt="an encoder such as BERT, or method=causal with a decoder",
        )
    return Hiding(terms.masking.share, terms.tokenizer.mask_id, _words_of(terms.tokenizer))


def _words_of(tokenizer: ModelTokenizer) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether each id is a word, [V]: neither a control token nor the one that stands for what is unknown."""
    is_word_V = np.zeros(max(tokenizer.inner.get_vocab().values()) + 1, bool)
    is_word_V[list(tokenizer.inner.get_vocab().values())] = True
    is_word_V[tokenizer.inner.convert_tokens_to_ids(list(tokenizer.control_texts))] = False
    return is_word_V


def _vary(terms: Terms) -> Vary:
    return hiding_of(terms).hide


def _nothing_asked(_terms: Terms) -> None:
    return None


MASKED = Method(
    "masked",
    "masked",
    ("loss", "perplexity", "token_accuracy"),
    encoder=HiddenWords,
    objective=next_token,
    reader=word_reader,
    answerer=_nothing_asked,
    vary=_vary,
    samples=tuple(
        PlainText(text)
        for text in (
            "The parcel is on its way.",
            "It will be there on Monday.",
            "A kettle boils water.",
            "Tea wants fresh water.",
            "The shop opens at nine.",
            "It closes at six.",
            "On Sundays it is closed.",
            "Rain is expected.",
        )
    ),
)
