"""Scores on rows that were not learned from: while a run goes on, and of base and tuned with intervals, as a report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import msgspec
import torch

from fettle.app.listing import get_bundle
from fettle.app.opening import BaseSource, base_of_bundle, open_base, open_tuned, with_fresh_head
from fettle.app.planning import PlanSettings
from fettle.app.preparing.rows import Prepared
from fettle.app.preparing.terms import make_terms
from fettle.app.workshop.versions import load_rows
from fettle.artifacts.bundle import REPORTS, Bundle, write_card
from fettle.data.records import NONE_OF_THESE, Row, labels_of
from fettle.data.splits.split import shared_inputs
from fettle.errors import RequestError
from fettle.evaluation.metrics.losses import bits_per_byte
from fettle.evaluation.report import Outcome, Report, encode_report
from fettle.evaluation.scorer import find_metric, score
from fettle.generation.answer import Answer
from fettle.generation.reading import RowLoss
from fettle.models.load import OpenModel
from fettle.models.machine import dtype_named, keep_freed_pages, num_threads
from fettle.reporting.card import model_card
from fettle.storage.blobs import sha256_of_bytes
from fettle.storage.catalogue import now
from fettle.storage.publish import publish_bytes
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task
from fettle.tasks.task import Method, Survey, Task, Terms
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example
from fettle.tokens.length import fit_example

BITS_PER_BYTE = "bits_per_byte"
_LIKELIEST = "token_accuracy"
_REPLAYED = "replay_loss"
MOST_HELD_OUT_TOKENS = 2**17
_MOST_WRITTEN_ROWS = 200
_MOST_READ_ROWS = 2000
_MOST_CALIBRATED_ROWS = 500

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asker:
    """What it takes to put a bundle's task to a model: the task's method with the bundle's own settings and survey."""

    task: Task
    method: Method
    settings: PlanSettings
    survey: Survey
    max_length: int
    dtype: torch.dtype

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers, where there is one."""
        return self.survey.labels

    def terms(self, model: OpenModel) -> Terms:
        """What the pieces of the method are made from, for this model."""
        made = make_terms(self.settings, model.tokenizer, self.survey, model.attention, self.max_length)
        return replace(made, dtype=self.dtype)

    def base(self, source: BaseSource) -> OpenModel:
        """The base before it was tuned; where the method has a head, with one that has learned nothing yet."""
        model = open_base(source, self.method.network)
        if self.method.head is None:
            return model
        return with_fresh_head(model, self.method.head(self.terms(model)), self.settings.seed)


def asker_for(bundle: Bundle) -> Asker:
    """The bundle's task, as it was trained."""
    plan: Any = bundle.part("plan")
    task = open_task(str(bundle.manifest["task"]))
    torch.set_num_threads(num_threads())
    keep_freed_pages()
    return Asker(
        task=task,
        method=task.method(str(bundle.manifest.get("method", ""))),
        settings=PlanSettings.model_validate(plan["settings"]),
        survey=msgspec.convert(bundle.manifest.get("survey") or {"labels": bundle.labels}, Survey),
        max_length=int(str(bundle.manifest["max_length"])),
        dtype=dtype_named(plan["machine"]["dtype"]),
    )


def evaluate(
    workspace: Workspace,
    reference: str,
    data: str | None = None,
    base: str | None = None,
    progress: OnProgress | None = None,
) -> Report:
    """Score base and tuned on the same rows; without `data`, on the test part of the bundle's own data.

    The report is stored beside the bundle, and the bundle's card is written anew with it.
    """
    began = time.monotonic()
    bundle = get_bundle(workspace, reference)
    asker = asker_for(bundle)
    label, rows, notes = _rows_to_score(workspace, bundle, asker, data)
    source = base_of_bundle(workspace, bundle, base)
    outcomes = {
        "base": _base_outcomes(workspace, source, asker, rows, progress),
        "tuned": _outcomes(open_tuned(workspace, bundle, base), asker, rows, "tuned", progress),
    }
    for system in outcomes:
        if any(not outcome.is_complete for outcome in outcomes[system]):
            count = sum(not outcome.is_complete for outcome in outcomes[system])
            most = asker.settings.decoding.max_new_tokens
            notes.append(f"{system}: {count} of {len(rows)} answers were cut off at {most} tokens")
    scores, paired = score(outcomes, _metrics_of(asker, rows), [("tuned", "base")])
    report = Report(
        bundle=bundle.identity,
        task=asker.task.name,
        data=label,
        num_rows=len(rows),
        goal=asker.settings.goal.model_dump(mode="json"),
        outcomes=outcomes,
        scores=scores,
        paired=paired,
        notes=notes,
        created_at=now(),
        seconds=round(time.monotonic() - began, 3),
    )
    _store(bundle, report)
    return report


