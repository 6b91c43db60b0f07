"""text: pre-training on documents, from scratch or continued: every next token, or words that are hidden."""

from __future__ import annotations

from collections.abc import Sequence

from fettle.data.records import PlainText, Record, Row
from fettle.errors import RequestError
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import AUTO, Method, Task, Terms, no_survey
from fettle.tasks.text.masked import MASKED
from fettle.tasks.words import next_token, word_reader
from fettle.tokens.example import Example
from fettle.tokens.template import encode_document


class DocumentEncoder:
    """Documents whole, between end-of-text tokens."""

    def __init__(self, tokenizer: ModelTokenizer) -> None:
        if tokenizer.end_id is None:
            raise RequestError("the tokenizer has no end-of-text token", expected="eos_token in tokenizer_config.json")
        self._tokenizer = tokenizer
        self._end_id = tokenizer.end_id

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, PlainText):
            raise TypeError(f"text takes plain texts, not {type(record).__name__}")
        return [encode_document(self._tokenizer, record.text, self._end_id, source)]

    def expected(self, record: Record) -> str:
        return ""


def _choose(wanted: str, is_decoder: bool, _rows: Sequence[Row]) -> str:
    """What a base was trained by: the next token where it writes, hidden words where it reads."""
    if wanted != AUTO:
        return wanted
    return "causal" if is_decoder else "masked"


def _nothing_asked(_terms: Terms) -> None:
    return None


SAMPLES = tuple(
    PlainText(text)
    for text in (
        "The parcel is on its way.",
        "It will be there on Monday.",
        "A kettle boils water.",
        "Tea wants fresh water.",
        "The shop opens at nine.",
        "It closes at six.",
        "On Sundays it is closed.",
        "",
    )
)
CAUSAL = Method(
    "causal",
    "causal",
    ("bits_per_byte", "loss", "perplexity"),
    encoder=lambda terms: DocumentEncoder(terms.tokenizer),
    objective=next_token,
    reader=word_reader,
    answerer=_nothing_asked,
    samples=SAMPLES,
)
TASK = Task("text", (CAUSAL, MASKED), no_survey, PlainText, _choose, can_split=True)
