"""Duplicates and leaks beside the peers: seconds, memory, recall and precision of pairs, on the same rows.

    python -m benchmarks.duplicates --rows 1000000 --json
    python -m benchmarks.duplicates --peers /path/to/python      one that has datasketch and text-dedup

Every run is a process of its own. On few rows (`--peer-rows`) all engines run, and truth is every pair whose sets of
five-character shingles have a Jaccard of 0.8 or more, counted without hashes. On many rows fettle runs alone, and truth
is what was planted, with the precision of a sample. Wall time counts whatever else the machine does; processor seconds
do not.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.duplicate_rows import held_out_rows, planted_rows
from benchmarks.duplicates_worker import THRESHOLD, shingles

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "docs" / "benchmarks" / "duplicates.json"
LONGEST_RUN_SECONDS = 1800
NUM_SAMPLED = 20_000
PEERS = ("datasketch", "text-dedup")

Pairs = set[tuple[int, int]]


def main() -> None:
    """Measure, print, and keep the raw results where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--held-rows", type=int, default=10_000)
    parser.add_argument("--peer-rows", type=int, default=20_000)
    parser.add_argument("--peers", default=sys.executable, help="the Python whose packages the peers are")
    parser.add_argument("--json", action="store_true", help=f"write {OUT.name}")
    asked = parser.parse_args()
    results = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("numpy", "scipy")},
        "threshold": THRESHOLD,
        "beside_peers": beside_peers(asked.peer_rows, asked.peers),
        "many_rows": many_rows(asked.rows, asked.held_rows),
    }
    if asked.json:
        OUT.write_text(json.dumps(results, indent=1) + "\n")


def beside_peers(num_rows: int, python: str) -> list[dict[str, Any]]:
    """Every engine on the same few rows, against all true pairs."""
    rows, _, _ = planted_rows(num_rows)
    truth = true_pairs(rows)
    results = []
    for engine in ("fettle", *PEERS):
        done = run(engine, rows, [], sys.executable if engine == "fettle" else python)
        if "pairs" in done:
            tied = {(min(pair), max(pair)) for pair in done.pop("pairs")}
            done |= {"num_pairs": len(tied), "num_true": len(truth)}
            done["recall"] = round(recall(rows, tied, truth), 5)
            done["recall_of_firsts"] = round(recall_of_firsts(rows, tied, truth), 5)
            done["precision"] = round(sum(map(truth.__contains__, tied)) / max(len(tied), 1), 5)
        results.append(shown({"engine": engine, "rows": num_rows, **done}))
    return results


def many_rows(num_rows: int, num_held: int) -> list[dict[str, Any]]:
    """fettle alone on many rows: duplicates, and leaks into held-out rows."""
    rows, exact, near = planted_rows(num_rows)
    held, leaked = held_out_rows(rows, num_held)
    results = []
    planted_near = [(left, right) for left, right in near if jaccard(rows[left], rows[right]) >= THRESHOLD]
    planted_leaks = [(left, right) for left, right in leaked if jaccard(rows[left], held[right]) >= THRESHOLD]
    done = run("fettle", rows, [], sys.executable)
    tied = {(left, right) for left, right in done.pop("pairs")}
    done |= {"num_pairs": len(tied), "num_planted_near": len(planted_near)}
    done["recall_exact"] = round(recall(rows, tied, set(exact)), 5)
    done["recall_near"] = round(recall(rows, tied, set(planted_near)), 5)
    done["recall_near_of_firsts"] = round(recall_of_firsts(rows, tied, set(planted_near)), 5)
    done["precision"] = sampled_precision(tied, rows, rows)
    results.append(shown({"engine": "fettle", "rows": num_rows, **done}))
    done = run("fettle-leaks", rows, held, sys.executable)
    tied = {(left, right) for left, right in done.pop("pairs")}
    found = {(rows[left], right) for left, right in tied}
    done |= {"num_pairs": len(tied), "num_planted": len(planted_leaks)}
    done["recall"] = round(sum((rows[left], right) in found for left, right in planted_leaks) / len(planted_leaks), 5)
    done["precision"] = sampled_precision(tied, rows, held)
    results.append(shown({"engine": "fettle-leaks", "rows": num_rows, "held_rows": num_held, **done}))
    return results


def run(engine: str, rows: list[str], held: list[str], python: str) -> dict[str, Any]:
    """What one engine ties together, or why it did not."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "rows.json", Path(folder) / "out.json"
        given.write_text(json.dumps({"rows": rows, "held": held}))
        words = [python, "-m", "benchmarks.duplicates_worker", engine, str(given), str(out)]
        try:
            done = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, timeout=LONGEST_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {LONGEST_RUN_SECONDS} seconds"}
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["no word"])[-1]}
        result: dict[str, Any] = json.loads(out.read_text())
    result["rows_per_second"] = round((len(rows) + len(held)) / result["seconds"])
    return result


def jaccard(one: str, other: str) -> float:
    """The truth, over sets of strings."""
    ours, theirs = shingles(one), shingles(other)
    return len(ours & theirs) / len(ours | theirs)


def true_pairs(rows: list[str]) -> Pairs:
    """Every pair at the threshold or above, by counting what all rows share: no hash, no candidate."""
    number_of: dict[str, int] = {}
    sets = [[number_of.setdefault(shingle, len(number_of)) for shingle in sorted(shingles(row))] for row in rows]
    sizes = np.array([len(one) for one in sets])
    flat = np.array([number for one in sets for number in one])
    matrix = sparse.csr_matrix((np.ones(len(flat), np.int32), flat, np.append(0, np.cumsum(sizes))))
    found: Pairs = set()
    for start in range(0, len(rows), 200):
        shared = (matrix[start : start + 200] @ matrix.T).tocoo()
        left, right = shared.row + start, shared.col
        is_true = (left < right) & (shared.data >= THRESHOLD * (sizes[left] + sizes[right] - shared.data) - 1e-9)
        found |= set(zip(left[is_true].tolist(), right[is_true].tolist(), strict=True))
    return found


def recall(rows: list[str], tied: Pairs, truth: Pairs) -> float:
    """The share of true pairs that end in one cluster: engines tell of copies by chains, or by a cluster's name."""
    if not truth:
        return 1.0
    left, right = np.array(sorted(tied), np.int64).reshape(-1, 2).T
    graph = sparse.coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(len(rows), len(rows)))
    _, cluster = sparse.csgraph.connected_components(graph, directed=False)
    return float(np.mean([cluster[one] == cluster[other] for one, other in truth]))


def recall_of_firsts(rows: list[str], tied: Pairs, truth: Pairs) -> float:
    """The share of true pairs of unlike texts that are named themselves, whichever copies stand for the texts."""
    plain = [" ".join(row.lower().split()) for row in rows]
    named = {frozenset((plain[left], plain[right])) for left, right in tied}
    sought = {frozenset((plain[left], plain[right])) for left, right in truth if plain[left] != plain[right]}
    return len(sought & named) / max(len(sought), 1)


def sampled_precision(tied: Pairs, rows: list[str], others: list[str]) -> float:
    """The share of a sample of pairs that is true."""
    sample = random.Random(1).sample(sorted(tied), min(NUM_SAMPLED, len(tied)))
    return round(sum(jaccard(rows[left], others[right]) >= THRESHOLD for left, right in sample) / len(sample), 5)


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """Print one result as it comes."""
    print("  ".join(f"{name} {value}" for name, value in result.items()), flush=True)
    return result


if __name__ == "__main__":
    main()
