"""Which files an import reads: a folder stands for the files in it, those of its own folders too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle.errors import RequestError

SUFFIXES = (".txt", ".md", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx")


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files to read, and those of the folders that are empty or of another kind."""

    files: list[Path]
    passed_over: list[Path]


def find_files(paths: Sequence[Path]) -> FoundFiles:
    """Put in place of each folder its files, in order of their paths, so that the order is the same everywhere.

    A file that is named itself is read whatever its name is. Hidden files and folders are not looked at.
    """
    found = FoundFiles([], [])
    for path in paths:
        if not path.is_dir():
            found.files.append(path)
            continue
        inside = [inner for inner in sorted(path.rglob("*")) if inner.is_file() and not _is_hidden(inner, path)]
        read = [inner for inner in inside if inner.suffix.lower() in SUFFIXES and inner.stat().st_size]
        if not read:
            names = ", ".join(inner.name for inner in inside[:3])
            raise RequestError(
                f"the folder holds no file to read{f', only {names}' if names else ''}",
                where=str(path),
                expected=f"files with text in them, named {', '.join(f'*{suffix}' for suffix in SUFFIXES)}",
            )
        found.files.extend(read)
        found.passed_over.extend(sorted(set(inside) - set(read)))
    return found


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
