"""fettle data check and clean: what is wrong with examples, and mending it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from fettle.cli.command import ERR, JSON, OUT, print_json
from fettle.cli.main import LazyModule
from fettle.data.records import Row, answer_text, input_text
from fettle.errors import RequestError
from fettle.quality.finding import SEVERITIES, Finding
from fettle.storage.publish import publish_bytes
from fettle.storage.workspace import open_workspace

if TYPE_CHECKING:
    from fettle.app.workshop import checking, cleaning, lens, showing
    from fettle.app.workshop.looking import Lens
    from fettle.reporting import data_page as page
else:
    checking = LazyModule("fettle.app.workshop.checking")
    cleaning = LazyModule("fettle.app.workshop.cleaning")
    lens = LazyModule("fettle.app.workshop.lens")
    page = LazyModule("fettle.reporting.data_page")
    showing = LazyModule("fettle.app.workshop.showing")

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MOST_SHOWN = 3
_MOST_ROWS_SHOWN = 4
"""Even, as rows that contradict each other or are alike often come in pairs."""

_MOST_CHARACTERS = 110
_MOST_ANSWER_CHARACTERS = 40


def check_command(
    versions: list[str] = typer.Argument(..., help="NAME, NAME@part or NAME#hash-prefix; two of them with --leaks."),
    leaks: bool = typer.Option(False, "--leaks", help="Only which rows of the first version stand in the second too."),
    like: str = typer.Option("", "--like", help="Version of real inputs that the examples should be like."),
    base: str = typer.Option("", "--base", help="Model to count tokens with; an encoder also compares meanings."),
    slices: list[str] = typer.Option([], "--slice", help="Field, or expression: findings are counted for each slice."),
    html: Path = typer.Option(None, "--html", help="File to write the report to, as one page."),
    json: bool = JSON,
) -> int:
    """Look for what is wrong: duplicates, leaks, wrong labels, personal data and more. Exit code 1: errors were found.

    \b
    fettle data check tickets
    fettle data check tickets --html report.html --slice customer --slice 'text contains "refund"'
    fettle data check --leaks tickets published-test
    """
    if len(versions) != (2 if leaks else 1):
        raise RequestError(
            f"{len(versions)} versions are named",
            where="fettle data check",
            expected="two with --leaks, else one",
            attempt="fettle data check --leaks tickets@train tickets@test",
        )
    with _status() as progress:
        workspace = open_workspace()
        opened = _open_lens(base)
        if leaks:
            checked = checking.check_leaks_between(workspace, versions[0], versions[1], opened, progress)
        else:
            request = checking.CheckRequest(versions[0], like, opened, slices)
            checked = checking.check_data(workspace, request, progress)
    if html is not None:
        publish_bytes(html, page.data_page(checked.report()).encode())
    if json:
        print_json(checked.as_json())
    else:
        show_checked(checked)
        if html is not None:
            OUT.print(f"report: {html}", markup=False, highlight=False)
    return 1 if checked.has_errors else 0


def clean_command(
    version: str = typer.Argument(..., help="NAME, NAME@part or NAME#hash-prefix."),
    operations: list[str] = typer.Argument(None, help="OPERATION or OPERATION=VALUE, done in this order."),
    steps: Path = typer.Option(None, "--steps", help="TOML file of operations, done before those that are named."),
    save: Path = typer.Option(None, "--save", help="File to write the operations to, for --steps on other rows."),
    base: str = typer.Option("", "--base", help="Model for operations that count tokens or compare meanings."),
    rehearse: bool = typer.Option(False, "--dry-run", help="Say what would be done, and make no version."),
    json: bool = JSON,
) -> None:
    """Mend a version into the next one. Every row that changes or goes is noted with its reason; the old one stays.

    Operations: repair, strip, redact, deduplicate, drop, keep, drop-where, length, sample, balance, labels, mine,
    relabel.

    \b
    fettle data clean tickets repair deduplicate=near redact=mask
    fettle data clean tickets@train drop=wrong-label balance=down --dry-run
    fettle data clean tickets keep='words > 3 and language == "en"' --save steps.toml
    """
    asked = cleaning.steps_of(operations or [], steps)
    with _status() as progress:
        request = cleaning.CleanRequest(version, asked, _open_lens(base), rehearse)
        result = cleaning.clean_data(open_workspace(), request, progress)
    if save is not None:
        cleaning.save_steps(asked, save)
    if json:
        print_json(result.as_json())
        return
    show_cleaned(result, is_rehearsal=rehearse)


def show_checked(checked: checking.Checked) -> None:
    """Findings for people: a line a kind with its rows and its mend, and some of the rows."""
    against = f" against {checked.other}" if checked.other else ""
    OUT.print(f"[bold]{checked.version.label}[/]: {len(checked.rows):,} rows{against}", highlight=False)
    if not checked.findings:
        OUT.print("nothing was found", style="green")
    ordered = sorted(checked.findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.kind))
    for (severity, kind), group in groupby(ordered, key=lambda finding: (finding.severity, finding.kind)):
        findings = list(group)
        num_rows = len({place for finding in findings for place in finding.members})
        times = f"{len(findings):,} findings, " if len(findings) > 1 else ""
        plural = "row" if num_rows == 1 else "rows"
        OUT.print(
            f"\n[{_COLOURS[severity]}]{severity:>7}[/]  [bold]{kind}[/]  {times}{num_rows:,} {plural}", highlight=False
        )
        for finding in findings[:_MOST_SHOWN]:
            OUT.print(f"         {finding.problem}", markup=False, highlight=False)
            likelier = _likelier(finding)
            for place in finding.members[:_MOST_ROWS_SHOWN]:
                said = f"; likelier {likelier[place]}" if place in likelier else ""
                OUT.print(f"           {_line(checked.rows[place])}{said}", markup=False, highlight=False, style="dim")
            for place in finding.others[:_MOST_ROWS_SHOWN]:
                said = f"in {checked.other}: {_line(checked.others[place])}"
                OUT.print(f"           {said}", markup=False, highlight=False, style="dim")
        mends = {checked.mend(finding): None for finding in findings if finding.mend}
        for mend in mends:
            OUT.print(f"         try  {mend}", markup=False, highlight=False, style="green")
    _show_slices(checked)
    for check, reason in checked.not_looked:
        OUT.print(f"\nnot looked: {check}: {reason}", style="dim", markup=False, highlight=False)
    OUT.print(f"\n{_verdict(checked.findings)}", highlight=False)


def show_cleaned(result: cleaning.CleanResult, *, is_rehearsal: bool) -> None:
    """What each operation did, for people."""
    for step, counts in result.counts.items():
        said = ", ".join(f"{count:,} {action}" for action, count in counts.items()) or "nothing to do"
        OUT.print(f"{step:>24}  {said}", markup=False, highlight=False)
    for change in result.changes[:_MOST_SHOWN]:
        OUT.print(f"  {change.file}:{change.line} {change.action}: {change.reason}", style="dim", markup=False)
    if len(result.changes) > _MOST_SHOWN:
        OUT.print(f"  and {len(result.changes) - _MOST_SHOWN:,} more", style="dim")
    if result.version == result.parent:
        why = "nothing was stored" if is_rehearsal else "no row needed it"
        OUT.print(f"[bold]{result.parent.label}[/] stays as it is: {why}", highlight=False)
        return
    OUT.print(
        f"[bold]{result.version.label}[/]: {result.num_after:,} rows, from {result.num_before:,} in "
        f"{result.parent.label}; fettle data diff {result.parent.label} {result.version.label} shows each",
        highlight=False,
    )


def _open_lens(base: str) -> Lens | None:
    """Only who names a base waits for what opens it."""
    if not base:
        return None
    return lens.open_lens(open_workspace(), base)


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """What is being done, on one line of a terminal; nothing where there is none."""
    if not ERR.is_terminal:
        yield lambda _said: None
        return
    with ERR.status("…") as status:
        yield lambda said: status.update(escape(said))


def _show_slices(checked: checking.Checked) -> None:
    if not checked.slices:
        return
    kinds = sorted({kind for each in checked.slices for kind in each.findings})
    table = Table(
        title="\nrows named by findings, slice by slice", title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    for name in ("slice", "rows", *kinds):
        table.add_column(name, justify="left" if name == "slice" else "right")
    for each in checked.slices:
        counts = [f"{each.findings.get(kind, 0):,}" for kind in kinds]
        table.add_row(escape(each.name), f"{each.num_rows:,}", *counts)
    OUT.print(table)


def _likelier(finding: Finding) -> dict[int, str]:
    """For rows whose label is doubted the label that rows like them have."""
    rows = finding.evidence.get("rows", [])
    return {each["row"]: each["likelier"] for each in rows if isinstance(each, dict) and "likelier" in each}


def _line(row: Row) -> str:
    """Where a row stands, what it asks and what it answers: without its label nobody can judge a doubted one.

    What is private is masked, as a terminal's output ends in logs.
    """
    answer = _short(showing.masked(answer_text(row.record)), _MOST_ANSWER_CHARACTERS)
    said = _short(showing.masked(input_text(row.record)), _MOST_CHARACTERS) + (f"  ->  {answer}" if answer else "")
    return f"{row.file}:{row.line}{f' {row.part}' if row.part else ''}  {said}"


def _short(text: str, most: int) -> str:
    said = " ".join(text.split())
    return said if len(said) <= most else said[: most - 1] + "…"


def _verdict(findings: Sequence[Finding]) -> str:
    counts = [(severity, sum(finding.severity == severity for finding in findings)) for severity in SEVERITIES]
    said = ", ".join(f"{count:,} {severity}{'s' * (count != 1)}" for severity, count in counts if count)
    return said or "no errors, no warnings"
