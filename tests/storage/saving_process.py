"""The process that saves, for test_power_loss.py and test_killed_saves.py. It never imports torch.

`record FOLDER` carries out every scenario and prints what was done to the disk; `kill FOLDER` does the work of KILLED
once for each of its operations, in a process that is killed right before or right after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from disk_kit import SHELF, path_of, save, watched_seam

from fettle.storage.publish import publish_bytes
from fettle.storage.sealed import Shelf

Mark = Callable[[str, str], None]
HEAVY = ("torch", "numpy", "safetensors")


class Cut(BaseException):
    """Stands for the end of a process in the middle of a save."""


def saving(shelf: Path, number: int, label: str, mark: Mark) -> None:
    mark("saving", label)
    save(shelf, number, label)
    mark("saved", label)


def cut_before_the_name_is_safe(shelf: Path, number: int, label: str, mark: Mark) -> None:
    """A save that is killed when the folder has its name, and the disk does not know it yet."""

    def watch(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            if name == "sync_folder" and given[0] == shelf:
                raise Cut
            return real(*given)

        return wrapped

    mark("saving", label)
    with watched_seam(watch):
        try:
            save(shelf, number, label)
        except Cut:
            return
    raise AssertionError("the save was not cut")


def first(shelf: Path, mark: Mark) -> None:
    saving(shelf, 1, "A", mark)


def following(shelf: Path, mark: Mark) -> None:
    saving(shelf, 1, "A", mark)
    saving(shelf, 2, "B", mark)
    Shelf(shelf, "step").prune(1, -1)
    saving(shelf, 3, "C", mark)
    Shelf(shelf, "step").prune(1, -1)


def replacing(shelf: Path, mark: Mark) -> None:
    saving(shelf, 1, "A", mark)
    saving(shelf, 1, "B", mark)


def replacing_cut_short(shelf: Path, mark: Mark) -> None:
    saving(shelf, 1, "A", mark)
    cut_before_the_name_is_safe(shelf, 1, "B", mark)
    Shelf(shelf, "step").sweep()


def again_after_a_cut(shelf: Path, mark: Mark) -> None:
    cut_before_the_name_is_safe(shelf, 1, "A", mark)
    saving(shelf, 1, "A", mark)


def one_file(shelf: Path, mark: Mark) -> None:
    for label in "AB":
        mark("saving", label)
        publish_bytes(shelf / "state", label.encode() * 900)
        mark("saved", label)


SCENARIOS = {
    "first": first,
    "following": following,
    "replacing": replacing,
    "replacing cut short": replacing_cut_short,
    "again after a cut": again_after_a_cut,
    "one file": one_file,
}


def record(home: Path) -> dict[str, list[list[str]]]:
    """What each scenario did to the disk, in order, with the marks between."""
    logs = {}
    for name, scenario in SCENARIOS.items():
        root = home / name
        root.mkdir()
        logs[name] = log = []  # type: list[list[str]]

        def watch(verb: str, real: Callable[..., Any], log: list[list[str]] = log, root: Path = root) -> Any:
            def wrapped(*given: Any) -> Any:
                words = [str(path_of(given[0]).relative_to(root))]
                if verb == "write_piece":
                    words.append(bytes(given[1]).hex())
                if verb == "rename":
                    words.append(str(given[1].relative_to(root)))
                result = real(*given)
                log.append([verb, *words])
                return result

            return wrapped

        with watched_seam(watch):
            scenario(root / SHELF, lambda *words, log=log: log.append(["mark", *words]))
    return logs


def follow(shelf: Path) -> None:
    save(shelf, 2, "B")
    (shelf.parent / "saved").touch()
    Shelf(shelf, "step").prune(1, -1)


def replace(shelf: Path) -> None:
    save(shelf, 1, "B")
    (shelf.parent / "saved").touch()


def sweep(shelf: Path) -> None:
    Shelf(shelf, "step").sweep()


def cut_a_replacement(shelf: Path) -> None:
    save(shelf, 1, "A")
    cut_before_the_name_is_safe(shelf, 1, "B", lambda *_words: None)


def save_old(shelf: Path) -> None:
    save(shelf, 1, "A")


# What is done before, and what is then killed at every operation.
KILLED = {"follow": (save_old, follow), "replace": (save_old, replace), "sweep": (cut_a_replacement, sweep)}


def kill(home: Path) -> list[dict[str, Any]]:
    """Every operation of every save, each in a process of its own that ends right before or right after it."""
    cases = []
    for name, (prepare, work) in KILLED.items():
        for side in ("before", "after"):
            for number in range(1000):
                root = home / f"{name}-{side}-{number}"
                root.mkdir()
                prepare(root / SHELF)
                ending = killed_at(number, side, work, root / SHELF)
                if ending == 0:
                    break
                cases.append({"root": str(root), "work": name, "number": number, "side": side, "ending": ending})
    return cases


def killed_at(number: int, side: str, work: Callable[[Path], None], shelf: Path) -> int:
    """How a process ended that did the work until operation `number`; 0: there was no such operation."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    operations = iter(range(10_000))

    def watch(_verb: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            is_last = next(operations) == number
            if is_last and side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*given)
            if is_last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    try:
        with watched_seam(watch):
            work(shelf)
    except BaseException:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    told = {"record": record, "kill": kill}[sys.argv[1]](Path(sys.argv[2]))
    heavy = [name for name in HEAVY if name in sys.modules]
    sys.stdout.write(json.dumps({"told": told, "heavy": heavy}))
