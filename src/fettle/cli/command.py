"""How a command module is run: its options parsed, its usage errors said like all others."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

import typer
from rich.console import Console
from typer._click.exceptions import ClickException, UsageError
from typer.exceptions import Abort, Exit, TyperException

from fettle.errors import RequestError

# Where there is no terminal, tables may be wider than the 80 columns that rich would take.
# Lines of text are then never broken at all.
OUT = Console() if sys.stdout.isatty() else Console(width=120, soft_wrap=True)
ERR = Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, width=120, soft_wrap=True)

JSON = typer.Option(False, "--json", help="One JSON document on stdout.")


def new_app(text: str) -> typer.Typer:
    """A group of commands, or one, with plain help."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, help=text, no_args_is_help=False)


def run_app(apps: Mapping[str, typer.Typer], name: str, words: list[str]) -> int:
    """Run one command of a module; what it returns is the exit code."""
    command = typer.main.get_command(apps[name])
    try:
        # The context by hand, not command(...): that would end the process itself on Ctrl-C and on a broken pipe.
        with command.make_context(f"fettle {name}", list(words)) as context:
            result = command.invoke(context)
    except Exit as ending:
        return ending.exit_code
    except Abort:
        raise KeyboardInterrupt from None
    except TyperException as problem:
        message = problem.format_message() if isinstance(problem, ClickException) else str(problem)
        place = f"fettle {name}"
        if isinstance(problem, UsageError) and problem.ctx is not None:
            place = problem.ctx.command_path
        raise RequestError(message, where=place, attempt=f"{place} --help") from None
    return result if isinstance(result, int) else 0


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str) + "\n")
