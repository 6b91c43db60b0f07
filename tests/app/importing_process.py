"""The process that imports, for test_killed_imports.py: `importing_process.py TEMPLATE TARGET FILE`.

For each thing that an import does to the disk it copies the workspace TEMPLATE, imports FILE into the copy in a process
that is killed right before or right after that thing, and prints what became of each.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from disk_kit import watched_seam

from fettle.app.workshop.importing import import_data
from fettle.storage.workspace import open_workspace


def import_and_die(root: Path, file: Path, number: int, side: str) -> int:
    """Import in a process of its own that kills itself at operation `number`; how it ended. Law: each has a copy."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def watch(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number and side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*given)
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    with watched_seam(watch):
        import_data(open_workspace(root), [file], "set")
    os._exit(0)


def main(template: Path, target: Path, file: Path) -> None:
    told = []
    for side in ("before", "after"):
        number = 0
        while True:
            number += 1
            root = target / f"{side}-{number}"
            shutil.copytree(template, root)
            ending = import_and_die(root, file, number, side)
            told.append({"root": str(root), "ending": ending, "side": side})
            if ending == 0:
                break
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
