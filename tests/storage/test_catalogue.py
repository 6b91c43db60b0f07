"""The catalogue: nothing that was added is lost, whoever else is writing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fettle.errors import RequestError, UnknownName
from fettle.storage.catalogue import Catalogue, StoredVersion
from fettle.storage.tables import Table, VersionTable
from fettle.storage.workspace import open_workspace


def version(dataset: str = "tickets", number: int = 0, task: str = "classify") -> StoredVersion:
    return StoredVersion(
        dataset, task, f"{number:064x}"[::-1], "", "import", number, f"{number:064d}", {"rows": [number, "é"]}, "2026"
    )


@pytest.fixture
def catalogue(tmp_path: Path):
    opened = Catalogue(tmp_path / "catalogue.sqlite")
    yield opened
    opened.close()


def test_every_connection_has_the_pragmas(catalogue: Catalogue) -> None:
    with catalogue._session() as session:
        wanted = ("journal_mode", "foreign_keys", "busy_timeout")
        found = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in wanted}
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


def test_a_version_of_no_dataset_is_refused_by_the_file_itself(catalogue: Catalogue) -> None:
    orphan = VersionTable(
        dataset_id=99, content_hash="", parent_hash="", operation="", num_rows=0, rows_blob="", report={}, created_at=""
    )
    with pytest.raises(IntegrityError), Session(catalogue._engine) as session, session.begin():
        session.add(orphan)


def test_what_is_added_comes_back_oldest_first(catalogue: Catalogue, tmp_path: Path) -> None:
    added = [version(number=number) for number in (25, 3, 19, 41)]
    for number, one in enumerate(added):
        catalogue.add_version(one)
        catalogue.add_version(version("other", number))
    assert catalogue.versions("tickets") == added
    assert catalogue.find_version("tickets") == added[-1]
    assert all(catalogue.find_version("tickets", one.content_hash[:12]) == one for one in added)
    assert catalogue.datasets() == ["other", "tickets"]
    again = Catalogue(tmp_path / "catalogue.sqlite")
    assert again.versions("tickets") == added
    again.close()


def test_one_content_may_stand_under_two_parents_but_not_twice_under_one(catalogue: Catalogue) -> None:
    one = version()
    other = replace(one, parent_hash="f" * 64)
    for added in (one, other, one, replace(one, created_at="2027")):
        catalogue.add_version(added)
    assert catalogue.versions("tickets") == [one, other]


def test_a_dataset_keeps_one_task(catalogue: Catalogue) -> None:
    catalogue.add_version(version(task="classify"))
    with pytest.raises(RequestError) as caught:
        catalogue.add_version(version(number=1, task="chat"))
    assert "classify" in str(caught.value) and "chat" in str(caught.value)
    assert len(catalogue.versions("tickets")) == 1


def test_unknown_names_are_answered_with_their_neighbours(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownName, match="none yet"):
        catalogue.find_version("tickets")
    catalogue.add_version(version("tickets"))
    catalogue.add_run("blue-heron", "chat")
    with pytest.raises(UnknownName, match="one of: tickets"):
        catalogue.find_version("tikets")
    with pytest.raises(UnknownName, match=version("tickets").label):
        catalogue.find_version("tickets", "ffff")
    with pytest.raises(UnknownName, match="one of: blue-heron"):
        catalogue.find_run("blue-herron")
    with pytest.raises(UnknownName, match="one of: blue-heron"):
        catalogue.update_run("blue-herron", state="done")


def test_a_run_moves_on_and_keeps_its_bundle(catalogue: Catalogue) -> None:
    catalogue.add_run("blue-heron", "chat")
    catalogue.add_run("red-kite", "classify")
    assert catalogue.find_run("blue-heron").state == "queued"
    catalogue.update_run("blue-heron", state="running", bundle="blue-heron")
    catalogue.update_run("blue-heron", state="done")
    assert [(run.name, run.state, run.recipe, run.bundle) for run in catalogue.runs()] == [
        ("blue-heron", "done", "chat", "blue-heron"),
        ("red-kite", "queued", "classify", ""),
    ]
    with pytest.raises(RequestError):
        catalogue.add_run("red-kite", "chat")


def test_migrations_make_exactly_the_tables(catalogue: Catalogue) -> None:
    with catalogue._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Table.metadata) == []
        made = inspect(connection)
        assert set(made.get_table_names()) == {*Table.metadata.tables, "alembic_version"}
        foreign = made.get_foreign_keys("version")
        assert [(key["constrained_columns"], key["referred_table"]) for key in foreign] == [(["dataset_id"], "dataset")]


CHILD = """
import sys
from pathlib import Path
from fettle.storage.catalogue import Catalogue, StoredVersion
print("ready", flush=True)
sys.stdin.readline()
catalogue = Catalogue(Path(sys.argv[1]))
for number in range(25):
    name = f"{sys.argv[2]}{number}".ljust(64, "-")
    catalogue.add_version(StoredVersion("tickets", "chat", name, "", "import", 1, name, {}, "2026"))
    catalogue.add_run(name, "chat")
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), letter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for letter in "abc"
    ]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    for writer in writers:  # all open a file that is not there yet, and migrate it, at once
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, problems = writer.communicate(timeout=50)
        assert writer.returncode == 0, problems
    catalogue = Catalogue(path)
    wanted = {f"{letter}{number}".ljust(64, "-") for letter in "abc" for number in range(25)}
    assert {one.content_hash for one in catalogue.versions("tickets")} == wanted
    assert {run.name for run in catalogue.runs()} == wanted
    catalogue.close()


@pytest.mark.parametrize("name", ["plain", "with space", "what?", "per%cent", "a#b", "ünï"])
def test_the_catalogue_lies_in_the_workspace_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    workspace = open_workspace(tmp_path / name)
    workspace.catalogue.add_version(version())
    workspace.catalogue.close()
    stored = sqlite3.connect(tmp_path / name / "catalogue.sqlite")
    reports = stored.execute("SELECT report FROM version").fetchall()
    stored.close()
    assert [json.loads(report) for (report,) in reports] == [{"rows": [0, "é"]}]
