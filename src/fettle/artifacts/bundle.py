"""The bundle: what a run leaves. One folder, or one file.

`bundle.json` holds what it is and the SHA-256 of every file; its own SHA-256 is the bundle's identity. The card and
the reports lie beside, outside that hash, since both may be written anew. Nothing here loads a model.
"""

from __future__ import annotations

import errno
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fettle.errors import DamagedFile, MissingFile, RequestError
from fettle.storage.blobs import sha256_of_bytes, sha256_of_file
from fettle.storage.publish import publish_bytes, publish_json, publishing_file, publishing_folder

MANIFEST = "bundle.json"
CARD = "README.md"
REPORTS = "reports"
ADAPTER = "adapter"
MODEL = "model"
TOKENIZER = "tokenizer"
BASE = "base"
HEAD = "head"
FORMAT = 1
FILE_SUFFIX = ".fettle"
_MAX_UNPACKED_BYTES = 512 * 2**30
_EPOCH = (1980, 1, 1, 0, 0, 0)
# What a damaged archive makes zipfile raise: bad bytes, places before the start, a file that is a folder too.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError)
_MISLED = frozenset({errno.EINVAL, errno.EEXIST, errno.EISDIR, errno.ENOTDIR})


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found whole. `manifest` is bundle.json."""

    path: Path
    identity: str
    manifest: dict[str, object]

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.manifest["name"])

    @property
    def is_adapter(self) -> bool:
        """Whether it needs its base to run."""
        return self.manifest["kind"] == "adapter"

    def part(self, name: str) -> dict[str, object]:
        """One table of the manifest (`plan`, `base`, `data`, `training`)."""
        table = self.manifest.get(name)
        if not isinstance(table, dict):
            raise DamagedFile(f"the bundle's manifest has no table {name!r}", where=str(self.path / MANIFEST))
        return table

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers, where there is one."""
        labels = self.manifest.get("labels")
        return tuple(map(str, labels)) if isinstance(labels, list) else ()

    def reports(self) -> list[Path]:
        """Stored reports, oldest first."""
        return sorted((self.path / REPORTS).glob("*.json"))


def write_bundle(path: Path, manifest: dict[str, object], write_contents: Callable[[Path], None]) -> Bundle:
    """Publish a bundle whole: its contents first, the manifest with their hashes last."""
    if path.exists():
        raise RequestError(
            "there is a bundle of that name already", where=str(path), attempt="--name with another name"
        )
    with publishing_folder(path) as staged:
        write_contents(staged)
        files = {
            found.relative_to(staged).as_posix(): sha256_of_file(found)
            for found in sorted(staged.rglob("*"))
            if found.is_file()
        }
        publish_json(staged / MANIFEST, {"format": FORMAT, **manifest, "files": files})
    return read_bundle(path)


def write_card(bundle: Bundle, text: str) -> None:
    """Write the card anew."""
    publish_bytes(bundle.path / CARD, text.encode())


def read_bundle(path: Path) -> Bundle:
    """Read a bundle; a missing or changed file is an error that names it."""
    manifest_path = path / MANIFEST
    try:
        data = manifest_path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFile("this is no bundle", where=str(path), expected=f"a folder with {MANIFEST}") from None
    try:
        manifest = json.loads(data)
        files = {str(name): str(digest) for name, digest in manifest["files"].items()}
        if manifest["format"] > FORMAT:
            raise RequestError(
                f"the bundle has format {manifest['format']}; this fettle reads up to {FORMAT}",
                where=str(path),
                attempt="a newer fettle",
            )
    except (ValueError, KeyError, AttributeError, TypeError) as problem:
        if isinstance(problem, RequestError):
            raise
        raise DamagedFile(f"the bundle's manifest cannot be read: {problem}", where=str(manifest_path)) from None
    for name, digest in files.items():
        _check_inside(name)
        found = path / name
        if not found.is_file() or sha256_of_file(found) != digest:
            state = "has changed" if found.is_file() else "is missing"
            raise DamagedFile(
                f"a file of the bundle {state}", where=str(found), attempt="the run's own bundle, or train again"
            )
    for folder in (ADAPTER, MODEL, TOKENIZER, BASE, HEAD):  # a file that no hash covers would be read with the others
        for found in sorted((path / folder).rglob("*")):
            if found.is_file() and found.relative_to(path).as_posix() not in files:
                raise DamagedFile("a file of the bundle was added after it was made", where=str(found))
    return Bundle(path, sha256_of_bytes(data), manifest)


def pack_bundle(bundle: Bundle, target: Path) -> Path:
    """Write a bundle as one file; the same bundle gives the same bytes."""
    if target.suffix != FILE_SUFFIX:
        target = target.with_name(target.name + FILE_SUFFIX)
    with publishing_file(target) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_STORED) as archive:
        for found in sorted(path for path in bundle.path.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(found.relative_to(bundle.path).as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            with found.open("rb") as source, archive.open(entry, "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    return target


def unpack_bundle(source: Path, folder: Path) -> Bundle:
    """Unpack a one-file bundle into `folder`, once. Names that lead outside are refused before anything is written."""
    target = folder / sha256_of_file(source)[:16]
    if not target.exists():
        try:
            with zipfile.ZipFile(source) as archive:
                entries = archive.infolist()
                for entry in entries:
                    _check_inside(entry.filename)
                if sum(entry.file_size for entry in entries) > _MAX_UNPACKED_BYTES:
                    raise RequestError("the file unpacks to more than a bundle ever holds", where=str(source))
                with publishing_folder(target) as staged:
                    for entry in entries:
                        _copy_entry(archive, entry, staged)
        except (*_UNREADABLE, OSError) as problem:
            if isinstance(problem, OSError) and problem.errno not in _MISLED:
                raise
            raise DamagedFile(f"this is no bundle file: {problem or 'it ends too soon'}", where=str(source)) from None
    return read_bundle(target)


def _copy_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Copy at most as many bytes as the entry says it has: a bomb stops there."""
    path = folder / entry.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, path.open("wb") as sink:
        left = entry.file_size
        while left and (piece := source.read(min(left, 1 << 20))):
            sink.write(piece)
            left -= len(piece)


def _check_inside(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not name or name.endswith("/"):
        raise DamagedFile("a file name leads out of the bundle", where=name)
