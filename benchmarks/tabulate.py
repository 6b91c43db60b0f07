"""Turn the JSON documents of published_sets.py into the Markdown tables of docs/results.md.

python benchmarks/tabulate.py FOLDER
"""

import json
import sys
from pathlib import Path
from statistics import mean

METRICS = {
    "banking77": ("accuracy", "macro_f1"),
    "sst2": ("accuracy", "macro_f1"),
    "medquad": ("loss", "chrf", "rouge_l"),
}


def estimate(one: dict) -> str:
    """A score with its interval."""
    low, high = one["interval"]
    return f"{one['value']:.3f} ({low:.3f} to {high:.3f})"


def main(folder: Path) -> None:
    for name, metrics in METRICS.items():
        found = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob(f"{name}-*.json"))}
        if not found:
            continue
        rows = next(iter(found.values()))["evaluate"]["n"]
        print(f"\n### {name}, {rows} test rows\n")
        print("| model | seed | " + " | ".join(metrics) + " | training s | peak GiB |")
        print("|---|---|" + "---|" * (len(metrics) + 2))
        bases: dict[str, str] = {}
        for label, document in found.items():
            _, start, seed = label.rsplit("-", 2)
            systems, trained = document["evaluate"]["systems"], document["train"]
            if start == "tuned":
                cells = " | ".join(estimate(systems["base"][metric]) for metric in metrics)
                bases.setdefault(start, f"| base, not tuned | - | {cells} | - | - |")
            what = "tuned" if start == "tuned" else "tuned from random weights"
            cells = " | ".join(estimate(systems["tuned"][metric]) for metric in metrics)
            peak = trained["peak_memory_bytes"] / 2**30
            print(f"| {what} | {seed} | {cells} | {trained['seconds']:.0f} | {peak:.1f} |")
        print("\n".join(bases.values()))
        for start in ("tuned", "random"):
            group = [one for label, one in found.items() if label.rsplit("-", 2)[1] == start]
            if len(group) > 1:
                means = (
                    mean(one["evaluate"]["systems"]["tuned"][metric]["value"] for one in group) for metric in metrics
                )
                print(
                    f"\nMean over {len(group)} seeds, {start}: "
                    + ", ".join(f"{m} {v:.3f}" for m, v in zip(metrics, means, strict=True))
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
