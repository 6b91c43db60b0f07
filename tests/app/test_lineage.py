"""Versions have a line of parents, a difference with reasons, and bytes that go when nothing needs them."""

import json
import os
import threading

import pytest

from fettle.app.workshop.importing import import_data
from fettle.app.workshop.lineage import ancestry, compare_versions, remove_unneeded
from fettle.app.workshop.splitting import split_data
from fettle.app.workshop.versions import Operation, find_version, keep_version, load_rows
from fettle.data.changes import RowChange
from fettle.data.splits.split import Shares, SplitSettings
from fettle.errors import DamagedFile, RequestError
from fettle.storage.workspace import open_workspace


def write(folder, name, texts):
    path = folder / name
    path.write_text("".join(json.dumps({"text": text, "label": "x"}) + "\n" for text in texts))
    return path


@pytest.fixture
def home(tmp_path):
    return open_workspace(tmp_path / "home")


def test_a_version_leads_back_to_its_first_import(home, tmp_path):
    first = import_data(home, [write(tmp_path, "a.jsonl", "abc")], "set").version
    second = import_data(home, [write(tmp_path, "b.jsonl", "de")], "set").version
    third = split_data(home, "set", SplitSettings(Shares())).version
    assert ancestry(home, "set") == [third, second, first]
    assert ancestry(home, f"set#{first.content_hash}") == [first]


def test_a_difference_carries_the_reasons_of_all_operations_between(home, tmp_path):
    first = import_data(home, [write(tmp_path, "a.jsonl", "abc")], "set").version
    rows = load_rows(home, "set")[1]
    gone = RowChange("dropped", rows[0].file, 1, rows[0].content_key, "", "drop", "it is an a")
    keep_version(home, first, rows[1:], Operation("clean", {}, [gone]))
    import_data(home, [write(tmp_path, "b.jsonl", "d")], "set")
    found = compare_versions(home, f"set#{first.content_hash}", "set")
    assert found.counts() == {"added": 1, "dropped": 1, "changed": 0, "moved": 0}
    assert {difference.action: difference.reasons for difference in found.rows} == {
        "dropped": ("drop: it is an a",),
        "added": (),
    }


def test_versions_of_two_tasks_are_not_compared(home, tmp_path):
    import_data(home, [write(tmp_path, "a.jsonl", "abc")], "set")
    (tmp_path / "b.jsonl").write_text('{"text": "plain"}\n')
    import_data(home, [tmp_path / "b.jsonl"], "notes")
    with pytest.raises(RequestError, match="classify"):
        compare_versions(home, "set", "notes")


def test_two_imports_at_once_both_succeed_and_no_row_is_lost(home, tmp_path):
    files = [write(tmp_path, f"{n}.jsonl", [f"{n} {line}" for line in range(300)]) for n in range(6)]
    homes = [open_workspace(home.root) for _ in files]
    start = threading.Barrier(len(files), timeout=20)
    failures = []

    def work(mine, file):
        try:
            start.wait()
            import_data(mine, [file], "set")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(homes, files, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    version, rows = load_rows(home, "set")
    assert version.num_rows == len(rows) == 1800
    assert {row.record.text for row in rows} == {f"{n} {line}" for n in range(6) for line in range(300)}
    assert len(ancestry(home, "set")) == len(files)


def make_old(home):
    for name in home.blobs.names():
        os.utime(home.blobs.path(name), (1, 1))


def test_rows_that_a_run_names_stay_and_others_go(home, tmp_path):
    named = import_data(home, [write(tmp_path, "a.jsonl", "abc")], "set").version
    other = import_data(home, [write(tmp_path, "b.jsonl", "de")], "set").version
    import_data(home, [write(tmp_path, "c.jsonl", "f")], "set")
    (home.runs / "heron").mkdir()
    (home.runs / "heron" / "plan.json").write_text(json.dumps({"data": {"content_hash": named.content_hash}}))
    stray = home.blobs.put(b"what an operation left that did not end")
    make_old(home)

    rehearsed = remove_unneeded(home, keep=1, is_rehearsal=True)
    assert stray in set(home.blobs.names())
    removed = remove_unneeded(home, keep=1)
    assert (rehearsed.num_files, rehearsed.num_bytes) == (removed.num_files, removed.num_bytes)
    assert (removed.num_files, removed.forgotten) == (2, [other])
    assert stray not in set(home.blobs.names())
    assert len(load_rows(home, f"set#{named.content_hash}")[1]) == 3
    assert len(load_rows(home, "set")[1]) == 6
    with pytest.raises(DamagedFile):
        load_rows(home, f"set#{other.content_hash}")
    assert len(ancestry(home, "set")) == 3
    again = remove_unneeded(home, keep=1)
    assert (again.num_files, again.num_bytes) == (0, 0)


def test_without_a_number_only_what_nothing_refers_to_goes(home, tmp_path):
    import_data(home, [write(tmp_path, "a.jsonl", "abc")], "set")
    import_data(home, [write(tmp_path, "b.jsonl", "de")], "set")
    make_old(home)
    young = home.blobs.put(b"just being written by somebody else")
    assert remove_unneeded(home).num_files == 0
    assert young in set(home.blobs.names())
    assert find_version(home, "set")[0].num_rows == 5
