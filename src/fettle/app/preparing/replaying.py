"""Rows of another dataset that are learned beside a plan's own, and looked at: what is forgotten is seen at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle.app.planning import PlanSettings
from fettle.app.preparing.dividing import divide, refuse_leaks, refuse_unlearnable
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Row
from fettle.errors import RequestError, UnsoundPlan
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace
from fettle.tasks.task import Task, no_survey
from fettle.tokens.example import Example


@dataclass(frozen=True)
class Replay:
    """The rows of the other dataset as examples, one list a row; `reference` names its very state."""

    version: StoredVersion
    reference: str
    learned: list[list[Example]]
    held_out: list[list[Example]]


def read_replay(
    workspace: Workspace,
    settings: PlanSettings,
    task: Task,
    test_rows: Sequence[Row],
    encode: Callable[[Sequence[Row]], list[list[Example]]],
) -> Replay | None:
    """Read, divide and encode what a plan replays; None where it replays nothing.

    Its test part is never read. Rows that the plan's own test holds are refused.
    """
    if not settings.replay.data:
        return None
    if task.survey is not no_survey:
        raise RequestError(
            f"{task.name} learns one closed set of answers, and rows of another dataset have their own",
            where="replay.data",
            expected="a task whose answers are free: chat, text",
        )
    version, rows = load_rows(workspace, settings.replay.data)
    if version.task != task.name:
        raise RequestError(
            f"{version.label} holds rows for {version.task}, the recipe is for {task.name}", where="replay.data"
        )
    refuse_unlearnable(task, rows, version.label)
    learned, held_out, _ = divide(rows, version.label)
    refuse_leaks([*learned, *held_out], test_rows, version.label)
    examples = encode(learned)
    if not examples:
        raise UnsoundPlan("no row of the dataset to replay can be learned", where=version.label)
    part = settings.replay.data.partition("#")[0].partition("@")[2]
    reference = f"{version.dataset}{'@' + part if part else ''}#{version.content_hash}"
    return Replay(version, reference, examples, encode(held_out))
