"""fettle data export: a version out again, in the form that somebody else takes."""

from __future__ import annotations

from pathlib import Path

import typer

from fettle.app.workshop.exporting import export_data
from fettle.cli.command import JSON, OUT, print_json
from fettle.cli.show import show_faults
from fettle.data.exports.form import ExportOptions
from fettle.data.exports.table import find_form
from fettle.storage.workspace import open_workspace


def export_command(
    version: str = typer.Argument(..., help="NAME, NAME@part or NAME#hash-prefix."),
    form: str = typer.Option(..., "--to", help="openai-chat, together, trl, alpaca, conll, csv, jsonl, review, …"),
    out: Path = typer.Option(..., "--out", help="File, or folder for a file a part."),
    strict: bool = typer.Option(False, "--strict", help="Write nothing where any row breaks a rule of the form."),
    json: bool = JSON,
) -> int:
    """Write a version in the form that a provider or a tool takes, every row held to its rules. docs/exports.md.

    \b
    fettle data export tickets@train --to openai-chat --out train.jsonl
    fettle data export tickets --to mlx --out data/
    fettle data export tickets --to review --out review.xlsx
    """
    options = ExportOptions(is_strict=strict)
    exported = export_data(open_workspace(), version, form, out, options)
    if json:
        print_json(
            {
                "form": form,
                "written": exported.num_written,
                "refused": exported.num_refused,
                "faults": [fault.as_json() for fault in exported.faults],
                "files": [
                    {"file": str(file.path), "rows": file.num_rows, "bytes": file.num_bytes} for file in exported.files
                ],
                "left_out": dict(exported.left_out),
            }
        )
        return 0 if exported.num_written else 2
    show_faults(exported.faults)
    for file in exported.files:
        OUT.print(f"{file.path}: {file.num_rows:,} rows", markup=False, highlight=False)
    for column, count in exported.left_out.items():
        OUT.print(f"note: {form} has no place for {column}, which {count:,} rows have", style="yellow", markup=False)
    OUT.print(
        f"{exported.num_written:,} rows written as {find_form(form).name}, {exported.num_refused:,} refused",
        highlight=False,
    )
    return 0 if exported.num_written else 2
