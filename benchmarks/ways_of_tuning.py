"""Ways of tuning side by side: the bundled base learns the intents of the shop's messages, each way with the same rows.

    python -m benchmarks.ways_of_tuning --json OUT [--seeds 1] [--steps 40]

Each run is a process of its own on one core. Seconds are those of the processor in this process, which other work on
the machine does not count into; memory is the peak at the last step above what the imports take, before any row is
looked at. Accuracy is that on the test part, which no run sees. The rates are chosen once for each method, and are the
same for all ways of it. OUT is written after every run, and a run that it holds is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fettle.app.demo import EXAMPLES
from fettle.app.planning import resolve_plan
from fettle.app.running import start_run
from fettle.app.using import load
from fettle.app.workshop.importing import HowToRead, import_data
from fettle.app.workshop.splitting import split_data
from fettle.app.workshop.versions import load_rows
from fettle.data.splits.split import Shares, SplitSettings
from fettle.storage.workspace import open_workspace
from fettle.training.checkpoint import CheckpointStore

FULL, LORA, HEAD = ("classify", "training.learning_rate=7e-4"), ("classify-lora",), ("classify-head",)
WAYS: dict[str, tuple[str, ...]] = {
    "every weight": FULL,
    "the last 3 layers": (*FULL, "adapter.learn=last:3"),
    "the last layer": (*FULL, "adapter.learn=last:1"),
    "LoRA, rank 16": LORA,
    "LoRA from the principal part": (*LORA, "adapter.kind=pissa"),
    "every weight, noise on embeddings (5)": (*FULL, "training.embedding_noise=5"),
    "every weight, averaged (0.9)": (*FULL, "training.average=0.9"),
    "every weight, rates by depth (0.8)": (*FULL, "training.layer_decay=0.8"),
    "a new head alone": (*HEAD, "training.learning_rate=2e-2", "adapter.learn=head"),
    "a new head and every weight": (*HEAD, "training.learning_rate=7e-4"),
    "every weight, short rows first": (*FULL, "training.order=length"),
    "every weight, easy rows first": (*FULL, "training.order=loss"),
    "norms alone": (*FULL, "adapter.learn=*norm*"),
    "DoRA, rank 16": (*LORA, "adapter.kind=dora"),
}


@dataclass(frozen=True)
class Trial:
    """One run to make."""

    way: str
    seed: int
    steps: int

    @property
    def key(self) -> str:
        """What the results are kept under."""
        return f"{self.way}|{self.seed}|{self.steps}"


class Meter:
    """A watcher that notes the time of the processor after every step, and the memory held so far."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.peak_bytes = 0

    def on_step(self, _report: object) -> None:
        """A step was taken."""
        self.ends.append(time.process_time())
        self.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def on_held_out(self, _report: object) -> None:
        """The held-out rows were looked at."""

    def on_checkpoint(self, step: int, is_best: bool) -> None:
        """A checkpoint is whole."""

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None:
        """Memory ran out."""


def make_data(home: Path) -> None:
    """The shop's messages as a dataset of their own, its test part a fifth."""
    workspace = open_workspace(home)
    how = HowToRead(column_map={"text": "text", "intent": "label"})
    import_data(workspace, [EXAMPLES / "messages.jsonl"], "intents", how)
    split_data(workspace, "intents", SplitSettings(Shares(0.75, 0.05, 0.2)))


def measure(home: Path, trial: Trial) -> dict[str, Any]:
    """Make one run in this process."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    workspace, name = open_workspace(home), trial.key.replace("|", "-")
    name = "".join(letter if letter.isalnum() else "-" for letter in name)
    recipe, *words = WAYS[trial.way]
    shared = ("data=intents", f"seed={trial.seed}", f"training.max_steps={trial.steps}", "training.epochs=1000")
    once = ("training.evaluate_every_steps=100000", "training.compile=off", "training.keep=last")
    meter = Meter()
    start_run(workspace, resolve_plan(recipe, [*shared, *once, *words]), name, [meter])
    learned = CheckpointStore(workspace.runs / name / "checkpoints").load(trial.steps).weights
    _, rows = load_rows(workspace, "intents@test")
    answers = load(name, workspace).predict([row.record.text for row in rows])
    right = sum(answer.text == row.record.label for answer, row in zip(answers, rows, strict=True))
    steps = sorted(after - before for before, after in pairwise(meter.ends))
    return {
        **asdict(trial),
        "learning": sum(weight.numel() for weight in learned.values()),
        "step_seconds": steps[len(steps) // 2],
        "peak_bytes_above_start": meter.peak_bytes - at_start,
        "accuracy": right / len(rows),
        "test_rows": len(rows),
    }


def in_own_process(task: Callable[..., Any], *words: object) -> Any:
    """What a task gives, made in a process of its own, so that it neither inherits nor leaves memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(task, *words).result()


def table(runs: list[dict[str, Any]]) -> str:
    """The results as a table, a row a way: the median step, the peak and the accuracy, means over the seeds."""
    lines = [
        "| way | weights that learn | s a step | MB | accuracy, mean | lowest to highest |",
        "|---|---|---|---|---|---|",
    ]
    for way in WAYS:
        found = [run for run in runs if run["way"] == way]
        if not found:
            continue
        seconds, peak, accuracy = (
            sum(run[name] for run in found) / len(found)
            for name in ("step_seconds", "peak_bytes_above_start", "accuracy")
        )
        spread = f"{min(run['accuracy'] for run in found):.3f} to {max(run['accuracy'] for run in found):.3f}"
        lines.append(
            f"| {way} | {found[0]['learning']:,} | {seconds:.3f} | {peak / 1e6:,.0f} | {accuracy:.3f} | {spread} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Make the runs that are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    chosen = parser.parse_args()
    facts = {"fettle": version("fettle-llm"), "torch": version("torch"), "machine": platform.machine(), "runs": []}
    if chosen.json.exists():
        facts = json.loads(chosen.json.read_text(encoding="utf-8"))
    held = {Trial(run["way"], run["seed"], run["steps"]).key for run in facts["runs"]}
    trials = [Trial(way, seed, chosen.steps) for seed in range(chosen.seeds) for way in WAYS]
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(make_data, Path(folder))
        for trial in trials:
            if trial.key not in held:
                facts["runs"].append(in_own_process(measure, Path(folder), trial))
                chosen.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
                print(facts["runs"][-1], file=sys.stderr, flush=True)
    print(table(facts["runs"]))


if __name__ == "__main__":
    main()