class HeldOut:
    """Loss, the share of tokens that were the likeliest, and those of the task's own scores that the method names.

    Where rows of another dataset are replayed, the loss of those that it holds out is told beside (`replay_loss`).
    For plain text the loss is told in bits for each byte as well. Of many rows some are looked at, evenly over the
    file, which may be sorted, so that a look takes a small part of the time between two.
    """

    def __init__(self, prepared: Prepared, dtype: torch.dtype) -> None:
        terms = replace(prepared.terms, dtype=dtype)
        self._reader = prepared.method.reader(terms)
        rows = [examples for _, examples in prepared.held_out]
        self._rows = _some_of(rows)
        self._replayed = _some_of(prepared.replay.held_out) if prepared.replay is not None else []
        self._bytes_of_tokens = None
        if BITS_PER_BYTE in prepared.method.metrics:
            self._bytes_of_tokens = prepared.tokenizer.bytes_of_tokens
        self._metrics = [find_metric(name) for name in prepared.method.looked_at]
        self._answerer = prepared.method.answerer(terms) if self._metrics else None
        self._has_words = prepared.method.head is None
        every = math.ceil(len(rows) / (_MOST_WRITTEN_ROWS if self._has_words else _MOST_READ_ROWS))
        self._records = [row.record for row, _ in prepared.held_out[::every]]
        self._expected = [prepared.encoder.expected(record) for record in self._records]

    def measures(self, metric: str) -> bool:
        """Whether `measure` gives a score of that name."""
        return (
            metric == "loss"
            or (metric == _LIKELIEST and self._has_words)
            or metric in [known.name for known in self._metrics]
            or (metric == BITS_PER_BYTE and self._bytes_of_tokens is not None)
        )

    def measure(self, model: OpenModel) -> dict[str, float]:
        """The scores, by name."""
        costs = self._reader.losses(model, self._rows)
        weight = sum(one.weight for one in costs)
        loss = sum(one.loss for one in costs)
        scores = {"loss": loss / weight}
        rights = [one.right for one in costs if one.right is not None]
        if rights:
            scores[_LIKELIEST] = sum(rights) / weight
        if self._bytes_of_tokens is not None:
            num_bytes = sum(example.num_bytes(self._bytes_of_tokens) for row in self._rows for example in row)
            scores[BITS_PER_BYTE] = bits_per_byte(loss, num_bytes)
        if self._replayed:
            replayed = self._reader.losses(model, self._replayed)
            scores[_REPLAYED] = sum(one.loss for one in replayed) / sum(one.weight for one in replayed)
        if self._answerer is not None:
            answers = self._answerer.answers(model, self._records)
            pairs = zip(self._expected, answers, strict=True)
            outcomes = [Outcome("", expected, answer.text, rank=answer.rank) for expected, answer in pairs]
            scores.update({metric.name: metric.value(outcomes) for metric in self._metrics})
        return scores


def _some_of(rows: Sequence[list[Example]]) -> Sequence[list[Example]]:
    """As many of the rows as one look reads, evenly over all."""
    num_tokens = sum(example.num_tokens for row in rows for example in row)
    return rows[:: max(1, math.ceil(num_tokens / MOST_HELD_OUT_TOKENS))]


def fit_temperature(prepared: Prepared, dtype: torch.dtype, model: OpenModel) -> float:
    """What the scores of a trained model are to be divided by before they become probabilities: by the held-out rows.

    1 where there are none, or the method has no such scores.
    """
    if prepared.method.temperature is None or not prepared.held_out:
        return 1.0
    every = math.ceil(len(prepared.held_out) / _MOST_CALIBRATED_ROWS)
    records = [row.record for row, _ in prepared.held_out[::every]]
    return prepared.method.temperature(replace(prepared.terms, dtype=dtype), model, records)


def _metrics_of(asker: Asker, rows: Sequence[Row]) -> list[str]:
    """The metrics of the method; where rows or answers may belong to no label, how that is told apart too."""
    is_asked = asker.settings.decoding.least_probability > 0
    is_there = any(NONE_OF_THESE in labels_of(row.record) for row in rows)
    return [*asker.method.metrics, *(asker.method.of_scope if is_asked or is_there else ())]


def _rows_to_score(
    workspace: Workspace, bundle: Bundle, asker: Asker, data: str | None
) -> tuple[str, list[Row], list[str]]:
    facts: Any = bundle.part("data")
    own = f"{facts['dataset']}@test#{facts['content_hash']}"
    if data is None and not facts["rows_test"]:
        raise RequestError(
            f"{bundle.name} was trained on data without a test part",
            attempt=f"fettle evaluate {bundle.name} --data VERSION, or fettle data split before training",
        )
    version, rows = load_rows(workspace, data or own)
    if version.task != asker.task.name:
        raise RequestError(f"{version.label} holds rows for {version.task}, {bundle.name} does {asker.task.name}")
    notes = []
    if data is not None:
        _, known = load_rows(workspace, f"{facts['dataset']}#{facts['content_hash']}")
        seen = [row for row in known if row.part != "test"]
        leaked = shared_inputs(seen, rows)
        if leaked:
            notes.append(
                f"{len(leaked)} of {len(rows)} rows stand among the rows that were learned: the scores flatter"
            )
    if asker.labels:
        answers = {*asker.labels, NONE_OF_THESE}
        unseen = sum(not answers.issuperset(labels_of(row.record)) for row in rows)
        if unseen:
            notes.append(f"{unseen} of {len(rows)} rows have a label that was never learned; they count as wrong")
    part = "@test" if data is None else ""
    return (data or f"{facts['dataset']}{part}#{facts['content_hash'][:8]}"), rows, notes


