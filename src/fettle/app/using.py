"""A bundle put to use: rows answered, files answered, a conversation. The Python face stands on `load`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fettle.app.evaluating import Asker, asker_for
from fettle.app.listing import get_bundle
from fettle.app.opening import base_of_bundle, open_tuned
from fettle.artifacts.bundle import Bundle, pack_bundle
from fettle.artifacts.export import Parity, export_hf
from fettle.data.inputs import InputTable, check_output, read_inputs, write_outputs
from fettle.data.records import Record
from fettle.errors import Fault, RequestError, near_misses
from fettle.generation.answer import Answer
from fettle.generation.config import DecodingSettings
from fettle.generation.decoding import complete, stream
from fettle.generation.filling import fill_in
from fettle.models.load import OpenModel
from fettle.quality.alike.retrieval import Retriever
from fettle.storage.workspace import Workspace, open_workspace
from fettle.tokens.template import encode_beginning, encode_prompt
from fettle.tokens.tools import Turn

_MOST_LABEL_COLUMNS = 20
_NUM_NEAREST = 3
_ITEM = "item"
_PARITY_PROMPTS = 16
_PARITY_TOKENS = 32
EXPORT_FORMATS = ("hf", "file")

# Prompts of our own for the proof that an export answers alike, when the bundle's data is not at hand.
_PROBES = (
    "Where is my order?",
    "Write one sentence about rain.",
    "What is the capital of France?",
    "I would like to return this.",
    "Summarise: the meeting was moved to Thursday because two people were ill.",
    "1 + 1 =",
    "Ünïcödé, 你好, 🙂",
    "Tell me about yourself.",
)


Asked = str | tuple[str, str]


class Model:
    """A bundle opened for use."""

    def __init__(self, bundle: Bundle, asker: Asker, model: OpenModel) -> None:
        self.bundle = bundle
        self._asker = asker
        self._model = model

    @property
    def compares(self) -> bool:
        """Whether it can be given two texts at once."""
        return self._asker.task.question_of_two is not None

    @property
    def writes(self) -> bool:
        """Whether it can be talked to: it writes what it says, and does not choose or read it."""
        return self._asker.method.network == "causal" and not self.bundle.labels

    def predict(self, rows: Iterable[Asked], progress: Callable[[int], None] | None = None) -> list[Answer]:
        """Answer each text, or each two texts that are compared.

        The answer is the likeliest label with all probabilities, a number, a written answer, how the text goes
        on, or the likeliest words where one is hidden (a JSON list where several are).
        """
        asked = list(rows)
        answerer = self._asker.method.answerer(self._asker.terms(self._model))
        if answerer is None:
            texts = [text for text in asked if isinstance(text, str)]
            is_masked = self._asker.method.network == "masked"
            return self._fillings(texts, progress) if is_masked else self._continuations(texts, progress)
        return answerer.answers(self._model, [self._question(one) for one in asked], progress)

    def _question(self, asked: Asked) -> Record:
        task = self._asker.task
        if isinstance(asked, str):
            return task.question(asked)
        if task.question_of_two is None:
            raise RequestError(f"{self.bundle.name} reads one text at a time", expected="one text, not two")
        return task.question_of_two(*asked)

    def embed(
        self, texts: Iterable[str], size: int = 0, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors of texts, one a row, cut to their first `size` numbers (0: whole).

        Raises `RequestError` where the bundle learned no vectors.
        """
        if self._asker.method.embedder is None:
            raise RequestError(
                f"{self.bundle.name} learned no vectors",
                expected="a bundle of the task embed",
                attempt="fettle train embed data=…",
            )
        return self._asker.method.embedder(self._asker.terms(self._model), self._model, size)(list(texts), progress)

    def nearest(self, texts: Iterable[str], items: Sequence[str], most: int = 3) -> list[list[tuple[str, float]]]:
        """For each text the items that lie nearest to it, the best first, each with its cosine."""
        found = Retriever.by_vectors(items, self.embed).search(list(texts), most)
        return [
            [(items[place], float(score)) for place, score in zip(places, scores, strict=True)]
            for places, scores in zip(found.places_QK.tolist(), found.scores_QK, strict=True)
        ]

    def chat(self) -> Conversation | Continuation:
        """A conversation with the model, empty at first; a model of plain text goes on where a text ends.

        Raises `RequestError` where the bundle does not write.
        """
        settings = self._asker.settings
        if not self.writes:
            raise RequestError(f"{self.bundle.name} writes nothing that one could talk to", attempt="predict")
        if self._asker.method.prompt is None:
            return Continuation(self._model, settings.decoding)
        return Conversation(self._model, settings.decoding, settings.prompt.system)

    def _fillings(self, rows: Sequence[str], progress: Callable[[int], None] | None) -> list[Answer]:
        found = fill_in(self._model, rows, self._asker.dtype, progress)
        likeliest = [[max(words, key=words.__getitem__) for words in places] for places in found]
        return [
            Answer(best[0], places[0]) if len(places) == 1 else Answer(json.dumps(best, ensure_ascii=False))
            for best, places in zip(likeliest, found, strict=True)
        ]

    def _continuations(self, rows: Iterable[str], progress: Callable[[int], None] | None) -> list[Answer]:
        prompts = [_beginning(self._model, text) for text in rows]
        asker = self._asker
        written = complete(self._model, prompts, asker.settings.decoding, dtype=asker.dtype, progress=progress)
        return [Answer(self._model.tokenizer.decode(one.ids), {}, one.is_complete) for one in written]


