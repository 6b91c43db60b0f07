"""One engine over one file of rows, in a process of its own: which rows it ties, and what that cost.

    python -m benchmarks.duplicates_worker ENGINE ROWS.json OUT.json

ROWS.json holds {"rows": [...], "held": [...]}. OUT.json gets pairs of places and what they cost; reading the rows and
importing the engine are not counted. A peer's own package is imported only where it is the engine.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

THRESHOLD = 0.8
NUM_PERMUTATIONS = 128

Pairs = list[tuple[int, int]]
Run = Callable[[], Pairs]


def shingles(text: str) -> set[str]:
    """Runs of five characters of a text in small letters with single blanks, for the peers."""
    text = " ".join(text.lower().split())
    return {text[start : start + 5] for start in range(max(len(text) - 4, 1))}


def fettle(rows: list[str], held: list[str]) -> Run:
    """All pairs among the rows, exact and near."""
    similar = import_module("fettle.quality.alike.similar")
    return lambda: [(left, right) for left, right, _ in similar.similar_pairs(rows, THRESHOLD)]


def fettle_leaks(rows: list[str], held: list[str]) -> Run:
    """Pairs of a row and a held-out row."""
    similar = import_module("fettle.quality.alike.similar")
    return lambda: [(left, right) for left, right, _ in similar.similar_across(rows, held, THRESHOLD)]


def datasketch(rows: list[str], held: list[str]) -> Run:
    """MinHash and LSH as its pages show them, shingles handed over in bulk; each new row asks, then joins."""
    peer = import_module("datasketch")

    def run() -> Pairs:
        index = peer.MinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERMUTATIONS)
        pairs = []
        for place, row in enumerate(rows):
            minhash = peer.MinHash(num_perm=NUM_PERMUTATIONS)
            minhash.update_batch([shingle.encode() for shingle in shingles(row)])
            pairs += [(other, place) for other in index.query(minhash)]
            index.insert(place, minhash)
        return pairs

    return run


def text_dedup(rows: list[str], held: list[str]) -> Run:
    """Its minhash command. It cuts texts into words, so each shingle is handed over as a word, and one word is a unit.

    It reports clusters: each row is paired with the row that its cluster is named after.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    peer = import_module("text_dedup.minhash")
    folder = Path(tempfile.mkdtemp())
    with (folder / "rows.jsonl").open("w") as file:
        for row in rows:
            words = (re.sub(r"\W", lambda found: f"_{ord(found[0])}_", shingle) for shingle in sorted(shingles(row)))
            file.write(json.dumps({"text": " ".join(words)}) + "\n")
    words = (
        f"--path json --data_files {folder}/rows.jsonl --split train --cache_dir {folder}/cache --output {folder}/out"
    )
    words += f" --column text --ngram 1 --min_length 1 --num_perm {NUM_PERMUTATIONS} --threshold {THRESHOLD}"

    def run() -> Pairs:
        peer.main(words.split(), standalone_mode=False)
        named = [(peer.uf.find(place), place) for place in range(len(rows))]
        return [(first, place) for first, place in named if first != place]

    return run


ENGINES = {"fettle": fettle, "fettle-leaks": fettle_leaks, "datasketch": datasketch, "text-dedup": text_dedup}


def main() -> None:
    """Run what was asked for."""
    engine, given, out = sys.argv[1:]
    texts = json.loads(Path(given).read_text())
    run = ENGINES[engine](texts["rows"], texts["held"])
    before = _peak_bytes()
    wall, processor = time.perf_counter(), _processor_seconds()
    pairs = run()
    done: dict[str, Any] = {
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(_processor_seconds() - processor, 3),
        "peak_gb": round(_peak_bytes() / 1e9, 3),
        "gb_before": round(before / 1e9, 3),
        "pairs": pairs,
    }
    Path(out).write_text(json.dumps(done))


def _peak_bytes() -> int:
    """The most memory that this process held. `ru_maxrss` would count what the starting process held, too."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def _processor_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
