"""Runs: a plan carried out, gone on with, or forked. What comes out is a bundle."""

from __future__ import annotations

import errno
import platform
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from fettle.app.bases.vectors import is_learned_from_texts, learn_what_occurs
from fettle.app.evaluating import BITS_PER_BYTE, HeldOut, fit_temperature
from fettle.app.opening import open_base, with_fresh_head
from fettle.app.planning import ResolvedPlan, plan_from_json
from fettle.app.preflight import Preflight, inspect
from fettle.app.preparing.machine import Machine, make_stream, rows_of_stream, use_threads
from fettle.app.preparing.ordering import keys_of_column, losses_of_base
from fettle.app.preparing.rows import Prepared, prepare
from fettle.artifacts.bundle import ADAPTER, BASE, HEAD, MODEL, TOKENIZER, Bundle, read_bundle, write_bundle, write_card
from fettle.errors import FettleError, FullDisk, IncompatibleModel, RequestError
from fettle.evaluation.scorer import find_metric
from fettle.jobs.run import LESS_MEMORY, RunFolder, new_run_name
from fettle.jobs.signals import StopRequest
from fettle.models.config import NEW_BASE
from fettle.models.head import save_head
from fettle.models.layers import uncompiled
from fettle.models.load import OpenModel, add_adapter, save_adapter
from fettle.models.machine import dtype_named, keep_freed_pages, peak_memory_bytes
from fettle.models.ways.chosen import choose_weights
from fettle.reporting.card import model_card
from fettle.storage.catalogue import now
from fettle.storage.workspace import Workspace
from fettle.tokens.example import Ints
from fettle.training.checkpoint import Checkpoint, CheckpointStore, Progress
from fettle.training.hooks import HeldOutReport, StepReport, Watcher
from fettle.training.loop import Outcome, TrainingJob, train
from fettle.training.stream import order_by


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `bundle` is None when it was paused."""

    run: str
    ending: str
    bundle: Bundle | None
    progress: Progress
    peak_memory_bytes: int

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract."""
        return {
            "run": self.run,
            "state": self.ending,
            "bundle": str(self.bundle.path) if self.bundle else None,
            "steps": self.progress.step,
            "kept_step": self.bundle.part("training")["kept_step"] if self.bundle else self.progress.best_step,
            "seconds": round(self.progress.seconds, 3),
            "learned_tokens": self.progress.learned_tokens,
            "peak_memory_bytes": self.peak_memory_bytes,
            "held_out": self.progress.history[-1] if self.progress.history else None,
        }


def start_run(
    workspace: Workspace,
    plan: ResolvedPlan,
    name: str | None = None,
    watchers: Sequence[Watcher] = (),
    fork: tuple[str, int] | None = None,
) -> RunResult:
    """Carry out a plan from its beginning, or from a step of another run (`fork`)."""
    prepared = prepare(workspace, plan.settings)
    preflight = inspect(prepared, plan.settings)
    start = _fork_point(workspace, fork, prepared, plan.settings.adapter.kind) if fork is not None else None
    taken = {run.name for run in workspace.catalogue.runs()} | {path.name for path in workspace.bundles.iterdir()}
    name = name or new_run_name(taken)
    _check_name(workspace, name)
    RunFolder(workspace.runs / name).write_plan(_stored_plan(plan, prepared, preflight, fork))
    workspace.catalogue.add_run(name, plan.recipe)
    return _carry_out(workspace, name, plan, prepared, preflight, watchers, start)


