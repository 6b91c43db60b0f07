"""The Python face: the operations of `app` in the workspace of the present folder (or FETTLE_HOME)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fettle.app import evaluating, running, using
from fettle.app.planning import resolve_plan
from fettle.app.preflight import Preflight, inspect
from fettle.app.preparing.rows import prepare
from fettle.app.running import RunResult
from fettle.app.using import Model
from fettle.app.workshop import importing, splitting
from fettle.app.workshop.importing import ImportResult
from fettle.data.splits.split import Shares, SplitSettings
from fettle.evaluation.report import Report
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import open_workspace


def import_data(
    *files: str | Path,
    name: str,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    whole_files: bool = False,
) -> ImportResult:
    """Read files and folders into a new version of the dataset `name`; `columns` maps columns to fields.

    With `whole_files` every text file is one document, not each block between blank lines.

    Raises `RequestError` where no row can be used, with every fault.
    """
    how = importing.HowToRead("text" if whole_files else task, columns or {}, whole_files)
    return importing.import_data(open_workspace(), [Path(file) for file in files], name, how)


def split_data(
    version: str, *, validation: float = 0.1, test: float = 0.2, group_by: str = "", near_together: bool = True
) -> StoredVersion:
    """Give every row a part by hash of its content; shares from 0 to 1.

    Rows of one value of the field `group_by` stand on one side, and with `near_together` rows that are nearly the same.
    """
    settings = SplitSettings(Shares(1 - validation - test, validation, test), group_by)
    return splitting.split_data(open_workspace(), version, settings, is_near=near_together).version


def plan(recipe: str, settings: Mapping[str, object] | Sequence[str] = ()) -> Preflight:
    """Look at what a recipe would do with these settings (`{"data": "tickets"}`); train nothing."""
    resolved = resolve_plan(recipe, settings)
    return inspect(prepare(open_workspace(), resolved.settings), resolved.settings)


def train(recipe: str, settings: Mapping[str, object] | Sequence[str] = (), *, name: str | None = None) -> RunResult:
    """Train as a recipe says; the result names the run and its bundle."""
    return running.start_run(open_workspace(), resolve_plan(recipe, settings), name)


def evaluate(bundle: str, *, data: str | None = None) -> Report:
    """Score base and tuned on held-out rows."""
    return evaluating.evaluate(open_workspace(), bundle, data)


def load(bundle: str) -> Model:
    """Open a bundle: `load("tickets").predict(["where is my order?"])`."""
    return using.load(bundle)