@dataclass(frozen=True)
class Continuation:
    """Texts that the model goes on with, each for itself."""

    model: OpenModel
    decoding: DecodingSettings

    def say(self, text: str, on_text: Callable[[str], None] | None = None) -> str:
        """How the text goes on; `on_text` gets each piece as soon as it is whole."""
        return _write(self.model, _beginning(self.model, text), self.decoding, on_text)


@dataclass
class Conversation:
    """Turns so far, and the model that answers. Text comes as it is written."""

    model: OpenModel
    decoding: DecodingSettings
    system: str = ""
    turns: list[Turn] = field(default_factory=list)

    def say(self, text: str, on_text: Callable[[str], None] | None = None) -> str:
        """Say something and get the answer; `on_text` gets each piece as soon as it is whole."""
        if self.system and not self.turns:
            self.turns.append(Turn("system", self.system))
        self.turns.append(Turn("user", text))
        prompt = encode_prompt(self.model.tokenizer, self.turns)
        if len(prompt) >= self.model.context_length:
            self.turns.pop()
            raise RequestError("the conversation is longer than the model's context", attempt="begin a new one")
        answer = _write(self.model, prompt, self.decoding, on_text).strip()
        self.turns.append(Turn("assistant", answer))
        return answer


def _write(
    model: OpenModel, prompt: Sequence[int], decoding: DecodingSettings, on_text: Callable[[str], None] | None
) -> str:
    """What the model writes after a prompt, handed over piece by piece."""
    ids: list[int] = []
    shown = ""

    def on_token(token: int) -> None:
        nonlocal shown
        ids.append(token)
        whole = model.tokenizer.decode(ids)
        if on_text and not whole.endswith("�"):
            on_text(whole[len(shown) :])
            shown = whole

    stream(model, prompt, decoding, on_token)
    whole = model.tokenizer.decode(ids)
    if on_text and whole != shown:  # the answer ended inside a character
        on_text(whole[len(shown) :])
    return whole


