"""The whole trip on what ships with fettle: messages to an invented shop, first their intents, then replies to them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fettle.app.evaluating import OnProgress, evaluate
from fettle.app.planning import ResolvedPlan, resolve_plan
from fettle.app.preflight import Preflight, inspect
from fettle.app.preparing.rows import prepare
from fettle.app.running import RunResult, start_run
from fettle.app.using import load, load_base
from fettle.app.workshop.importing import HowToRead, ImportResult, import_data
from fettle.app.workshop.splitting import split_data
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Conversation
from fettle.data.splits.split import Shares, SplitSettings
from fettle.evaluation.report import Report
from fettle.storage.workspace import Workspace, open_workspace
from fettle.training.hooks import Watcher

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "shop"
DEMO_FOLDER = ".fettle-demo"
INTENTS, REPLIES = "intents", "replies"
_SHARES = Shares(0.7, 0.1, 0.2)
_NUM_EXCHANGES = 3
_INTENT_SETTINGS = ("training.epochs=4", "training.learning_rate=7e-4")
_REPLY_SETTINGS = ("training.epochs=1", "training.learning_rate=1e-3", "decoding.max_new_tokens=80")
_GOAL = {
    INTENTS: (
        "goal.words=sort the messages to the shop by what they want",
        "goal.metric=accuracy",
        "goal.least_gain=0.2",
    ),
    REPLIES: ("goal.words=answer as the shop's desk would", "goal.metric=loss", "goal.least_gain=0.5"),
}


@dataclass(frozen=True)
class Exchange:
    """One question that no model learned from, and what each says to it."""

    question: str
    wanted: str
    base: str
    tuned: str


@dataclass(frozen=True)
class DemoResult:
    """What the trip came to."""

    home: Path
    rows: dict[str, int]
    report: Report
    exchanges: list[Exchange]
    bundles: dict[str, Path]
    seconds: float

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract; the scores are those of the intents."""
        report = self.report.as_json()
        return {
            "rows": self.rows,
            "systems": report["systems"],
            "paired": report["paired"],
            "exchanges": [vars(exchange) for exchange in self.exchanges],
            "seconds": round(self.seconds, 1),
            "bundle": str(self.bundles[INTENTS]),
            "bundles": {name: str(path) for name, path in self.bundles.items()},
            "home": str(self.home),
        }


class Teller(Protocol):
    """Tells people what happens. One call a station of the trip."""

    def on_station(self, title: str, text: str) -> None:
        """A station is reached."""
        ...

    def on_import(self, result: ImportResult) -> None:
        """The messages are a dataset."""
        ...

    def on_plan(self, plan: ResolvedPlan, preflight: Preflight) -> None:
        """A plan was looked at; nothing is trained yet."""
        ...

    def on_trained(self, result: RunResult) -> None:
        """A run is over."""
        ...

    def on_report(self, report: Report) -> None:
        """Base and tuned are scored."""
        ...

    def on_exchange(self, exchange: Exchange) -> None:
        """One question was answered by both."""
        ...


def run_demo(
    teller: Teller, watch: Callable[[], Watcher], progress: OnProgress | None = None, home: Path | None = None
) -> DemoResult:
    """Make the trip in a workspace of its own, which is made anew each time."""
    began = time.monotonic()
    home = home or Path(DEMO_FOLDER)
    if (home / "catalogue.sqlite").exists():
        shutil.rmtree(home)
    workspace = open_workspace(home)
    teller.on_station("1. Examples", "messages to an invented shop, each with its intent and a reply of the desk")
    _import(workspace, teller, INTENTS, {"text": "text", "intent": "label"})
    _import(workspace, teller, REPLIES, {"text": "prompt", "reply": "completion"})
    teller.on_station("2. Plan", "what the base would see and learn, before anything is trained")
    intents = _train(workspace, teller, watch, INTENTS, "classify", _INTENT_SETTINGS)
    teller.on_station("4. Scores", "base and tuned on messages that neither has seen")
    report = evaluate(workspace, INTENTS, progress=progress)
    teller.on_report(report)
    teller.on_station("5. The same with replies", "the base learns the voice of the desk")
    replies = _train(workspace, teller, watch, REPLIES, "chat", _REPLY_SETTINGS)
    teller.on_station("6. A short chat", "messages from the test part, answered by base and tuned")
    exchanges = _exchanges(workspace, teller)
    bundles = {run.run: run.bundle.path for run in (intents, replies) if run.bundle}
    rows = _count(workspace)
    return DemoResult(home, rows, report, exchanges, bundles, time.monotonic() - began)


def _import(workspace: Workspace, teller: Teller, name: str, column_map: dict[str, str]) -> None:
    teller.on_import(import_data(workspace, [EXAMPLES / "messages.jsonl"], name, HowToRead(column_map=column_map)))
    split_data(workspace, name, SplitSettings(_SHARES))


def _train(
    workspace: Workspace,
    teller: Teller,
    watch: Callable[[], Watcher],
    name: str,
    recipe: str,
    settings: Sequence[str],
) -> RunResult:
    plan = resolve_plan(recipe, [f"data={name}", *_GOAL[name], *settings])
    prepared = prepare(workspace, plan.settings)
    teller.on_plan(plan, inspect(prepared, plan.settings))
    teller.on_station("3. Training" if name == INTENTS else "Training", "on this machine, from the bundled base")
    result = start_run(workspace, plan, name, [watch()])
    teller.on_trained(result)
    return result


def _exchanges(workspace: Workspace, teller: Teller) -> list[Exchange]:
    _, rows = load_rows(workspace, f"{REPLIES}@test")
    asked = [row.record.messages for row in rows[:_NUM_EXCHANGES] if isinstance(row.record, Conversation)]
    questions = [messages[0].content for messages in asked]
    before = load_base(REPLIES, workspace).predict(questions)
    after = load(REPLIES, workspace).predict(questions)
    exchanges = [
        Exchange(question, messages[-1].content, base.text, tuned.text)
        for question, messages, base, tuned in zip(questions, asked, before, after, strict=True)
    ]
    for exchange in exchanges:
        teller.on_exchange(exchange)
    return exchanges


def _count(workspace: Workspace) -> dict[str, int]:
    version = workspace.catalogue.find_version(INTENTS)
    parts = version.report["parts"]
    return {"read": version.num_rows, **(parts if isinstance(parts, dict) else {})}
