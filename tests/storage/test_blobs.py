"""Blobs: what is got is what was put, or an error."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.errors import DamagedFile
from fettle.storage.blobs import BlobStore, sha256_of_bytes, sha256_of_file


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200))
def test_get_undoes_put_and_the_name_is_the_hash(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    name = store.put(data)
    assert name == sha256_of_bytes(data) == hashlib.sha256(data).hexdigest() == sha256_of_file(store.path(name))
    assert store.get(name) == data


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=50), st.data())
def test_one_flipped_bit_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chance: st.DataObject
) -> None:
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    name = store.put(data)
    bit = chance.draw(st.integers(0, len(data) * 8 - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    store.path(name).write_bytes(changed)
    with pytest.raises(DamagedFile) as caught:
        store.get(name)
    assert str(store.path(name)) in str(caught.value)
    store.path(name).write_bytes(data[:-1])
    with pytest.raises(DamagedFile):
        store.get(name)


def test_the_same_bytes_are_written_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    name = store.put(b"rows")
    before = store.path(name).stat()
    assert store.put(b"rows") == name
    after = store.path(name).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_blob_that_is_gone_is_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        BlobStore(tmp_path).get("0" * 64)


def test_a_blob_grows_under_no_name_and_is_then_the_same_blob(tmp_path):
    store = BlobStore(tmp_path)
    with store.growing() as blob:
        for piece in (b"some ", b"bytes"):
            blob.stream.write(piece)
        assert list(store.names()) == []
    assert blob.name == store.put(b"some bytes")
    assert store.checked(blob.name).read_bytes() == store.get(blob.name) == b"some bytes"
    assert list(store.names()) == [blob.name]
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_a_blob_that_fails_to_grow_leaves_nothing(tmp_path):

    def fail() -> None:
        with BlobStore(tmp_path).growing() as blob:
            blob.stream.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_checked_finds_a_changed_byte_and_a_missing_file(tmp_path):
    store = BlobStore(tmp_path)
    name = store.put(b"some bytes")
    store.path(name).write_bytes(b"sOme bytes")
    with pytest.raises(DamagedFile):
        store.checked(name)
    store.remove(name)
    with pytest.raises(DamagedFile):
        store.checked(name)
