"""A base that is a table of word vectors, as the files of a model folder.

Where they are written, and under which name they are found again, is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from fettle.errors import UnsoundPlan
from fettle.models.config import VectorSettings
from fettle.models.vectors.architecture import WordVectors, WordVectorsConfig
from fettle.models.vectors.cooccurrence import Regression, count_pairs, learn_by_cooccurrence
from fettle.models.vectors.corpus import Corpus, read_corpus
from fettle.models.vectors.predicting import Prediction, learn_by_prediction
from fettle.models.vectors.reading import VectorFile
from fettle.models.vectors.words import CONTROL_WORDS, UNKNOWN, Division, division_of, tokenizer_files
from fettle.storage.publish import write_file

RECIPE = 1
"""Number of the way in which vectors are learned and folders laid out. Another way gets another number."""

# The best of a few that were tried on 20 MB of an encyclopaedia.
_CBOW_RATE, _SKIP_GRAM_RATE, _GLOVE_RATE = 0.3, 0.05, 0.2
_SUBSAMPLING = 1e-3
_GLOVE_GROUPS = 32
_FEWEST_EPOCHS, _MOST_EPOCHS, _ENOUGH_WORDS = 5, 50, 40_000_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VectorBase:
    """The small files of the folder by name, and the table, [V, D], the control words first."""

    files: dict[str, bytes]
    table_VD: Floats

    @property
    def num_words(self) -> int:
        """How many words have a vector of their own."""
        return len(self.table_VD) - len(CONTROL_WORDS)

    def writers(self) -> dict[str, Callable[[Path], None]]:
        """What writes each file of the folder. The table goes to the disk as it lies in memory."""
        small = {name: partial(_write, content) for name, content in self.files.items()}
        return {**small, "model.safetensors": partial(_write_table, self.table_VD)}


def key_of_parts(parts: Iterable[object], contents: Iterable[bytes]) -> str:
    """The name of a base that is made of these: a hash of all, and of the way in which it is made."""
    digest = hashlib.sha256(json.dumps([RECIPE, *parts], sort_keys=True).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def base_of_file(read: VectorFile, beside: int) -> VectorBase:
    """A base of the vectors of a file. Its own vector for unknown words is used, or else the mean of all."""
    places = [place for place, word in enumerate(read.words) if word not in CONTROL_WORDS]
    words = [read.words[place] for place in places]
    unknown_D = read.vectors_VD[read.words.index(UNKNOWN)] if UNKNOWN in read.words else None
    vectors_VD = read.vectors_VD if len(places) == len(read.words) else read.vectors_VD[places]
    return _lay_out(words, vectors_VD, unknown_D, division_of(words), beside)


def base_of_texts(texts: Sequence[str], way: str, settings: VectorSettings, beside: int, seed: int) -> VectorBase:
    """Learn vectors from texts, by `word2vec` (CBOW), `skip-gram` or `glove`, and lay out the folder.

    Law: the same texts, settings and seed give the same bytes, on one machine and build.
    """
    division = Division(is_lower=settings.lowercase)
    corpus = read_corpus(texts, division, settings.most, settings.least_count)
    if len(corpus.words) < 2:
        raise UnsoundPlan(
            "the texts have no words to learn vectors of",
            where="base",
            expected=f"at least two words that occur {settings.least_count} times",
            attempt="vectors.text=DATASET with more text, or vectors.least_count=1",
        )
    return _lay_out(corpus.words, learn_vectors(corpus, way, settings, seed), None, division, beside)


def learn_vectors(corpus: Corpus, way: str, settings: VectorSettings, seed: int) -> Floats:
    """The vectors of a corpus's words, [V, D]."""
    epochs = settings.epochs or epochs_for(len(corpus.words_T))
    if way == "glove":
        how = Regression(settings.size, epochs, _GLOVE_RATE, _GLOVE_GROUPS, seed)
        return learn_by_cooccurrence(count_pairs(corpus, settings.window), how)
    is_cbow = way == "word2vec"
    rate = _CBOW_RATE if is_cbow else _SKIP_GRAM_RATE
    how_to = Prediction(settings.size, settings.window, epochs, settings.negative, is_cbow, rate, _SUBSAMPLING, seed)
    return learn_by_prediction(corpus, how_to)


def epochs_for(num_words: int) -> int:
    """Times that a text of so many words is learned from.

    >>> epochs_for(130_000), epochs_for(4_000_000), epochs_for(10**9)
    (50, 10, 5)
    """
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, _ENOUGH_WORDS // max(1, num_words)))


def _lay_out(
    words: Sequence[str], vectors_VD: Floats, unknown_D: Floats | None, division: Division, beside: int
) -> VectorBase:
    size = vectors_VD.shape[1]
    table_VD = np.zeros((len(words) + len(CONTROL_WORDS), size), np.float32)
    table_VD[len(CONTROL_WORDS) :] = vectors_VD
    table_VD[1] = vectors_VD.mean(axis=0, dtype=np.float64) if unknown_D is None else unknown_D
    config = WordVectorsConfig(len(table_VD), size, beside, architectures=[WordVectors.__name__])
    return VectorBase({"config.json": config.to_json_string().encode(), **tokenizer_files(words, division)}, table_VD)


def _write(content: bytes, path: Path) -> None:
    write_file(path, [content])


def _write_table(table_VD: Floats, path: Path) -> None:
    save_file({"words.weight": table_VD}, path, metadata={"format": "pt"})
