"""Examples in: import, split, show. Each makes a version with a parent, or reads one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle.data.importing import Imported, import_files
from fettle.data.records import Row
from fettle.data.sources import FoundFiles, find_files
from fettle.data.split import Shares, split_rows
from fettle.data.streams.source import File
from fettle.data.versions import (
    content_hash,
    decode_rows,
    encode_rows,
    parse_version_name,
    rows_of_part,
)
from fettle.errors import FettleError, RequestError
from fettle.storage.catalogue import StoredVersion, now
from fettle.storage.publish import publish_bytes
from fettle.storage.workspace import Workspace


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rows_read` is always `rows_kept` and `rows_refused` together."""

    version: StoredVersion
    imported: Imported
    quarantine: Path | None
    num_known: int
    passed_over: tuple[File, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract."""
        return {
            "version": self.version.label,
            "task": self.version.task,
            "rows_read": self.imported.rows_read,
            "rows_kept": len(self.imported.rows),
            "rows_refused": len(self.imported.refused),
            "refused": [refusal.fault.as_json() for refusal in self.imported.refused],
            "recognised": {file: recognised.why for file, recognised in self.imported.recognised},
            "duplicates": self.imported.duplicates,
            "conflicts": self.imported.conflicts,
            "already_there": self.num_known,
            "passed_over": [str(path) for path in self.passed_over],
            "quarantine": str(self.quarantine) if self.quarantine else None,
        }


def import_data(
    workspace: Workspace,
    files: Sequence[Path],
    name: str,
    task: str | None = None,
    column_map: Mapping[str, str] | None = None,
) -> ImportResult:
    """Read files and folders into a new version of the dataset `name`; its latest state, if any, is the parent.

    Refused rows go to a quarantine folder beside the version, in a form that can be mended and imported again.
    """
    _check_dataset_name(name)
    found = find_files(files)
    return _keep(workspace, name, found, import_files(found.files, column_map or {}, task))


def import_documents(workspace: Workspace, files: Sequence[Path], name: str) -> ImportResult:
    """The same for plain documents, where every text file is one document and not each block between blank lines."""
    _check_dataset_name(name)
    found = find_files(files)
    return _keep(workspace, name, found, import_files(found.files, {}, "text", is_whole=True))


def _check_dataset_name(name: str) -> None:
    named = parse_version_name(name)
    if named.part or named.prefix:
        raise RequestError(f"{name!r} names a state, not a dataset", where="--name", expected=named.name)


def _keep(workspace: Workspace, name: str, found: FoundFiles, imported: Imported) -> ImportResult:
    """Store what was read as a version, and what was refused in quarantine."""
    parent = _latest(workspace, name)
    before = read_version(workspace, parent) if parent else []
    known = {row.content_key for row in before}
    rows = [*before, *imported.rows]
    report: dict[str, object] = {
        "files": [str(file) for file in found.files],
        "rows_read": imported.rows_read,
        "rows_kept": len(imported.rows),
        "rows_refused": len(imported.refused),
        "duplicates": imported.duplicates,
    }
    version = _store(workspace, name, imported.task, rows, parent, "import", report)
    quarantine = None
    if imported.refused:
        quarantine = workspace.quarantine(name, version.content_hash)
        for file_name, content in imported.quarantine_files().items():
            publish_bytes(quarantine / file_name, content)
    num_known = sum(row.content_key in known for row in imported.rows)
    return ImportResult(version, imported, quarantine, num_known, tuple(found.passed_over))


def split_data(workspace: Workspace, reference: str, shares: Shares) -> StoredVersion:
    """Give every row without a part one of train, validation and test, by hash of its content."""
    parent, rows = load_rows(workspace, reference)
    divided = split_rows(rows, shares)
    parts = {part: sum(row.part == part for row in divided) for part in ("train", "validation", "test")}
    return _store(workspace, parent.dataset, parent.task, divided, parent, "split", {"parts": parts})


def load_rows(workspace: Workspace, reference: str) -> tuple[StoredVersion, list[Row]]:
    """The version that `name@part#hash-prefix` means, and its rows (of that part, if one is named)."""
    name = parse_version_name(reference)
    version = workspace.catalogue.find_version(name.name, name.prefix)
    rows = read_version(workspace, version)
    if not name.part:
        return version, rows
    chosen = rows_of_part(rows, name.part)
    if not chosen:
        raise RequestError(
            f"{version.label} has no rows in the part {name.part!r}", attempt=f"fettle data split {name.name}"
        )
    return version, chosen


def list_data(workspace: Workspace) -> list[StoredVersion]:
    """Every version of every dataset, oldest first within its dataset."""
    catalogue = workspace.catalogue
    return [version for name in catalogue.datasets() for version in catalogue.versions(name)]


def read_version(workspace: Workspace, version: StoredVersion) -> list[Row]:
    """All rows of a version, checked against its hash."""
    rows = decode_rows(workspace.blobs.get(version.rows_blob))
    if content_hash(rows) != version.content_hash:
        raise FettleError("the rows of a version are not those it was made of", where=version.label)
    return rows


def _latest(workspace: Workspace, name: str) -> StoredVersion | None:
    versions = workspace.catalogue.versions(name)
    return versions[-1] if versions else None


def _store(
    workspace: Workspace,
    name: str,
    task: str,
    rows: Sequence[Row],
    parent: StoredVersion | None,
    operation: str,
    report: dict[str, object],
) -> StoredVersion:
    """Store rows as a version. The same rows from the same parent are the version that is there already."""
    digest = content_hash(rows)
    if parent and parent.content_hash == digest:
        return parent
    version = StoredVersion(
        dataset=name,
        task=task,
        content_hash=digest,
        parent_hash=parent.content_hash if parent else "",
        operation=operation,
        num_rows=len(rows),
        rows_blob=workspace.blobs.put(encode_rows(rows)),
        report=report,
        created_at=now(),
    )
    workspace.catalogue.add_version(version)
    return version
