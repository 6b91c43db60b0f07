"""Compressed files, told by their first bytes and unpacked on the way: gzip, bzip2, xz, zstd, one member or many.

A stream that is damaged or ends too soon is an error that says how far it was read. A stream that unpacks to far more
than it is worth is refused before it fills anything: nothing is held but a block.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import pyarrow as pa

from fettle.data.streams.source import BLOCK_BYTES, PACKED_SUFFIXES, File, Source, open_as_it_lies, unreadable
from fettle.errors import RequestError

MAX_UNPACKED_BYTES = 50_000_000_000
"""What one file, or all files of one archive together, may unpack to."""

MAX_RATIO = 1_000
"""How many times its size a file may unpack to. Text packs 3 to 20 times; only repetition packs a thousandfold."""

FREE_BYTES = 100_000_000
"""So much may come of any file, whatever the ratio: small files of repetition are honest and do no harm."""

MAX_XZ_MEMORY_BYTES = 1 << 30
_LONGEST_MAGIC = 6
_PACKED_BLOCK_BYTES = 1 << 18


class _Decompressor(Protocol):
    """What bz2 and lzma offer for one member."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """A gzip member in the manner of the others: input that was not used yet is kept."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class _Form:
    """A way of packing: its name, its first bytes, and what opens one member (none where a library reads members)."""

    def __init__(self, name: str, magic: bytes, member: Callable[[], _Decompressor] | None) -> None:
        self.name, self.magic, self.member = name, magic, member


_FORMS = (
    _Form("gzip", b"\x1f\x8b\x08", _Inflater),
    _Form("bzip2", b"BZh", bz2.BZ2Decompressor),
    _Form("xz", b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_XZ_MEMORY_BYTES)),
    _Form("zstd", b"\x28\xb5\x2f\xfd", None),
)


class _Members:
    """The members of a packed stream, one after another. What follows the last and is no member is damage, not air."""

    def __init__(self, stream: BinaryIO, form: _Form) -> None:
        assert form.member is not None
        self._stream, self._form, self._new = stream, form, form.member
        self._member: _Decompressor | None = None
        self._ahead = b""

    def read(self, max_bytes: int) -> bytes:
        """At least one byte, or none at the end."""
        while True:
            if self._member is None:
                self._ahead = self._ahead or self._stream.read(_PACKED_BLOCK_BYTES)
                if not self._ahead:
                    return b""
                # gzip and xz allow members to be padded with NUL bytes.
                self._ahead = self._ahead.lstrip(b"\0")
                if not self._ahead:
                    continue
                self._member = self._new()
            data = self._member.decompress(self._ahead, max_bytes)
            self._ahead = b""
            if self._member.eof:
                self._ahead, self._member = self._member.unused_data, None
            if data:
                return data
            if self._member is not None:
                self._ahead = self._stream.read(_PACKED_BLOCK_BYTES)
                if not self._ahead:
                    # A decompressor may still hold output when its input is at an end.
                    if data := self._member.decompress(b"", max_bytes):
                        return data
                    raise EOFError("it ends before the packed data do")


class _Unpacking(io.RawIOBase):
    """The unpacked bytes of a stream, counted against the limits; what the library says is an error of the family."""

    def __init__(self, file: File, stream: BinaryIO, form: _Form) -> None:
        super().__init__()
        self._file, self._stream, self._form = file, stream, form
        self._unpacked: _Members | pa.CompressedInputStream
        if form.member is None:
            self._unpacked = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
        else:
            self._unpacked = _Members(stream, form)
        self._num_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        try:
            data = self._unpacked.read(len(view))
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise RequestError(
                f"the {self._form.name} stream is damaged or cut off after {self._num_bytes:,} unpacked bytes: {error}",
                where=str(self._file),
                expected="a whole file",
                attempt="fetch it, or pack it, again",
            ) from error
        view[: len(data)] = data
        self._num_bytes += len(data)
        self._check_limits()
        return len(data)

    def _check_limits(self) -> None:
        if self._num_bytes <= FREE_BYTES:
            return
        if self._num_bytes > MAX_UNPACKED_BYTES:
            raise too_large(str(self._file))
        if self._num_bytes > MAX_RATIO * self._stream.tell():
            raise RequestError(
                f"it unpacks to more than {MAX_RATIO:,} times its size",
                where=str(self._file),
                expected="a packed text; this is made to fill disks",
                attempt="unpack it yourself if you know where it comes from",
            )

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def too_large(where: str) -> RequestError:
    """What is said of everything that unpacks to more than the limit."""
    return RequestError(
        f"it unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000_000} GB",
        where=where,
        expected="less in one file",
        attempt="divide it into several files",
    )


def open_file(file: File) -> BinaryIO:
    """The bytes of a file, unpacked where it is packed. Nothing is packed twice: what is inside is taken as it is."""
    stream = open_as_it_lies(file)
    try:
        head = stream.read(_LONGEST_MAGIC)
        stream.seek(0)
    except OSError as error:
        stream.close()
        raise unreadable(file, error) from error
    for form in _FORMS:
        if head.startswith(form.magic):
            return io.BufferedReader(_Unpacking(file, stream, form), BLOCK_BYTES)
    return stream


def suffix_inside(file: File) -> str:
    """The extension in small letters without that of the packing.

    >>> suffix_inside(Path("a.JSONL.gz")), suffix_inside(Path("a.csv")), suffix_inside(Path("a.gz"))
    ('.jsonl', '.csv', '')
    """
    suffix = file.suffix.lower()
    if suffix not in PACKED_SUFFIXES:
        return suffix
    return (
        Path(file.name[: -len(suffix)]).suffix.lower()
        if isinstance(file, Source)
        else file.with_suffix("").suffix.lower()
    )
