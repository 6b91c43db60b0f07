"""Word vectors beside gensim: seconds and quality of learning them from one text, and seconds of reading a file.

    python -m benchmarks.word_vectors TEXT --sst2 FOLDER --stsb FOLDER --gensim /path/to/python --json

TEXT is a plain text whose lines are texts (packed or not); its first megabytes are learned from. Every run is a process
of its own, with one thread. Quality, of the vectors as they are, nothing tuned:

- `sst2`: accuracy on the test rows of a logistic regression over the mean of a review's vectors;
- `stsb`: Spearman's correlation of the cosine of two sentences' means with people's scores (the 100 commonest words
  left out);
- `neighbours`: how many of the ten nearest words both engines give, over the words 100 to 1,100.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fettle.data.streams.packed import open_file
from fettle.models.vectors.corpus import Corpus, read_corpus
from fettle.models.vectors.reading import read_vectors
from fettle.models.vectors.words import Division, with_control_words, word_tokenizer

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "docs" / "benchmarks" / "word_vectors.json"
RUNS = (
    ("fettle", "word2vec"),
    ("gensim", "word2vec"),
    ("fettle", "skip-gram"),
    ("gensim", "skip-gram"),
    ("fettle", "glove"),
)
SIZE, WINDOW, EPOCHS, GLOVE_EPOCHS = 100, 5, 3, 15
NUM_COMMON, NUM_COMPARED, NUM_NEAREST = 100, 1000, 10
FILE_WORDS, FILE_SIZE = 400_000, 300


def main() -> None:
    """Measure, print, and keep the raw results where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--sst2", type=Path, required=True)
    parser.add_argument("--stsb", type=Path, required=True)
    parser.add_argument("--gensim", default=sys.executable, help="the Python that has gensim")
    parser.add_argument("--json", action="store_true", help=f"write {OUT.name}")
    asked = parser.parse_args()
    results = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("numpy", "scipy", "torch", "tokenizers", "pyarrow")},
        "settings": {"size": SIZE, "window": WINDOW, "epochs": EPOCHS, "glove_epochs": GLOVE_EPOCHS, "threads": 1},
        "runs": [],
    }

    def keep(name: str, result: dict[str, Any]) -> None:
        """Put down what there is so far, so that a run cut short is not lost."""
        print(json.dumps(result), flush=True)
        if name == "runs":
            results["runs"].append(result)
        else:
            results[name] = result
        if asked.json:
            OUT.write_text(json.dumps(results, indent=1) + "\n")

    learning(asked, keep)
    keep("reading", reading())


def learning(asked: argparse.Namespace, keep: Callable[[str, dict[str, Any]], None]) -> None:
    """Every engine on the same text."""
    texts = first_lines(asked.text, asked.megabytes * 1_000_000)
    began = time.process_time()
    corpus = read_corpus(texts, Division(), 400_000, 5)
    text: dict[str, Any] = {"megabytes": asked.megabytes, "words": len(corpus.words_T)}
    text |= {"vocabulary": len(corpus.words), "processor_seconds_to_divide": round(time.process_time() - began, 1)}
    keep("text", text)
    vectors: dict[tuple[str, str], Any] = {}
    for engine, way in RUNS:
        spent, vectors[engine, way] = learned(engine, way, corpus, asked.gensim)
        rate = round(len(corpus.words_T) * spent["epochs"] / spent["processor_seconds"])
        result = {"engine": engine, "way": way, **spent, "words_per_processor_second": rate}
        result |= {name: round(value, 4) for name, value in quality(corpus.words, vectors[engine, way], asked).items()}
        if engine == "gensim":
            result["neighbours"] = round(overlap(vectors["fettle", way], vectors[engine, way]), 3)
        keep("runs", result)


def first_lines(path: Path, num_bytes: int) -> list[str]:
    """The first lines of a text that are no blanks."""
    with open_file(path) as stream:
        lines = stream.read(num_bytes).decode(errors="ignore").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("<|")]


