"""A version out again, in the form that somebody else takes."""

from __future__ import annotations

from pathlib import Path

from fettle.app.workshop.versions import find_version, stream_rows
from fettle.data.exports.exporting import Exported, export_rows
from fettle.data.exports.form import USUAL, ExportOptions
from fettle.data.exports.table import find_form
from fettle.data.versions import rows_of_part
from fettle.storage.workspace import Workspace


def export_data(
    workspace: Workspace, reference: str, form: str, path: Path, options: ExportOptions = USUAL
) -> Exported:
    """Write the rows of a version, or of one part of it, in a form; rows that the form cannot say are refused."""
    version, part = find_version(workspace, reference)
    rows = stream_rows(workspace, version)
    if part:
        rows = (row for row in rows if rows_of_part([row], part))
    return export_rows(rows, find_form(form), path, options)