def resume_run(workspace: Workspace, name: str, watchers: Sequence[Watcher] = ()) -> RunResult:
    """Go on from the latest whole checkpoint; the end is, to the bit, that of a run that never stopped."""
    run = workspace.catalogue.find_run(name)
    if run.bundle:
        raise RequestError(f"{name} is done; its bundle is {run.bundle}", attempt=f"fettle evaluate {name}")
    folder = RunFolder(workspace.runs / name)
    stored: Any = folder.read_plan()
    plan = plan_from_json(stored)
    # What the words meant when the run was started: the data may have grown, and a path may have been relative.
    replay = plan.settings.replay.model_copy(update={"data": stored["data"].get("replayed", "")})
    meant = {"data": stored["data"]["reference"], "base": stored["base"]["reference"], "replay": replay}
    pinned = plan.settings.model_copy(update=meant)
    prepared = prepare(workspace, pinned)
    if prepared.source.as_json() != stored["base"]:
        raise RequestError("the base has changed since the run was started", where=plan.settings.base)
    preflight = inspect(prepared, plan.settings)
    preflight = _with_machine(preflight, Machine(**stored["machine"]))
    store = CheckpointStore(folder.checkpoints, name)
    store.sweep()
    start, damaged = store.load_latest()
    for problem in damaged:
        folder.log("damaged_checkpoint", problem=str(problem))
    if start is None and stored.get("fork"):
        start = _fork_point(workspace, tuple(stored["fork"]), prepared, plan.settings.adapter.kind)
    return _carry_out(workspace, name, plan, prepared, preflight, watchers, start)


def _carry_out(
    workspace: Workspace,
    name: str,
    plan: ResolvedPlan,
    prepared: Prepared,
    preflight: Preflight,
    watchers: Sequence[Watcher],
    start: Checkpoint | None,
) -> RunResult:
    folder = RunFolder(workspace.runs / name)
    workspace.catalogue.update_run(name, state="running")
    folder.log("started", step=start.progress.step if start else 0)
    try:
        use_threads(preflight.machine)
        keep_freed_pages()
        model = _open_learner(plan, prepared)
        with StopRequest() as stop:
            job = _job(model, plan, prepared, preflight.machine, folder, [_Log(folder), *watchers], stop)
            outcome = train(job, start)
        if outcome.ending == "paused":
            workspace.catalogue.update_run(name, state="paused")
            folder.log("paused", step=outcome.progress.step)
            return RunResult(name, "paused", None, outcome.progress, peak_memory_bytes())
        with uncompiled():
            model.temperature = fit_temperature(prepared, job.dtype, model)
        bundle = _bundle(workspace, name, plan, prepared, preflight, model, outcome)
    except BaseException as problem:
        _note_failure(workspace, folder, name, problem)
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullDisk(
                "the disk is full",
                where=str(problem.filename or folder.path),
                attempt=f"free some space, then fettle train --resume {name}",
            ) from problem
        raise
    workspace.catalogue.update_run(name, state="done", bundle=str(bundle.path))
    folder.log("done", bundle=bundle.identity)
    return RunResult(name, outcome.ending, bundle, outcome.progress, peak_memory_bytes())


def _note_failure(workspace: Workspace, folder: RunFolder, name: str, problem: BaseException) -> None:
    """Write down that a run failed. Where there is no room even for that, the failure itself must still be told."""
    with suppress(OSError):
        workspace.catalogue.update_run(name, state="failed" if isinstance(problem, Exception) else "lost")
    with suppress(OSError):
        folder.log("failed", problem=str(problem) if isinstance(problem, FettleError) else repr(problem))


def _open_learner(plan: ResolvedPlan, prepared: Prepared) -> OpenModel:
    settings = plan.settings
    model = open_base(prepared.source, prepared.method.network, settings.training.dropout)
    if settings.adapter.kind != "full":
        device = model.device
        model = add_adapter(model, settings.adapter, settings.seed).to(device)
    if prepared.method.head is not None:
        model = with_fresh_head(model, prepared.method.head(prepared.terms), settings.seed)
    if settings.adapter.kind == "full":
        choose_weights(
            model.network, settings.adapter.learn, has_own_head=bool(model.head and model.head.shape.outputs)
        )
    learn_what_occurs(model, prepared.learned)
    return model


def _first_epoch(model: OpenModel, plan: ResolvedPlan, prepared: Prepared, folder: RunFolder) -> Ints | None:
    """The order of the rows in the first epoch; None where the seed decides."""
    order = plan.settings.training.order
    if order == "random":
        return None
    rows, values = rows_of_stream(prepared, plan.settings)
    if order == "loss":
        keys = losses_of_base(folder.path, model, prepared.method.reader(prepared.terms), rows)
    elif order == "length":
        keys = [float(sum(example.num_tokens for example in row)) for row in rows]
    else:
        keys = keys_of_column(values)
    return order_by(keys, plan.settings.seed)


