"""Scores on rows that were not learned from: while a run goes on, and of base and tuned with intervals, as a report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
import torch

from fettle.app.listing import get_bundle
from fettle.app.opening import BaseSource, base_of_bundle, open_base, open_tuned
from fettle.app.planning import PlanSettings
from fettle.app.preflight import Prepared
from fettle.app.workshop.versions import load_rows
from fettle.artifacts.bundle import REPORTS, Bundle, write_card
from fettle.data.records import Row
from fettle.data.splits.split import shared_inputs
from fettle.errors import RequestError
from fettle.evaluation.metrics.labels import accuracy_hits
from fettle.evaluation.metrics.losses import bits_per_byte
from fettle.evaluation.report import Outcome, Report, encode_report
from fettle.evaluation.scorer import score
from fettle.generation.answer import Answerer
from fettle.generation.config import DecodingSettings
from fettle.generation.scoring import read_tokens
from fettle.models.load import OpenModel
from fettle.models.machine import dtype_named, keep_freed_pages, num_threads
from fettle.reporting.card import model_card
from fettle.storage.blobs import sha256_of_bytes
from fettle.storage.catalogue import now
from fettle.storage.publish import publish_bytes
from fettle.storage.workspace import Workspace
from fettle.tasks.table import open_task
from fettle.tasks.task import Task
from fettle.tokens.encoder import Encoder
from fettle.tokens.example import Example
from fettle.tokens.length import fit_example

BITS_PER_BYTE = "bits_per_byte"
MOST_HELD_OUT_TOKENS = 2**17
_MOST_ANSWERED_ROWS = 200

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asker:
    """What it takes to put a bundle's task to a model: the task with the bundle's own settings and labels."""

    task: Task
    settings: PlanSettings
    labels: tuple[str, ...]
    max_length: int
    dtype: torch.dtype

    def encoder(self, model: OpenModel) -> Encoder:
        """Rows as this model reads them."""
        prompt = self.settings.prompt.model_copy(update={"max_length": self.max_length})
        return self.task.encoder(model.tokenizer, prompt, self.labels)

    def answerer(self, model: OpenModel) -> Answerer | None:
        """How this model answers; None where the task asks nothing."""
        return self.task.answerer(model.tokenizer, self.settings.decoding, self.labels, self.dtype)


@dataclass
class _RowLoss:
    """Summed loss (nats) and learned weight of one row, and its bytes where the task is judged by them."""

    loss: float = 0.0
    weight: float = 0.0
    num_bytes: int = 0


def asker_for(bundle: Bundle) -> Asker:
    """The bundle's task, as it was trained."""
    plan: Any = bundle.part("plan")
    settings = PlanSettings.model_validate(plan["settings"])
    torch.set_num_threads(num_threads())
    keep_freed_pages()
    return Asker(
        task=open_task(str(bundle.manifest["task"])),
        settings=settings,
        labels=bundle.labels,
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
    scores, paired = score(outcomes, asker.task.metrics, [("tuned", "base")])
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
    """Loss (nats a token) and the share of tokens that were the likeliest; for labels the accuracy of the answers.

    For plain text the loss is told in bits for each byte as well. Of many rows some are looked at, evenly over the
    file, so that a look takes a small part of the time between two.
    """

    def __init__(self, prepared: Prepared, decoding: DecodingSettings, dtype: torch.dtype) -> None:
        self._dtype = dtype
        examples = [example for _, examples in prepared.held_out for example in examples]
        self._examples = examples[:: math.ceil(sum(one.num_tokens for one in examples) / MOST_HELD_OUT_TOKENS)]
        self._bytes_of_tokens = None
        if BITS_PER_BYTE in prepared.task.metrics:
            self._bytes_of_tokens = prepared.tokenizer.bytes_of_tokens
        self._answerer = None
        if prepared.labels:
            self._answerer = prepared.task.answerer(prepared.tokenizer, decoding, prepared.labels, dtype)
            # Evenly over the file, which may be sorted by label.
            every = math.ceil(len(prepared.held_out) / _MOST_ANSWERED_ROWS)
            rows = [row for row, _ in prepared.held_out[::every]]
            self._prompts = [prepared.encoder.prompt(row.record) for row in rows]
            self._expected = [prepared.encoder.expected(row.record) for row in rows]

    def measures(self, metric: str) -> bool:
        """Whether `measure` gives a score of that name."""
        return (
            metric in ("loss", "token_accuracy")
            or (metric == "accuracy" and self._answerer is not None)
            or (metric == BITS_PER_BYTE and self._bytes_of_tokens is not None)
        )

    def measure(self, model: OpenModel) -> dict[str, float]:
        """The scores, by name."""
        read = read_tokens(model, self._examples, self._dtype)
        pairs = list(zip(self._examples, read, strict=True))
        weight = sum(example.learned_weight for example in self._examples)
        loss = -sum(float(one.log_probabilities.astype("f8") @ example.reads.weight) for example, one in pairs)
        hits = sum(float(one.is_likeliest @ example.reads.weight) for example, one in pairs)
        scores = {"loss": loss / weight, "token_accuracy": hits / weight}
        if self._bytes_of_tokens is not None:
            num_bytes = sum(example.num_bytes(self._bytes_of_tokens) for example in self._examples)
            scores[BITS_PER_BYTE] = bits_per_byte(loss, num_bytes)
        if self._answerer is not None:
            answers = self._answerer.answers(model, self._prompts)
            right = accuracy_hits(self._expected, [answer.text for answer in answers])
            scores["accuracy"] = sum(right) / len(right)
        return scores


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
        unseen = sum(getattr(row.record, "label", "") not in asker.labels for row in rows)
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
        "labels": asker.labels,
        "metrics": asker.task.metrics,
        "prompt": settings["prompt"],
        "decoding": settings["decoding"],
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
    outcomes = _outcomes(open_base(source), asker, rows, "base", progress)
    scored = msgspec.json.encode(outcomes)
    publish_bytes(path, sha256_of_bytes(scored).encode() + b"\n" + scored)
    return outcomes


def _outcomes(
    model: OpenModel, asker: Asker, rows: Sequence[Row], system: str, progress: OnProgress | None
) -> list[Outcome]:
    """What one system does with every row: the loss of the expected answer, and its own answer."""
    encoder = asker.encoder(model)
    count = _Counter(progress, system, len(rows))
    losses = _losses(model, asker, encoder, rows)
    answerer = asker.answerer(model)
    if answerer is None:
        return [
            Outcome(f"{row.file}:{row.line}", "", "", one.loss, one.weight, num_bytes=one.num_bytes)
            for row, one in zip(rows, losses, strict=True)
        ]
    room = max(1, asker.max_length - 1)
    prompts = [encoder.prompt(row.record)[-room:] for row in rows]
    answers = answerer.answers(model, prompts, count.add)
    return [
        Outcome(
            source=f"{row.file}:{row.line}",
            expected=encoder.expected(row.record),
            answer=answer.text,
            loss=one.loss,
            weight=one.weight,
            probability=answer.probabilities.get(answer.text, 0.0),
            is_complete=answer.is_complete,
            num_bytes=one.num_bytes,
        )
        for row, answer, one in zip(rows, answers, losses, strict=True)
    ]


def _losses(model: OpenModel, asker: Asker, encoder: Encoder, rows: Sequence[Row]) -> list[_RowLoss]:
    """The loss of each row; rows over the length are cut or split as in training."""
    examples: list[Example] = []
    owner: list[int] = []
    for place, row in enumerate(rows):
        for whole in encoder.examples(row.record, f"{row.file}:{row.line}"):
            fitting = fit_example(whole, asker.max_length, asker.settings.prompt.too_long)
            examples += fitting
            owner += [place] * len(fitting)
    found = [_RowLoss() for _ in rows]
    for place, example, read in zip(owner, examples, read_tokens(model, examples, asker.dtype), strict=True):
        found[place].loss -= float(read.log_probabilities.astype("f8") @ example.reads.weight)
        found[place].weight += example.learned_weight
        if BITS_PER_BYTE in asker.task.metrics:
            found[place].num_bytes += example.num_bytes(model.tokenizer.bytes_of_tokens)
    return found


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
