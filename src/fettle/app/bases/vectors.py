"""Word vectors as a base: read from a file that people name, or learned from texts of theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PretrainedConfig

from fettle.app.bases.fresh import texts_to_learn_from
from fettle.app.opening import BaseSource
from fettle.app.planning import PlanSettings
from fettle.app.workshop.versions import load_rows
from fettle.artifacts.bundle import FILE_SUFFIX
from fettle.data.records import Row
from fettle.data.streams.archives import files_of_archive
from fettle.data.streams.packed import open_file
from fettle.data.streams.source import File
from fettle.errors import RequestError
from fettle.models.config import VECTORS_BASE, WAYS_TO_LEARN_VECTORS, VectorSettings
from fettle.models.load import OpenModel
from fettle.models.tokenizer import ModelTokenizer
from fettle.models.vectors.architecture import MODEL_TYPE, WordVectors
from fettle.models.vectors.base import VectorBase, base_of_file, base_of_texts, key_of_parts
from fettle.models.vectors.reading import read_vectors
from fettle.storage.blobs import sha256_of_file
from fettle.storage.sealed import is_whole, read_sealed, write_sealed
from fettle.storage.workspace import Workspace
from fettle.tokens.example import Example

_BESIDE_FOR_TAGGING = 2
_MUCH_UNKNOWN = 0.2
_LEAST_RATE = 1e-3


@dataclass(frozen=True)
class MadeVectors:
    """A table that was made: its size, what it comes from, what was left out of it, and what it lacks of the rows.

    `num_refused` lines of a file were left out; of the words of the rows to learn from, `unknown_share` is not in it.
    """

    num_words: int
    size: int
    way: str
    data: str
    num_refused: int
    first_fault: str
    unknown_share: float


def names_vectors(reference: str) -> bool:
    """Whether `base=` asks for word vectors to be made: a way to learn them, or a file that is no bundle."""
    if reference in WAYS_TO_LEARN_VECTORS:
        return True
    try:
        path = Path(reference).expanduser()
        return path.is_file() and path.suffix != FILE_SUFFIX
    except (RuntimeError, OSError):  # ~nobody, or longer than a path may be
        return False


def make_vectors(workspace: Workspace, settings: PlanSettings, rows: Sequence[Row], label: str) -> str:
    """Make the table that a plan names, write it down, and give the reference by which it is found again.

    The same file, or the same texts, settings and seed, are the same base: it is made once.
    """
    vectors = settings.vectors
    beside = vectors.beside
    if beside is None:
        beside = _BESIDE_FOR_TAGGING if settings.task == "tag" else 0
    if settings.base not in WAYS_TO_LEARN_VECTORS:
        return _make_of_file(workspace, Path(settings.base).expanduser(), vectors.most, beside)
    if vectors.text:
        version, others = load_rows(workspace, vectors.text)
        rows, label = [row for row in others if row.part in ("", "train")], version.label
    texts = texts_to_learn_from(rows, label)
    parts = [settings.base, vectors.model_dump(mode="json", exclude={"text"}), beside, settings.seed]
    contents = (text.encode("utf-8", "surrogatepass") for text in texts)

    def make() -> tuple[VectorBase, dict[str, object]]:
        made = base_of_texts(texts, settings.base, vectors, beside, settings.seed)
        return made, {"data": label, "way": settings.base}

    return _keep(workspace, key_of_parts(parts, contents), make)


def _make_of_file(workspace: Workspace, path: Path, most: int, beside: int) -> str:
    def make() -> tuple[VectorBase, dict[str, object]]:
        file = _one_file(path)
        with open_file(file) as stream:
            read = read_vectors(stream, str(file), most)
        facts: dict[str, object] = {"data": path.name, "way": read.form, "num_refused": read.num_refused}
        if read.faults:
            facts["first_fault"] = f"{read.faults[0].file}:{read.faults[0].line}: {read.faults[0].problem}"
        return base_of_file(read, beside), facts

    return _keep(workspace, key_of_parts(["file", sha256_of_file(path), most, beside], []), make)


def _one_file(path: Path) -> File:
    """The file itself, or the one that an archive holds."""
    inside = files_of_archive(path)
    if inside is None:
        return path
    if len(inside) != 1:
        names = ", ".join(file.name for file in inside[:5])
        raise RequestError(
            f"the archive holds {len(inside)} files: {names}",
            where=str(path),
            expected="one file of word vectors",
            attempt="unpack it, and name one of them",
        )
    return inside[0]


def _keep(workspace: Workspace, key: str, make: Callable[[], tuple[VectorBase, dict[str, object]]]) -> str:
    folder = workspace.bases / key
    if not is_whole(folder):
        made, facts = make()
        sizes = {"kind": VECTORS_BASE, "num_words": made.num_words, "size": made.table_VD.shape[1]}
        write_sealed(folder, made.writers(), {**facts, **sizes})
    return f"{VECTORS_BASE}:{key}"


def is_learned_from_texts(kind: str, folder: Path) -> bool:
    """Whether a base is vectors that were learned from texts: a bundle cannot count on anybody else to have them."""
    return kind == VECTORS_BASE and read_sealed(folder).get("way") in WAYS_TO_LEARN_VECTORS


def refuse_unfit(config: PretrainedConfig, settings: PlanSettings) -> None:
    """Refuse what cannot be done with a table of vectors."""
    if config.model_type != MODEL_TYPE:
        return
    if settings.adapter.kind != "full":
        raise RequestError(
            f"{settings.adapter.kind} adapters stand beside products of matrices, and word vectors have none",
            where="adapter.kind",
            expected="the vectors themselves to learn",
            attempt="adapter.kind=full",
        )
    if settings.training.dtype == "bfloat16":
        raise RequestError(
            "word vectors are looked up, not multiplied: bfloat16 would round them and win nothing",
            where="training.dtype",
            attempt="training.dtype=float32",
        )


def describe_vectors(
    source: BaseSource, tokenizer: ModelTokenizer, learned: Sequence[Sequence[Example]]
) -> MadeVectors | None:
    """What people are told of a base that was made here; None where it is no table of vectors."""
    if source.kind != VECTORS_BASE:
        return None
    facts: dict[str, Any] = read_sealed(source.folder)
    num_unknown = num_words = 0
    for row in learned:
        for example in row:
            num_unknown += int((example.ids == tokenizer.inner.unk_token_id).sum())
            num_words += example.num_tokens
    return MadeVectors(
        num_words=int(facts["num_words"]),
        size=int(facts["size"]),
        way=str(facts["way"]),
        data=str(facts["data"]),
        num_refused=int(facts.get("num_refused", 0)),
        first_fault=str(facts.get("first_fault", "")),
        unknown_share=num_unknown / max(1, num_words),
    )


def warnings_of_vectors(settings: PlanSettings, made: MadeVectors | None) -> list[str]:
    """What people should hear of a table, or that its settings were made for nothing."""
    if made is None:
        asked = settings.vectors != VectorSettings()
        return ["vectors.* is not used: the base is no table of word vectors that is made here"] if asked else []
    found = []
    if made.num_refused:
        found.append(f"{made.num_refused:,} lines of {made.data} were left out: {made.first_fault}")
    if made.unknown_share > _MUCH_UNKNOWN:
        found.append(f"{made.unknown_share:.2f} of the rows' words have no vector, and all of these look alike")
    if settings.training.learning_rate < _LEAST_RATE:
        rate = settings.training.learning_rate
        found.append(f"training.learning_rate={rate:g} is one for deep models: word vectors learn at about 0.02")
    return found


def learn_what_occurs(model: OpenModel, learned: Sequence[Sequence[Example]]) -> None:
    """Have a table of vectors learn those of the words that rows hold; the others stay as they are."""
    network = model.network
    if isinstance(network, WordVectors) and network.words.weight.requires_grad:
        ids = np.unique(np.concatenate([example.ids for row in learned for example in row]))
        network.learn_only(torch.from_numpy(ids).to(model.device))
