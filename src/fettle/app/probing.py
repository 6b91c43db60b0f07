"""Rows held out from learning, measured: while a run goes on, and afterwards for a report."""

from __future__ import annotations

import torch

from fettle.app.preflight import Prepared
from fettle.evaluation.metrics import accuracy_hits
from fettle.generation.config import DecodingSettings
from fettle.generation.scoring import read_tokens
from fettle.models.load import OpenModel

_MOST_ANSWERED_ROWS = 500


class HeldOut:
    """Loss (nats a token) and the share of tokens that were the likeliest; for labels the accuracy of the answers."""

    def __init__(self, prepared: Prepared, decoding: DecodingSettings, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._examples = [example for _, examples in prepared.held_out for example in examples]
        self._answerer = None
        if prepared.labels:
            self._answerer = prepared.task.answerer(prepared.tokenizer, decoding, prepared.labels, dtype)
            rows = [row for row, _ in prepared.held_out[:_MOST_ANSWERED_ROWS]]
            self._prompts = [prepared.encoder.prompt(row.record) for row in rows]
            self._expected = [prepared.encoder.expected(row.record) for row in rows]

    def measures(self, metric: str) -> bool:
        """Whether `measure` gives a score of that name."""
        return metric in ("loss", "token_accuracy") or (metric == "accuracy" and self._answerer is not None)

    def measure(self, model: OpenModel) -> dict[str, float]:
        """The scores, by name."""
        read = read_tokens(model, self._examples, self._dtype)
        pairs = list(zip(self._examples, read, strict=True))
        weight = sum(example.learned_weight for example in self._examples)
        loss = -sum(float(one.log_probabilities.astype("f8") @ example.reads.weight) for example, one in pairs)
        hits = sum(float(one.is_likeliest @ example.reads.weight) for example, one in pairs)
        scores = {"loss": loss / weight, "token_accuracy": hits / weight}
        if self._answerer is not None:
            answers = self._answerer.answers(model, self._prompts)
            right = accuracy_hits(self._expected, [answer.text for answer in answers])
            scores["accuracy"] = sum(right) / len(right)
        return scores
