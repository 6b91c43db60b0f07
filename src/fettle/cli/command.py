"""How a command module is run: its options parsed, its usage errors said like all others."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import typer
from rich.console import Console
from typer._click.exceptions import ClickException
from typer.exceptions import TyperException

from fettle.errors import RequestError

OUT = Console()
ERR = Console(stderr=True)

JSON = typer.Option(False, "--json", help="One JSON document on stdout.")


def new_app(text: str) -> typer.Typer:
    """A group of commands, or one, with plain help."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, help=text, no_args_is_help=False)


def run_app(apps: Mapping[str, typer.Typer], name: str, words: list[str]) -> int:
    """Run one command of a module; what it returns is the exit code."""
    command = typer.main.get_command(apps[name])
    try:
        result = command(words, prog_name=f"fettle {name}", standalone_mode=False)
    except TyperException as problem:
        message = problem.format_message() if isinstance(problem, ClickException) else str(problem)
        raise RequestError(message, where=f"fettle {name}", attempt=f"fettle {name} --help") from None
    return result if isinstance(result, int) else 0


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str) + "\n")
