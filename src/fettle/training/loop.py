"""The loop. It knows when: steps, looks at held-out rows, checkpoints, stopping. What is learned is the objective's.

Noise (dropout) is drawn from a generator seeded by seed and step, the rows of a step and its learning rate are pure
functions of the step. So a run that was killed and resumed ends with the same weights, to the bit, as one that was
not, on the same machine, build and threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from fettle.errors import IncompatibleModel, NonFiniteLoss
from fettle.models.load import OpenModel
from fettle.tokens.batch import Layout, batch_examples, split_by_tokens
from fettle.tokens.example import Example
from fettle.training.checkpoint import Checkpoint, CheckpointStore, Progress, optimizer_tensors, restore_optimizer
from fettle.training.config import TrainingSettings
from fettle.training.hooks import HeldOutReport, Probe, StepReport, Watcher
from fettle.training.objective import Objective
from fettle.training.schedule import learning_rate_at
from fettle.training.stream import Stream

Ending = Literal["done", "stopped_early", "paused"]


@dataclass
class TrainingJob:
    """All that one run of the loop needs. `watched` names the score of the probe that decides what is best."""

    model: OpenModel
    stream: Stream
    objective: Objective
    probe: Probe | None
    settings: TrainingSettings
    num_steps: int
    look_every_steps: int
    layout: Layout
    seed: int
    store: CheckpointStore
    watched: str = "loss"
    is_higher_better: bool = False
    watchers: Sequence[Watcher] = field(default=())
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and where it stood."""

    ending: Ending
    progress: Progress


def train(job: TrainingJob, start: Checkpoint | None = None) -> Outcome:
    """Run to the end, to an early stop, or until asked to stop; the model is left with the weights to keep."""
    weights = job.model.trainable()
    optimizer = make_optimizer(weights, job.settings)
    progress = Progress()
    if start is not None:
        _restore(weights, start.weights)
        restore_optimizer(optimizer, list(weights), start.optimizer)
        progress = start.progress
    elapsed_before, began = progress.seconds, time.monotonic()
    saved_step = progress.step if start is not None else -1
    while progress.step < job.num_steps and not progress.is_stopped_early:
        if job.should_stop():
            if saved_step != progress.step:
                _save(job, weights, optimizer, progress)
            return Outcome("paused", progress)
        _take_step(job, optimizer, weights, progress, elapsed_before, began)
        is_last = progress.step == job.num_steps
        if progress.step % job.look_every_steps == 0 or is_last:
            _look(job, progress)
            _save(job, weights, optimizer, progress)
            saved_step = progress.step
    if job.settings.keep == "best" and progress.best_step not in (-1, progress.step):
        _restore(weights, job.store.load(progress.best_step).weights)
    return Outcome("stopped_early" if progress.is_stopped_early else "done", progress)


def make_optimizer(weights: dict[str, torch.nn.Parameter], settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW; matrices decay, vectors (norms, biases) do not. Its groups keep the order of `weights`."""
    groups = [
        {"params": [weight], "weight_decay": settings.weight_decay if weight.ndim > 1 else 0.0}
        for weight in weights.values()
    ]
    return torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), eps=1e-8, foreach=False, fused=True
    )


def _take_step(
    job: TrainingJob,
    optimizer: torch.optim.Optimizer,
    weights: dict[str, torch.nn.Parameter],
    progress: Progress,
    elapsed_before: float,
    began: float,
) -> None:
    step = progress.step
    torch.manual_seed(_noise_seed(job.seed, step))
    rate = learning_rate_at(step, job.num_steps, job.settings)
    for group in optimizer.param_groups:
        group["lr"] = rate
    examples = job.stream.rows(step)
    loss = _accumulate(job, examples)
    limit = job.settings.clip_norm or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(weights.values(), limit))
    if not math.isfinite(norm):
        raise NonFiniteLoss(
            f"the gradient of step {step} is not finite; the weights were not changed",
            where=_name_rows([example.source for example in examples]),
            expected="finite numbers",
            attempt="training.learning_rate smaller, or training.dtype=float32",
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    learned = sum(example.num_learned for example in examples)
    progress.step += 1
    progress.learned_tokens += learned
    progress.seconds = elapsed_before + time.monotonic() - began
    report = StepReport(progress.step, job.num_steps, loss, rate, norm, learned, progress.seconds)
    for watcher in job.watchers:
        watcher.on_step(report)


def _accumulate(job: TrainingJob, examples: Sequence[Example]) -> float:
    """Add up the gradient of a step over its calls; returns the step's loss. Each part is divided by its own weight."""
    job.model.network.train()
    totals = job.objective.weigh(examples)
    loss = 0.0
    for group in split_by_tokens(examples, job.settings.max_tokens_per_call, job.layout):
        batch = batch_examples([examples[index] for index in group])
        sums = job.objective.sums(job.model, batch)
        weighed = [value / totals[name] for name, value in sums.items() if totals[name]]
        if not weighed:
            continue  # nothing in the step is learned
        part: Tensor = torch.stack(weighed).sum()
        if not torch.isfinite(part):
            _refuse_loss(job, examples)  # all of the step: one row's weight spoils the total of every call
        part.backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach())
    return loss


def _refuse_loss(job: TrainingJob, examples: Sequence[Example]) -> None:
    """Find which rows of a step give a loss that is no number, and stop before the weights change."""
    with torch.no_grad():
        bad = [
            example.source
            for example in examples
            if not all(torch.isfinite(v) for v in job.objective.sums(job.model, batch_examples([example])).values())
        ]
    raise NonFiniteLoss(
        "the loss is not finite; the weights were not changed",
        where=_name_rows(bad or [example.source for example in examples]),
        expected="a finite loss",
        attempt="look at these rows; then training.learning_rate smaller, or training.dtype=float32",
    )


def _look(job: TrainingJob, progress: Progress) -> None:
    """Measure the held-out rows, and note whether this is the best so far."""
    if job.probe is None:
        return
    scores = job.probe.measure(job.model)
    value = -scores[job.watched] if job.is_higher_better else scores[job.watched]
    is_best = value < progress.best_value
    if is_best:
        progress.best_value, progress.best_step, progress.looks_without_gain = value, progress.step, 0
    else:
        progress.looks_without_gain += 1
    progress.history.append({"step": progress.step, **scores})
    patience = job.settings.patience
    progress.is_stopped_early = 0 < patience <= progress.looks_without_gain
    for watcher in job.watchers:
        watcher.on_held_out(HeldOutReport(progress.step, scores, is_best))


def _save(
    job: TrainingJob, weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    tensors: dict[str, Tensor] = dict(weights)
    job.store.save(Checkpoint(tensors, optimizer_tensors(optimizer, list(weights)), progress))
    job.store.prune(job.settings.keep_checkpoints, progress.best_step)
    for watcher in job.watchers:
        watcher.on_checkpoint(progress.step, progress.best_step == progress.step)


def _restore(weights: dict[str, torch.nn.Parameter], stored: dict[str, Tensor]) -> None:
    if {name: weight.shape for name, weight in weights.items()} != {name: t.shape for name, t in stored.items()}:
        raise IncompatibleModel(
            "the checkpoint holds other weights than those that learn",
            expected="the base and the adapter settings of the run that it comes from",
        )
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(stored[name])


def _noise_seed(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % (2**63)


def _name_rows(sources: Sequence[str]) -> str:
    shown = ", ".join(sources[:5])
    return shown + (f" and {len(sources) - 5} more" if len(sources) > 5 else "")
