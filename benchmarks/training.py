"""fettle beside its peers: the same rows, steps and losses, in one run, alternating.

    python -m benchmarks.training --only W1,W2 --json
    python -m benchmarks.training --only W2 --grid        look for the peer's best settings again

Two comparisons. `default`: the peer as it comes. `tuned`: the peer with the fastest settings of `GRID`, found once and
kept in `benchmarks/best_tuned.json`. Every run is a process of its own; the first steps warm up and are not counted.
A ratio is the geometric mean over the counted steps, each beside the same step of the other engine, with a 95 %
interval. A ratio whose losses do not agree within 1 % is void.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.workloads import WORKLOADS

HERE = Path(__file__).resolve().parent
BEST, OUT = HERE / "best_tuned.json", HERE.parent / "docs" / "benchmarks"
WARM_UP_STEPS, COUNTED_STEPS, GRID_STEPS = 2, 8, 3
# The peer as it comes takes minutes a step, so its one run is shorter.
DEFAULT_STEPS = WARM_UP_STEPS + 2
MOST_LOSS_DIFFERENCE = 0.01
LONGEST_RUN_SECONDS = 1800
# As the plan of a run of some length decides; cold start, which holds the compiling, is shown apart.
OURS: dict[str, Any] = {"compile": True}

# One setting of the peer is changed at a time, in this order, and kept if it is faster. Packing and padding-free rows
# are not in it: both need FlashAttention, which has no path for processors.
START: dict[str, Any] = {"dtype": "autocast", "gradient_checkpointing": True}
GRID: list[dict[str, Any]] = [
    {"gradient_checkpointing": False},
    {"allocator": True},
    {"dtype": "bfloat16"},
    {"rows_per_call": 4},
    {"rows_per_call": 8},
    {"rows_per_call": 16},
    {"sorted": True},
    {"loss_type": "chunked_nll"},
    {"torch_compile": True},
]


def main() -> None:
    """Measure what was asked for, print it, and keep the raw results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="W1,W2", help=f"workloads, of {', '.join(WORKLOADS)}")
    parser.add_argument("--grid", action="store_true", help="look for the peer's best settings again")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each engine, alternating")
    parser.add_argument("--no-default", action="store_true", help="leave the peer as it comes out")
    parser.add_argument("--banking77", default="", help="folder of banking77, for W5; else rows of its lengths")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    words = parser.parse_args()
    if words.banking77:
        os.environ["BANKING77"] = words.banking77
    best = json.loads(BEST.read_text()) if BEST.exists() else {}
    found = {}
    for name in words.only.split(","):
        if words.grid or name not in best:
            best[name] = search(name)
            BEST.write_text(json.dumps(best, indent=1, sort_keys=True) + "\n")
        found[name] = compare(name, best[name], words.repeats, with_default=not words.no_default)
        keep(name, found[name])
    if words.json:
        print(json.dumps({name: one["summary"] for name, one in found.items()}))
    else:
        print(table(found))


def run(engine: str, workload: str, steps: int, options: dict[str, Any]) -> dict[str, Any] | None:
    """One run in a process of its own; None where the engine fails."""
    job = {"engine": engine, "workload": workload, "steps": steps, "options": options}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.training_worker", json.dumps(job)],
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_SECONDS,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )
    except subprocess.TimeoutExpired:
        print(f"{engine} {workload} {options}: not done after {LONGEST_RUN_SECONDS} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{engine} {workload} {options}: failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"{engine} {workload} {options}: {median(result['step_seconds'][-steps + 1 :]):.2f} s a step, "
        f"{result['peak_bytes_above_import'] / 1e9:.1f} GB",
        file=sys.stderr,
    )
    return result


def search(workload: str) -> dict[str, Any]:
    """The peer's fastest settings, one change at a time."""
    options, fastest = dict(START), float("inf")
    losses: list[float] = []
    for change in [{}, *GRID]:
        tried = {**options, **change}
        if change.get("rows_per_call", 0) > WORKLOADS[workload].rows_per_step:
            continue
        result = run("peer", workload, GRID_STEPS, tried)
        if result is None:
            continue
        found = result["losses"]
        losses = losses or found
        if any(abs(a - b) > MOST_LOSS_DIFFERENCE * abs(b) for a, b in zip(found, losses, strict=True)):
            print(f"peer {workload} {tried}: other losses than before, so not taken", file=sys.stderr)
            continue
        seconds = min(result["step_seconds"][1:]) if not change.get("torch_compile") else result["step_seconds"][-1]
        if seconds < fastest:
            options, fastest = tried, seconds
    return options


