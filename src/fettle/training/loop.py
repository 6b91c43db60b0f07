"""The loop. It knows when: steps, looks at held-out rows, checkpoints, stopping. What is learned is the objective's.

Noise (dropout) is drawn from a generator seeded by seed, step and call, the rows of a step and its learning rate are
pure functions of the step. So a run that was killed and resumed ends with the same weights, to the bit, as one that was
not, on the same machine, build and threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fettle.errors import MemoryExhausted, NonFiniteLoss
from fettle.models.layers import compile_layers, uncompiled
from fettle.models.load import OpenModel
from fettle.models.machine import is_out_of_memory
from fettle.models.ways.chosen import learning_shares
from fettle.models.ways.noise import noisy_embeddings
from fettle.tokens.example import Example, Ints
from fettle.tokens.forest import make_batch, split_by_tokens
from fettle.tokens.layout import Layout
from fettle.training.checkpoint import Checkpoint, CheckpointStore, Progress
from fettle.training.config import TrainingSettings
from fettle.training.hooks import HeldOutReport, Probe, StepReport, Watcher
from fettle.training.learner import Learner
from fettle.training.objective import Call, Objective, StepObjective, sums_of_calls
from fettle.training.optimizer import Optimizers
from fettle.training.schedule import learning_rate_at
from fettle.training.stream import Stream

Ending = Literal["done", "stopped_early", "paused"]

# Rows by length, each read once, for each kind of call that layers are compiled for. Their sums are no width of any
# layer: the compiler takes equal sizes for one. It makes code of its own where there is one row or one read, and where
# padded rows need no mask.
_COMPILED_FOR: dict[Layout, list[tuple[int, ...]]] = {
    "tree": [(83, 97, 101), (101,)],
    "packed": [(83, 97, 101), (101,)],
    "padded": [(83, 97, 101), (101, 101, 101), (101,)],
}


@dataclass
class TrainingJob:
    """All that one run of the loop needs. `watched` names the score of the probe that decides what is best.

    `bytes_of_tokens` (the bytes of each token) has the loss told for each byte too.
    `call_limits`: from which step on calls hold how many tokens, where memory ran out before (settings: at first).
    """

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
    dtype: torch.dtype = torch.float32
    is_compiled: bool = False
    call_limits: dict[int, int] = field(default_factory=dict)
    bytes_of_tokens: Ints | None = None
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
    learner = Learner(job.model, job.dtype)
    try:
        with noisy_embeddings(job.model.network, job.settings.embedding_noise):
            return _train(job, learner, start)
    finally:
        learner.finish()


def _train(job: TrainingJob, learner: Learner, start: Checkpoint | None) -> Outcome:
    shares = learning_shares(job.model.network, job.settings.layer_decay)
    optimizer = Optimizers(learner.weights, job.settings, shares)
    progress = Progress()
    if start is not None:
        learner.restore(start.weights)
        optimizer.restore(start.optimizer)
        progress = start.progress
    if job.settings.average:
        learner.begin_average(start.average if start is not None else {})
    if job.is_compiled:
        _compile(job, learner)
    elapsed_before, began = progress.seconds, time.monotonic()
    saved_step = progress.step if start is not None else -1
    while progress.step < job.num_steps and not progress.is_stopped_early:
        if job.should_stop():
            if saved_step != progress.step:
                _save(job, learner, optimizer, progress)
            return Outcome("paused", progress)
        _take_step(job, optimizer, learner, progress, elapsed_before, began)
        is_last = progress.step == job.num_steps
        if progress.step % job.look_every_steps == 0 or is_last:
            with learner.averaged():
                _look(job, progress)
            _save(job, learner, optimizer, progress)
            saved_step = progress.step
    if job.settings.keep == "best" and progress.best_step not in (-1, progress.step):
        best = job.store.load(progress.best_step)
        learner.restore(best.weights)
        if learner.average:
            learner.begin_average(best.average)
    learner.keep_average()
    return Outcome("stopped_early" if progress.is_stopped_early else "done", progress)


def _compile(job: TrainingJob, learner: Learner) -> None:
    """Compile on rows that are the same in every process of a run.

    Code may depend on the lengths that it is first made for. A run that is gone on with meets others first, and would
    end with other bits.
    """
    compile_layers(job.model.network)
    job.model.network.train()
    for lengths in _COMPILED_FOR[job.layout]:
        ids = [np.zeros(min(length, job.model.context_length), np.int64) for length in lengths]
        rows = [job.objective.blank(each) for each in ids]
        call = Call(make_batch(rows, job.layout), range(len(rows)))
        for sums in sums_of_calls(job.objective, job.model, [call], torch.manual_seed):
            torch.stack(list(sums.values())).sum().backward()  # type: ignore[no-untyped-call]
    learner.forget_gradients()


def _take_step(
    job: TrainingJob,
    optimizer: Optimizers,
    learner: Learner,
    progress: Progress,
    elapsed_before: float,
    began: float,
) -> None:
    step = progress.step
    rate = learning_rate_at(step, job.num_steps, job.settings)
    examples = job.stream.rows(step)
    loss = _accumulate_within_memory(job, learner, examples, step)
    limit = job.settings.clip_norm or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(learner.weights.values(), limit))
    if not math.isfinite(norm):
        raise NonFiniteLoss(
            f"the gradient of step {step} is not finite; the weights were not changed",
            where=_name_rows([example.source for example in examples]),
            expected="finite numbers",
            attempt="training.learning_rate smaller, or training.dtype=float32",
        )
    optimizer.step(rate)
    learner.publish()
    learner.average_in(job.settings.average, step + 1)
    learned = sum(example.num_learned for example in examples)
    progress.step += 1
    progress.learned_tokens += learned
    progress.seconds = elapsed_before + time.monotonic() - began
    bits = _bits_per_byte(job, examples, loss)
    report = StepReport(progress.step, job.num_steps, loss, rate, norm, learned, progress.seconds, bits)
    for watcher in job.watchers:
        watcher.on_step(report)


def _bits_per_byte(job: TrainingJob, examples: Sequence[Example], loss: float) -> float | None:
    if job.bytes_of_tokens is None:
        return None
    num_bytes = sum(example.num_bytes(job.bytes_of_tokens) for example in examples)
    return loss * sum(example.learned_weight for example in examples) / math.log(2) / max(1, num_bytes)


def _accumulate_within_memory(job: TrainingJob, learner: Learner, examples: Sequence[Example], step: int) -> float:
    """Accumulate a step; where memory runs out, begin it again with calls of half as many tokens."""
    while True:
        earlier = [when for when in job.call_limits if when <= step]
        limit = job.call_limits[max(earlier)] if earlier else job.settings.max_tokens_per_call
        try:
            return _accumulate(job, examples, limit, step)
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            largest = max(example.num_tokens for example in examples)
            if limit <= largest:
                raise MemoryExhausted(
                    f"memory ran out at step {step}, with one row of {largest} tokens at a time",
                    where=_name_rows([example.source for example in examples]),
                    attempt="prompt.max_length smaller, a smaller base, or adapter.kind=lora",
                ) from problem
        learner.forget_gradients()
        job.call_limits[step] = max(limit // 2, largest)
        for watcher in job.watchers:
            watcher.on_less_memory(step, job.call_limits[step])


def _accumulate(job: TrainingJob, examples: Sequence[Example], max_tokens: int, step: int) -> float:
    """Add up the gradient of a step over its calls; returns the step's loss. Each part is divided by its own weight."""
    job.model.network.train()
    totals = job.objective.weigh(examples)
    groups = split_by_tokens(examples, max_tokens, job.layout)
    calls = [Call(make_batch([examples[index] for index in group], job.layout), group) for group in groups]
    calls = [call for call in calls if len(call.batch.reads)]
    loss = 0.0
    for sums in sums_of_calls(job.objective, job.model, calls, lambda call: _seed_noise(job.seed, step, call)):
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
    bad = []
    if not isinstance(job.objective, StepObjective):  # there no row has a loss of its own
        with torch.no_grad():
            bad = [example.source for example in examples if len(example.reads) and not _is_finite(job, example)]
    raise NonFiniteLoss(
        "the loss is not finite; the weights were not changed",
        where=_name_rows(bad or [example.source for example in examples]),
        expected="a finite loss",
        attempt="look at these rows; then training.learning_rate smaller, or training.dtype=float32",
    )


