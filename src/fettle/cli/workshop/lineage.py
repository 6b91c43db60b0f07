"""fettle data log, diff and gc: where a version comes from, how two differ, what nothing needs any more."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import typer
from rich.markup import escape

from fettle.app.workshop.lineage import ancestry, compare_versions, differences_as_json, remove_unneeded
from fettle.cli.command import JSON, OUT, print_json
from fettle.data.difference import RowDifference
from fettle.data.records import answer_text, input_text
from fettle.storage.catalogue import StoredVersion
from fettle.storage.workspace import open_workspace

_MOST_SHOWN = 20
_MOST_CHARACTERS = 160


def log_command(
    version: str = typer.Argument(..., help="NAME or NAME#hash-prefix."),
    json: bool = JSON,
) -> None:
    """Show where a version comes from: every operation back to the files, with what it did to how many rows.

    \b
    fettle data log tickets
    fettle data log tickets#1a2b --json
    """
    line = ancestry(open_workspace(), version)
    if json:
        print_json([_entry(each) for each in line])
        return
    for each in line:
        OUT.print(
            f"[bold]{each.label}[/]  {each.num_rows:,} rows  {each.operation}  [dim]{each.created_at}[/]",
            highlight=False,
        )
        for said in _told(each.report):
            OUT.print(f"    {escape(said)}", highlight=False)


def diff_command(
    before: str = typer.Argument(..., help="NAME#hash-prefix: the earlier version."),
    after: str = typer.Argument(..., help="NAME or NAME#hash-prefix: the later one."),
    rows: int = typer.Option(_MOST_SHOWN, "--rows", min=0, help="Rows to show."),
    json: bool = JSON,
) -> None:
    """Show which rows were added, dropped, changed or moved to another part from one version to another, and why.

    \b
    fettle data diff tickets#1a2b tickets
    fettle data diff tickets#1a2b tickets#3c4d --rows 100
    """
    found = compare_versions(open_workspace(), before, after)
    counts = found.counts()
    if json:
        document = {"before": found.before.label, "after": found.after.label, **counts}
        print_json({**document, "rows": msgspec.to_builtins(differences_as_json(found.rows))})
        return
    said = ", ".join(f"{count:,} {action}" for action, count in counts.items() if count) or "no row differs"
    OUT.print(f"[bold]{found.before.label}[/] to [bold]{found.after.label}[/]: {said}", highlight=False)
    for difference in found.rows[:rows]:
        _show_difference(difference)
    if rows < len(found.rows):
        OUT.print(f"and {len(found.rows) - rows:,} more; --rows {len(found.rows)} shows all", style="dim")


def gc_command(
    keep: int = typer.Option(None, "--keep", help="Versions of each dataset whose rows stay; others lose them."),
    rehearse: bool = typer.Option(False, "--dry-run", help="Say what would go, and remove nothing."),
    json: bool = JSON,
) -> None:
    """Free the space of stored rows that nothing refers to. What a run, bundle or report names always stays.

    \b
    fettle data gc --dry-run
    fettle data gc --keep 3
    """
    removal = remove_unneeded(open_workspace(), keep, is_rehearsal=rehearse)
    labels = [version.label for version in removal.forgotten]
    if json:
        print_json(
            {"files": removal.num_files, "bytes": removal.num_bytes, "forgotten": labels, "removed": not rehearse}
        )
        return
    verb = "would free" if rehearse else "freed"
    OUT.print(f"{verb} {removal.num_bytes / 1e6:,.1f} MB in {removal.num_files:,} files", highlight=False)
    for label in labels:
        OUT.print(f"{label} is still known by its record, without its rows", highlight=False)


def _entry(version: StoredVersion) -> dict[str, object]:
    return {
        "version": version.label,
        "content_hash": version.content_hash,
        "parent": version.parent_hash,
        "operation": version.operation,
        "rows": version.num_rows,
        "created_at": version.created_at,
        "report": version.report,
    }


def _told(report: Mapping[str, object]) -> list[str]:
    """A report line by line: files with their hashes, counts in one line, steps as they were asked for."""
    lines = []
    files = report.get("files")
    if isinstance(files, list):
        lines += [_file_told(file) for file in files[:_MOST_SHOWN]]
        if len(files) > _MOST_SHOWN:
            lines.append(f"and {len(files) - _MOST_SHOWN} more files")
    lines += [f"{name} {value}" for name, value in report.items() if isinstance(value, str) and "\n" not in value]
    counts = {name: value for name, value in report.items() if isinstance(value, int)}
    if counts:
        lines.append(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items()))
    for name, value in report.items():
        if isinstance(value, dict):
            lines.append(f"{name}: " + ", ".join(f"{inner} {count}" for inner, count in value.items()))
    steps = report.get("steps")
    if isinstance(steps, list):
        lines += [str(step) for step in steps]
    return lines


def _file_told(file: object) -> str:
    """A file with its hash, or its name alone: a report need not have more."""
    if isinstance(file, dict):
        return f"{file['file']}  sha256 {file['sha256'][:12]}…"
    return str(file)


def _show_difference(difference: RowDifference) -> None:
    row = difference.row
    part = f" {row.part}" if row.part else ""
    OUT.print(f"[bold]{difference.action:>8}[/]  {escape(row.file)}:{row.line}{part}", highlight=False)
    before, after = difference.before, difference.after
    if before and after and before.part != after.part:
        OUT.print(f"          part {before.part or 'none'} -> {after.part or 'none'}", highlight=False)
    for sign, style, side, other in (("-", "red", before, after), ("+", "green", after, before)):
        if side is not None and (other is None or side.record != other.record):
            answer = answer_text(side.record)
            said = f"{input_text(side.record)}  ->  {answer}" if answer else input_text(side.record)
            shown = said if len(said) <= _MOST_CHARACTERS else said[: _MOST_CHARACTERS - 1] + "…"
            OUT.print(f"        {sign} {shown}", style=style, highlight=False, markup=False)
    for reason in difference.reasons:
        OUT.print(f"          because {reason}", style="dim", highlight=False, markup=False)