def _job(
    model: OpenModel,
    plan: ResolvedPlan,
    prepared: Prepared,
    machine: Machine,
    folder: RunFolder,
    watchers: Sequence[Watcher],
    stop: StopRequest,
) -> TrainingJob:
    settings = plan.settings
    dtype = dtype_named(machine.dtype)
    probe = HeldOut(prepared, dtype) if prepared.held_out else None
    watched, is_higher_better = "loss", False
    if settings.training.watch == "metric" and probe is not None and probe.measures(prepared.method.main_metric):
        watched = prepared.method.main_metric
        is_higher_better = find_metric(watched).is_higher_better
    is_text = BITS_PER_BYTE in prepared.method.metrics
    has_pure_loss = not settings.training.label_smoothing and not settings.training.z_loss
    return TrainingJob(
        model=model,
        stream=make_stream(prepared, settings, _first_epoch(model, plan, prepared, folder)),
        objective=prepared.method.objective(prepared.terms, machine.layout),
        dtype=dtype,
        is_compiled=machine.is_compiled,
        bytes_of_tokens=prepared.tokenizer.bytes_of_tokens if has_pure_loss and is_text else None,
        call_limits=folder.call_limits(),
        probe=probe,
        settings=settings.training,
        num_steps=machine.num_steps,
        look_every_steps=machine.look_every_steps,
        layout=machine.layout,
        seed=settings.seed,
        store=CheckpointStore(folder.checkpoints, folder.path.name),
        watched=watched,
        is_higher_better=is_higher_better,
        watchers=watchers,
        should_stop=stop.is_set,
    )


def _bundle(
    workspace: Workspace,
    name: str,
    plan: ResolvedPlan,
    prepared: Prepared,
    preflight: Preflight,
    model: OpenModel,
    outcome: Outcome,
) -> Bundle:
    is_adapter = model.adapted is not None
    progress = outcome.progress
    kept = progress.best_step if plan.settings.training.keep == "best" and progress.best_step >= 0 else progress.step

    def write_contents(folder: Path) -> None:
        if is_adapter:
            save_adapter(model, folder / ADAPTER, prepared.source.name)
            prepared.tokenizer.save(folder / TOKENIZER)
        else:
            model.network.save_pretrained(folder / MODEL, safe_serialization=True)
            prepared.tokenizer.save(folder / MODEL)
        if model.head is not None:
            save_head(model.head, folder / HEAD)
        if prepared.source.kind == NEW_BASE or is_learned_from_texts(prepared.source.kind, prepared.source.folder):
            shutil.copytree(prepared.source.folder, folder / BASE)

    manifest: dict[str, object] = {
        "name": name,
        "task": prepared.task.name,
        "kind": "adapter" if is_adapter else "full",
        "method": prepared.method.name,
        "labels": list(prepared.labels),
        "has_fresh_word_head": prepared.has_fresh_word_head,
        "survey": asdict(prepared.terms.survey),
        "temperature": model.temperature,
        "base": prepared.source.as_json(),
        "plan": {**plan.as_json(), "machine": asdict(preflight.machine)},
        "data": _data_facts(prepared),
        "template_sha256": prepared.tokenizer.template_sha256,
        "max_length": prepared.max_length,
        "training": {
            "steps": progress.step,
            "kept_step": kept,
            "ending": outcome.ending,
            "seconds": round(progress.seconds, 3),
            "learned_tokens": progress.learned_tokens,
            "peak_memory_bytes": peak_memory_bytes(),
            "history": progress.history,
        },
        "environment": _environment(),
        "created_at": now(),
    }
    path = workspace.bundles / name
    # A bundle that is there is this run's own, whose end a crash kept from the catalogue: no run starts with its name.
    bundle = read_bundle(path) if path.exists() else write_bundle(path, manifest, write_contents)
    write_card(bundle, model_card(bundle.manifest, bundle.identity, None))
    return bundle


