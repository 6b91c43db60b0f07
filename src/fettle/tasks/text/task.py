"""text: continued pre-training on documents. Every token is learned; long documents become windows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fettle.data.records import PlainText, Record, Row
from fettle.errors import RequestError
from fettle.generation.config import DecodingSettings
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import Task
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.template import encode_document

_WINDOW = 1024


class DocumentEncoder:
    """Documents in windows of at most `max_length` tokens; the last token of one window begins the next."""

    def __init__(self, tokenizer: ModelTokenizer, prompt: PromptSettings) -> None:
        if tokenizer.end_id is None:
            raise RequestError("the tokenizer has no end-of-text token", expected="eos_token in tokenizer_config.json")
        self._tokenizer = tokenizer
        self._end_id = tokenizer.end_id
        self._window = prompt.max_length or _WINDOW

    def examples(self, record: Record, source: str) -> list[Example]:
        if not isinstance(record, PlainText):
            raise TypeError(f"text takes plain texts, not {type(record).__name__}")
        whole = encode_document(self._tokenizer, record.text, self._end_id, source)
        starts = range(0, len(whole.reads), self._window)
        return [_window(whole, start, self._window) for start in starts]

    def prompt(self, record: Record) -> list[int]:
        return []

    def expected(self, record: Record) -> str:
        return ""


def _window(whole: Example, start: int, length: int) -> Example:
    is_inside = (whole.reads.at >= start) & (whole.reads.at < start + length)
    reads = TokenReads(whole.reads.at[is_inside] - start, whole.reads.token[is_inside], whole.reads.weight[is_inside])
    return Example(whole.ids[start : start + len(reads)], reads, whole.source)


def _labels(_rows: Sequence[Row]) -> tuple[str, ...]:
    return ()


def _encoder(tokenizer: ModelTokenizer, prompt: PromptSettings, _labels: tuple[str, ...]) -> Encoder:
    return DocumentEncoder(tokenizer, prompt)


def _answerer(
    _tokenizer: ModelTokenizer, _decoding: DecodingSettings, _labels: tuple[str, ...], _dtype: torch.dtype
) -> None:
    return None


def _question(text: str) -> Record:
    return PlainText(text)


TASK = Task("text", ("loss", "perplexity"), _labels, _encoder, _answerer, _question)
