"""A run's folder: its plan, its append-only log of events, its checkpoints. And the states that a run can be in."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

from fettle.errors import DamagedFile
from fettle.storage.publish import publish_json, sync_file, sync_folder

STATES = ("queued", "running", "stopping", "paused", "done", "failed", "cancelled", "lost")
FINAL_STATES = frozenset({"done", "failed", "cancelled"})

_COLOURS = [
    "amber",
    "ash",
    "blue",
    "brass",
    "copper",
    "coral",
    "fawn",
    "grey",
    "hazel",
    "ivory",
    "jade",
    "moss",
    "navy",
    "ochre",
    "olive",
    "pearl",
    "plum",
    "rust",
    "sage",
    "teal",
]
_BIRDS = [
    "crane",
    "curlew",
    "dove",
    "dunlin",
    "finch",
    "gannet",
    "heron",
    "jay",
    "kite",
    "lark",
    "linnet",
    "martin",
    "owl",
    "plover",
    "rail",
    "robin",
    "snipe",
    "swift",
    "tern",
    "wren",
]


LESS_MEMORY = "less_memory"
# What a resume must do again: the disk has to hold it before the run goes on.
_DURABLE = frozenset({LESS_MEMORY})


def new_run_name(taken: set[str]) -> str:
    """A name that people can say, like `blue-heron`, and that no run has yet."""
    draw = random.Random(time.time_ns())
    for number in range(1, 10_000):
        name = f"{draw.choice(_COLOURS)}-{draw.choice(_BIRDS)}"
        if number > 100:
            name = f"{name}-{number}"
        if name not in taken:
            return name
    raise AssertionError("ten thousand names were taken")


class RunFolder:
    """The files of one run. The plan is written before the first step and never again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        """Where the training room keeps its own."""
        return self.path / "checkpoints"

    def write_plan(self, plan: dict[str, object]) -> None:
        """Publish the plan."""
        publish_json(self.path / "plan.json", plan)

    def read_plan(self) -> dict[str, object]:
        """The plan that the run was started with."""
        path = self.path / "plan.json"
        try:
            plan = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise DamagedFile(f"the run's plan cannot be read: {problem}", where=str(path)) from None
        if not isinstance(plan, dict):
            raise DamagedFile("the run's plan is no JSON object", where=str(path))
        return plan

    def log(self, kind: str, **facts: object) -> None:
        """Append one event; a reader sees whole lines only."""
        self.path.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"at": round(time.time(), 3), "event": kind, **facts}, ensure_ascii=False)
        path = self.path / "events.jsonl"
        with path.open("ab+") as stream:
            stream.seek(max(0, stream.tell() - 1))
            is_torn = stream.read(1) not in (b"", b"\n")  # a crash cut the last line short
            stream.write(b"\n" * is_torn + line.encode() + b"\n")
        if kind in _DURABLE:
            sync_file(path)
            sync_folder(self.path)

    def call_limits(self) -> dict[int, int]:
        """From which step on how many tokens were run at once, where memory ran out: what a resume must do again."""
        limits = {}
        for event in self.events():
            step, limit = event.get("step"), event.get("max_tokens_per_call")
            if event.get("event") == LESS_MEMORY and isinstance(step, int) and isinstance(limit, int):
                limits[step] = limit
        return limits

    def events(self) -> Iterator[dict[str, object]]:
        """Every event, oldest first; a last line that a crash cut short is passed over."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        for line in path.read_bytes().split(b"\n"):  # a text may hold what str.splitlines takes for the end of a line
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event
