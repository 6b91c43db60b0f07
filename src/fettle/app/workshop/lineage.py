"""Where a version comes from, how two differ, and which stored rows nothing needs any more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fettle.app.workshop.versions import find_version, stream_rows
from fettle.data.changes import RowChange, read_changes
from fettle.data.difference import RowDifference, differences
from fettle.errors import RequestError
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import Workspace

_YOUNGEST_SECONDS = 3_600
"""What was written later than this ago may belong to an operation that is not finished, and stays."""


@dataclass(frozen=True)
class Difference:
    """What differs from one version to another."""

    before: StoredVersion
    after: StoredVersion
    rows: list[RowDifference]

    def counts(self) -> dict[str, int]:
        """How many rows were added, dropped, changed and moved to another part."""
        actions = [difference.action for difference in self.rows]
        return {action: actions.count(action) for action in ("added", "dropped", "changed", "moved")}


@dataclass(frozen=True)
class Removal:
    """What a removal of unneeded rows took away, or would take."""

    num_files: int
    num_bytes: int
    forgotten: list[StoredVersion]


def ancestry(workspace: Workspace, reference: str) -> list[StoredVersion]:
    """A version, its parent, and so on down to the first import of files."""
    version, _ = find_version(workspace, reference)
    by_hash = {other.content_hash: other for other in workspace.catalogue.versions(version.dataset)}
    line = [version]
    # A version that was made again from its own descendant would go round in a circle.
    while (parent := by_hash.get(line[-1].parent_hash)) is not None and parent not in line:
        line.append(parent)
    return line


def changes_of(workspace: Workspace, version: StoredVersion) -> list[RowChange]:
    """What the operation that made a version did to each row."""
    return read_changes(workspace.blobs.get(version.changes_blob)) if version.changes_blob else []


def compare_versions(workspace: Workspace, before: str, after: str) -> Difference:
    """Rows added, dropped, changed and moved, with the reasons that the operations between the two gave."""
    old, _ = find_version(workspace, before)
    new, _ = find_version(workspace, after)
    if old.task != new.task:
        raise RequestError(
            f"{old.label} holds rows for {old.task}, {new.label} for {new.task}", expected="two versions of one task"
        )
    reasons: dict[str, list[str]] = {}
    line = ancestry(workspace, f"{new.dataset}#{new.content_hash}") if new.dataset == old.dataset else []
    hashes = [version.content_hash for version in line]
    between = line[: hashes.index(old.content_hash)] if old.content_hash in hashes else []
    for version in reversed(between):
        for change in changes_of(workspace, version):
            said = f"{change.step}: {change.reason}"
            for key in {change.before, change.after} - {""}:
                reasons.setdefault(key, []).append(said)
    rows = differences(stream_rows(workspace, old), stream_rows(workspace, new), reasons)
    return Difference(old, new, rows)


def remove_unneeded(workspace: Workspace, keep: int | None = None, *, is_rehearsal: bool = False) -> Removal:
    """Remove stored bytes that nothing refers to, and with `keep` the rows of all but the latest versions.

    Rows of a version that a run, a bundle or a report names always stay, and so does what every version records of
    itself: its parent, its report, its changes. With `is_rehearsal` nothing is removed.
    """
    if keep is not None and keep < 1:
        raise RequestError(f"{keep} versions are to be kept", where="--keep", expected="at least 1", attempt="--keep 1")
    catalogue = workspace.catalogue
    named = _named_elsewhere(workspace)
    forgotten: list[StoredVersion] = []
    needed: set[str] = set()
    for dataset in catalogue.datasets():
        versions = catalogue.versions(dataset)
        for place, version in enumerate(versions):
            is_old = keep is not None and place < len(versions) - keep
            needed.add(version.changes_blob)
            if is_old and not _is_named(version, named):
                forgotten.append(version)
            else:
                needed.add(version.rows_blob)
    num_files = num_bytes = 0
    forgotten = [version for version in forgotten if version.rows_blob not in needed]
    newest = time.time() - _YOUNGEST_SECONDS
    old_rows = {version.rows_blob for version in forgotten}
    for name in list(workspace.blobs.names()):
        size, changed = workspace.blobs.facts(name)
        if name in needed or (changed > newest and name not in old_rows):
            continue
        num_files += 1
        num_bytes += size
        if not is_rehearsal:
            workspace.blobs.remove(name)
    there = [version for version in forgotten if version.rows_blob]
    return Removal(num_files, num_bytes, there)


def _named_elsewhere(workspace: Workspace) -> str:
    """Every document of every run and bundle, in one text: whatever version it names stands in it."""
    folders = (workspace.runs, workspace.bundles)
    paths = [path for folder in folders for suffix in ("json", "jsonl") for path in folder.rglob(f"*.{suffix}")]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in sorted(paths))


def _is_named(version: StoredVersion, documents: str) -> bool:
    return any(name in documents for name in (version.content_hash, version.label))


def differences_as_json(rows: Sequence[RowDifference]) -> list[dict[str, object]]:
    """Differences in the words of the terminal contract."""
    return [
        {
            "action": difference.action,
            "file": difference.row.file,
            "line": difference.row.line,
            "before": difference.before and difference.before.record,
            "after": difference.after and difference.after.record,
            "reasons": list(difference.reasons),
        }
        for difference in rows
    ]
