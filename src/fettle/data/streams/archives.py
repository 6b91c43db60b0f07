"""Archives: the files in a zip or a tar, each a source of its own. Nothing is ever unpacked to a path of its choosing.

An archive is hostile until shown otherwise. What could only be meant to mislead (a link, an absolute name, a way up, a
device, a file under a password) is refused by its name and nothing of the archive is read; archives within archives
are left closed.
"""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, cast

from fettle.data.streams.packed import (
    FREE_BYTES,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    open_file,
    too_large,
)
from fettle.data.streams.source import MEMBER_MARK, PACKED_SUFFIXES, File, Source, Spool, Window, copy_all
from fettle.errors import Fault, RequestError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", *(f".tar{packed}" for packed in PACKED_SUFFIXES))
MAX_MEMBERS = 1_000_000
ZIP_MAGIC = b"PK\x03\x04"
_EMPTY_ZIP_MAGIC = b"PK\x05\x06"
_MAX_HEADER_BYTES = 1_000_000
_KNOWN_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_REFUSED = "the archive holds what no archive of texts needs"


@dataclass(frozen=True, slots=True)
class _Listing:
    """What stands in an archive: its files, and what is wrong with entries."""

    files: list[Source] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def is_archive_name(name: str) -> bool:
    """Whether a name is that of an archive.

    >>> is_archive_name("mail.TAR.gz"), is_archive_name("mail.jsonl.gz")
    (True, False)
    """
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_workbook(file: File) -> bool:
    """Whether a zip is a spreadsheet and no archive of files."""
    try:
        with open_file(file) as stream, zipfile.ZipFile(_seekable(stream)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def files_of_archive(file: File) -> list[Source] | None:
    """The files of an archive in order of their names; None where the file is none. Content decides, not the name."""
    try:
        with open_file(file) as stream:
            head = stream.read(tarfile.BLOCKSIZE)
    except RequestError:
        # What keeps a file from being read is said where it is read.
        return None
    if not is_archive(head) or (head.startswith(ZIP_MAGIC) and is_workbook(file)):
        return None
    listing = _list_tar(file) if _begins_tar(head) else _list_zip(file)
    if listing.faults:
        where, num = str(file), len(listing.faults)
        raise RequestError(
            f"{_REFUSED}: {num} {'entries' if num > 1 else 'entry'}",
            where=where,
            expected="plain files under relative names",
            attempt="pack it again without them, or unpack it yourself",
            faults=listing.faults,
        )
    return sorted(listing.files, key=str)


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a zip (a workbook is one too) or a tar."""
    return head.startswith((ZIP_MAGIC, _EMPTY_ZIP_MAGIC)) or _begins_tar(head[: tarfile.BLOCKSIZE])


def _begins_tar(head: bytes) -> bool:
    if len(head) < tarfile.BLOCKSIZE or not head.strip(b"\0"):
        return False
    try:
        # The header carries a checksum of itself, which no text meets by chance.
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _list_zip(file: File) -> _Listing:
    listing = _Listing()
    where = str(file)
    stream = _held(file).open()
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        stream.close()
        raise _damaged(where, error) from error
    # It stays open for as long as one of its files may be opened: to list it anew costs as much as it is long.
    weakref.finalize(archive, stream.close)
    entries = archive.infolist()
    _check_size(where, len(entries), sum(entry.file_size for entry in entries))
    for entry in entries:
        if entry.filename.endswith("/"):
            continue
        problem = _bad_name(entry.orig_filename) or _bad_zip_entry(entry)
        member = f"{where}{MEMBER_MARK}{posixpath.normpath(entry.filename)}"
        if problem:
            listing.faults.append(Fault(member, 0, problem, "", ""))
        else:
            listing.files.append(Source(member, partial(_open_entry, archive, entry, member), entry.file_size))
    return listing


def _bad_zip_entry(entry: zipfile.ZipInfo) -> str:
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is a link" if stat.S_ISLNK(mode) else "it is a device"
    if entry.flag_bits & 0x1:
        return "it is under a password"
    if entry.compress_type not in _KNOWN_METHODS:
        return f"it is packed by method {entry.compress_type}, which is not known here"
    if entry.file_size > max(FREE_BYTES, MAX_RATIO * entry.compress_size):
        return f"it unpacks to more than {MAX_RATIO:,} times its size"
    return ""


def _open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> BinaryIO:
    try:
        return io.BufferedReader(_Entry(cast(BinaryIO, archive.open(entry)), where))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(where, error) from error


class _Entry(io.RawIOBase):
    """An entry of a zip; what the library says of damage is an error of the family."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        super().__init__()
        self._stream, self._where = stream, where

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        try:
            data = self._stream.read(len(view))
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, zlib.error) as error:
            raise _damaged(self._where, error) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _list_tar(file: File) -> _Listing:
    listing = _Listing()
    where = str(file)
    held = _held(file)
    for entry in _tar_entries(held, where):
        problem = _bad_name(entry.name) or _bad_tar_entry(entry)
        member = f"{where}{MEMBER_MARK}{posixpath.normpath(entry.name)}"
        if problem:
            listing.faults.append(Fault(member, 0, problem, "", ""))
        elif entry.isreg():
            opener = partial(_open_window, held, entry.offset_data, entry.size)
            listing.files.append(Source(member, opener, entry.size))
    return listing