def _stored_plan(
    plan: ResolvedPlan, prepared: Prepared, preflight: Preflight, fork: tuple[str, int] | None
) -> dict[str, object]:
    part = plan.settings.data.partition("#")[0].partition("@")[2]
    reference = f"{prepared.version.dataset}{'@' + part if part else ''}#{prepared.version.content_hash}"
    return {
        **plan.as_json(),
        "data": {**_data_facts(prepared), "reference": reference},
        "base": prepared.source.as_json(),
        "machine": asdict(preflight.machine),
        "fork": list(fork) if fork else None,
        "environment": _environment(),
    }


def _data_facts(prepared: Prepared) -> dict[str, object]:
    replayed = {"replayed": prepared.replay.reference} if prepared.replay is not None else {}
    return {
        **replayed,
        "version": prepared.version.label,
        "dataset": prepared.version.dataset,
        "content_hash": prepared.version.content_hash,
        "rows_learned": len(prepared.learned),
        "rows_validation": len(prepared.held_out),
        "rows_test": prepared.num_test_rows,
        "rows_lost": sum(prepared.lost.values()),
        "rows_cut": prepared.num_cut,
    }


def _environment() -> dict[str, str]:
    packages = ("fettle-llm", "torch", "transformers", "peft", "safetensors")
    return {"python": platform.python_version(), **{name: installed_version(name) for name in packages}}


def _with_machine(preflight: Preflight, machine: Machine) -> Preflight:
    if str(preflight.machine.device) != machine.device:
        raise RequestError(
            f"the run was started on {machine.device}, this machine has {preflight.machine.device}",
            attempt="go on where it was started, or fettle train … --from RUN@STEP",
        )
    return replace(preflight, machine=machine)


def _fork_point(workspace: Workspace, fork: tuple[str, int], prepared: Prepared, kind: str) -> Checkpoint:
    """The checkpoint of another run to begin with. What was best there lies in that run's folder: it is forgotten."""
    origin = RunFolder(workspace.runs / workspace.catalogue.find_run(fork[0]).name)
    origin_plan: Any = origin.read_plan()
    base = origin_plan["base"]
    if base["fingerprint"] != prepared.source.prints or base["lineage"] != list(prepared.source.lineage):
        raise IncompatibleModel(
            f"{fork[0]} was trained on another base",
            where="base",
            expected=str(base["reference"]),
            attempt="the same base",
        )
    other = str(origin_plan["settings"]["adapter"]["kind"])
    if other != kind and "pissa" in (other, kind):  # its adapters stand on what they left of the base
        raise IncompatibleModel(f"{fork[0]} was trained with other adapters", where="adapter.kind", expected=other)
    start = CheckpointStore(origin.checkpoints).load(fork[1])
    fresh = Progress()
    progress = replace(
        start.progress,
        best_step=fresh.best_step,
        best_value=fresh.best_value,
        looks_without_gain=0,
        is_stopped_early=False,
    )
    return replace(start, progress=progress)


def _check_name(workspace: Workspace, name: str) -> None:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise RequestError(f"{name!r} is no name for a run", expected="letters, digits, - _ .", where="--name")
    if name in {run.name for run in workspace.catalogue.runs()}:  # before its plan would be written over
        raise RequestError(f"there is a run named {name!r} already", attempt="--name with another name")
    if (workspace.bundles / name).exists():
        raise RequestError(f"there is a bundle named {name!r} already", attempt="--name with another name")


class _Log:
    """Writes what happens into the run's log."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_step(self, report: StepReport) -> None:
        self._folder.log("step", **{name: fact for name, fact in asdict(report).items() if fact is not None})

    def on_held_out(self, report: HeldOutReport) -> None:
        self._folder.log("held_out", **asdict(report))

    def on_checkpoint(self, step: int, is_best: bool) -> None:
        self._folder.log("checkpoint", step=step, is_best=is_best)

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None:
        self._folder.log(LESS_MEMORY, step=step, max_tokens_per_call=max_tokens_per_call)
