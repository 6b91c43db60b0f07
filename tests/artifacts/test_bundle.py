"""A bundle is read whole or not at all, and packs into one file that unpacks to the same."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from fettle.artifacts.bundle import (
    FILE_SUFFIX,
    MANIFEST,
    Bundle,
    pack_bundle,
    read_bundle,
    unpack_bundle,
    write_bundle,
    write_card,
)
from fettle.errors import DamagedFile, FettleError, MissingFile, RequestError
from fettle.storage.blobs import sha256_of_bytes

ABOUT = {"name": "blue-heron", "task": "classify", "kind": "adapter", "labels": ["a", "b"], "base": {"name": "tiny"}}
CONTENTS = {
    "adapter/adapter_model.safetensors": bytes(range(256)),
    "adapter/adapter_config.json": b'{"r": 4}\n',
    "tokenizer/tokenizer.json": '{"größe": 1}'.encode(),
    "tokenizer/empty.txt": b"",
}


def write_contents(folder: Path) -> None:
    for name, data in CONTENTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "bundles" / "blue-heron", ABOUT, write_contents)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written_is_read_back(bundle: Bundle) -> None:
    again = read_bundle(bundle.path)

    assert again == bundle
    assert {name: again.manifest[name] for name in ABOUT} == ABOUT
    assert again.manifest["files"] == {name: sha256_of_bytes(data) for name, data in CONTENTS.items()}
    assert again.identity == sha256_of_bytes((bundle.path / MANIFEST).read_bytes())
    assert again.labels == ("a", "b")
    assert again.is_adapter
    assert again.part("base") == {"name": "tiny"}
    assert again.reports() == []
    assert files_of(bundle.path).keys() == {*CONTENTS, MANIFEST}


def test_identity_follows_contents_and_manifest(tmp_path: Path, bundle: Bundle) -> None:
    same = write_bundle(tmp_path / "same", ABOUT, write_contents)
    other_words = write_bundle(tmp_path / "words", {**ABOUT, "task": "chat"}, write_contents)

    def other_contents(folder: Path) -> None:
        write_contents(folder)
        (folder / "tokenizer" / "empty.txt").write_bytes(b"x")

    other_bytes = write_bundle(tmp_path / "bytes", ABOUT, other_contents)

    assert same.identity == bundle.identity
    assert len({bundle.identity, other_words.identity, other_bytes.identity}) == 3


@pytest.mark.parametrize("name", CONTENTS)
def test_any_flipped_byte_is_found_and_its_file_named(bundle: Bundle, name: str) -> None:
    path = bundle.path / name
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DamagedFile) as caught:
            read_bundle(bundle.path)
        assert caught.value.where == str(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(DamagedFile):
        read_bundle(bundle.path)
    path.unlink()
    with pytest.raises(DamagedFile, match="missing") as caught:
        read_bundle(bundle.path)
    assert caught.value.where == str(path)
    path.write_bytes(data)
    assert read_bundle(bundle.path) == bundle


def test_a_changed_manifest_is_another_bundle_or_none(bundle: Bundle) -> None:
    path = bundle.path / MANIFEST
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            read = read_bundle(bundle.path)
        except FettleError:
            continue
        assert read.identity != bundle.identity


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": []}', '{"files": {}}', "\x00", '{"files": {}, "format": "1"}']
)
def test_manifest_that_cannot_be_read_is_damaged(bundle: Bundle, text: str) -> None:
    (bundle.path / MANIFEST).write_text(text)

    with pytest.raises(DamagedFile) as caught:
        read_bundle(bundle.path)
    assert MANIFEST in caught.value.where


def test_no_folder_and_a_folder_without_a_manifest_are_no_bundles(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(MissingFile):
            read_bundle(path)


def test_a_bundle_of_a_later_format_is_refused(bundle: Bundle) -> None:
    manifest = {**bundle.manifest, "format": 999}
    (bundle.path / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(RequestError, match="newer fettle"):
        read_bundle(bundle.path)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../../outside", "a\\b", "", "a/"])
def test_manifest_that_leads_outside_is_refused(bundle: Bundle, name: str) -> None:
    (bundle.path.parent / "outside").write_bytes(b"x")
    manifest = {**bundle.manifest, "files": {name: sha256_of_bytes(b"x")}}
    (bundle.path / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(DamagedFile, match="leads out"):
        read_bundle(bundle.path)


def test_an_existing_bundle_is_never_written_over(bundle: Bundle) -> None:
    before = files_of(bundle.path)

    with pytest.raises(RequestError):
        write_bundle(bundle.path, {**ABOUT, "task": "chat"}, write_contents)

    assert files_of(bundle.path) == before


def test_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_contents(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "bundles" / "x", ABOUT, fail)

    assert files_of(tmp_path) == {}


def test_card_and_reports_lie_outside_the_identity(bundle: Bundle) -> None:
    write_card(bundle, "# first")
    write_card(bundle, "# second")
    (bundle.path / "reports").mkdir()
    for name in ("2026-01-02T000000Z.json", "2025-12-31T235959Z.json"):
        (bundle.path / "reports" / name).write_text("{}")

    again = read_bundle(bundle.path)

    assert again.identity == bundle.identity
    assert (bundle.path / "README.md").read_text() == "# second"
    assert [path.name[:4] for path in again.reports()] == ["2025", "2026"]


def test_pack_is_deterministic_and_unpacks_to_the_same(tmp_path: Path, bundle: Bundle) -> None:
    write_card(bundle, "# card")
    first = pack_bundle(bundle, tmp_path / "first.fettle")
    second = pack_bundle(read_bundle(bundle.path), tmp_path / "second.fettle")

    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}, "no clock goes in"
    unpacked = unpack_bundle(first, tmp_path / "unpacked")
    assert unpacked.identity == bundle.identity
    assert unpacked.manifest == bundle.manifest
    assert files_of(unpacked.path) == files_of(bundle.path)
    assert pack_bundle(unpacked, tmp_path / "third").read_bytes() == first.read_bytes()


def test_packing_adds_the_ending(tmp_path: Path, bundle: Bundle) -> None:
    assert pack_bundle(bundle, tmp_path / "v1.2").name == f"v1.2{FILE_SUFFIX}"
    assert pack_bundle(bundle, tmp_path / f"x{FILE_SUFFIX}").name == f"x{FILE_SUFFIX}"


def test_unpacking_twice_unpacks_once(tmp_path: Path, bundle: Bundle) -> None:
    packed = pack_bundle(bundle, tmp_path / "one.fettle")
    first = unpack_bundle(packed, tmp_path / "unpacked")
    moment = (first.path / MANIFEST).stat().st_mtime_ns

    second = unpack_bundle(packed, tmp_path / "unpacked")

    assert second.path == first.path
    assert (second.path / MANIFEST).stat().st_mtime_ns == moment
    assert len(list((tmp_path / "unpacked").iterdir())) == 1


HOSTILE = ["../evil", "/tmp/fettle-evil", "a/../../evil", "..\\evil", "a\\b", "C:\\evil", "adapter/"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_outside_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in" / "hostile.fettle"
    source.parent.mkdir()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(MANIFEST, "{}")
        archive.writestr(zipfile.ZipInfo(name), b"evil")
    before = files_of(tmp_path)

    with pytest.raises(DamagedFile, match="leads out"):
        unpack_bundle(source, tmp_path / "deep" / "unpacked")

    assert files_of(tmp_path) == before
    assert not Path("/tmp/fettle-evil").exists()


@pytest.mark.parametrize(
    ("attributes", "target"), [(0o120777 << 16, b"/etc"), (0o120777 << 16, b"../../outside")], ids=["absolute", "up"]
)
def test_links_in_the_file_become_plain_files(tmp_path: Path, attributes: int, target: bytes) -> None:
    source = tmp_path / "links.fettle"
    with zipfile.ZipFile(source, "w") as archive:
        link = zipfile.ZipInfo("adapter")
        link.external_attr = attributes
        archive.writestr(link, target)
        archive.writestr(MANIFEST, json.dumps({"format": 1, "files": {"adapter": sha256_of_bytes(target)}}))

    unpacked = unpack_bundle(source, tmp_path / "unpacked")

    assert not (unpacked.path / "adapter").is_symlink()
    assert (unpacked.path / "adapter").read_bytes() == target


def test_a_damaged_file_is_refused_in_the_words_of_the_house(tmp_path: Path, bundle: Bundle) -> None:
    """Every byte flipped in turn: the same bundle, or an error of ours; never another error, never other contents."""
    packed = pack_bundle(bundle, tmp_path / "one.fettle").read_bytes()
    path = tmp_path / "hurt.fettle"
    for place in range(len(packed)):
        for mask in (0x01, 0x80):
            path.write_bytes(packed[:place] + bytes([packed[place] ^ mask]) + packed[place + 1 :])
            folder = tmp_path / "unpacked" / f"{place}-{mask}"
            try:
                read = unpack_bundle(path, folder)
            except FettleError:
                continue
            assert read.identity == bundle.identity
            assert {name: (read.path / name).read_bytes() for name in CONTENTS} == CONTENTS


@pytest.mark.parametrize("length", [0, 3, 100, -1, -30])
def test_a_file_cut_short_is_refused(tmp_path: Path, bundle: Bundle, length: int) -> None:
    packed = pack_bundle(bundle, tmp_path / "one.fettle").read_bytes()
    path = tmp_path / "cut.fettle"
    path.write_bytes(packed[:length])

    with pytest.raises(DamagedFile):
        unpack_bundle(path, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists() or files_of(tmp_path / "unpacked") == {}


def test_a_name_that_is_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "both.fettle"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a", b"x")
        archive.writestr("a/b", b"y")

    with pytest.raises(DamagedFile):
        unpack_bundle(source, tmp_path / "unpacked")


@pytest.mark.parametrize("name", ["adapter/extra.json", "tokenizer/chat_template.jinja", "model/adapter_config.json"])
def test_a_file_that_no_hash_covers_is_refused(bundle: Bundle, name: str) -> None:
    (bundle.path / name).parent.mkdir(exist_ok=True)
    (bundle.path / name).write_text("{}")

    with pytest.raises(DamagedFile) as caught:
        read_bundle(bundle.path)
    assert caught.value.where == str(bundle.path / name)