def _tar_entries(held: Source, where: str) -> Iterator[tarfile.TarInfo]:
    num_bytes, last_offset = 0, -1
    try:
        with (
            held.open() as stream,
            tarfile.open(fileobj=_HeaderReads(stream), mode="r:", errors="surrogateescape") as archive,
        ):
            for number, entry in enumerate(archive, start=1):
                # A header may point backwards, to be read for ever.
                if entry.offset <= last_offset or entry.size < 0:
                    raise tarfile.ReadError("its entries run in a circle")
                last_offset = entry.offset
                num_bytes += entry.size
                _check_size(where, number, num_bytes)
                yield entry
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, RequestError):
            raise
        raise _damaged(where, error) from error


class _HeaderReads(io.RawIOBase):
    """What tarfile reads while it lists: headers. One that wants to be megabytes long is refused before it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _bad_tar_entry(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return f"it is a link to {entry.linkname}"
    if entry.isdev():
        return "it is a device"
    if entry.issparse():
        return "it is a sparse file"
    if not entry.isreg() and not entry.isdir():
        return "it is neither a file nor a folder"
    return ""


def _bad_name(name: str) -> str:
    """What is wrong with the name of an entry.

    >>> _bad_name("a/b.txt"), _bad_name("/etc/passwd"), _bad_name("a/../../b"), _bad_name("C:\\\\a")
    ('', 'its name is absolute', 'its name leads out of the archive', 'its name is absolute')
    """
    if not name.strip():
        return "it has no name"
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "its name is absolute"
    if ".." in parts:
        return "its name leads out of the archive"
    if any(ord(character) < 32 for character in name):
        return "its name holds a control character"
    return ""


def _check_size(where: str, num_entries: int, num_bytes: int) -> None:
    if num_entries > MAX_MEMBERS:
        raise RequestError(f"the archive has more than {MAX_MEMBERS:,} entries", where=where, expected="fewer")
    if num_bytes > MAX_UNPACKED_BYTES:
        raise too_large(where)


def _held(file: File) -> Source:
    """The bytes of an archive, unpacked and with places to go to; packed ones are unpacked once, into a spool."""
    with open_file(file) as stream:
        if stream.seekable():
            return Source(str(file), partial(open_file, file))
    return Source(str(file), Spool(partial(_unpack_into, file)).open)


def _unpack_into(file: File, target: BinaryIO) -> None:
    with open_file(file) as stream:
        copy_all(stream, target)


def _open_window(held: Source, start: int, num_bytes: int) -> BinaryIO:
    return io.BufferedReader(Window(held.open(), start, num_bytes))


def open_seekable(file: File) -> BinaryIO:
    """The unpacked bytes with places to go to, for readers that begin at the end (Parquet, workbooks)."""
    stream = open_file(file)
    return stream if stream.seekable() else _seekable(stream)


def _seekable(stream: BinaryIO) -> BinaryIO:
    if stream.seekable():
        return stream
    with stream:
        return Spool(partial(copy_all, stream)).open()


def _damaged(where: str, error: Exception) -> RequestError:
    return RequestError(
        f"the archive is damaged or cut off: {error}",
        where=where,
        expected="a whole archive",
        attempt="fetch it, or pack it, again",
    )
