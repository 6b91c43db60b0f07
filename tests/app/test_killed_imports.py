"""An import killed at any thing that it does to the disk leaves the old version or the new one, and no half."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))

from disk_kit import watched_seam

from fettle.app.workshop.importing import import_data
from fettle.app.workshop.lineage import remove_unneeded
from fettle.app.workshop.versions import load_rows
from fettle.storage.workspace import open_workspace

PROCESS = Path(__file__).with_name("importing_process.py")


def write(path, texts):
    path.write_text("".join(json.dumps({"text": text, "label": "x"}) + "\n" for text in texts) + '{"text": ""}\n')
    return path


def texts_in(workspace):
    return [row.record.text for row in load_rows(workspace, "set")[1]]


def test_killed_anywhere_the_old_or_the_new_version_is_there(tmp_path):
    template = tmp_path / "template"
    import_data(open_workspace(template), [write(tmp_path / "a.jsonl", ["a", "b"])], "set")
    more = write(tmp_path / "more.jsonl", ["c", "d"])
    target = tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, PROCESS, template, target, more], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    seen = Counter()
    for case in told:
        workspace = open_workspace(Path(case["root"]))
        found = texts_in(workspace)
        is_new = len(found) == 4
        seen[case["side"], is_new] += 1
        assert case["ending"] in (-signal.SIGKILL, 0), case
        assert found == (["a", "b", "c", "d"] if is_new else ["a", "b"]), case
        version = load_rows(workspace, "set")[0]
        place = workspace.quarantine("set", version.content_hash)
        assert (place / "faults.jsonl").read_bytes().count(b"\n") == 1, case
        assert len([path for path in place.iterdir() if path.suffix == ".jsonl"]) == 2, case

        import_data(workspace, [more], "set")
        assert texts_in(workspace)[-2:] == ["c", "d"], case
        remove_unneeded(workspace)
        assert texts_in(workspace)[-2:] == ["c", "d"], case
        open_workspace(workspace.root)
        assert not [path for path in workspace.blobs.path("00").parent.parent.iterdir() if "partial" in path.name], case
    assert all(seen[side, False] > 5 for side in ("before", "after")), seen
    assert len(told) > 30


@pytest.mark.parametrize("failing", range(1, 13))
def test_a_full_disk_is_an_error_that_loses_nothing(tmp_path, failing):
    workspace = open_workspace(tmp_path / "home")
    import_data(workspace, [write(tmp_path / "a.jsonl", ["a", "b"])], "set")
    more = write(tmp_path / "more.jsonl", [f"text {n}" for n in range(50)])
    pieces = 0

    def watch(name, real):
        def wrapped(*given):
            nonlocal pieces
            if name in ("write_piece", "open_new", "make_folder"):
                pieces += 1
                if pieces == failing:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return real(*given)

        return wrapped

    # Only the number is kept: an exception would keep alive the frames of all that was going on.
    failed_with = 0
    with watched_seam(watch):
        try:
            import_data(workspace, [more], "set")
        except OSError as problem:
            failed_with = problem.errno
    assert failed_with == errno.ENOSPC
    assert texts_in(workspace) == ["a", "b"]
    import_data(workspace, [more], "set")
    assert texts_in(workspace)[-1] == "text 49"
    assert not [path for path in workspace.root.rglob("*.partial") if path.is_file()]