def _beginning(model: OpenModel, text: str) -> list[int]:
    """The ids of a text that is to go on: the end of it where it fills the context, with room for a quarter more."""
    end_id = model.tokenizer.end_id
    if end_id is None:
        raise RequestError("the tokenizer has no end-of-text token", expected="eos_token in tokenizer_config.json")
    room = model.context_length - max(1, model.context_length // 4)
    return encode_beginning(model.tokenizer, text, end_id)[-room:]


@dataclass(frozen=True)
class PredictResult:
    """What answering a file did."""

    out: Path
    num_rows: int
    refused: list[Fault]
    num_cut_off: int

    def as_json(self) -> dict[str, object]:
        """The figures as plain data."""
        return {
            "out": str(self.out),
            "rows": self.num_rows,
            "rows_refused": len(self.refused),
            "refused": [fault.as_json() for fault in self.refused],
            "answers_cut_off": self.num_cut_off,
        }


def load(reference: str, workspace: Workspace | None = None, base: str | None = None) -> Model:
    """Open a bundle by name, folder or file.

    Raises `UnknownName` where there is none, `IncompatibleModel` where its base is another one.
    """
    workspace = workspace or open_workspace()
    bundle = get_bundle(workspace, reference)
    return Model(bundle, asker_for(bundle), open_tuned(workspace, bundle, base))


def load_base(reference: str, workspace: Workspace, base: str | None = None) -> Model:
    """The base of a bundle, put to the same task: what there was before tuning."""
    bundle = get_bundle(workspace, reference)
    asker = asker_for(bundle)
    return Model(bundle, asker, asker.base(base_of_bundle(workspace, bundle, base)))


def predict_file(
    workspace: Workspace,
    reference: str,
    file: Path,
    out: Path,
    column_map: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> PredictResult:
    """Answer every row of a table, and write the table with the answers beside its own columns."""
    check_output(out)
    table = read_inputs(file, column_map or {})
    model = load(reference, workspace)
    if "other" in (column_map or {}).values() and not model.compares:
        raise RequestError(f"{reference} reads one text at a time", where="--map", expected="one column as text")
    answers = model.predict(table.pairs() if model.compares and table.other else table.questions(), progress)
    labels = model.bundle.labels if len(model.bundle.labels) <= _MOST_LABEL_COLUMNS else ()
    _write_beside(out, table, [_cells(answer, labels) for answer in answers])
    return PredictResult(out, len(table.rows), table.refused, sum(not answer.is_complete for answer in answers))


@dataclass(frozen=True)
class Search:
    """A table of texts, a table of the items that they are to find, and the table to write.

    `column_map` names the column that is read: `text` in the first, `item` in the second.
    """

    file: Path
    items: Path
    out: Path
    column_map: Mapping[str, str] = field(default_factory=dict)


def search_file(
    workspace: Workspace, reference: str, search: Search, progress: Callable[[int], None] | None = None
) -> PredictResult:
    """For every row of a table the nearest items, the best first, beside its own columns."""
    check_output(search.out)
    maps = search.column_map.items()
    table = read_inputs(search.file, {column: name for column, name in maps if name != _ITEM})
    items = read_inputs(search.items, {column: "text" for column, name in maps if name == _ITEM})
    different = [item for item in dict.fromkeys(items.questions()) if item.strip()]
    if not different:
        raise RequestError("no item has a text", where=str(search.items), attempt=f"--map COLUMN={_ITEM}")
    found = load(reference, workspace).nearest(table.questions(), different, _NUM_NEAREST)
    _write_beside(search.out, table, [_found_cells(nearest) for nearest in found])
    if progress:
        progress(len(table.rows))
    return PredictResult(search.out, len(table.rows), [*table.refused, *items.refused], 0)


def _found_cells(nearest: Sequence[tuple[str, float]]) -> dict[str, object]:
    """What a table says of the items that were found: each with its cosine."""
    cells: dict[str, object] = {}
    for place, (item, cosine) in enumerate(nearest, start=1):
        number = f" {place}" if place > 1 else ""
        cells |= {f"answer{number}": item, f"score{number}": round(cosine, 6)}
    return cells


def _write_beside(out: Path, table: InputTable, said: Sequence[Mapping[str, object]]) -> None:
    """Write a table with what was said of each row beside its own columns."""
    fullest_first = sorted(said, key=len, reverse=True)  # so that columns stand in their order
    columns = dict.fromkeys(name for cells in fullest_first for name in cells)
    names = {name: _free_column(name, table.columns) for name in columns}
    rows = [
        {**row, **{names[name]: cells.get(name, "") for name in columns}}
        for row, cells in zip(table.rows, said, strict=True)
    ]
    write_outputs(out, [*table.columns, *names.values()], rows)


def _cells(answer: Answer, labels: Sequence[str]) -> dict[str, object]:
    """What a table says of one answer: the answer, how probable it is, and the probabilities of these labels."""
    cells: dict[str, object] = {"answer": answer.text}
    if answer.in_words is not None:
        cells["in words"] = answer.in_words
    if answer.text in answer.probabilities:  # an answer that is none of the labels has none
        cells["probability"] = round(answer.probabilities[answer.text], 6)
    known = [label for label in labels if label in answer.probabilities]
    return {**cells, **{f"p({label})": round(answer.probabilities[label], 6) for label in known}}


def export(workspace: Workspace, reference: str, to: str, out: Path, base: str | None = None) -> Parity | None:
    """Write a bundle for use elsewhere: a plain Hugging Face folder with its proof, or the bundle as one file."""
    bundle = get_bundle(workspace, reference)
    if to == "file":
        pack_bundle(bundle, out)
        return None
    if to != "hf":
        raise RequestError(
            f"no export is called {to!r}", where="--to", expected=f"one of: {near_misses(to, EXPORT_FORMATS)}"
        )
    asker = asker_for(bundle)
    model = open_tuned(workspace, bundle, base)
    if not model.network.can_generate():
        raise RequestError(
            f"{bundle.name} reads with a head, which a plain Hugging Face folder does not hold",
            where="--to",
            attempt="--to file",
        )
    prompts = [model.tokenizer.encode_plain(text) for text in _PROBES]
    if asker.method.prompt is not None:
        terms = asker.terms(model)
        prompts = [asker.method.prompt(terms, asker.task.question(text)) for text in _PROBES]

    def write(which: OpenModel) -> list[tuple[int, ...]]:
        return [one.ids for one in complete(which, prompts, DecodingSettings(max_new_tokens=_PARITY_TOKENS))]

    return export_hf(model, out, prompts[:_PARITY_PROMPTS], write)


def _free_column(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"fettle {name}"
    return name
