"""The table of tasks: names and lazy factories, and the entry points of plugged-in ones (`fettle.tasks`)."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from fettle.errors import UnknownName, near_misses
from fettle.tasks.task import Task

_BUILT_IN = {
    "chat": "fettle.tasks.chat.task",
    "classify": "fettle.tasks.classify.task",
    "tag": "fettle.tasks.tag.task",
    "embed": "fettle.tasks.embed.task",
    "score": "fettle.tasks.score.task",
    "text": "fettle.tasks.text.task",
}
ENTRY_POINT_GROUP = "fettle.tasks"


def task_names() -> list[str]:
    """Every task that there is, plugged-in ones too."""
    return sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def open_task(name: str) -> Task:
    """The task of that name. A task is a module's `TASK`."""
    if name in _BUILT_IN:
        task: Task = import_module(_BUILT_IN[name]).TASK
        return task
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        plugged: Task = point.load()
        return plugged
    raise UnknownName(f"there is no task {name!r}", expected=f"one of: {near_misses(name, task_names())}")
