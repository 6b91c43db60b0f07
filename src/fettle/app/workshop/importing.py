"""Examples in: files become the next version of a dataset, and refused rows wait in quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from fettle.app.workshop.versions import Operation, describe_version, latest_version, stream_rows
from fettle.data.intake.importing import Reading
from fettle.data.intake.quarantine import Quarantine
from fettle.data.intake.repeats import RepeatCounter, Repeats
from fettle.data.intake.sources import FoundFiles, find_files
from fettle.data.records import Row
from fettle.data.streams.source import BLOCK_BYTES, File, open_as_it_lies
from fettle.data.versions import parse_version_name, read_rows, write_rows
from fettle.errors import Fault, RequestError
from fettle.storage.catalogue import StoredVersion
from fettle.storage.publish import discard, publish_folder, staging_folder
from fettle.storage.workspace import Workspace

Progress = Callable[[int], None]


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `rows_read` is always `rows_kept` and `rows_refused` together."""

    version: StoredVersion
    rows_read: int
    rows_kept: int
    rows_refused: int
    faults: Sequence[Fault]
    recognised: Mapping[str, str]
    repeats: Repeats
    quarantine: Path | None
    passed_over: tuple[File, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The result in the words of the terminal contract. Of very many faults the first are given."""
        return {
            "version": self.version.label,
            "task": self.version.task,
            "rows_read": self.rows_read,
            "rows_kept": self.rows_kept,
            "rows_refused": self.rows_refused,
            "refused": [fault.as_json() for fault in self.faults],
            "recognised": dict(self.recognised),
            "duplicates": self.repeats.duplicates,
            "conflicts": self.repeats.conflicts,
            "already_there": self.repeats.known,
            "passed_over": [str(path) for path in self.passed_over],
            "quarantine": str(self.quarantine) if self.quarantine else None,
        }


@dataclass(frozen=True)
class HowToRead:
    """What the user says of the files. With `is_whole` every text file is one document, not each of its blocks."""

    task: str | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False


def import_data(
    workspace: Workspace,
    files: Sequence[Path | str],
    name: str,
    how: HowToRead = HowToRead(),
    progress: Progress | None = None,
) -> ImportResult:
    """Read files and folders into a new version of the dataset `name`; its latest state, if any, is the parent.

    Refused rows go to a quarantine folder beside the version, in a form that can be mended and imported again.
    """
    _check_dataset_name(name)
    found = find_files(files)
    reading = Reading(found.files, how.column_map, how.task, is_whole=how.is_whole)
    return _Import(workspace, name, found, reading).keep(progress)


def _check_dataset_name(name: str) -> None:
    named = parse_version_name(name)
    if named.part or named.prefix:
        raise RequestError(f"{name!r} names a state, not a dataset", where="--name", expected=named.name)


def _facts_of(file: File) -> dict[str, object]:
    """Which bytes a file held: what a version is of, down to its sources."""
    digest, num_bytes = hashlib.sha256(), 0
    with open_as_it_lies(file) as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            num_bytes += len(block)
    return {"file": str(file), "sha256": digest.hexdigest(), "bytes": num_bytes}


@dataclass(frozen=True)
class _Import:
    workspace: Workspace
    name: str
    found: FoundFiles
    reading: Reading

    def keep(self, progress: Progress | None) -> ImportResult:
        """Store what is read as the next version, and what is refused in quarantine, which is there first.

        Where another import came in between, its rows go first and ours are taken from what was just written.
        """
        workspace, reading = self.workspace, self.reading
        place_of_refused = workspace.root / "datasets" / self.name / "quarantine"
        with ThreadPoolExecutor(1) as helper, staging_folder(place_of_refused) as staged:
            # Files are hashed while their rows are read, which leaves the interpreter free; what is fetched, later.
            being_hashed = {file: helper.submit(_facts_of, file) for file in self.found.files if isinstance(file, Path)}
            parent = latest_version(workspace, self.name)
            with Quarantine(staged, reading.form_of) as quarantine:
                version, repeats = self._after(parent, reading.rows(quarantine.add, progress))
            facts = [
                being_hashed[file].result() if file in being_hashed else _facts_of(file) for file in self.found.files
            ]
            version.report["files"] = facts
            place = self._set_aside(staged, version)
            while not workspace.catalogue.add_version(version, is_next=True):
                num_before = parent.num_rows if parent else 0
                own = islice(read_rows(workspace.blobs.path(version.rows_blob)), num_before, None)
                parent = latest_version(workspace, self.name)
                version, repeats = self._after(parent, own)
                version.report["files"] = facts
                place = self._set_aside(place, version) if place else None
        return ImportResult(
            version,
            reading.rows_read,
            reading.rows_kept,
            reading.rows_refused,
            reading.faults,
            {file: how.why for file, how in reading.recognised},
            repeats,
            place,
            tuple(self.found.passed_over),
        )

    def _set_aside(self, refused: Path, version: StoredVersion) -> Path | None:
        """Put the folder of refused rows beside the version that will be; None where nothing was refused."""
        if not self.reading.rows_refused:
            return None
        place = self.workspace.quarantine(self.name, version.content_hash)
        if place != refused:
            discard(place)
            publish_folder(refused, place)
        return place

    def _after(self, parent: StoredVersion | None, rows: Iterator[Row]) -> tuple[StoredVersion, Repeats]:
        """Write the rows of the parent and then the new ones; the catalogue does not know the version yet."""
        before = stream_rows(self.workspace, parent) if parent else iter(())
        with RepeatCounter(parent.num_rows if parent else 0) as counter:
            with self.workspace.blobs.growing() as blob:
                written = write_rows(blob.stream, chain(before, rows), counter)
            repeats = counter.count()
        report: dict[str, object] = {
            "rows_read": self.reading.rows_read,
            "rows_kept": self.reading.rows_kept,
            "rows_refused": self.reading.rows_refused,
            "duplicates": repeats.duplicates,
        }
        version = describe_version(self.name, self.reading.task, written, Operation("import", report))
        return replace(version, parent_hash=parent.content_hash if parent else "", rows_blob=blob.name), repeats
