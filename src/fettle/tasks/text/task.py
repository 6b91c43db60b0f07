"""text: pre-training on documents, from scratch or continued. Every token is learned."""

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

    def prompt(self, record: Record) -> list[int]:
        return []

    def expected(self, record: Record) -> str:
        return ""


def _labels(_rows: Sequence[Row]) -> tuple[str, ...]:
    return ()


def _encoder(tokenizer: ModelTokenizer, _prompt: PromptSettings, _labels: tuple[str, ...]) -> Encoder:
    return DocumentEncoder(tokenizer)


def _answerer(
    _tokenizer: ModelTokenizer, _decoding: DecodingSettings, _labels: tuple[str, ...], _dtype: torch.dtype
) -> None:
    return None


def _question(text: str) -> Record:
    return PlainText(text)


TASK = Task("text", ("bits_per_byte", "loss", "perplexity"), _labels, _encoder, _answerer, _question, can_split=True)
