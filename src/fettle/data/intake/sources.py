"""Which files an import reads: what people name, be it a file, a folder, a pattern, an address or an archive.

A folder stands for the files in it, those of its own folders too; so does an archive. Nothing is read here but the
first bytes of a file that is named, which tell an archive from a file.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fettle.data.streams.archives import files_of_archive, is_archive_name
from fettle.data.streams.packed import suffix_inside
from fettle.data.streams.remote import is_address, sources_at, standard_input
from fettle.data.streams.source import MEMBER_MARK, PACKED_SUFFIXES, File, Source
from fettle.errors import MissingFile, RequestError

SUFFIXES = (
    *(".txt", ".md", ".markdown", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".parquet"),
    *(".arrow", ".feather", ".ipc", ".conll", ".iob", ".iob2", ".bio", ".html", ".htm", ".xhtml", ".xml"),
)
STANDARD_INPUT = "-"
_PROSE = (".txt", ".md", ".markdown", ".html", ".htm")
_ABOUT = re.compile(r"(readme|licen[cs]es?|copying|notice|changelog|contributing|citation|sources?(?=\.))\b", re.I)
"""What a publisher lays beside data. Among other texts such a file is a text like them."""

_DESCRIBES = re.compile(r"(schema|dataset_infos?|metadata|croissant|datapackage)\.json", re.I)
"""What says how data beside it are built. A file that is named itself is read all the same."""

_COLLAPSED_ADDRESS = re.compile(r"([a-z][a-z0-9]+):/(?!/)")


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files to read, and those that folders and archives hold beside them.

    These are empty, of another kind, archives in archives, or a readme, a licence or a schema beside data.
    """

    files: list[File]
    passed_over: list[File]


def find_files(named: Sequence[Path | str]) -> FoundFiles:
    """Put in place of each folder, pattern and archive its files, in order of their paths, the same on every machine.

    A file that is named itself is read whatever its name is. Hidden files and folders are not looked at.
    """
    found = FoundFiles([], [])
    for place in named:
        written = _written(place)
        if written == STANDARD_INPUT:
            _add_named(found, standard_input())
        elif is_address(written):
            _add_address(found, written)
        else:
            for path in _matching(Path(place)):
                _add_folder(found, path) if path.is_dir() else _add_named(found, path)
    return found


def _written(place: Path | str) -> str:
    """A place as people wrote it: a `Path` takes one of the two slashes out of an address.

    >>> _written(Path("s3://bucket/a.jsonl"))
    's3://bucket/a.jsonl'
    """
    return _COLLAPSED_ADDRESS.sub(r"\1://", place.as_posix(), count=1) if isinstance(place, Path) else place


def _matching(path: Path) -> list[Path]:
    """The paths that a pattern means; the path itself where it is none, or where a file has just that name."""
    if not glob.has_magic(str(path)) or path.exists():
        return [path]
    matching = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    if not matching:
        raise MissingFile("no file matches the pattern", where=str(path), expected="at least one file")
    return matching


def _add_named(found: FoundFiles, file: File) -> None:
    inside = files_of_archive(file) if isinstance(file, Source) or file.is_file() else None
    if inside is None:
        found.files.append(file)
    else:
        _add_members(found, file, inside)


def _add_address(found: FoundFiles, address: str) -> None:
    sources = sources_at(address)
    if len(sources) == 1 and sources[0].where == address:
        _add_named(found, sources[0])
        return
    folder = address if not glob.has_magic(address) else re.split(r"[*?\[]", address)[0].rpartition("/")[0]
    inside: list[File] = [source for source in sources if not _is_hidden(_below(source.where, folder))]
    _add_readable(found, address, inside)


def _add_folder(found: FoundFiles, folder: Path) -> None:
    inside: list[File] = [
        inner
        for inner in sorted(folder.rglob("*"))
        if not _is_hidden(inner.relative_to(folder).as_posix()) and inner.is_file()
    ]
    _add_readable(found, str(folder), inside)


def _add_readable(found: FoundFiles, place: str, inside: Sequence[File]) -> None:
    """Take the files with a name that is read, archives opened, and remember the others."""
    is_any = False
    readable = [
        file for file in inside if _size(file) and (is_archive_name(file.name) or suffix_inside(file) in SUFFIXES)
    ]
    wanted, about = set(readable), _about_the_others(readable)
    for file in inside:
        if file not in wanted or file in about:
            found.passed_over.append(file)
            continue
        is_any = True
        _add_named(found, file) if is_archive_name(file.name) else found.files.append(file)
    if not is_any:
        raise _nothing_to_read("folder", place, inside)


def _add_members(found: FoundFiles, archive: File, members: Sequence[Source]) -> None:
    members = [member for member in members if not _is_hidden(_below(member.where, f"{archive}{MEMBER_MARK}"))]
    readable = [member for member in members if member.size_bytes and suffix_inside(member) in SUFFIXES]
    if not readable:
        raise _nothing_to_read("archive", str(archive), members)
    about = _about_the_others(readable)
    chosen = [member for member in readable if member not in about]
    found.files.extend(chosen)
    found.passed_over.extend(sorted(set(members) - set(chosen), key=str))


def _about_the_others(files: Sequence[File]) -> set[File]:
    """Readmes and licences in prose, and descriptions in JSON, where there are data beside them."""
    describing = {file for file in files if _DESCRIBES.fullmatch(file.name)}
    if all(suffix_inside(file) in _PROSE or file in describing for file in files):
        return set()
    return describing | {file for file in files if suffix_inside(file) in _PROSE and _ABOUT.match(file.name)}


def _nothing_to_read(kind: str, place: str, inside: Sequence[File]) -> RequestError:
    names = ", ".join(file.name for file in inside[:3])
    closed = [file.name for file in inside if kind == "archive" and is_archive_name(file.name)]
    return RequestError(
        f"the {kind} holds no file to read{f', only {names}' if names else ''}",
        where=place,
        expected=f"files with text in them, named {', '.join(f'*{suffix}' for suffix in SUFFIXES)}, "
        f"packed ({', '.join(PACKED_SUFFIXES)}) or not",
        attempt=f"unpack {closed[0]}: archives in archives are left closed" if closed else "",
    )


def _size(file: File) -> int:
    """The size as far as it is known before it is read; what is not known may well be something."""
    if isinstance(file, Source):
        return 1 if file.size_bytes is None else file.size_bytes
    try:
        return file.stat().st_size
    except OSError:
        # It vanished, or cannot be looked at: that is said where it is read.
        return 1


def _below(where: str, above: str) -> str:
    return where.removeprefix(above).lstrip("/")


def _is_hidden(inner: str) -> bool:
    return any(part.startswith(".") for part in inner.split("/"))
