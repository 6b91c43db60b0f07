"""Rows and words for whole trips over the tiny base, and the command as people type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from fettle.storage.workspace import Workspace

FETTLE = Path(sys.executable).with_name("fettle")
DEADLINE_SECONDS = 180

ASKS = {
    "delivery": ("where is my parcel", "when will it arrive", "the delivery is late"),
    "payment": ("the card was charged twice", "which cards do you take", "the payment failed"),
    "refund": ("send the money back", "please cancel the order", "I want a refund"),
}
FEW = (
    "training.max_steps=6",
    "training.rows_per_step=8",
    "training.evaluate_every_steps=3",
    "adapter.rank=4",
    "decoding.max_new_tokens=6",
)


def write_intents(path: Path) -> Path:
    """Sixty texts with their labels, one of them bad."""
    rows = [{"text": f"{ASKS[label][n % 3]}, order {n}", "label": label} for n in range(20) for label in ASKS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"text": "no label"}\n')
    return path


def write_replies(path: Path) -> Path:
    """Forty questions and answers."""
    rows = [
        {"prompt": f"{ASKS[label][n % 3]} {n}", "completion": f"It is {label}."} for n in range(14) for label in ASKS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def launch(workspace: Workspace, *words: str) -> subprocess.Popen[str]:
    """The command as people type it, on one core."""
    core = min(os.sched_getaffinity(0))
    return subprocess.Popen(
        [str(FETTLE), *words],
        env={
            **os.environ,
            "FETTLE_HOME": str(workspace.root),
            "OMP_NUM_THREADS": "1",
            "TORCHINDUCTOR_CACHE_DIR": str(workspace.root / "compiled"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


def wait_for(workspace: Workspace, run: str, event: str, process: subprocess.Popen[str], times: int = 1) -> None:
    """Until the run's log tells of such an event, so many times."""
    path = workspace.runs / run / "events.jsonl"
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().count(f'"event": "{event}"') >= times:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate()
    raise AssertionError(f"no {event} in {DEADLINE_SECONDS} s")
