"""Entities in three published sets: `fettle train tag` beside a plain token-classification loop of transformers.

    python -m benchmarks.entities WORKSPACE --data FOLDER --base ENCODER --out FOLDER [--sets wikigold] [--seeds 0,1,2]
    python -m benchmarks.entities WORKSPACE --data FOLDER --base ENCODER --out FOLDER --matrix

FOLDER holds `wikigold`, `btc_ner` and `sec_filings_ner` as published (CoNLL); ENCODER is a model folder. Both learn
from the same rows with the same settings, each in a process of its own, and are scored here: an entity counts where
its characters and its label are those of the test, and precision and recall are over all entities. The plain loop is
what the course of transformers teaches: words that are given, the label at the first piece of each, -100 elsewhere,
rows padded, the likeliest tag of each word. `--matrix` scores each fettle bundle of seed 0 on every set. A run whose
file is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    get_cosine_schedule_with_warmup,
)

from fettle.app.planning import resolve_plan
from fettle.app.workshop.importing import import_data
from fettle.app.workshop.splitting import split_data
from fettle.app.workshop.versions import load_rows
from fettle.data.dialects.tagged import bio_tags, spans_of_tags
from fettle.data.records import Row, Span, TaggedText
from fettle.data.splits.split import Shares, SplitSettings, carve_validation
from fettle.storage.workspace import Workspace, open_workspace

SYSTEMS = ("fettle", "plain")
# Files to learn from, and files to be tested on; where there are none of these, a fifth of the rows by hash.
FILES: dict[str, tuple[list[str], list[str]]] = {
    "wikigold": (["wikigold.conll.txt"], []),
    "btc_ner": (["a.conll", "b.conll", "e.conll", "g.conll"], ["f.conll", "h.conll"]),
    "sec_filings_ner": (["train/FIN5.txt"], ["test/FIN3.txt"]),
}
SETTINGS = {"training.learning_rate": 2e-4, "training.rows_per_step": 16, "training.keep": "last"}
EPOCHS = {"wikigold": 3, "btc_ner": 2, "sec_filings_ner": 4}
MOST_TOKENS = 256
_ROWS_PER_CALL = 64


def main() -> None:
    """Make what runs are asked for and not there yet, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(FILES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", action="append", default=[], help="a setting of fettle's runs: tag.scheme=bilou")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the only one that a run has")
    parser.add_argument("--matrix", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    workspace = open_workspace(chosen.workspace)
    if chosen.one:
        name, system, seed = chosen.one
        print(json.dumps(run_one(workspace, chosen, (name, system, int(seed)))))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in FILES if chosen.matrix else chosen.sets.split(","):
        prepare(workspace, chosen.data, name)
    if chosen.matrix:
        (chosen.out / "matrix.json").write_text(json.dumps(matrix(workspace, chosen.sets.split(",")), indent=1) + "\n")
        return
    for seed in chosen.seeds.split(","):
        for name in chosen.sets.split(","):
            for system in chosen.systems.split(","):
                keep_one(chosen, (name, system, seed))


def prepare(workspace: Workspace, data: Path, name: str) -> None:
    """Import a set, unless it is there."""
    have = workspace.catalogue.datasets()
    folder = data / name / "CONLL-format" / "data"
    learned, tested = FILES[name]
    if name not in have:
        import_data(workspace, [folder / file for file in learned], name)
        if not tested:
            split_data(workspace, name, SplitSettings(Shares(0.7, 0.1, 0.2)), is_near=False)
    if tested and f"{name}-test" not in have:
        import_data(workspace, [folder / file for file in tested], f"{name}-test")


def rows_of(workspace: Workspace, name: str) -> tuple[list[Row], list[Row]]:
    """The rows that a run learns from, as fettle divides them, and those of the test."""
    _, rows = load_rows(workspace, name)
    learned = [row for row in rows if row.part in ("", "train")]
    if all(row.part != "validation" for row in rows):
        learned, _ = carve_validation(learned)
    tested = [row for row in rows if row.part == "test"]
    return learned, tested or load_rows(workspace, f"{name}-test")[1]


def keep_one(chosen: argparse.Namespace, which: tuple[str, str, str]) -> None:
    """One run in a process of its own, on one core."""
    path = chosen.out / f"{'-'.join(which)}.json"
    if path.exists():
        return
    command = [sys.executable, "-m", "benchmarks.entities", str(chosen.workspace), "--one", *which]
    command += [f"--{folder}={getattr(chosen, folder)}" for folder in ("data", "base", "out", "core")]
    command += [f"--set={assignment}" for assignment in chosen.set]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(
        "-".join(which),
        {name: found[name] for name in ("f1", "precision", "recall", "cpu_seconds", "peak_mb")},
        flush=True,
    )


def run_one(workspace: Workspace, chosen: argparse.Namespace, which: tuple[str, str, int]) -> dict[str, object]:
    """Train and test in this process."""
    name, system, seed = which
    os.sched_setaffinity(0, [chosen.core])
    torch.set_num_threads(1)
    learned, tested = rows_of(workspace, name)
    run = run_fettle if system == "fettle" else run_plain
    found, facts = run(workspace, chosen, (name, seed), (learned, tested))
    return {
        "set": name,
        "system": system,
        "seed": seed,
        "rows": {"learned": len(learned), "test": len(tested)},
        **score([row.record for row in tested], found),
        **facts,
        "cpu_seconds": round(time.process_time(), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "versions": {package: version(package) for package in ("torch", "transformers", "fettle-llm")},
        "python": platform.python_version(),
    }


def run_fettle(
    workspace: Workspace, chosen: argparse.Namespace, which: tuple[str, int], rows: tuple[list[Row], list[Row]]
) -> tuple[list[list[Span]], dict[str, object]]:
    """What a newcomer would do: the recipe, these settings, and the bundle put to use."""
    from fettle.app.running import start_run
    from fettle.app.using import load

    name, seed = which
    settings = {**SETTINGS, "training.epochs": EPOCHS[name], "prompt.max_length": MOST_TOKENS}
    words = [f"{key}={value}" for key, value in settings.items()] + chosen.set
    label = "-".join([name, str(seed), *(word.replace("=", "_") for word in chosen.set)])
    plan = resolve_plan("tag", [f"data={name}", f"base={chosen.base.resolve()}", f"seed={seed}", *words])
    result = start_run(workspace, plan, label)
    began = time.perf_counter()
    found = spans_by(load(label, workspace), [row.record for row in rows[1]])
    return found, {
        "settings": words,
        "seconds": round(result.progress.seconds, 1),
        "test_seconds": round(time.perf_counter() - began, 1),
    }


def spans_by(model: Any, records: Sequence[Any]) -> list[list[Span]]:
    """The spans that a bundle finds."""
    answers = model.predict([record.text for record in records])
    return [[Span(*span) for span in json.loads(answer.text)] for answer in answers]


def run_plain(
    workspace: Workspace, chosen: argparse.Namespace, which: tuple[str, int], rows: tuple[list[Row], list[Row]]
) -> tuple[list[list[Span]], dict[str, object]]:
    """The loop that the course of transformers teaches, with the same settings."""
    name, seed = which
    torch.manual_seed(seed)
    labels = sorted({span.label for row in rows[0] for span in row.record.spans})
    names = ["O", *(f"{letter}-{label}" for label in labels for letter in "BI")]
    tokenizer = AutoTokenizer.from_pretrained(chosen.base)
    network = AutoModelForTokenClassification.from_pretrained(chosen.base, num_labels=len(names), dtype=torch.float32)
    learned = [encode(tokenizer, row.record, names) for row in rows[0]]
    collate = DataCollatorForTokenClassification(tokenizer)
    began = time.perf_counter()
    learn(network, learned, collate, EPOCHS[name], seed)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    found = tag(network, tokenizer, [row.record for row in rows[1]], names)
    return found, {"seconds": round(seconds, 1), "test_seconds": round(time.perf_counter() - began, 1)}


def encode(tokenizer: Any, record: TaggedText, names: Sequence[str]) -> dict[str, Any]:
    """Words as they are given, the tag of each at its first piece."""
    words = record.text.split(" ")
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=MOST_TOKENS)
    tags = bio_tags(words, record.spans)
    before = None
    labels = []
    for word in encoded.word_ids():
        labels.append(-100 if word is None or word == before else names.index(tags[word]) if tags[word] in names else 0)
        before = word
    return {**encoded, "labels": labels}


def learn(network: Any, rows: Sequence[dict[str, Any]], collate: Any, epochs: int, seed: int) -> None:
    """AdamW with the settings that fettle's plan has by default."""
    rows_per_step = int(SETTINGS["training.rows_per_step"])
    decays = [
        [weight for weight in network.parameters() if (weight.ndim > 1) is is_matrix] for is_matrix in (True, False)
    ]
    optimizer = torch.optim.AdamW(
        [{"params": group, "weight_decay": decay} for group, decay in zip(decays, (0.01, 0.0), strict=True)],
        lr=float(SETTINGS["training.learning_rate"]),
        betas=(0.9, 0.99),
    )
    num_steps = epochs * -(-len(rows) // rows_per_step)
    schedule = get_cosine_schedule_with_warmup(optimizer, -(-num_steps // 20), num_steps)
    draw = random.Random(seed)
    network.train()
    for _ in range(epochs):
        for places in batches(draw.sample(range(len(rows)), len(rows)), rows_per_step):
            network(**collate([rows[place] for place in places])).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def tag(network: Any, tokenizer: Any, records: Sequence[Any], names: Sequence[str]) -> list[list[Span]]:
    """The likeliest tag of each word, read as tags are read when files of them are imported."""
    network.eval()
    found = []
    for part in batches(records, _ROWS_PER_CALL):
        words = [record.text.split(" ") for record in part]
        encoded = tokenizer(
            words, is_split_into_words=True, truncation=True, max_length=MOST_TOKENS, padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            likeliest = network(**encoded).logits.argmax(-1).tolist()
        for row, of_row in enumerate(words):
            tags = ["O"] * len(of_row)
            for place, word in reversed(list(enumerate(encoded.word_ids(row)))):
                if word is not None:
                    tags[word] = names[likeliest[row][place]]
            found.append(spans_of_tags(of_row, tags))
    return found


def batches(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Rows in groups of `size`, the last one smaller."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def score(records: Sequence[Any], found: Sequence[Iterable[Span]]) -> dict[str, float]:
    """Strict F1, precision and recall over all entities, shares from 0 to 1."""
    pairs = [(set(record.spans), set(spans)) for record, spans in zip(records, found, strict=True)]
    hits, said, there = (sum(map(len, sides)) for sides in zip(*((a & b, b, a) for a, b in pairs), strict=True))
    return {
        "f1": 2 * hits / (said + there) if said + there else 0.0,
        "precision": hits / said if said else 0.0,
        "recall": hits / there if there else 0.0,
    }


def matrix(workspace: Workspace, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Strict F1 of the bundle that each set gave with seed 0, on the test of every set; labels count as they are."""
    from fettle.app.using import load

    tests = {name: [row.record for row in rows_of(workspace, name)[1]] for name in names}
    found: dict[str, dict[str, float]] = {}
    for learned in names:
        model = load(f"{learned}-0", workspace)
        found[learned] = {name: score(records, spans_by(model, records))["f1"] for name, records in tests.items()}
        print(learned, found[learned], flush=True)
    return found


if __name__ == "__main__":
    main()
