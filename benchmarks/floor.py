"""How far a step is from its floor: the time of all its matrix products, each timed alone at its exact shape.

    python -m benchmarks.floor W2

One step is recorded by torch's profiler, products of attention and of the adapters included. Each shape is then timed
alone, with both orders of its second matrix in memory; the faster counts. Steps and products alternate.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.training import OURS
from benchmarks.training_worker import fettle_job
from benchmarks.workloads import WORKLOADS
from fettle.models.machine import keep_freed_pages
from fettle.training.loop import train

PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::addmm_")
RECORDED_STEP, NUM_STEPS = 3, 6
Shape = tuple[str, tuple[int, ...], tuple[int, ...], str]


class Recorder:
    """Times every step, and records the products of one."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.products: Counter[Shape] = Counter()
        self._began = time.perf_counter()
        self._profile: Any = None

    def on_step(self, report: Any) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        if self._profile is not None:
            self._profile.__exit__(None, None, None)
            self.products = products_of(self._profile)
            self._profile = None
        if report.step == RECORDED_STEP:
            self._profile = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
            self._profile.__enter__()
        self._began = time.perf_counter()

    def on_held_out(self, report: Any) -> None: ...

    def on_checkpoint(self, step: int, is_best: bool) -> None: ...

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None: ...


def products_of(recorded: Any) -> Counter[Shape]:
    """Shapes and number formats of the products, and how often each was run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    found: Counter[Shape] = Counter()
    for event in events:
        if event.get("name") in PRODUCTS and "Input Dims" in event.get("args", {}):
            dims, kinds = event["args"]["Input Dims"], event["args"]["Input type"]
            first = 1 if event["name"].startswith("aten::addmm") else 0
            found[(event["name"], tuple(dims[first]), tuple(dims[first + 1]), kinds[first])] += 1
    return found


def seconds_alone(shape: Shape) -> float:
    """One product, alone: the fastest of both orders of its second matrix, medians of seven."""
    _, left, right, kind = shape
    dtype = {"c10::BFloat16": torch.bfloat16, "float": torch.float32}[kind]
    one, other = torch.randn(left).to(dtype), torch.randn(right).to(dtype)
    turned = other.transpose(-1, -2).contiguous().transpose(-1, -2)
    fastest = float("inf")
    for matrix in (other, turned):
        times = []
        for _ in range(7):
            began = time.perf_counter()
            torch.matmul(one, matrix)
            times.append(time.perf_counter() - began)
        fastest = min(fastest, median(times[1:]))
    return fastest


def operations(shape: Shape) -> float:
    """Floating-point operations of one product."""
    _, left, right, _ = shape
    total = 2.0
    for size in (*left, right[-1]):
        total *= size
    return total


def main(name: str) -> None:
    """Run, time, print."""
    keep_freed_pages()
    workload = WORKLOADS[name]
    # The recorded step's rows again in every step, so that all steps have its shapes.
    rows = workload.steps(RECORDED_STEP + 1)[RECORDED_STEP]
    recorder = Recorder()
    with tempfile.TemporaryDirectory() as folder:
        job = fettle_job(workload, [rows] * NUM_STEPS, OURS, Path(folder))
        job.watchers = [recorder]
        train(job)
    step = median([*recorder.seconds[2:RECORDED_STEP], *recorder.seconds[RECORDED_STEP + 1 :]])
    alone = {shape: seconds_alone(shape) for shape in recorder.products}
    floor = sum(count * alone[shape] for shape, count in recorder.products.items())
    flops = sum(count * operations(shape) for shape, count in recorder.products.items())
    attention = sum(count * alone[shape] for shape, count in recorder.products.items() if shape[0] == "aten::bmm")
    print(
        json.dumps(
            {
                "workload": name,
                "step_seconds": step,
                "products_alone_seconds": floor,
                "of_which_attention_seconds": attention,
                "step_over_products": step / floor,
                "products": sum(recorder.products.values()),
                "teraflop": flops / 1e12,
                "threads": torch.get_num_threads(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
