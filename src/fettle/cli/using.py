"""fettle evaluate, predict, chat, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fettle.artifacts.bundle import FILE_SUFFIX
from fettle.cli.command import ERR, JSON, OUT, new_app, print_json, run_app
from fettle.cli.data import pair
from fettle.cli.main import LazyModule
from fettle.cli.show import show_faults, show_scores
from fettle.storage.workspace import open_workspace

if TYPE_CHECKING:
    from fettle.app import evaluating, listing
    from fettle.app import using as operations
    from fettle.cli import progress as showing
else:
    evaluating = LazyModule("fettle.app.evaluating")
    listing = LazyModule("fettle.app.listing")
    operations = LazyModule("fettle.app.using")
    showing = LazyModule("fettle.cli.progress")

evaluate_app = new_app("Score base and tuned on held-out rows.")
predict_app = new_app("Apply a bundle to a file.")
chat_app = new_app("Talk to a bundle.")
export_app = new_app("Write a bundle for use elsewhere.")

BASE = typer.Option(None, "--base", help="Where the bundle's base lies now, if it was moved.")


def run(name: str, words: list[str]) -> int:
    """Run one of the four."""
    apps = {"evaluate": evaluate_app, "predict": predict_app, "chat": chat_app, "export": export_app}
    return run_app(apps, name, words)


@evaluate_app.command()
def evaluate_command(
    bundle: str = typer.Argument(..., help="A bundle's name, folder or file."),
    data: str = typer.Option(None, "--data", help="Rows to score; else the test part of the bundle's own data."),
    show: bool = typer.Option(False, "--show", help="Show the latest stored report; no model is opened."),
    base: str = BASE,
    json: bool = JSON,
) -> None:
    """Score base and tuned on the same rows, with 95 % intervals and paired tests; keep the report.

    \b
    fettle evaluate blue-heron
    fettle evaluate blue-heron --data tickets-2026@test
    fettle evaluate blue-heron --show
    """
    workspace = open_workspace()
    report = (
        listing.show_report(workspace, bundle)
        if show
        else evaluating.evaluate(workspace, bundle, data, base, showing.count_rows)
    )
    if json:
        print_json(report.as_json())
        return
    show_scores(report.as_json())


@predict_app.command()
def predict_command(
    bundle: str = typer.Argument(..., help="A bundle's name, folder or file."),
    file: Path = typer.Argument(..., help="A table: .csv, .tsv, .xlsx, JSON Lines."),
    out: Path = typer.Option(..., "--out", help="The table to write: .csv, .tsv, .xlsx or .jsonl."),
    items: Path = typer.Option(None, "--items", help="A table to find in: the nearest three of its texts (embed)."),
    maps: list[str] = typer.Option([], "--map", help="COLUMN=text, COLUMN=other; COLUMN=item of --items."),
    json: bool = JSON,
) -> None:
    """Answer every row of a table; every column is kept, the answers stand beside them.

    \b
    fettle predict blue-heron new.xlsx --out answered.xlsx
    fettle predict blue-heron mail.csv --out answered.csv --map Betreff=text
    fettle predict shelf mail.csv --items catalogue.csv --map description=item --out found.csv
    """
    done = 0

    def progress(rows: int) -> None:
        nonlocal done
        done += rows
        showing.count_rows("answered", done, max(done, 1))

    columns = dict(pair(word) for word in maps)
    workspace = open_workspace()
    result = (
        operations.search_file(workspace, bundle, operations.Search(file, items, out, columns), progress)
        if items
        else operations.predict_file(workspace, bundle, file, out, columns, progress)
    )
    if json:
        print_json(result.as_json())
        return
    show_faults(result.refused)
    OUT.print(
        f"{result.num_rows} rows answered, {len(result.refused)} refused: {result.out}", highlight=False, soft_wrap=True
    )
    if result.num_cut_off:
        OUT.print(f"note: {result.num_cut_off} answers were cut off at decoding.max_new_tokens", style="yellow")


@chat_app.command()
def chat_command(
    bundle: str = typer.Argument(..., help="A bundle's name, folder or file."),
    compare: bool = typer.Option(False, "--compare", help="Show what the base answers too."),
    base: str = BASE,
) -> None:
    """Talk to a bundle; an empty line or Ctrl-D ends it. Labels are shown with their probabilities.

    \b
    fettle chat blue-heron
    fettle chat blue-heron --compare
    echo "where is my order" | fettle chat blue-heron
    """
    workspace = open_workspace()
    models = {"tuned": operations.load(bundle, workspace, base)}
    if compare:
        models = {"base": operations.load_base(bundle, workspace, base), **models}
    conversations = {name: model.chat() for name, model in models.items()}
    while (text := _ask()) is not None:
        for name, model in models.items():
            OUT.print(f"[bold]{name}>[/] ", end="")
            if model.writes:
                _stream(conversations[name], text)
                continue
            answer = model.predict([text])[0]
            best = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:3]
            shares = "  ".join(f"{label} {share:.3f}" for label, share in best)
            words = answer.text if answer.in_words is None else answer.in_words or "nothing was found"
            OUT.print(shares or words, markup=False, highlight=False)


@export_app.command()
def export_command(
    bundle: str = typer.Argument(..., help="A bundle's name, folder or file."),
    to: str = typer.Option(..., "--to", help="hf: a plain Hugging Face folder. file: the bundle as one file."),
    out: Path = typer.Option(..., "--out", help="The folder or file to write."),
    base: str = BASE,
    json: bool = JSON,
) -> None:
    """Write a bundle for use elsewhere; an export that does not answer as the bundle does is not written.

    \b
    fettle export blue-heron --to hf --out ./blue-heron-hf
    fettle export blue-heron --to file --out blue-heron.fettle
    """
    if to == "file" and out.suffix != FILE_SUFFIX:
        out = out.with_name(out.name + FILE_SUFFIX)
    parity = operations.export(open_workspace(), bundle, to, out, base)
    if json:
        print_json({"out": str(out), "parity": parity.as_json() if parity else None})
        return
    OUT.print(f"written: {out}", highlight=False, soft_wrap=True)
    if parity:
        OUT.print(
            f"parity on {parity.num_prompts} prompts: logits differ by at most {parity.relative_difference:.1e} of the "
            f"largest, KL {parity.kl:.1e} nats, {parity.same_answers} of {parity.num_prompts} greedy answers equal",
            highlight=False,
        )


def _ask() -> str | None:
    if sys.stdin.isatty():
        ERR.print("[bold]you>[/] ", end="")
    line = sys.stdin.readline()
    return line.strip() or None


def _stream(conversation: operations.Conversation | operations.Continuation | operations.Filling, text: str) -> None:
    def show(piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    conversation.say(text, show)
    sys.stdout.write("\n")
