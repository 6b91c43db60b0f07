"""Preflight: what a plan will really do, token by token, before the first step. Trains nothing.

Rows become examples exactly as in training. Every row that is lost or cut is counted with its reason, and a plan that
would learn nothing, never learn to stop, or be scored on rows that it learned is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import AutoConfig, PretrainedConfig

from fettle.app.bases.fresh import make_base
from fettle.app.bases.vectors import (
    MadeVectors,
    describe_vectors,
    make_vectors,
    names_vectors,
    refuse_unfit,
    warnings_of_vectors,
)
from fettle.app.opening import BaseSource, locate_base
from fettle.app.ordering import values_of_column
from fettle.app.planning import PlanSettings
from fettle.app.terms import longest_allowed, make_terms
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Row
from fettle.data.splits.split import carve_validation, shared_inputs
from fettle.errors import Fault, RequestError, UnsoundPlan
from fettle.evaluation.statistics import expected_half_width
from fettle.models.attention import attention_of
from fettle.models.config import ALL, NEW_BASE, ShapeSettings
from fettle.models.fresh.shape import num_weights
from fettle.models.load import is_decoder
from fettle.models.machine import (
    choose_compile,
    choose_device,
    choose_dtype,
    dtype_named,
    keep_freed_pages,
    num_threads,
    operations_per_token,
    product_shape,
    products_per_second,
)
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.models.vectors.architecture import MODEL_TYPE
from fettle.models.ways.counting import WeightCount, count_weights
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task
from fettle.tasks.task import Method, Task, Terms
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example, Ints
from fettle.tokens.forest import processed_tokens, split_by_tokens
from fettle.tokens.layout import Layout, layout_for
from fettle.tokens.length import fit_example
from fettle.training.stream import EpochStream, RowsByTokens, ShuffledRows

_FEW_ROWS = 200
_FEW_ROWS_OF_A_LABEL = 10
_MOST_FAULTS = 20
_NUM_SHOWN = 2
_STEPS_COUNTED = 20


@dataclass(frozen=True)
class Prepared:
    """Rows of a plan as examples, one list a row, in the parts that training and evaluation take."""

    version: StoredVersion
    task: Task
    method: Method
    terms: Terms
    source: BaseSource
    encoder: Encoder
    learned: list[list[Example]]
    held_out: list[tuple[Row, list[Example]]]
    num_test_rows: int
    lost: Counter[str]
    num_cut: int
    num_split: int
    order_values: list[str]

    @property
    def tokenizer(self) -> ModelTokenizer:
        """The base's."""
        return self.terms.tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers, where there is one."""
        return self.terms.survey.labels

    @property
    def max_length(self) -> int:
        """Most tokens of a row."""
        return self.terms.max_length


@dataclass(frozen=True)
class Machine:
    """Decisions about the machine, made once and kept in the plan. `sharing`: tokens of rows over those computed."""

    layout: Layout
    layout_reason: str
    sharing: float
    dtype: str
    is_compiled: bool
    compile_reason: str
    threads: int
    device: str
    num_steps: int
    look_every_steps: int


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


def prepare(workspace: Workspace, settings: PlanSettings) -> Prepared:
    """Read, divide and encode the rows of a plan."""
    version, rows = load_rows(workspace, settings.data)
    if version.task != settings.task:
        raise RequestError(
            f"{version.label} holds rows for {version.task}, the recipe is for {settings.task}",
            where="data",
            attempt=f"a recipe for {version.task}: fettle recipes list",
        )
    task = open_task(settings.task)
    _refuse_unlearnable(task, rows, version.label)
    if settings.prompt.too_long == "split" and not task.can_split:
        raise RequestError(
            "only plain text can be split: an answer apart from its question teaches nothing",
            where="prompt.too_long",
            attempt="prompt.too_long=cut",
        )
    learned_rows, held_out_rows, test_rows = _divide(rows, version.label)
    base = settings.base
    if base == NEW_BASE:
        base = make_base(workspace, settings.shape, learned_rows, version.label)
    elif names_vectors(base):
        base = make_vectors(workspace, settings, learned_rows, version.label)
    source = locate_base(workspace, base, settings.seed)
    config = AutoConfig.from_pretrained(source.folder, local_files_only=True, trust_remote_code=False)
    refuse_unfit(config, settings)
    known = [*learned_rows, *held_out_rows]
    method = _choose_method(task, settings, config, known)
    max_length = longest_allowed(config, settings.prompt)
    terms = make_terms(settings, open_tokenizer(source.folder), task.survey(known), attention_of(config), max_length)
    encoder = method.encoder(terms)
    lost: Counter[str] = Counter()
    learned, num_long = _encode(learned_rows, encoder, settings.prompt, max_length, lost)
    held_out, _ = _encode(held_out_rows, encoder, settings.prompt, max_length, lost)
    return Prepared(
        version=version,
        task=task,
        method=method,
        terms=terms,
        source=source,
        encoder=encoder,
        learned=[examples for _, examples in learned],
        held_out=held_out,
        num_test_rows=len(test_rows),
        lost=lost,
        num_cut=num_long if settings.prompt.too_long == "cut" else 0,
        num_split=num_long if settings.prompt.too_long == "split" else 0,
        order_values=values_of_column([row for row, _ in learned], settings.training.order),
    )


def _choose_method(task: Task, settings: PlanSettings, config: PretrainedConfig, rows: Sequence[Row]) -> Method:
    """The method that the plan asks for, or the one that base and rows allow."""
    writes = is_decoder(config)
    method = task.method(task.choose(settings.method, writes, rows))
    if method.network == "causal" and not writes:
        raise RequestError(
            f"{task.name} by the method {method.name} wants a base that writes, and {settings.base} reads",
            where="base",
            expected="a decoder",
            attempt="base=bundled",
        )
    if method.head is not None and settings.training.order == "loss":
        raise RequestError(
            "a fresh head finds no row easier than another",
            where="training.order",
            attempt="training.order=length, or a method without a head",
        )
    return method


def inspect(prepared: Prepared, settings: PlanSettings) -> Preflight:
    """Count and show what was prepared; refuse an unsound plan with all its faults at once."""
    examples = [example for row in prepared.learned for example in row]
    with_stop = sum(all(example.is_stop_learned for example in row) for row in prepared.learned)
    _refuse_unsound(prepared, examples, with_stop)
    made_vectors = describe_vectors(prepared.source, prepared.tokenizer, prepared.learned)
    return Preflight(
        machine=decide_machine(prepared, settings),
        method=prepared.method.name,
        rows={
            "learned": len(prepared.learned),
            "validation": len(prepared.held_out),
            "test": prepared.num_test_rows,
        },
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
            *warnings_of_vectors(settings.vectors, made_vectors),
        ],
        expected_half_width=_half_width(prepared),
    )


def decide_machine(prepared: Prepared, settings: PlanSettings) -> Machine:
    """Layout, number format, threads and steps: decided once, kept in the plan."""
    keep_freed_pages()
    config = AutoConfig.from_pretrained(prepared.source.folder, local_files_only=True, trust_remote_code=False)
    noises = (settings.training.dropout, settings.adapter.dropout, settings.training.embedding_noise)
    layout, reason = layout_for(attention_of(config), settings.training.layout, has_noise=any(noises))
    stream = make_stream(prepared, settings)
    num_steps = max(1, math.ceil(settings.training.epochs * stream.steps_per_epoch))
    if settings.training.max_steps:
        num_steps = min(num_steps, settings.training.max_steps)
    look_every = settings.training.evaluate_every_steps or stream.steps_per_epoch
    width = 0 if config.model_type == MODEL_TYPE else int(getattr(config, "hidden_size", 0))
    dtype = choose_dtype(settings.training.dtype, width)
    logical, processed = _tokens_of_a_step(stream, num_steps, layout, settings.training.max_tokens_per_call)
    is_full = settings.adapter.kind == "full" and settings.adapter.learn == ALL
    operations = num_steps * processed * operations_per_token(config, is_full=is_full)
    is_compiled, compile_reason = choose_compile(
        settings.training.compile, operations / products_per_second(dtype_named(dtype), *product_shape(config))
    )
    return Machine(
        layout=layout,
        layout_reason=reason,
        sharing=round(logical / processed, 2),
        dtype=dtype,
        is_compiled=is_compiled,
        compile_reason=compile_reason,
        threads=num_threads(),
        device=str(choose_device()),
        num_steps=num_steps,
        look_every_steps=look_every,
    )


def make_stream(prepared: Prepared, settings: PlanSettings, first: Ints | None = None) -> EpochStream:
    """The rows of each step, in the first epoch in the order `first`, where there is one."""
    rows, _ = rows_of_stream(prepared, settings)
    if settings.training.tokens_per_step:
        return RowsByTokens(rows, settings.training.tokens_per_step, settings.seed, first)
    return ShuffledRows(rows, settings.training.rows_per_step, settings.seed, first)


def rows_of_stream(prepared: Prepared, settings: PlanSettings) -> tuple[list[list[Example]], list[str]]:
    """Rows as steps are made of them, and what their column says. Sections of a split document are rows by then."""
    if settings.prompt.too_long != "split":
        return prepared.learned, prepared.order_values
    pairs = zip(prepared.learned, prepared.order_values, strict=True)
    sections = [([section], value) for row, value in pairs for section in row]
    return [row for row, _ in sections], [value for _, value in sections]


def _tokens_of_a_step(stream: EpochStream, num_steps: int, layout: Layout, max_tokens: int) -> tuple[float, float]:
    """Mean tokens of a step, as the rows have them and as they are computed, over the first steps."""
    logical = processed = 0
    counted = min(num_steps, _STEPS_COUNTED)
    for step in range(counted):
        examples = stream.rows(step)
        logical += sum(example.num_tokens for example in examples)
        for group in split_by_tokens(examples, max_tokens, layout):
            processed += processed_tokens([examples[index] for index in group], layout)
    return logical / counted, max(1, processed) / counted


def _shown(prepared: Prepared) -> list[tuple[str, list[ShownToken]]]:
    """The first rows as the model meets them."""
    first = [example for row in prepared.learned for example in row][:_NUM_SHOWN]
    show = show_tokens if prepared.method.head is None else _show_read
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


def use_threads(machine: Machine) -> None:
    """Run with the number of threads that the plan names."""
    torch.set_num_threads(machine.threads)


def _refuse_unlearnable(task: Task, rows: Sequence[Row], label: str) -> None:
    """Stop where rows are of a sort that the task cannot learn: to leave them out, or half of them, is for the user."""
    faults = [Fault(row.file, row.line, why, "", "") for row in rows if (why := task.cannot_learn(row.record))]
    if faults:
        raise UnsoundPlan(
            f"{len(faults):,} of {len(rows):,} rows cannot be learned: {faults[0].problem}",
            where=label,
            expected=f"rows that the task {task.name} learns",
            attempt="leave them out of the files, and import again",
            faults=faults[:_MOST_FAULTS],
        )


def _divide(rows: Sequence[Row], label: str) -> tuple[list[Row], list[Row], list[Row]]:
    """Learned, held out, test. Without a validation part, a tenth of the learned rows is held out by hash."""
    parts = {part: [row for row in rows if row.part == part] for part in ("validation", "test")}
    learned = [row for row in rows if row.part in ("", "train")]
    leaked = shared_inputs([*learned, *parts["validation"]], parts["test"])
    if leaked:
        places = ", ".join(f"{a.file}:{a.line} = {b.file}:{b.line}" for a, b in leaked[:3])
        raise UnsoundPlan(
            f"{len(leaked)} rows of the test stand among the rows to learn from",
            where=f"{label} ({places})",
            expected="no row on both sides",
            attempt="import again without parts, then fettle data split: the same row then always lands on one side",
        )
    if parts["validation"]:
        return learned, parts["validation"], parts["test"]
    learned, held_out = carve_validation(learned)
    return learned, held_out, parts["test"]


def _encode(
    rows: Sequence[Row], encoder: Encoder, prompt: PromptSettings, max_length: int, lost: Counter[str]
) -> tuple[list[tuple[Row, list[Example]]], int]:
    """The examples of the rows that are left, and how many of these were too long."""
    kept = []
    num_long = 0
    for row in rows:
        whole = encoder.examples(row.record, f"{row.file}:{row.line}")
        if not whole:
            lost["nothing in it is learned"] += 1
            continue
        is_long = any(example.num_tokens + example.num_cut_tokens > max_length for example in whole)
        if is_long and prompt.too_long == "drop":
            lost[f"longer than {max_length} tokens"] += 1
            continue
        fitting = [short for example in whole for short in fit_example(example, max_length, prompt.too_long)]
        if not fitting:
            lost[f"the answer begins after {max_length} tokens"] += 1
            continue
        num_long += is_long
        kept.append((row, fitting))
    return kept, num_long


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
