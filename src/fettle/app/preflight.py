"""Preflight: what a plan will really do, token by token, before the first step. Trains nothing.

A plan that would learn nothing, never learn to stop, or be scored on rows that it learned is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import AutoConfig

from fettle.app.bases.vectors import (
    MadeVectors,
    describe_vectors,
    warnings_of_vectors,
)
from fettle.app.planning import PlanSettings
from fettle.app.preparing.machine import Machine, decide_machine, make_stream
from fettle.app.preparing.rows import Prepared
from fettle.errors import UnsoundPlan
from fettle.evaluation.statistics import expected_half_width
from fettle.models.config import NEW_BASE, ShapeSettings
from fettle.models.fresh.shape import num_weights
from fettle.models.tokenizer import ModelTokenizer
from fettle.models.ways.counting import WeightCount, count_weights
from fettle.tokens.example import Example

_FEW_ROWS = 200
_FEW_ROWS_OF_A_LABEL = 10
_NUM_SHOWN = 2


@dataclass(frozen=True)
class MadeBase:
    """A base that was made from the rows: the size of its vocabulary, and how many weights learn."""

    num_tokens: int
    num_weights: int


@dataclass(frozen=True)
class ShownToken:
    """One token of a shown row. `is_learned` when the model is pulled towards answering with it."""

    text: str
    is_learned: bool
    is_stop: bool


@dataclass(frozen=True)
class Preflight:
    """What people are shown of a plan."""

    machine: Machine
    method: str
    rows: dict[str, int]
    num_tokens: int
    num_learned: int
    longest: int
    max_length: int
    lost: dict[str, int]
    num_cut: int
    num_split: int
    num_sections: int
    made_base: MadeBase | None
    weights: WeightCount
    made_vectors: MadeVectors | None
    share_with_stop: float | None
    has_own_template: bool
    labels: tuple[str, ...]
    shown: list[tuple[str, list[ShownToken]]]
    warnings: list[str]
    expected_half_width: float | None

    def as_json(self) -> dict[str, object]:
        """The figures as plain data, without the shown tokens."""
        return {
            "machine": vars(self.machine),
            "method": self.method,
            "rows": self.rows,
            "tokens": self.num_tokens,
            "learned_tokens": self.num_learned,
            "longest_row": self.longest,
            "max_length": self.max_length,
            "rows_lost": self.lost,
            "rows_cut": self.num_cut,
            "rows_split": self.num_split,
            "sections_of_split_rows": self.num_sections,
            "made_base": vars(self.made_base) if self.made_base else None,
            "weights": {"learning": self.weights.learning, "base": self.weights.base},
            "made_vectors": vars(self.made_vectors) if self.made_vectors else None,
            "share_of_rows_with_stop_token": self.share_with_stop,
            "labels": list(self.labels),
            "warnings": self.warnings,
            "expected_half_width": self.expected_half_width,
        }


def inspect(prepared: Prepared, settings: PlanSettings) -> Preflight:
    """Count and show what was prepared; refuse an unsound plan with all its faults at once."""
    examples = [example for row in prepared.learned for example in row]
    with_stop = sum(all(example.is_stop_learned for example in row) for row in prepared.learned)
    _refuse_unsound(prepared, examples, with_stop)
    made_vectors = describe_vectors(prepared.source, prepared.tokenizer, prepared.learned)
    return Preflight(
        machine=decide_machine(prepared, settings),
        method=prepared.method.name,
        rows=_count_rows(prepared),
        num_tokens=sum(example.num_tokens for example in examples),
        num_learned=sum(example.num_learned for example in examples),
        longest=max(example.num_tokens + example.num_cut_tokens for example in examples),
        max_length=prepared.max_length,
        lost=dict(prepared.lost),
        num_cut=prepared.num_cut,
        num_split=prepared.num_split,
        num_sections=sum(len(row) for row in prepared.learned if len(row) > 1) if prepared.num_split else 0,
        made_base=_made_base(prepared),
        weights=_count_weights(prepared, settings),
        made_vectors=made_vectors,
        share_with_stop=with_stop / len(prepared.learned) if prepared.method.network == "causal" else None,
        has_own_template=prepared.tokenizer.has_own_template,
        labels=prepared.labels,
        shown=_shown(prepared),
        warnings=[
            *_warnings(prepared, with_stop),
            *_warnings_of_shape(prepared, settings.shape),
            *_warnings_of_order(prepared, settings),
            *warnings_of_vectors(settings, made_vectors),
        ],
        expected_half_width=_half_width(prepared),
    )


def _count_rows(prepared: Prepared) -> dict[str, int]:
    counts = {
        "learned": len(prepared.learned),
        "validation": len(prepared.held_out),
        "test": prepared.num_test_rows,
    }
    return counts if prepared.replay is None else {**counts, "replayed": len(prepared.replay.learned)}


def _shown(prepared: Prepared) -> list[tuple[str, list[ShownToken]]]:
    """The first rows as the model meets them."""
    first = [example for row in prepared.learned for example in row][:_NUM_SHOWN]
    show = {"causal": show_tokens, "masked": _show_hidden, "trunk": _show_read}[prepared.method.network]
    return [(example.source, show(example, prepared.tokenizer)) for example in first]


def show_tokens(example: Example, tokenizer: ModelTokenizer) -> list[ShownToken]:
    """The sequence as the model meets it: what is read, and what is learned after it."""
    learned = {int(at) + 1: int(token) for at, token, weight in _reads(example) if weight > 0}
    ids = [int(token) for token in example.ids]
    shown = [
        ShownToken(tokenizer.token_text(token), place in learned, token in tokenizer.stop_ids)
        for place, token in enumerate(ids)
    ]
    for place in sorted(place for place in learned if place >= len(ids)):
        token = learned[place]
        shown.append(ShownToken(tokenizer.token_text(token), True, token in tokenizer.stop_ids))
    return shown


def _show_read(example: Example, tokenizer: ModelTokenizer) -> list[ShownToken]:
    """A row that a head reads: what the model meets, with the tokens marked that something is learned at."""
    is_whole = example.target is not None
    learned = set() if is_whole else {at for at, _, weight in _reads(example) if weight > 0}
    texts = tokenizer.inner.convert_ids_to_tokens(example.ids.tolist())
    return [ShownToken(f"{text} ", place in learned, False) for place, text in enumerate(texts)]


def _show_hidden(example: Example, tokenizer: ModelTokenizer) -> list[ShownToken]:
    """A row whose words are hidden: what the model meets, and behind each hidden word what it is to say."""
    wanted = {at: token for at, token, _ in _reads(example)}
    texts = tokenizer.inner.convert_ids_to_tokens(example.ids.tolist())
    said = {at: tokenizer.inner.convert_ids_to_tokens(token) for at, token in wanted.items()}
    return [
        ShownToken(f"{text}→{said[place]} " if place in said else f"{text} ", place in said, False)
        for place, text in enumerate(texts)
    ]


def _refuse_unsound(prepared: Prepared, examples: Sequence[Example], with_stop: int) -> None:
    lost = "; ".join(f"{count} rows: {reason}" for reason, count in prepared.lost.items())
    if not examples or not any(example.num_learned for example in examples):
        raise UnsoundPlan(
            "nothing would be learned",
            where=prepared.version.label,
            expected="rows with an answer",
            attempt=lost or "rows in the part train",
        )
    if with_stop == 0:
        raise UnsoundPlan(
            "the stop token would never be learned: the model would not know where to end",
            where=prepared.version.label,
            expected="an end marker after each answer, inside max_length",
            attempt="prompt.too_long=split, which loses nothing"
            if prepared.task.can_split
            else f"prompt.max_length larger (now {prepared.max_length}), or a base that ends its turns",
        )


def _warnings(prepared: Prepared, with_stop: int) -> list[str]:
    warnings = []
    num_rows = len(prepared.learned)
    if num_rows < _FEW_ROWS:
        warnings.append(f"only {num_rows} rows to learn from; {_FEW_ROWS} and more are usual for {prepared.task.name}")
    if prepared.labels:
        num_labels = len(prepared.labels)
        if num_rows < _FEW_ROWS_OF_A_LABEL * num_labels:
            warnings.append(
                f"{num_rows} rows for {num_labels} labels: under {_FEW_ROWS_OF_A_LABEL} a label, some are not learned"
            )
    if with_stop < num_rows:
        warnings.append(
            f"{num_rows - with_stop} rows are cut before their end, so the stop token is not learned on them"
        )
    remarks = Counter(example.remark for row in prepared.learned for example in row if example.remark)
    warnings += [f"{count} rows: {remark}" for remark, count in remarks.items()]
    if prepared.method.prompt is not None and not prepared.tokenizer.has_own_template:
        warnings.append("the base has no chat template; fettle's own is used and goes into the bundle")
    if prepared.has_fresh_word_head:
        warnings.append(
            "the base has no layers that say words: they begin at random, and its own loss is that of guessing"
        )
    if not prepared.num_test_rows:
        warnings.append(
            f"no test rows: fettle data split {prepared.version.dataset}, or a test file as a dataset of its own"
        )
    elif (half := _half_width(prepared)) is not None and half > 0.05:
        warnings.append(f"with {prepared.num_test_rows} test rows a share is only known to about ±{half:.2f} (95 %)")
    return warnings


def _warnings_of_shape(prepared: Prepared, shape: ShapeSettings) -> list[str]:
    """A vocabulary that came out smaller than asked for, and sizes that were set for nothing."""
    if prepared.source.kind != NEW_BASE:
        asked = shape != ShapeSettings()
        return ["shape.* is not used: the base has a shape of its own"] if asked else []
    found = prepared.tokenizer.vocabulary_size
    if found < shape.vocabulary:
        return [f"the text gives a vocabulary of {found:,} tokens, not the {shape.vocabulary:,} asked for"]
    return []


def _count_weights(prepared: Prepared, settings: PlanSettings) -> WeightCount:
    method, terms = prepared.method, prepared.terms
    shape = method.head(terms) if method.head is not None else None
    return count_weights(prepared.source.folder, terms.tokenizer, settings.adapter, method.network, shape)


def _warnings_of_order(prepared: Prepared, settings: PlanSettings) -> list[str]:
    """Rows that the order of the first epoch leaves to chance, or to no step at all."""
    training = settings.training
    if training.order == "random":
        return []
    warnings = []
    silent = sum(not value for value in prepared.order_values) if training.order.startswith("field:") else 0
    if silent:
        name = training.order.partition(":")[2]
        warnings.append(f"{silent} of {len(prepared.learned)} rows have no {name}; they come last in the first epoch")
    per_epoch = make_stream(prepared, settings).steps_per_epoch
    if 0 < training.max_steps < per_epoch or training.epochs < 1:
        warnings.append(
            f"the run ends within the first epoch: training.order={training.order} keeps the last rows from it"
        )
    return warnings


def _made_base(prepared: Prepared) -> MadeBase | None:
    if prepared.source.kind != NEW_BASE:
        return None
    config = AutoConfig.from_pretrained(prepared.source.folder, local_files_only=True, trust_remote_code=False)
    return MadeBase(prepared.tokenizer.vocabulary_size, num_weights(config))


def _half_width(prepared: Prepared) -> float | None:
    return expected_half_width(prepared.num_test_rows, 0.8) if prepared.num_test_rows else None


def _reads(example: Example) -> list[tuple[int, int, float]]:
    reads = example.reads
    return list(zip(reads.at.tolist(), reads.token.tolist(), reads.weight.tolist(), strict=True))
