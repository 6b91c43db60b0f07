"""Labels by a head on an encoder: `fettle train classify-head` beside the Trainer of transformers.

    python -m benchmarks.labels WORKSPACE --data FOLDER --base ENCODER --out FOLDER [--few] [--seeds 0,1,2]

FOLDER holds `banking77` as published (github.com/PolyAI-LDN/task-specific-datasets); ENCODER is a model folder. Both
learn from the same rows (what fettle leaves after holding some out for watching), for the same epochs, with the same
rows a step, rate, schedule and decay, and keep the last weights. The Trainer's model is
AutoModelForSequenceClassification, rows padded in batches of like length (group_by_length), its own dropout. `--few`
learns from 10 rows a class. A run whose file is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS, ROWS, RATE, WARMUP, DECAY = 4, 16, 1e-4, 0.05, 0.01
FEW, FEW_EPOCHS = 10, 20


def fettle(home: Path, *words: str) -> dict[str, object]:
    """Run one command and give its JSON document."""
    environment = {**os.environ, "FETTLE_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "fettle", *words, "--json"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"fettle {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


def prepare(data: Path, home: Path) -> None:
    """Import what is not there yet: all rows, the test, and the first rows of each class."""
    have = {version["dataset"] for version in fettle(home, "data", "list")}
    if "banking77" in have:
        return
    fettle(home, "data", "import", str(data / "banking77" / "train.csv"), "--name", "banking77")
    fettle(home, "data", "import", str(data / "banking77" / "test.csv"), "--name", "banking77-test")
    import csv

    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.jsonl"
        with few.open("w", encoding="utf-8") as stream:
            for row in rows:
                counts[row["category"]] = counts.get(row["category"], 0) + 1
                if counts[row["category"]] <= FEW:
                    stream.write(json.dumps({"text": row["text"], "label": row["category"]}) + "\n")
        fettle(home, "data", "import", str(few), "--name", "banking77-few")


def run_fettle(home: Path, base: str, data: str, epochs: int, seed: int) -> dict[str, object]:
    """Train and score with fettle."""
    name = f"{data}-{seed}"
    settings = [
        f"data={data}", f"base={base}", f"seed={seed}", f"training.epochs={epochs}", f"training.rows_per_step={ROWS}",
        f"training.learning_rate={RATE}", f"training.warmup_share={WARMUP}", f"training.weight_decay={DECAY}",
        "training.keep=last", "training.dropout=0.1", "training.beta2=0.999",
    ]  # fmt: skip
    trained = fettle(home, "train", "classify-head", *settings, "--name", name)
    began = time.monotonic()
    report = fettle(home, "evaluate", name, "--data", "banking77-test")
    return {
        "accuracy": report["systems"]["tuned"]["accuracy"],
        "seconds": trained["seconds"],
        "peak_memory_bytes": trained["peak_memory_bytes"],
        "steps": trained["steps"],
        "seconds_to_score_base_and_tuned": round(time.monotonic() - began, 1),
    }


def run_trainer(home: Path, base: str, data: str, epochs: int, seed: int) -> dict[str, object]:
    """Train and score with the Trainer, in a process of its own (this one)."""
    import resource

    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    from fettle.app.planning import resolve_plan
    from fettle.app.preparing.rows import prepare as prepare_plan
    from fettle.app.workshop.versions import load_rows
    from fettle.data.splits.split import carve_validation
    from fettle.storage.workspace import open_workspace

    os.environ["FETTLE_HOME"] = str(home)
    workspace = open_workspace()
    plan = resolve_plan("classify-head", [f"data={data}", f"base={base}"])
    labels = prepare_plan(workspace, plan.settings).labels
    number = {label: place for place, label in enumerate(labels)}
    learned, _ = carve_validation(load_rows(workspace, data)[1])
    tests = load_rows(workspace, "banking77-test")[1]
    tokenizer = AutoTokenizer.from_pretrained(base)

    def encoded(rows: list) -> list[dict[str, object]]:
        return [{**tokenizer(row.record.text, truncation=True), "labels": number[row.record.label]} for row in rows]

    set_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(labels))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder, num_train_epochs=epochs, per_device_train_batch_size=ROWS, learning_rate=RATE,
                warmup_steps=WARMUP, lr_scheduler_type="cosine", weight_decay=DECAY, seed=seed, save_strategy="no",
                report_to=[], disable_tqdm=True, use_cpu=True, per_device_eval_batch_size=64, logging_steps=10**6,
                train_sampling_strategy="group_by_length",
            ),
            train_dataset=encoded(learned),
            data_collator=DataCollatorWithPadding(tokenizer),
        )  # fmt: skip
        began = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - began
        found = trainer.predict(encoded(tests))
    hits = np.argmax(found.predictions, -1) == found.label_ids
    return {
        "accuracy": {"value": float(hits.mean())},
        "seconds": round(seconds, 1),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "steps": trainer.state.global_step,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--one", default="")
    given = parser.parse_args()
    data, epochs = ("banking77-few", FEW_EPOCHS) if given.few else ("banking77", EPOCHS)
    if given.one:
        system, seed = given.one.split(":")
        result = {"fettle": run_fettle, "trainer": run_trainer}[system](
            given.workspace, given.base, data, epochs, int(seed)
        )
        sys.stdout.write(json.dumps(result) + "\n")
        return
    prepare(given.data, given.workspace)
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds.split(","):
        for system in ("fettle", "trainer"):
            path = given.out / f"{data}-{system}-{seed}.json"
            if path.exists():
                continue
            words = [sys.executable, "-m", "benchmarks.labels", *sys.argv[1:], "--one", f"{system}:{seed}"]
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            facts = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
            result = {**json.loads(done.stdout.splitlines()[-1]), **facts}
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(f"{path.name}: {result['accuracy']['value']:.4f} in {result['seconds']:.0f} s")


if __name__ == "__main__":
    main()
