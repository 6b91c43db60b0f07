"""Decisions about the machine, made once and kept in the plan: layout, format, threads, steps; and the rows of each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from transformers import AutoConfig

from fettle.app.planning import PlanSettings
from fettle.app.preparing.rows import Prepared
from fettle.models.attention import attention_of
from fettle.models.config import ALL
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
from fettle.models.vectors.architecture import MODEL_TYPE
from fettle.tokens.example import Example, Ints
from fettle.tokens.forest import processed_tokens, split_by_tokens
from fettle.tokens.layout import Layout, layout_for
from fettle.training.stream import EpochStream, ReplayedRows, RowsByTokens, ShuffledRows, VariedRows

_STEPS_COUNTED = 20


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
    stream: EpochStream
    if settings.training.tokens_per_step:
        stream = RowsByTokens(rows, settings.training.tokens_per_step, settings.seed, first)
    else:
        stream = ShuffledRows(rows, settings.training.rows_per_step, settings.seed, first)
    if prepared.replay is not None:
        others = prepared.replay.learned
        if settings.prompt.too_long == "split":
            others = [[section] for row in others for section in row]
        stream = ReplayedRows(stream, others, settings.replay.share, settings.seed)
    if prepared.method.vary is not None:
        stream = VariedRows(stream, prepared.method.vary(prepared.terms), settings.seed)
    return stream


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


def use_threads(machine: Machine) -> None:
    """Run with the number of threads that the plan names."""
    torch.set_num_threads(machine.threads)
