"""The catalogue: which datasets, versions and runs there are. Contents lie in blobs and folders, not here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Engine, create_engine, event, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from fettle.errors import FullDisk, RequestError, UnknownName, near_misses
from fettle.storage.tables import DatasetTable, RunTable, VersionTable

_BUSY_TIMEOUT_MILLISECONDS = 10_000


@dataclass(frozen=True)
class StoredVersion:
    """What the catalogue knows of one version."""

    dataset: str
    task: str
    content_hash: str
    parent_hash: str
    operation: str
    num_rows: int
    rows_blob: str
    report: dict[str, object]
    created_at: str
    changes_blob: str = ""

    @property
    def label(self) -> str:
        """The version as people name it: `name#hash-prefix`."""
        return f"{self.dataset}#{self.content_hash[:8]}"


@dataclass(frozen=True)
class StoredRun:
    """What the catalogue knows of one run. `bundle` is empty until there is one."""

    name: str
    state: str
    recipe: str
    bundle: str
    created_at: str
    updated_at: str


class Catalogue:
    """The SQLite file of a workspace, migrated on opening."""

    def __init__(self, path: Path) -> None:
        self._engine = _open_engine(path)
        _migrate(self._engine)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except OperationalError as problem:
            if "disk is full" not in str(problem.orig):
                raise
            place = str(self._engine.url.database)
            raise FullDisk("the disk is full", where=place, attempt="free some space, then the same again") from None

    def add_version(self, version: StoredVersion, *, is_next: bool = False) -> bool:
        """Record a version, and its dataset at the first one. A dataset keeps one task.

        With `is_next` the version must follow the latest state: False says that another came in between, and that
        nothing was recorded.
        """
        with self._session() as session:
            dataset = session.scalar(select(DatasetTable).where(DatasetTable.name == version.dataset))
            if dataset is None:
                dataset = DatasetTable(name=version.dataset, task=version.task, created_at=now())
                session.add(dataset)
                session.flush()
            if dataset.task != version.task:
                raise RequestError(
                    f"{version.dataset} holds rows for {dataset.task}, these are for {version.task}",
                    expected="one task in a dataset",
                    attempt="--name with a new name",
                )
            latest = session.scalar(
                select(VersionTable.content_hash)
                .where(VersionTable.dataset_id == dataset.id)
                .order_by(VersionTable.id.desc())
                .limit(1)
            )
            if is_next and (latest or "") != version.parent_hash:
                return False
            same = (
                VersionTable.dataset_id == dataset.id,
                VersionTable.content_hash == version.content_hash,
                VersionTable.parent_hash == version.parent_hash,
            )
            if session.scalar(select(VersionTable.id).where(*same)) is not None:
                return True  # an operation done again on an earlier state
            session.add(
                VersionTable(
                    dataset_id=dataset.id,
                    content_hash=version.content_hash,
                    parent_hash=version.parent_hash,
                    operation=version.operation,
                    num_rows=version.num_rows,
                    rows_blob=version.rows_blob,
                    report=version.report,
                    created_at=version.created_at,
                    changes_blob=version.changes_blob,
                )
            )
            return True

    def versions(self, dataset: str) -> list[StoredVersion]:
        """All versions of a dataset, oldest first; none when there is no such dataset."""
        with self._session() as session:
            pairs = session.execute(
                select(VersionTable, DatasetTable)
                .join(DatasetTable, VersionTable.dataset_id == DatasetTable.id)
                .where(DatasetTable.name == dataset)
                .order_by(VersionTable.id)
            ).all()
            return [_stored_version(row, owner) for row, owner in pairs]

    def find_version(self, dataset: str, hash_prefix: str = "") -> StoredVersion:
        """The version whose hash begins so; the latest one where no prefix is given."""
        versions = self.versions(dataset)
        if not versions:
            raise UnknownName(
                f"there is no dataset named {dataset!r}",
                expected=f"one of: {near_misses(dataset, self.datasets()) or 'none yet'}",
                attempt=f"fettle data import FILE --name {dataset}",
            )
        matches = [version for version in versions if version.content_hash.startswith(hash_prefix)]
        if not matches:
            known = ", ".join(version.label for version in versions)
            raise UnknownName(f"{dataset} has no version #{hash_prefix}", expected=f"one of: {known}")
        return matches[-1]

    def datasets(self) -> list[str]:
        """The names of all datasets, in order."""
        with self._session() as session:
            return list(session.scalars(select(DatasetTable.name).order_by(DatasetTable.name)))

    def add_run(self, name: str, recipe: str) -> None:
        """Record a new run in the state `queued`; a name in use is refused."""
        with self._session() as session:
            if session.scalar(select(RunTable).where(RunTable.name == name)) is not None:
                raise RequestError(f"there is a run named {name!r} already", attempt="--name with another name")
            moment = now()
            session.add(
                RunTable(name=name, state="queued", recipe=recipe, bundle="", created_at=moment, updated_at=moment)
            )

    def update_run(self, name: str, *, state: str, bundle: str | None = None) -> None:
        """Move a run to another state, and note its bundle once there is one."""
        with self._session() as session:
            run = session.scalar(select(RunTable).where(RunTable.name == name))
            if run is not None:
                run.state = state
                run.bundle = run.bundle if bundle is None else bundle
                run.updated_at = now()
        if run is None:  # outside the session: naming the neighbours opens one of its own
            raise self._no_run(name)

    def find_run(self, name: str) -> StoredRun:
        """One run by its name."""
        for run in self.runs():
            if run.name == name:
                return run
        raise self._no_run(name)

    def runs(self) -> list[StoredRun]:
        """All runs, oldest first."""
        with self._session() as session:
            return [
                StoredRun(row.name, row.state, row.recipe, row.bundle, row.created_at, row.updated_at)
                for row in session.scalars(select(RunTable).order_by(RunTable.id))
            ]

    def _no_run(self, name: str) -> UnknownName:
        known = near_misses(name, [run.name for run in self.runs()])
        return UnknownName(f"there is no run named {name!r}", expected=f"one of: {known or 'none yet'}")


def now() -> str:
    """The moment in UTC, to the second, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _stored_version(row: VersionTable, owner: DatasetTable) -> StoredVersion:
    return StoredVersion(
        dataset=owner.name,
        task=owner.task,
        content_hash=row.content_hash,
        parent_hash=row.parent_hash,
        operation=row.operation,
        num_rows=row.num_rows,
        rows_blob=row.rows_blob,
        report=row.report,
        created_at=row.created_at,
        changes_blob=row.changes_blob,
    )


def _open_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred, which dead-locks writers
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", f"busy_timeout={_BUSY_TIMEOUT_MILLISECONDS}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin_immediate(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

    return engine


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
