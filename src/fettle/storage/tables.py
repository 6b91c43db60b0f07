"""The tables of the catalogue. Migrations make them; nothing else does."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """The root of all tables."""


class DatasetTable(Table):
    """A name that versions stand under, and the task of its rows."""

    __tablename__ = "dataset"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    task: Mapped[str]
    created_at: Mapped[str]


class VersionTable(Table):
    """One immutable state of a dataset. `rows_blob` names its Parquet file; `operation` says what made it.

    `changes_blob` names what the operation did to each row; empty where it only added rows.
    """

    __tablename__ = "version"
    __table_args__ = (UniqueConstraint("dataset_id", "content_hash", "parent_hash"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    content_hash: Mapped[str] = mapped_column(index=True)
    parent_hash: Mapped[str]
    operation: Mapped[str]
    num_rows: Mapped[int]
    rows_blob: Mapped[str]
    report: Mapped[dict[str, object]] = mapped_column(JSON)
    created_at: Mapped[str]
    changes_blob: Mapped[str] = mapped_column(server_default="")


class RunTable(Table):
    """One execution of a plan; the run's folder holds the rest."""

    __tablename__ = "run"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    recipe: Mapped[str]
    bundle: Mapped[str]
    created_at: Mapped[str]
    updated_at: Mapped[str]
