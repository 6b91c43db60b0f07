"""Fifty steps beside TRL's SFTTrainer: the same weights, rows, labels and optimizer; the loss of every step from both.

    python -m benchmarks.losses_beside_trl

Every weight learns, or adapters do, in float32 and in float64. fettle shares the beginnings of rows and divides a step
by tokens; TRL pads, two rows a call. In float64 both networks are double, whatever asks for float32 on either side
(norms, rotary angles) is given float64, and TRL is given torch's cross-entropy for its own, whose gradient is made in
float32: those casts alone set the two apart by 1e-7.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from itertools import chain
from statistics import mean
from typing import Any

from tests.precision_kit import Lifted

from benchmarks.training import OUT, machine
from benchmarks.training_worker import run_fettle, run_trl
from benchmarks.workloads import Row, Workload

STEPS, ROWS_PER_STEP, DIFFERENT_STEPS = 50, 8, 10
SHAPE: dict[str, Any] = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
OURS = {"learning_rate": 1e-3, "max_tokens_per_call": 256}
THEIRS = {"learning_rate": 1e-3, "rows_per_call": 2, "gradient_checkpointing": False, "exact": True}
# Largest relative difference of a step's loss, and of the mean of the differences with their signs, in nats.
BARS = {"float32": (1e-4, 1e-5), "float64": (1e-6, 1e-6)}


def main() -> int:
    """Run all four cases, print a table, keep every loss. 0 where each is within its bars."""
    cases = [
        compare(Workload("exact", "", ROWS_PER_STEP, draw, is_full, shape=SHAPE), dtype)
        for is_full in (True, False)
        for dtype in BARS
    ]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "losses.json").write_text(
        json.dumps({"machine": machine(), "shape": SHAPE, "cases": cases}, indent=1) + "\n"
    )
    print("| learns | format | largest relative difference of a step | mean signed difference | loss | tokens shared |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        print(
            f"| {case['learns']} | {case['dtype']} | {case['largest_relative']:.1e} | {case['mean_signed']:+.1e} "
            f"| {case['fettle'][0]:.3f} to {case['fettle'][-1]:.3f} | {case['sharing']:.2f}× |"
        )
    return 0 if all(case["is_within"] for case in cases) else 1


def draw(steps: int) -> list[Row]:
    """Ten different steps over and over: five rows of a step begin alike, three are on their own; no two as long."""
    chance = random.Random(5)

    def ids(length: int) -> list[int]:
        return [chance.randrange(3, SHAPE["vocab_size"]) for _ in range(length)]

    def step() -> list[Row]:
        prefix, found = ids(24), []
        for number, own in enumerate(chance.sample(range(4, 60), ROWS_PER_STEP)):
            begun = [*prefix, *ids(own)] if number < 5 else ids(own)
            answer = ids(chance.randint(1, 12))
            found.append((begun + answer, [0] * len(begun) + [1] * len(answer)))
        chance.shuffle(found)
        return found

    different = [step() for _ in range(DIFFERENT_STEPS)]
    return list(chain.from_iterable(different[number % DIFFERENT_STEPS] for number in range(steps)))


def compare(workload: Workload, dtype: str) -> dict[str, Any]:
    """Both engines, and how far apart they are."""
    steps = workload.steps(STEPS)
    with Lifted(only_softmax=False) if dtype == "float64" else contextlib.nullcontext():
        _, ours, _, facts = run_fettle(workload, steps, {**OURS, "dtype": dtype})
        _, theirs, _, _ = run_trl(workload, steps, {**THEIRS, "dtype": dtype})
    gaps = [one - other for one, other in zip(ours, theirs, strict=True)]
    largest = max(abs(gap) / other for gap, other in zip(gaps, theirs, strict=True))
    most_of_one, most_of_mean = BARS[dtype]
    return {
        "learns": "every weight" if workload.is_full else "adapters",
        "dtype": dtype,
        "largest_relative": largest,
        "mean_signed": mean(gaps),
        "is_within": largest <= most_of_one and abs(mean(gaps)) <= most_of_mean,
        "layout": facts["layout"],
        "sharing": sum(len(ids) for ids, _ in chain(*steps)) / sum(facts["processed_tokens"]),
        "fettle": ours,
        "trl": theirs,
    }


if __name__ == "__main__":
    sys.exit(main())
