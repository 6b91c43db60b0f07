"""Files read whole into memory, as tests like them: rows, refusals, counts and the files of the quarantine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from fettle.data.intake.importing import Reading
from fettle.data.intake.quarantine import Quarantine, Refusal
from fettle.data.intake.recognise import Recognised
from fettle.data.intake.repeats import RepeatCounter
from fettle.data.records import Row


@dataclass(frozen=True)
class Imported:
    rows: list[Row]
    refused: list[Refusal]
    recognised: list[tuple[str, Recognised]]
    rows_read: int
    duplicates: int
    conflicts: int
    files: dict[str, bytes]
    task: str

    def quarantine_files(self) -> dict[str, bytes]:
        return self.files


def import_files(paths, column_map, task, progress=None, *, is_whole=False) -> Imported:
    """All that an import makes of files, nothing stored."""
    reading = Reading(paths, column_map, task, is_whole=is_whole)
    refused: list[Refusal] = []
    with tempfile.TemporaryDirectory() as folder:
        with Quarantine(Path(folder), reading.form_of) as quarantine:

            def refuse(refusal: Refusal) -> None:
                refused.append(refusal)
                quarantine.add(refusal)

            rows = list(reading.rows(refuse, progress))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    assert (reading.rows_read, reading.rows_kept, reading.rows_refused) == (
        len(rows) + len(refused),
        len(rows),
        len(refused),
    )
    with RepeatCounter() as counter:
        for row in rows:
            counter.add(row, row.content_digest)
        repeats = counter.count()
    return Imported(
        rows,
        refused,
        reading.recognised,
        reading.rows_read,
        repeats.duplicates,
        repeats.conflicts,
        files,
        reading.task,
    )
