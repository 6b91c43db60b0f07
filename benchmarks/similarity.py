"""How near two sentences are: an encoder before and after tuning on the STS benchmark, several seeds.

    python -m benchmarks.similarity DATA_FOLDER MODEL_FOLDER WORKSPACE OUT_FOLDER

DATA_FOLDER holds `stsb-en-train.csv` and `stsb-en-test.csv` as published (github.com/PhilipMay/stsb-multi-mt), and
MODEL_FOLDER an encoder (all-MiniLM-L6-v2). One core. What each run prints as JSON goes to OUT_FOLDER; a run whose file
is there is not made again.
"""

import csv
import json
import sys
from pathlib import Path

from benchmarks.published_sets import fettle

SEEDS = (0, 1, 2)
SETTINGS = ["training.epochs=1", "training.learning_rate=5e-5", "training.rows_per_step=32", "training.compile=off"]


def prepare(data: Path, home: Path) -> None:
    """Give the columns names, and import what is not there yet."""
    home.mkdir(parents=True, exist_ok=True)
    have = {version["dataset"] for version in fettle(home, ["data", "list"])}
    for name, part in (("stsb", "train"), ("stsb-test", "test")):
        if name in have:
            continue
        file = home / f"{name}.jsonl"
        with (data / f"stsb-en-{part}.csv").open(newline="", encoding="utf-8") as source:
            pairs = [
                {"anchor": first, "positive": second, "score": float(score)}
                for first, second, score in csv.reader(source)
            ]
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
        fettle(home, ["data", "import", str(file), "--name", name])


def main(data: Path, model: Path, home: Path, out: Path) -> None:
    """Train and score with every seed."""
    prepare(data, home)
    out.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        target = out / f"stsb-{seed}.json"
        if target.exists():
            continue
        settings = ["data=stsb", f"seed={seed}", *SETTINGS]
        trained = fettle(home, ["train", "embed", *settings, f"base={model}", "--name", f"stsb-{seed}"])
        scored = fettle(home, ["evaluate", f"stsb-{seed}", "--data", "stsb-test"])
        trained["bundle"] = f"stsb-{seed}"
        words = ["fettle", "train", "embed", *settings, f"base={model.name}"]
        document = {"command": words, "threads": 1, "train": trained, "evaluate": scored}
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        values = {system: scores["spearman"]["value"] for system, scores in scored["systems"].items()}
        print(target.stem, f"{trained['seconds']:.0f} s", values, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
