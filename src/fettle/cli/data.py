"""fettle data: examples in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import typer
from rich.markup import escape

from fettle.app.workshop.importing import HowToRead, ImportResult, import_data
from fettle.app.workshop.versions import list_data
from fettle.cli.command import JSON, OUT, new_app, print_json, run_app
from fettle.cli.main import LazyModule
from fettle.cli.show import show_faults
from fettle.cli.workshop.checking import check_command, clean_command
from fettle.cli.workshop.exporting import export_command
from fettle.cli.workshop.lineage import diff_command, gc_command, log_command
from fettle.data.records import answer_text, input_text
from fettle.data.splits.split import Shares, SplitSettings
from fettle.errors import RequestError
from fettle.storage.workspace import open_workspace

if TYPE_CHECKING:
    from fettle.app.workshop import looking, splitting
else:
    looking = LazyModule("fettle.app.workshop.looking")
    splitting = LazyModule("fettle.app.workshop.splitting")

_LARGE_GROUP = 0.05

app = new_app("Import, split and show examples. Every operation makes a version; none is ever changed.")


def run(name: str, words: list[str]) -> int:
    """Run `fettle data`."""
    return run_app({"data": app}, name, words)


@app.command("import")
def import_command(
    files: list[str] = typer.Argument(
        ..., help="Files, folders, archives, globs, https:// or s3:// addresses, - for stdin. docs/formats.md."
    ),
    name: str = typer.Option(..., "--name", help="Dataset to make, or to add to."),
    task: str = typer.Option(None, "--task", help="chat, classify, tag, score, embed, prefer, reinforce or text."),
    maps: list[str] = typer.Option(
        [],
        "--map",
        help="COLUMN=FIELD: a column, or a path into one, is text, label, prompt, …; - drops it.",
    ),
    json: bool = JSON,
) -> None:
    """Read files into a new version. Bad rows are refused with their line, and wait in quarantine to be mended.

    \b
    fettle data import tickets.csv --name tickets
    fettle data import mail.xlsx --name mail --map Betreff=text --map Art=label
    fettle data import .fettle/datasets/mail/…/quarantine/mail.csv --name mail --map Betreff=text --map Art=label
    """
    how = HowToRead(task, dict(pair(word) for word in maps))
    result = import_data(open_workspace(), files, name, how)
    if json:
        print_json(result.as_json())
        return
    show_import(result)


@app.command("import-texts")
def import_texts_command(
    files: list[str] = typer.Argument(..., help="Text files, folders or archives of them, globs, addresses."),
    name: str = typer.Option(..., "--name", help="Dataset to make, or to add to."),
    json: bool = JSON,
) -> None:
    """Read text files into a new version, each file one document: its blank lines part nothing.

    \b
    fettle data import-texts ./essays --name essays
    fettle data import-texts letters/*.txt diary.md --name letters
    """
    result = import_data(open_workspace(), files, name, HowToRead("text", is_whole=True))
    if json:
        print_json(result.as_json())
        return
    show_import(result)


def show_import(result: ImportResult) -> None:
    """What an import did, for people: how files were read, what was refused, what is odd."""
    by_reason: dict[str, list[str]] = {}
    for file, why in result.recognised.items():
        by_reason.setdefault(why, []).append(file)
    for why, read in by_reason.items():
        named = read[0] if len(read) == 1 else f"{len(read):,} files ({read[0]}, …)"
        OUT.print(f"{escape(named)}: {escape(why)}", highlight=False)
    if result.passed_over:
        names = ", ".join(path.name for path in result.passed_over[:3])
        rest = ", …" if len(result.passed_over) > 3 else ""
        num_files = _counted(len(result.passed_over), "file")
        OUT.print(
            f"note: passed over {num_files}, empty, of another kind or about the others: {names}{rest}",
            style="yellow",
            markup=False,
        )
    show_faults(result.faults)
    OUT.print(
        f"[bold]{result.version.label}[/]: {result.rows_read} rows read, {result.rows_kept} kept, "
        f"{result.rows_refused} refused; the dataset now holds {result.version.num_rows}",
        highlight=False,
    )
    repeats = result.repeats
    if repeats.duplicates:
        OUT.print(f"note: {_counted(repeats.duplicates, 'repeat')} of an earlier row of the files", style="yellow")
    if repeats.conflicts:
        OUT.print(f"note: more than one answer to {_counted(repeats.conflicts, 'input')}", style="yellow")
    if repeats.known:
        rows = _counted(repeats.known, "row")
        OUT.print(f"note: in the dataset already, and now there twice: {rows}", style="yellow")
    if result.quarantine:
        OUT.print(
            f"refused rows: {result.quarantine} (mend them, then import that file)", highlight=False, soft_wrap=True
        )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@app.command("split")
def split_command(
    version: str = typer.Argument(..., help="NAME or NAME#hash-prefix."),
    test: float = typer.Option(0.2, "--test", help="Share of rows kept for the test."),
    validation: float = typer.Option(0.1, "--validation", help="Share of rows to watch training with."),
    group_by: str = typer.Option("", "--group-by", help="Field whose rows of one value stay together."),
    stratify: bool = typer.Option(False, "--stratify", help="Share out each label alike."),
    by_time: str = typer.Option("", "--by-time", help="Field of dates or numbers: the latest rows test."),
    json: bool = JSON,
) -> None:
    """Give every row a part by hash of its content: the same row always lands on the same side.

    Rows that are nearly the same stand on one side, and a row that has a part keeps it.

    \b
    fettle data split tickets
    fettle data split tickets --test 0.3 --group-by customer
    fettle data split tickets#1a2b --test 0.1 --validation 0.05 --stratify
    """
    settings = SplitSettings(Shares(1 - test - validation, validation, test), group_by, stratify, by_time)
    result = splitting.split_data(open_workspace(), version, settings)
    if json:
        print_json(result.as_json())
        return
    shown = ", ".join(f"{name} {count}" for name, count in result.split.num_rows.items())
    OUT.print(f"[bold]{result.version.label}[/]: {shown}", highlight=False)
    if result.empty_parts:
        num_groups = _counted(result.split.num_groups, "group")
        parts = " and ".join(result.empty_parts)
        OUT.print(f"note: no row fell to {parts}: the rows make {num_groups} that stay whole", style="yellow")
    largest = result.split.num_rows_of_largest_group
    if largest > _LARGE_GROUP * len(result.split.rows):
        why = f"have one {group_by}, or are nearly the same" if group_by else "are nearly the same"
        OUT.print(f"note: {largest:,} rows stand on one side because they {why}", style="yellow")
    for straddle in result.split.conflicts[:3]:
        places = ", ".join(
            f"{result.split.rows[place].file}:{result.split.rows[place].line} {part}"
            for place, part in zip(straddle.places[:4], straddle.parts, strict=False)
        )
        OUT.print(f"note: rows that belong together stood on several sides before: {places}", style="yellow")
    if len(result.split.conflicts) > 3:
        OUT.print(f"note: and so did {len(result.split.conflicts) - 3} more groups", style="yellow")


@app.command("fold")
def fold_command(
    version: str = typer.Argument(..., help="NAME, NAME@part or NAME#hash-prefix."),
    folds: int = typer.Option(5, "--folds", min=2, help="How many datasets to make."),
    group_by: str = typer.Option("", "--group-by", help="Field whose rows of one value stay together."),
    json: bool = JSON,
) -> None:
    """Make as many datasets as folds, NAME-fold1 and so on: in each another share of the rows tests. For small sets.

    \b
    fettle data fold tickets --folds 5
    fettle data fold tickets@train --folds 3 --group-by customer
    """
    made = splitting.fold_data(open_workspace(), version, folds, group_by)
    if json:
        print_json([{"version": fold.label, **fold.report} for fold in made])
        return
    for fold in made:
        parts = fold.report["parts"]
        shown = ", ".join(f"{part} {count}" for part, count in parts.items()) if isinstance(parts, dict) else ""
        OUT.print(f"[bold]{fold.label}[/]: {shown}", highlight=False)


@app.command("list")
def list_command(json: bool = JSON) -> None:
    """List all datasets with their versions.

    \b
    fettle data list
    fettle data list --json
    """
    versions = list_data(open_workspace())
    if json:
        print_json([vars(version) for version in versions])
        return
    for version in versions:
        OUT.print(
            f"{version.label}  {version.task}  {version.operation}  {version.num_rows} rows  {version.created_at}"
        )
    if not versions:
        OUT.print("no datasets yet; fettle data import FILE --name NAME")


@app.command("show")
def show_command(
    version: str = typer.Argument(..., help="NAME, NAME@part or NAME#hash-prefix."),
    rows: int = typer.Option(5, "--rows", min=0, help="Rows to show."),
    where: str = typer.Option("", "--where", help='Expression that rows must fulfil: label == "late" and words > 3.'),
    search: str = typer.Option("", "--search", help="Words that must stand in a row, whatever their order and case."),
    json: bool = JSON,
) -> None:
    """Show a version and its first rows, or those that are looked for.

    \b
    fettle data show tickets
    fettle data show tickets@test --rows 20 --search "refund card"
    fettle data show tickets --where 'label == "late" and text matches /[0-9]{5}/'
    """
    stored, found = looking.find_rows(open_workspace(), version, where, search)
    if json:
        shown = [
            {"file": row.file, "line": row.line, "part": row.part, "record": row.record, "fields": row.fields}
            for row in found[:rows]
        ]
        document = {"version": stored.label, "task": stored.task, "rows": len(found)}
        print_json({**document, "shown": [_plain(row) for row in shown]})
        return
    OUT.print(
        f"[bold]{stored.label}[/]: {len(found):,} rows for {stored.task}, made by {stored.operation}", highlight=False
    )
    for row in found[:rows]:
        answer = answer_text(row.record)
        said = f"[green]{escape(answer)}[/] {escape(input_text(row.record))}"
        OUT.print(f"{escape(row.file)}:{row.line} {row.part} {said}", highlight=False)


app.command("check")(check_command)
app.command("clean")(clean_command)
app.command("export")(export_command)
app.command("diff")(diff_command)
app.command("log")(log_command)
app.command("gc")(gc_command)


def pair(word: str) -> tuple[str, str]:
    """A `--map` as column and field."""
    column, sign, target = word.rpartition("=")
    if not sign:
        raise RequestError(
            f"{word!r} is no map", where="--map", expected="COLUMN=FIELD", attempt="--map category=label"
        )
    return column, target


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: msgspec.to_builtins(value) for name, value in row.items()}