def _base_outcomes(
    workspace: Workspace, source: BaseSource, asker: Asker, rows: Sequence[Row], progress: OnProgress | None
) -> list[Outcome]:
    """What the base does with every row: read back where the same base met the same rows in the same way before."""
    settings = asker.settings.model_dump(mode="json")
    asked = {
        "fettle": version("fettle-llm"),
        "base": source.as_json(),
        "task": asker.task.name,
        "survey": asdict(asker.survey),
        "metrics": asker.method.metrics,
        "method": asker.method.name,
        "head": [settings["head"], settings["seed"]] if asker.method.head else None,
        "prompt": settings["prompt"],
        "decoding": settings["decoding"],
        "masking": settings["masking"],
        "max_length": asker.max_length,
        "dtype": str(asker.dtype),
        "rows": [row.content_key for row in rows],
    }
    key = sha256_of_bytes(json.dumps(asked, sort_keys=True).encode())
    path = workspace.root / "scored" / f"{key}.json"
    if path.exists():
        digest, _, stored = path.read_bytes().partition(b"\n")
        if digest.decode("ascii", "replace") == sha256_of_bytes(stored):
            kept = msgspec.json.decode(stored, type=list[Outcome])
            places = [f"{row.file}:{row.line}" for row in rows]
            return [msgspec.structs.replace(one, source=place) for one, place in zip(kept, places, strict=True)]
    outcomes = _outcomes(asker.base(source), asker, rows, "base", progress)
    scored = msgspec.json.encode(outcomes)
    publish_bytes(path, sha256_of_bytes(scored).encode() + b"\n" + scored)
    return outcomes


def _outcomes(
    model: OpenModel, asker: Asker, rows: Sequence[Row], system: str, progress: OnProgress | None
) -> list[Outcome]:
    """What one system does with every row: the loss of the expected answer, and its own answer."""
    terms = asker.terms(model)
    encoder = asker.method.encoder(terms)
    costs, sizes = _costs(model, asker, encoder, rows)
    answerer = asker.method.answerer(terms)
    wanted = [encoder.expected(row.record) for row in rows]
    answers = [Answer("")] * len(rows)
    if answerer is not None:
        answers = answerer.answers(model, [row.record for row in rows], _Counter(progress, system, len(rows)).add)
    return [
        Outcome(
            source=f"{row.file}:{row.line}",
            expected=expected,
            answer=answer.text,
            loss=cost.loss,
            weight=cost.weight,
            probability=answer.probabilities.get(answer.text, 0.0),
            is_complete=answer.is_complete,
            num_bytes=size,
            right=cost.right or 0.0,
            rank=answer.rank,
            expected_probability=answer.probabilities.get(expected, 0.0),
        )
        for row, expected, answer, cost, size in zip(rows, wanted, answers, costs, sizes, strict=True)
    ]


def _costs(model: OpenModel, asker: Asker, encoder: Encoder, rows: Sequence[Row]) -> tuple[list[RowLoss], list[int]]:
    """The loss of each row, and its bytes where they count; rows over the length are cut or split as in training."""
    fitting = [
        [
            part
            for whole in encoder.examples(row.record, f"{row.file}:{row.line}")
            for part in fit_example(whole, asker.max_length, asker.settings.prompt.too_long)
        ]
        for row in rows
    ]
    costs = asker.method.reader(asker.terms(model)).losses(model, fitting)
    if BITS_PER_BYTE not in asker.method.metrics:
        return costs, [0] * len(rows)
    bytes_of_tokens = model.tokenizer.bytes_of_tokens
    return costs, [sum(example.num_bytes(bytes_of_tokens) for example in row) for row in fitting]


def _store(bundle: Bundle, report: Report) -> None:
    stamp = report.created_at.replace(":", "").replace("+0000", "Z")
    number = 1
    path = bundle.path / REPORTS / f"{stamp}-{number:02d}.json"  # names sort as the reports were made
    while path.exists():
        number += 1
        path = path.with_name(f"{stamp}-{number:02d}.json")
    publish_bytes(path, encode_report(report))
    write_card(bundle, model_card(bundle.manifest, bundle.identity, report.as_json()))


class _Counter:
    def __init__(self, progress: OnProgress | None, system: str, total: int) -> None:
        self._progress, self._system, self._total, self._done = progress, system, total, 0

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress:
            self._progress(self._system, self._done, self._total)