def compare(workload: str, best: dict[str, Any], repeats: int, *, with_default: bool) -> dict[str, Any]:
    """Alternate the engines, and put the medians beside each other."""
    sides: dict[str, tuple[str, dict[str, Any]]] = {"fettle": ("fettle", OURS), "tuned": ("peer", best)}
    if with_default:
        sides["default"] = ("peer", {})
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for turn in range(repeats):
        for side, (engine, options) in sides.items():
            if side == "default" and turn > 0:
                continue
            steps = DEFAULT_STEPS if side == "default" else WARM_UP_STEPS + COUNTED_STEPS
            result = run(engine, workload, steps, options)
            if result is not None:
                runs[side].append(result)
    return {"summary": summarise(runs), "best_tuned": best, "machine": machine(), "runs": runs}


def summarise(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Rates as fettle over the peer, memory as fettle over the peer; medians over the runs."""
    summary: dict[str, Any] = {}
    ours = runs["fettle"]
    for side in ("tuned", "default"):
        theirs = runs.get(side, [])
        if not theirs:
            continue
        difference = max(abs(a - b) / b for a, b in zip(ours[0]["losses"], theirs[0]["losses"], strict=False))
        is_void = difference > MOST_LOSS_DIFFERENCE
        ratios = ratios_of_steps(ours, theirs)
        low, middle, high = interval(ratios)
        summary[f"ratio_{side}"] = None if is_void else middle
        summary[f"interval_{side}"] = None if is_void else [low, high]
        summary[f"memory_ratio_{side}"] = median(map(peak, ours)) / median(map(peak, theirs))
        summary["loss_difference"] = max(summary.get("loss_difference", 0.0), difference)
    for side, results in runs.items():
        if results:
            summary[side] = {
                "learned_tokens_per_second": median(map(rate, results)),
                "seconds_per_step": median(second for one in results for second in counted(one)),
                "peak_bytes_above_import": median(map(peak, results)),
                "cold_start_seconds": median(one["cold_start_seconds"] for one in results),
                "runs": [rate(one) for one in results],
            }
    return summary


def ratios_of_steps(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[float]:
    """The peer's seconds over fettle's, for every counted step of every pair of runs: both learn the same tokens."""
    return [
        slow / fast
        for one, other in zip(ours, theirs, strict=False)
        for fast, slow in zip(counted(one), counted(other), strict=False)
    ]


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The geometric mean of ratios between the ends of its 95 % interval (Student's t over their logarithms)."""
    logs = np.log(ratios)
    reach = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    low, middle, high = np.exp([logs.mean() - reach, logs.mean(), logs.mean() + reach])
    return float(low), float(middle), float(high)


def counted(result: dict[str, Any]) -> list[float]:
    """The steps after the warm-up."""
    return list(result["step_seconds"][WARM_UP_STEPS:])


def rate(result: dict[str, Any]) -> float:
    """Learned tokens a second over the counted steps."""
    return float(sum(result["learned_tokens"][WARM_UP_STEPS:]) / sum(counted(result)))


def peak(result: dict[str, Any]) -> float:
    """The most memory of a run above what its imports took."""
    return float(result["peak_bytes_above_import"])


def machine() -> dict[str, Any]:
    """What was measured on, and with what."""
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    packages = ("torch", "transformers", "peft", "trl", "accelerate")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _lines(path: str) -> Iterator[str]:
    yield from Path(path).read_text().splitlines()


def keep(workload: str, result: dict[str, Any]) -> None:
    """The raw results, one file a workload."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{workload}.json").write_text(json.dumps(result, indent=1) + "\n")


def table(found: dict[str, Any]) -> str:
    """The figures for people, as Markdown."""
    lines = [
        "| workload | fettle, s a step | GB | TRL best-tuned, s | GB | ratio | TRL as it comes, s | GB | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        summary = one["summary"]
        cells = [name, *_cells(summary["fettle"])]
        for side in ("tuned", "default"):
            if side in summary:
                ratio = summary[f"ratio_{side}"]
                cells += [*_cells(summary[side]), "void" if ratio is None else f"{ratio:.1f}×"]
            else:
                cells += ["-", "-", "-"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(side: dict[str, Any]) -> list[str]:
    return [f"{side['seconds_per_step']:.2f}", f"{side['peak_bytes_above_import'] / 1e9:.1f}"]


if __name__ == "__main__":
    main()
