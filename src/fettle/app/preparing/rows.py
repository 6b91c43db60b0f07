"""Rows of a plan become examples, exactly as in training, divided into what is learned, held out and kept for the test.

Every row that is lost or cut is counted with its reason. Rows that the task cannot learn, and rows that stand on both
sides, stop the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import AutoConfig, PretrainedConfig

from fettle.app.bases.fresh import make_base
from fettle.app.bases.vectors import (
    make_vectors,
    names_vectors,
    refuse_unfit,
)
from fettle.app.opening import BaseSource, locate_base
from fettle.app.planning import PlanSettings
from fettle.app.preparing.ordering import values_of_column
from fettle.app.preparing.terms import longest_allowed, make_terms
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Row
from fettle.data.splits.split import carve_validation, shared_inputs
from fettle.errors import Fault, RequestError, UnsoundPlan
from fettle.models.attention import attention_of
from fettle.models.config import NEW_BASE
from fettle.models.load import is_decoder
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task
from fettle.tasks.task import Method, Task, Terms
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example
from fettle.tokens.length import fit_example

_MOST_FAULTS = 20


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
