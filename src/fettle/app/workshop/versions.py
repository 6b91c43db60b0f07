"""Versions: found by name, read as rows, kept with their parent and with what was done to each row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fettle.data.changes import RowChange, write_changes
from fettle.data.records import Row
from fettle.data.versions import Written, parse_version_name, read_rows, rows_of_part, write_rows
from fettle.errors import DamagedFile, RequestError
from fettle.storage.catalogue import StoredVersion, now
from fettle.storage.workspace import Workspace


@dataclass(frozen=True)
class Operation:
    """What makes a version: its name, what it reports, and what it did to each row that it did anything to."""

    name: str
    report: dict[str, object]
    changes: Sequence[RowChange] = ()


def find_version(workspace: Workspace, reference: str) -> tuple[StoredVersion, str]:
    """The version that `name@part#hash-prefix` means, and the part."""
    name = parse_version_name(reference)
    return workspace.catalogue.find_version(name.name, name.prefix), name.part


def load_rows(workspace: Workspace, reference: str) -> tuple[StoredVersion, list[Row]]:
    """The version that `name@part#hash-prefix` means, and its rows (of that part, if one is named)."""
    version, part = find_version(workspace, reference)
    rows = list(stream_rows(workspace, version))
    if not part:
        return version, rows
    chosen = rows_of_part(rows, part)
    if not chosen:
        raise RequestError(
            f"{version.label} has no rows in the part {part!r}", attempt=f"fettle data split {version.dataset}"
        )
    return version, chosen


def stream_rows(workspace: Workspace, version: StoredVersion) -> Iterator[Row]:
    """The rows of a version one by one; its file was found to be the one that was written."""
    if not workspace.blobs.path(version.rows_blob).exists():
        raise DamagedFile(
            f"the rows of {version.label} are not there any more",
            expected="a version whose rows were kept; fettle data gc --keep lets go of older ones",
            attempt=f"fettle data log {version.dataset}",
        )
    return read_rows(workspace.blobs.checked(version.rows_blob))


def list_data(workspace: Workspace) -> list[StoredVersion]:
    """Every version of every dataset, oldest first within its dataset."""
    catalogue = workspace.catalogue
    return [version for name in catalogue.datasets() for version in catalogue.versions(name)]


def latest_version(workspace: Workspace, name: str) -> StoredVersion | None:
    """The latest state of a dataset; None where there is no such dataset."""
    versions = workspace.catalogue.versions(name)
    return versions[-1] if versions else None


def keep_version(
    workspace: Workspace, parent: StoredVersion, rows: Iterable[Row], operation: Operation
) -> StoredVersion:
    """Store rows as the version that an operation made of `parent`. The same rows again are the parent itself."""
    with workspace.blobs.growing() as blob:
        written = write_rows(blob.stream, rows)
    if written.content_hash == parent.content_hash:
        return parent
    version = replace(
        describe_version(parent.dataset, parent.task, written, operation),
        parent_hash=parent.content_hash,
        rows_blob=blob.name,
        changes_blob=workspace.blobs.put(write_changes(operation.changes)) if operation.changes else "",
    )
    workspace.catalogue.add_version(version)
    return version


def start_dataset(
    workspace: Workspace, name: str, task: str, rows: Iterable[Row], operation: Operation
) -> StoredVersion:
    """Store rows as the next state of a dataset that is made from another; its latest state again is no new one."""
    latest = latest_version(workspace, name)
    if latest is not None:
        return keep_version(workspace, latest, rows, operation)
    with workspace.blobs.growing() as blob:
        written = write_rows(blob.stream, rows)
    version = replace(describe_version(name, task, written, operation), rows_blob=blob.name)
    workspace.catalogue.add_version(version)
    return version


def describe_version(dataset: str, task: str, written: Written, operation: Operation) -> StoredVersion:
    """A version as the catalogue will know it; parent and blobs are not named yet."""
    return StoredVersion(
        dataset=dataset,
        task=task,
        content_hash=written.content_hash,
        parent_hash="",
        operation=operation.name,
        num_rows=written.num_rows,
        rows_blob="",
        report=operation.report,
        created_at=now(),
    )
