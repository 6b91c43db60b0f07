"""Texts as a tagger reads them: where each unit of a text is read, in as many windows as it takes.

Axes: U units, N tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fettle.data.records import Record, Span, TaggedText
from fettle.errors import RequestError
from fettle.tasks.task import Terms
from fettle.tokens.example import Example, Floats, Ints, TokenReads
from fettle.tokens.tagging.tags import Tags
from fettle.tokens.tagging.units import Units, find_units
from fettle.tokens.tagging.windows import cut_windows
from fettle.tokens.tagging.words import cut_further, cut_words


@dataclass(frozen=True, slots=True, eq=False)
class ReadText:
    """The units of a text, and the windows in which they are read, one after the other."""

    units: Units
    examples: list[Example]


class TagEncoder:
    """Tagged texts: a tag for each unit, learned once, where most of the text stands around it."""

    def __init__(self, terms: Terms) -> None:
        if not terms.survey.labels:
            raise RequestError("no row has a span, so there is nothing to find", where="data")
        self._tokenizer = terms.tokenizer
        self._settings = terms.tag
        self._is_causal = terms.attention == "causal"
        self._before, self._behind = terms.tokenizer.surroundings
        self._room = terms.max_length - len(self._before) - len(self._behind)
        if self._room < 1:
            raise RequestError(
                f"{terms.max_length} tokens leave no room for a text",
                where="prompt.max_length",
                expected=f"more than the {terms.max_length - self._room} that stand around every text",
            )
        self.tags = Tags(terms.survey.labels, terms.tag.scheme)

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, TaggedText):
            raise TypeError(f"tag takes tagged texts, not {type(record).__name__}")
        return self.read(record.text, record.spans, source).examples

    def expected(self, record: Record) -> str:
        return spans_as_json(record.spans if isinstance(record, TaggedText) else ())

    def read(self, text: str, spans: Sequence[Span] = (), source: str = "") -> ReadText:
        """A text and what is expected of it. Words are cut where spans begin and end, so that none is lost.

        Units of a span whose label was never learned have no weight: nothing that the head could say is right.
        """
        ids_N, offsets_N2 = self._tokenizer.encode_with_offsets(text)
        words_W2 = cut_words(text, self._settings.cut_at)
        edges = np.asarray([edge for span in spans for edge in (span.start, span.end)], np.int64)
        units = find_units(cut_further(words_W2, edges), offsets_N2, is_causal=self._is_causal)
        known = [span for span in spans if span.label in self.tags.labels]
        written = self.tags.write(units, known)
        weight_U = np.ones(len(units), np.float32)
        for span in spans:
            if span.label not in self.tags.labels:
                weight_U[(units.start < span.end) & (span.start < units.end)] = 0.0
        remark = ""
        if written.lost or written.moved:
            remark = "spans that begin or end inside a token, or have none, are learned with other ends, or not at all"
        return ReadText(units, self._windows(ids_N, units, (written.tag_U, weight_U), (source, remark)))

    def _windows(
        self, ids_N: Ints, units: Units, expected: tuple[Ints, Floats], said: tuple[str, str]
    ) -> list[Example]:
        tag_U, weight_U = expected
        examples: list[Example] = []
        for window in cut_windows(len(ids_N), units.token, self._room, is_causal=self._is_causal):
            ids = np.concatenate([self._before, ids_N[window.start : window.end], self._behind])
            at = units.token[window.units] - window.start + len(self._before)
            reads = TokenReads(at, tag_U[window.units], weight_U[window.units])
            examples.append(Example(ids, reads, said[0], remark="" if examples else said[1]))
        return examples


def spans_as_json(spans: Sequence[Span]) -> str:
    """Spans as an answer: a JSON list of `[start, end, label]`.

    >>> spans_as_json([Span(0, 3, "NAME")])
    '[[0, 3, "NAME"]]'
    """
    return json.dumps([[span.start, span.end, span.label] for span in spans], ensure_ascii=False)
