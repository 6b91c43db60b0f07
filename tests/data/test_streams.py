"""Packed files, archives, addresses: the bytes come out as they went in, and what is hostile is refused by its name."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import lzma
import os
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.streams import archives, packed, remote
from fettle.data.streams.archives import files_of_archive, open_seekable
from fettle.data.streams.packed import open_file, suffix_inside
from fettle.data.streams.remote import sources_at, standard_input
from fettle.data.streams.source import Source, Spool, Window, stem_of
from fettle.errors import MissingFile, RequestError

ROWS = b"".join(b'{"text": "row %d"}\n' % number for number in range(5_000))


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


PACKERS = {"gz": partial(gzip.compress, mtime=0), "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


def read_all(file: Path | Source) -> bytes:
    with open_file(file) as stream:
        return stream.read()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# Packed files


@pytest.mark.parametrize("form", PACKERS)
def test_content_tells_the_packing_and_not_the_name(tmp_path, form):
    assert read_all(write(tmp_path / "a.txt", PACKERS[form](ROWS))) == ROWS
    assert read_all(write(tmp_path / f"a.{form}", ROWS)) == ROWS


@pytest.mark.parametrize("form", PACKERS)
def test_all_members_are_read(tmp_path, form):
    pack = PACKERS[form]
    path = write(tmp_path / "a", pack(ROWS) + pack(b"between") + pack(b"") + pack(ROWS))
    assert read_all(path) == ROWS + b"between" + ROWS


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(sorted(PACKERS)), st.integers(1, 999))
@settings(deadline=None, max_examples=80)
def test_pieces_come_out_as_they_went_in(tmp_path_factory, members, form, step):
    path = write(tmp_path_factory.mktemp("packed") / "a", b"".join(map(PACKERS[form], members)))
    pieces = []
    with open_file(path) as stream:
        while piece := stream.read(step):
            pieces.append(piece)
    assert b"".join(pieces) == b"".join(members)


@pytest.mark.parametrize("form", PACKERS)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_off_stream_is_an_error_that_says_how_far_it_was_read(tmp_path, form, share):
    whole = PACKERS[form](os.urandom(300_000))
    path = write(tmp_path / "a.jsonl", whole[: int(share * len(whole))])
    with pytest.raises(RequestError, match=r"damaged or cut off after [\d,]+ unpacked bytes") as caught:
        read_all(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("form", PACKERS)
def test_damage_and_what_follows_the_end_are_errors_and_no_silence(tmp_path, form):
    whole = bytearray(PACKERS[form](os.urandom(100_000)))
    whole[len(whole) // 2] ^= 0xFF
    whole[len(whole) // 2 + 1] ^= 0xFF
    # A zstd frame need not carry a checksum, and what it stores as it is then shows no change.
    changed = [bytes(whole)] if form != "zst" else []
    for data in (*changed, PACKERS[form](ROWS) + b"and more", PACKERS[form](ROWS) + PACKERS[form](ROWS)[5:]):
        with pytest.raises(RequestError, match="damaged or cut off"):
            read_all(write(tmp_path / "a", data))


def test_gzip_and_xz_may_be_padded(tmp_path):
    for form in ("gz", "xz"):
        assert read_all(write(tmp_path / "a", PACKERS[form](b"a") + b"\0" * 512 + PACKERS[form](b"b"))) == b"ab"


@pytest.mark.parametrize("form", PACKERS)
def test_a_bomb_is_refused_before_it_fills_anything(tmp_path, monkeypatch, form):
    assert (packed.MAX_RATIO, packed.MAX_UNPACKED_BYTES) == (1_000, 50_000_000_000)
    path = write(tmp_path / "a", PACKERS[form](b"\0" * 3_000_000))
    assert len(read_all(path)) == 3_000_000
    monkeypatch.setattr(packed, "FREE_BYTES", 500_000)
    monkeypatch.setattr(packed, "MAX_RATIO", 20)
    with pytest.raises(RequestError, match="more than 20 times its size"):
        read_all(path)
    monkeypatch.setattr(packed, "MAX_RATIO", 10_000_000)
    monkeypatch.setattr(packed, "MAX_UNPACKED_BYTES", 2_000_000)
    with pytest.raises(RequestError, match="more than 0 GB"):
        read_all(path)


def test_suffixes_inside():
    names = {"a.jsonl.gz": ".jsonl", "A.CSV.XZ": ".csv", "a.txt": ".txt", "a.gz": "", "noname": "", "a.tar.zst": ".tar"}
    assert {name: suffix_inside(Path(name)) for name in names} == names
    assert suffix_inside(Source("x.zip!in/b.tsv.bz2", io.BytesIO)) == ".tsv"


def test_missing_and_unreadable_files_are_of_the_family(tmp_path):
    with pytest.raises(MissingFile):
        open_file(tmp_path / "none")
    with pytest.raises(RequestError, match="cannot be read"):
        open_file(tmp_path)


# Spools and windows


def test_a_spool_is_filled_once_and_gone_with_its_last_holder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    filled: list[int] = []

    def fill(target):
        filled.append(1)
        target.write(b"abc")

    spool = Spool(fill)
    source = Source("a", spool.open)
    with source.open() as first, source.open() as second:
        assert (first.read(), second.read()) == (b"abc", b"abc")
    assert filled == [1]
    assert len(list(tmp_path.iterdir())) == 1
    del spool, source
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_spool_that_cannot_be_filled_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fill(target):
        target.write(b"abc")
        raise RequestError("no more")

    with pytest.raises(RequestError, match="no more"):
        Spool(fill).open()
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 60), st.lists(st.integers(0, 70), max_size=6))
@settings(deadline=None, max_examples=150)
def test_a_window_is_a_file_of_its_part(data, start, length, places):
    part = data[start : start + length]
    plain, window = io.BytesIO(part), Window(io.BytesIO(data), start, len(part))
    assert window.read() == plain.read()
    for place in places:
        assert window.seek(place) == plain.seek(place)
        assert window.read(7) == plain.read(7)
    assert window.seek(0, io.SEEK_END) == len(part)


def test_names_of_files_that_are_made_lead_nowhere():
    hostile = ["a.zip!../../etc/passwd", "a.zip!..", "b.tar!C:\\x\\con?.csv", "https://h/p?file=../x", "a\0b\n.csv", ""]
    for where in hostile:
        stem = stem_of(where)
        assert stem
        assert not set(stem) & set('/\\:*?"<>|\0\n!')
        assert not stem.startswith(".")
    assert len(stem_of("x" * 500 + ".csv")) == 60


# Archives


def make_zip(path: Path, entries: dict[str, bytes], **settings) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **settings) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, entries: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in entries.items():
            entry = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


ENTRIES = {
    "b/two.jsonl": ROWS,
    "a.csv": b"text,label\na,b\n",
    "empty.txt": b"",
    "b/inner.zip": b"PK\x05\x06" + b"\0" * 18,
}


def archive_of(kind: str, folder: Path) -> Path:
    path = folder / f"all.{kind}"
    if kind == "zip":
        return make_zip(path, ENTRIES)
    if kind == "tar.zst":
        return write(path, zstd(make_tar(folder / "plain", ENTRIES).read_bytes()))
    return make_tar(path, ENTRIES, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}[kind])


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "tar.zst"])
def test_files_of_an_archive_are_sources(tmp_path, kind):
    path = archive_of(kind, tmp_path).rename(tmp_path / "name.of.no.kind")
    found = files_of_archive(path)
    assert [str(source) for source in found] == [f"{path}!{name}" for name in sorted(ENTRIES)]
    assert {source.name: source.size_bytes for source in found} == {
        Path(name).name: len(data) for name, data in ENTRIES.items()
    }
    for source in found:
        name = str(source).partition("!")[2]
        assert read_all(source) == ENTRIES[name]
        with open_seekable(source) as one, open_seekable(source) as other:
            one.seek(3)
            assert other.read(5) == ENTRIES[name][:5]
            assert one.read(5) == ENTRIES[name][3:8]


def test_what_is_no_archive_is_none(tmp_path):
    for data in (b"", b"text", ROWS, b"\0" * 1024, b"a" * 600, b"\x1f\x8b\x08 torn"):
        assert files_of_archive(write(tmp_path / "a.tar", data)) is None


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (link("soft.txt", tarfile.SYMTYPE), "link to /etc/passwd"),
        (link("hard.txt", tarfile.LNKTYPE), "link to /etc/passwd"),
        (link("null", tarfile.CHRTYPE), "device"),
        (link("disk", tarfile.BLKTYPE), "device"),
        (link("pipe", tarfile.FIFOTYPE), "device"),
        (tarfile.TarInfo("/etc/passwd"), "absolute"),
        (tarfile.TarInfo("a/../../b.txt"), "leads out"),
        (tarfile.TarInfo("C:\\b.txt"), "absolute"),
        (tarfile.TarInfo("a\nb.txt"), "control character"),
    ],
)
def test_a_hostile_entry_of_a_tar_is_refused_by_its_name(tmp_path, entry, problem):
    path = make_tar(tmp_path / "a.tar", {"good.txt": b"good", entry.name: entry})
    with pytest.raises(RequestError, match="1 entry") as caught:
        files_of_archive(path)
    [fault] = caught.value.faults
    assert problem in fault.problem
    assert fault.file.startswith(f"{path}!")


def zip_entry(name: str, mode: int = 0, flags: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("placeholder")
    entry.filename = entry.orig_filename = name
    entry.external_attr, entry.flag_bits = mode << 16, flags
    return entry


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (zip_entry("soft.txt", 0o120777), "link"),
        (zip_entry("dev.txt", 0o020666), "device"),
        (zip_entry("/etc/passwd"), "absolute"),
        (zip_entry("../up.txt"), "leads out"),
        (zip_entry(""), "no name"),
        (zip_entry("a.txt\0../../up.txt"), "leads out"),
        (zip_entry("a\\..\\..\\up.txt"), "leads out"),
    ],
)
def test_a_hostile_entry_of_a_zip_is_refused_by_its_name(tmp_path, entry, problem):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(entry, b"x")
    with pytest.raises(RequestError, match="1 entry") as caught:
        files_of_archive(tmp_path / "a.zip")
    assert problem in caught.value.faults[0].problem


def test_an_entry_under_a_password_or_of_unknown_packing_is_refused(tmp_path):
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.txt": b"secret"}).read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1
    with pytest.raises(RequestError) as caught:
        files_of_archive(write(tmp_path / "b.zip", bytes(data)))
    assert "password" in caught.value.faults[0].problem
    data[central + 8] &= 0xFE
    data[central + 10] = 93
    with pytest.raises(RequestError) as caught:
        files_of_archive(write(tmp_path / "c.zip", bytes(data)))
    assert "method 93" in caught.value.faults[0].problem


def test_archives_that_swell_are_refused_by_what_they_state(tmp_path, monkeypatch):
    bomb = make_zip(tmp_path / "a.zip", {"a.txt": b"\0" * 1_000_000, "b.txt": b"b"})
    assert files_of_archive(bomb) is not None
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000)
    monkeypatch.setattr(archives, "MAX_RATIO", 20)
    with pytest.raises(RequestError) as caught:
        files_of_archive(bomb)
    assert "more than 20 times" in caught.value.faults[0].problem
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 1_000_000)
    with pytest.raises(RequestError, match="unpacks to more than"):
        files_of_archive(bomb)
    with pytest.raises(RequestError, match="unpacks to more than"):
        files_of_archive(make_tar(tmp_path / "a.tar", {"a": b"x" * 600_000, "b": b"x" * 600_000}))
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    with pytest.raises(RequestError, match="more than 1 entries"):
        files_of_archive(make_tar(tmp_path / "b.tar", {"a": b"x", "b": b"x"}))


def test_a_zip_that_understates_a_size_gives_no_more_than_it_states(tmp_path):
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.txt": b"\0" * 100_000}).read_bytes())
    for place in (data.index(b"PK\x03\x04") + 22, data.rindex(b"PK\x01\x02") + 24):
        data[place : place + 4] = (10).to_bytes(4, "little")
    [source] = files_of_archive(write(tmp_path / "b.zip", bytes(data)))
    with pytest.raises(RequestError, match="damaged"):
        read_all(source)


def test_a_header_that_wants_megabytes_and_one_that_leads_back_are_refused(tmp_path):
    entry = tarfile.TarInfo("@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 5_000_000_000
    with pytest.raises(RequestError, match=r"header of 5,000,000,\d+ bytes"):
        files_of_archive(write(tmp_path / "a.tar", entry.tobuf(tarfile.GNU_FORMAT) + b"x" * 2_000))
    back = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    back[124:136] = (-512).to_bytes(12, "big", signed=True)
    back[148:156] = b"%06o\0 " % (sum(back[:148]) + 8 * 32 + sum(back[156:512]))
    with pytest.raises(RequestError):
        files_of_archive(write(tmp_path / "b.tar", bytes(back) + b"\0" * 1_024))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_cut_off_archive_is_an_error_or_gives_errors(tmp_path, kind, share):
    entries = {f"{number}.bin": os.urandom(20_000) for number in range(5)}
    whole = (
        make_zip(tmp_path / "w", entries)
        if kind == "zip"
        else make_tar(tmp_path / "w", entries, "w:gz" if kind == "tar.gz" else "w")
    )
    data = whole.read_bytes()
    path = write(tmp_path / "cut", data[: int(share * len(data))])
    with pytest.raises(RequestError, match="damaged or cut off"):
        list(map(read_all, files_of_archive(path) or []))


def test_an_archive_in_a_tar_in_a_stream_is_a_file_like_others(tmp_path):
    inner = make_zip(tmp_path / "in.zip", {"a.txt": b"deep"}).read_bytes()
    path = make_tar(tmp_path / "out.tar", {"in.zip": inner, "b.txt.gz": gzip.compress(b"packed inside", mtime=0)})
    found = {source.name: source for source in files_of_archive(path)}
    assert read_all(found["b.txt.gz"]) == b"packed inside"
    assert read_all(found["in.zip"]) == inner


# Other machines


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    memory = fsspec.filesystem("memory")
    for name, data in {"/box/a.jsonl": ROWS, "/box/deep/b.csv": b"text\na\n", "/box/.hidden": b"x"}.items():
        memory.pipe(name, data)
    yield memory
    memory.rm("/box", recursive=True)


def test_a_store_is_read_by_file_folder_and_pattern(store):
    [source] = sources_at("memory://box/a.jsonl")
    assert (str(source), source.name, read_all(source)) == ("memory://box/a.jsonl", "a.jsonl", ROWS)
    assert [source.name for source in sources_at("memory://box")] == [".hidden", "a.jsonl", "b.csv"]
    assert [source.name for source in sources_at("memory://box/*.jsonl")] == ["a.jsonl"]
    assert [source.name for source in sources_at("memory://box/**/*.csv")] == ["b.csv"]
    with pytest.raises(RequestError, match="nothing is found"):
        sources_at("memory://box/*.xml")
    with pytest.raises(RequestError, match="cannot be reached"):
        read_all(sources_at("memory://box/none.jsonl")[0])


def test_what_reads_an_address_may_not_be_installed(monkeypatch):
    def missing(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(RequestError, match="not installed") as caught:
        sources_at("s3://bucket/a.jsonl")
    assert caught.value.attempt == "pip install s3fs"

    def unreachable(address):
        raise OSError("no route")

    monkeypatch.setattr(fsspec, "url_to_fs", unreachable)
    with pytest.raises(RequestError, match="cannot be reached: no route"):
        sources_at("gs://bucket/a.jsonl")


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/a.csv",
        "http://example.org/a.csv",
        "simplecache::s3://b/a",
        "memory://a::file:///etc/passwd",
        "file:///etc/passwd",
        "reference://x",
    ],
)
def test_ways_that_are_not_trusted_are_refused(address):
    with pytest.raises(RequestError) as caught:
        sources_at(address)
    assert caught.value.where == address
    assert "https://" in caught.value.expected


class Answers(BaseHTTPRequestHandler):
    """A server of a few pages."""

    def do_GET(self):
        name = self.path.partition("?")[0]
        if name == "/a.jsonl":
            self.answer(200, ROWS)
        elif name.startswith("/away"):
            self.answer(int(name[-3:]), b"", Location="http://example.org/a.jsonl")
        elif name == "/moved":
            self.answer(302, b"", Location="/a.jsonl")
        elif name == "/short":
            self.answer(200, b"only this", **{"Content-Length": "999"})
        else:
            self.answer(404, b"none")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said):
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_page_is_fetched_once_from_this_machine(server):
    [source] = sources_at(f"{server}/a.jsonl?key=1")
    assert source.name == "a.jsonl"
    assert read_all(source) == read_all(source) == ROWS
    assert read_all(sources_at(f"{server}/moved")[0]) == ROWS


def test_what_a_server_does_not_give_is_an_error(server, monkeypatch):
    with pytest.raises(RequestError, match="404"):
        read_all(sources_at(f"{server}/none")[0])
    for code in (301, 302, 303, 307, 308):
        with pytest.raises(RequestError, match="anyone on the way"):
            read_all(sources_at(f"{server}/away{code}")[0])
    with pytest.raises(RequestError, match="cannot be fetched"):
        read_all(sources_at(f"{server}/short")[0])
    with pytest.raises(RequestError, match="cannot be fetched"):
        read_all(sources_at("http://127.0.0.1:9/a.jsonl")[0])
    monkeypatch.setattr(remote, "MAX_FETCHED_BYTES", 1_000)
    with pytest.raises(RequestError, match="larger than"):
        read_all(sources_at(f"{server}/a.jsonl")[0])


class Piped:
    """Standard input as a pipe gives it."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def test_standard_input_is_read_once_and_opened_often(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Piped(gzip.compress(ROWS, mtime=0)))
    source = standard_input()
    assert (str(source), read_all(source), read_all(source)) == ("stdin", ROWS, ROWS)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(RequestError, match="nothing is piped in"):
        standard_input()
