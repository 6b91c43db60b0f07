"""Rows divided into what is learned, held out and kept for the test, and made into examples.

Every row that is lost or cut is counted with its reason. Rows that the task cannot learn, and rows that stand on both
sides, stop the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fettle.data.records import Row
from fettle.data.splits.split import carve_validation, shared_inputs
from fettle.errors import Fault, UnsoundPlan
from fettle.tasks.task import Task
from fettle.tokens.config import PromptSettings
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example
from fettle.tokens.length import fit_example

_MOST_FAULTS = 20


def refuse_unlearnable(task: Task, rows: Sequence[Row], label: str) -> None:
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


def divide(rows: Sequence[Row], label: str) -> tuple[list[Row], list[Row], list[Row]]:
    """Learned, held out, test. Without a validation part, a tenth of the learned rows is held out by hash."""
    parts = {part: [row for row in rows if row.part == part] for part in ("validation", "test")}
    learned = [row for row in rows if row.part in ("", "train")]
    refuse_leaks([*learned, *parts["validation"]], parts["test"], label)
    if parts["validation"]:
        return learned, parts["validation"], parts["test"]
    learned, held_out = carve_validation(learned)
    return learned, held_out, parts["test"]


def refuse_leaks(learned: Sequence[Row], tested: Sequence[Row], label: str) -> None:
    """Stop where rows of the test stand among those that are learned or looked at."""
    leaked = shared_inputs(learned, tested)
    if leaked:
        places = ", ".join(f"{a.file}:{a.line} = {b.file}:{b.line}" for a, b in leaked[:3])
        raise UnsoundPlan(
            f"{len(leaked)} rows of the test stand among the rows to learn from",
            where=f"{label} ({places})",
            expected="no row on both sides",
            attempt="import again without parts, then fettle data split: the same row then always lands on one side",
        )


def encode_rows(
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
        is_long |= prompt.too_long == "split" and len(whole) > 1  # its encoder has split it
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
