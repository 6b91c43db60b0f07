"""How fast files become rows: the containers alone, and the whole import.

    python -m benchmarks.data import --megabytes 200
    python -m benchmarks.data flat --megabytes 5000

`import` writes seeded files (conversations of 1 to 4 kB, short labelled rows; as JSON lines and as CSV) and times both,
the best of three runs, each in a process of its own so that its peak of memory is its own. `flat` reads one large file
through its container and says what memory it took. Results go into docs/benchmarks/data.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fettle.app.workshop.importing import import_data
from fettle.data.containers.opening import take_sample
from fettle.data.containers.table import candidates
from fettle.storage.workspace import open_workspace

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "data.json"
NUM_RUNS = 3
_LETTERS = "etaoinshrdlucmfwypvbgk"


def words_of(rng: random.Random) -> list[str]:
    """A vocabulary of made words, now and then with marks, quotes or letters beyond ASCII."""
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(1, 10))) for _ in range(4_000)]
    return [*words, *(f"{word}," for word in words[:800]), "so:", '"quoted"', "naïve", "日本", "e.g.:", "don't", "(a)"]


def _text(rng: random.Random, words: list[str], num_characters: int) -> str:
    return " ".join(rng.choices(words, k=max(1, num_characters // 6)))


def chat_rows(rng: random.Random) -> Iterator[dict[str, object]]:
    """Conversations of 1 to 4 kB, turns of some hundred characters."""
    words = words_of(rng)
    while True:
        turns: list[dict[str, str]] = []
        left = rng.randint(900, 3_800)
        while left > 0 or len(turns) % 2:
            length = rng.randint(40, 900)
            turns.append({"role": ("user", "assistant")[len(turns) % 2], "content": _text(rng, words, length)})
            left -= length
        yield {"messages": turns}


def labelled_rows(rng: random.Random) -> Iterator[dict[str, object]]:
    """A short text and one of 77 labels."""
    words = words_of(rng)
    while True:
        yield {"text": _text(rng, words, rng.randint(20, 90)), "label": f"label_{rng.randrange(77)}"}


ROWS: dict[str, Callable[[random.Random], Iterator[dict[str, object]]]] = {"chat": chat_rows, "labelled": labelled_rows}
FILES = ("chat.jsonl", "labelled.jsonl", "labelled.csv")


def write_file(path: Path, num_bytes: int, seed: int = 1) -> int:
    """Write rows until the file is so large; the number of rows."""
    num_rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in ROWS[path.stem](random.Random(seed)):
            if path.suffix == ".csv":
                if not num_rows:
                    writer.writerow(row)
                writer.writerow(row.values())
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            num_rows += 1
            if num_rows % 64 == 0 and file.tell() >= num_bytes:
                return num_rows
    raise AssertionError("rows never end")


def read_container(path: Path) -> int:
    """The rows of a file by its container alone."""
    container, _ = candidates(take_sample(path))[0]
    return sum(1 for _ in container.read(path))


def read_import(path: Path) -> int:
    """The rows of a file by the whole import: recognised, read, made records, counted, stored as a version."""
    with tempfile.TemporaryDirectory() as folder:
        return import_data(open_workspace(Path(folder)), [path], "rows").rows_kept


READERS = {"container": read_container, "import": read_import}


def measure_here(reader: str, path: Path) -> dict[str, float]:
    """Time one reading in this process, and its peak of memory above what stood before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, began_cpu = time.perf_counter(), time.process_time()
    num_rows = READERS[reader](path)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": num_rows, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": (peak - before) / 1_024}


def measure(reader: str, path: Path, num_runs: int = NUM_RUNS) -> dict[str, object]:
    """The best of several readings, each in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.data", "one", reader, str(path)]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(num_runs)]
    best = min(runs, key=lambda run: run["seconds"])
    megabytes = path.stat().st_size / 1e6
    return {
        "file": path.name,
        "reader": reader,
        "megabytes": round(megabytes, 1),
        "rows": best["rows"],
        "seconds": [round(run["seconds"], 3) for run in runs],
        "cpu_seconds": [round(run["cpu_seconds"], 3) for run in runs],
        "rows_a_second": round(best["rows"] / best["seconds"]),
        "megabytes_a_second": round(megabytes / best["seconds"], 1),
        "peak_memory_mb": round(max(run["peak_mb"] for run in runs), 1),
    }


def _keep(key: str, found: list[dict[str, object]]) -> None:
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[key] = found
    kept["machine"] = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("import", "flat", "one"))
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--megabytes", type=int, default=200)
    chosen = parser.parse_args()
    if chosen.what == "one":
        print(json.dumps(measure_here(chosen.rest[0], Path(chosen.rest[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "flat":
            path = Path(folder) / "chat.jsonl"
            write_file(path, chosen.megabytes * 1_000_000)
            _keep("flat", [measure("container", path, num_runs=1)])
            return
        found = []
        for name in FILES:
            path = Path(folder) / name
            write_file(path, chosen.megabytes * 1_000_000)
            found += [measure(reader, path) for reader in READERS]
            path.unlink()
        _keep("import", found)


if __name__ == "__main__":
    main()
