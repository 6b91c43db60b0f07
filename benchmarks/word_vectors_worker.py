"""One way of learning word vectors, in a process of its own.

    python word_vectors_worker.py ENGINE WAY IN.json OUT.npy

Runs under any Python that has the engine. IN.json holds words, the texts as numbers of words, and how to learn.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def by_fettle(way: str, asked: dict[str, Any]) -> Any:
    """The vectors of the words, [V, D]."""
    import torch

    from fettle.models.config import VectorSettings
    from fettle.models.vectors.base import learn_vectors
    from fettle.models.vectors.corpus import Corpus

    torch.set_num_threads(asked["threads"])
    sizes = [len(text) for text in asked["texts"]]
    joined = np.asarray([word for text in asked["texts"] for word in text], np.int32)
    corpus = Corpus(asked["words"], joined, np.repeat(np.arange(len(sizes), dtype=np.int32), sizes))
    settings = VectorSettings(size=asked["size"], window=asked["window"], epochs=asked["epochs"])
    began = begin()
    return learn_vectors(corpus, way, settings, asked["seed"]), took(began)


def by_gensim(way: str, asked: dict[str, Any]) -> Any:
    """The same by gensim, with its own rates."""
    from gensim.models import Word2Vec

    words = asked["words"]
    texts = [[words[word] for word in text] for text in asked["texts"]]
    began = begin()
    model = Word2Vec(
        texts,
        vector_size=asked["size"],
        window=asked["window"],
        epochs=asked["epochs"],
        min_count=1,
        sg=int(way == "skip-gram"),
        negative=5,
        workers=asked["threads"],
        seed=asked["seed"],
    )
    return np.asarray([model.wv[word] for word in words]), took(began)


def begin() -> tuple[float, float]:
    """Now, by the clock and by the processor."""
    return time.perf_counter(), time.process_time()


def took(began: tuple[float, float]) -> dict[str, float]:
    """Seconds since then."""
    now = begin()
    return {"seconds": round(now[0] - began[0], 1), "processor_seconds": round(now[1] - began[1], 1)}


if __name__ == "__main__":
    engine, way, given, out = sys.argv[1:]
    asked = json.loads(Path(given).read_text(encoding="utf-8"))
    vectors, spent = {"fettle": by_fettle, "gensim": by_gensim}[engine](way, asked)
    np.save(out, vectors)
    print(json.dumps(spent))