def _is_finite(job: TrainingJob, example: Example) -> bool:
    sums = job.objective.sums(job.model, make_batch([example], job.layout))
    return all(bool(torch.isfinite(value)) for value in sums.values())


def _look(job: TrainingJob, progress: Progress) -> None:
    """Measure the held-out rows, and note whether this is the best so far."""
    if job.probe is None:
        return
    with uncompiled():
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


def _save(job: TrainingJob, learner: Learner, optimizer: Optimizers, progress: Progress) -> None:
    tensors: dict[str, Tensor] = dict(learner.weights)
    job.store.save(Checkpoint(tensors, optimizer.tensors(), progress, learner.average))
    job.store.prune(job.settings.keep_checkpoints, progress.best_step)
    for watcher in job.watchers:
        watcher.on_checkpoint(progress.step, progress.best_step == progress.step)


def _seed_noise(seed: int, step: int, call: int) -> None:
    # The processor's generator takes the last 32 bits of a seed alone; steps of this length lie far apart in them.
    torch.manual_seed((seed * 1_000_003 + step + call * 2_654_435_761) % (2**63))


def _name_rows(sources: Sequence[str]) -> str:
    shown = ", ".join(sources[:5])
    return shown + (f" and {len(sources) - 5} more" if len(sources) > 5 else "")
