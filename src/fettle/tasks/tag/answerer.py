"""Texts to the spans found in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import log_softmax

from fettle.data.records import Record, TaggedText, answer_text
from fettle.generation.answer import Answer
from fettle.generation.reading import numbers_of_examples
from fettle.models.load import OpenModel
from fettle.tasks.tag.encoder import ReadText, TagEncoder, spans_as_json
from fettle.tasks.task import Terms
from fettle.tokens.tagging.decoding import Doubles, likeliest_tags

_TEXTS_AT_ONCE = 256


class SpanAnswerer:
    """The likeliest spans, as a JSON list of `[start, end, label]` in characters of the text as it was given.

    The tags of all windows of a text are decoded together, so a span that crosses from one into the next is found
    whole. The probability is that all of the answer is right.
    """

    def __init__(self, terms: Terms) -> None:
        self._encoder = TagEncoder(terms)
        self._dtype = terms.dtype

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        found: list[Answer] = []
        for first in range(0, len(records), _TEXTS_AT_ONCE):
            texts = [_text_of(record) for record in records[first : first + _TEXTS_AT_ONCE]]
            read = [self._encoder.read(text) for text in texts]
            examples = [example for one in read for example in one.examples]
            numbers = iter(numbers_of_examples(model, examples, self._dtype, is_pooled=False))
            for text, one in zip(texts, read, strict=True):
                found.append(self._answer(text, one, [next(numbers) for _ in one.examples]))
            if progress:
                progress(len(texts))
        return found

    def _answer(self, text: str, read: ReadText, numbers: Sequence[Doubles]) -> Answer:
        numbers_UK = np.concatenate([np.empty((0, len(self._encoder.tags.names))), *numbers])
        tag_U, share = likeliest_tags(log_softmax(numbers_UK, axis=1), self._encoder.tags)
        spans = self._encoder.tags.read(tag_U, read.units)
        answer = spans_as_json(spans)
        return Answer(answer, {answer: share}, in_words=answer_text(TaggedText(text, tuple(spans))))


def _text_of(record: Record) -> str:
    if not isinstance(record, TaggedText):
        raise TypeError(f"tag takes texts, not {type(record).__name__}")
    return record.text
