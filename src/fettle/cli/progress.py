"""Progress on stderr: a live line where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from fettle.cli.command import ERR
from fettle.models.machine import peak_memory_bytes
from fettle.training.hooks import HeldOutReport, StepReport

_PLAIN_EVERY_SECONDS = 10.0
_SMOOTHING = 0.9


class TrainingProgress:
    """A watcher: step, loss, held-out scores, learned tokens a second, time left, memory."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[facts]}"), console=ERR
        )
        self._task: TaskID | None = None
        self._loss: float | None = None
        self._bits: float | None = None
        self._held_out = ""
        self._first: StepReport | None = None
        self._tokens = 0
        self._last_plain = 0.0

    def __enter__(self) -> TrainingProgress:
        if ERR.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if ERR.is_terminal:
            self._bar.stop()

    def on_step(self, report: StepReport) -> None:
        self._loss = _smooth(self._loss, report.loss)
        if report.bits_per_byte is not None:
            self._bits = _smooth(self._bits, report.bits_per_byte)
        if self._first is None:
            self._first = report
        else:
            self._tokens += report.learned_tokens
        facts = self._facts(report)
        step = f"step {report.step}/{report.num_steps}"
        if ERR.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task(step, total=report.num_steps, facts=facts)
            self._bar.update(self._task, completed=report.step, description=step, facts=facts)
        elif time.monotonic() - self._last_plain > _PLAIN_EVERY_SECONDS:
            self._last_plain = time.monotonic()
            ERR.print(f"{step}  {facts}", markup=False, highlight=False)

    def on_held_out(self, report: HeldOutReport) -> None:
        scores = "  ".join(f"{name} {value:.3f}" for name, value in report.scores.items())
        self._held_out = "held out: " + scores
        best = "  (best so far)" if report.is_best else ""
        ERR.print(f"step {report.step}: held out: {scores}{best}", markup=False, highlight=False)

    def on_checkpoint(self, step: int, is_best: bool) -> None:
        return

    def on_less_memory(self, step: int, max_tokens_per_call: int) -> None:
        ERR.print(
            f"step {step}: memory ran out; from here on {max_tokens_per_call:,} tokens at a time", highlight=False
        )

    def _facts(self, report: StepReport) -> str:
        facts = [f"loss {self._loss:.3f}"]
        if self._bits is not None:
            facts.append(f"{self._bits:.3f} bits/byte")
        if self._first is not None and report.step > self._first.step:
            seconds = report.seconds - self._first.seconds
            left = seconds / (report.step - self._first.step) * (report.num_steps - report.step)
            facts += [f"{self._tokens / seconds:,.0f} learned tokens/s", f"{_duration(left)} left"]
        facts.append(f"{peak_memory_bytes() / 2**30:.1f} GiB")
        return "  ".join(facts)


def _smooth(before: float | None, now: float) -> float:
    return now if before is None else _SMOOTHING * before + (1 - _SMOOTHING) * now


def count_rows(system: str, done: int, total: int) -> None:
    """Progress of scoring, one rewritten line on a terminal."""
    if ERR.is_terminal:
        ERR.print(f"{system}: {done}/{total} rows", end="\r" if done < total else "\n", highlight=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