def learned(engine: str, way: str, corpus: Corpus, gensim: str) -> tuple[dict[str, Any], Any]:
    """One engine in a process of its own: what it took, and the vectors."""
    edges = np.flatnonzero(np.diff(corpus.text_T)) + 1
    epochs = GLOVE_EPOCHS if way == "glove" else EPOCHS
    given = {
        "words": corpus.words,
        "texts": [text.tolist() for text in np.split(corpus.words_T, edges)],
        "size": SIZE,
        "window": WINDOW,
        "epochs": epochs,
        "threads": 1,
        "seed": 0,
    }
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "in.json", Path(folder) / "out.npy"
        path.write_text(json.dumps(given), encoding="utf-8")
        python = gensim if engine == "gensim" else sys.executable
        command = [python, str(HERE / "word_vectors_worker.py"), engine, way, str(path), str(out)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        return {"epochs": epochs, **json.loads(done.stdout.splitlines()[-1])}, np.load(out)


def quality(words: list[str], vectors: Any, asked: argparse.Namespace) -> dict[str, float]:
    """How well the vectors serve, nothing tuned."""
    tokenizer = word_tokenizer(with_control_words(words), Division())
    table = np.vstack([np.zeros((2, vectors.shape[1])), vectors])

    def means(texts: list[str], first: int) -> Any:
        found = [np.asarray(encoded.ids) for encoded in tokenizer.encode_batch_fast(texts)]
        return np.asarray([table[ids[ids >= first]].mean(0) if (ids >= first).any() else table[0] for ids in found])

    parts = {part: sst2_rows(asked.sst2, part) for part in ("train", "test")}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    model.fit(means([text for _, text in parts["train"]], 2), [label for label, _ in parts["train"]])
    accuracy = model.score(means([text for _, text in parts["test"]], 2), [label for label, _ in parts["test"]])
    with (asked.stsb / "stsb-en-dev.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.reader(stream) if len(row) == 3]
    left, right = (means([row[side] for row in rows], 2 + NUM_COMMON) for side in (0, 1))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    likeness = (left * right).sum(1) / np.maximum(norms, 1e-9)
    return {"sst2": float(accuracy), "stsb": float(spearmanr(likeness, [float(row[2]) for row in rows])[0])}


def sst2_rows(folder: Path, part: str) -> list[tuple[str, str]]:
    """Label and text of each row of a part."""
    lines = (folder / f"stsa.binary.{part}").read_text(encoding="utf-8", errors="replace").splitlines()
    return [(line[0], line[2:]) for line in lines]


def overlap(first: Any, second: Any) -> float:
    """The share of the nearest words that both give, over words that are common and no function words."""
    shares = []
    asked_about = slice(NUM_COMMON, NUM_COMMON + NUM_COMPARED)
    nearest = []
    for vectors in (first, second):
        directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        likeness = directions[asked_about] @ directions.T
        nearest.append(np.argsort(-likeness, axis=1)[:, 1 : NUM_NEAREST + 1])
    for one, other in zip(*nearest, strict=True):
        shares.append(len(set(one) & set(other)) / NUM_NEAREST)
    return float(np.mean(shares))


def reading() -> dict[str, Any]:
    """Seconds to read a text file of 400,000 words and 300 numbers each, and the memory that this took."""
    random = np.random.default_rng(0)
    rows = [" ".join(f"{number:.5f}" for number in random.normal(size=FILE_SIZE)) for _ in range(2000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.txt"
        with path.open("w") as stream:
            stream.writelines(f"w{number} {rows[number % len(rows)]}\n" for number in range(FILE_WORDS))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, processor = time.perf_counter(), time.process_time()
        with path.open("rb") as stream:
            read = read_vectors(stream, str(path), FILE_WORDS)
        return {
            "words": len(read.words),
            "numbers": FILE_SIZE,
            "file_megabytes": round(path.stat().st_size / 1e6),
            "seconds": round(time.perf_counter() - began, 1),
            "processor_seconds": round(time.process_time() - processor, 1),
            "table_megabytes": round(read.vectors_VD.nbytes / 1e6),
            "memory_grown_megabytes": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3),
        }


if __name__ == "__main__":
    main()
