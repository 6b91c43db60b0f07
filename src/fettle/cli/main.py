"""The command line's door: it loads the one command that was asked for, and says errors for people or programs.

A lazy door: `fettle --help` and shell completion load nothing of the house.
"""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

from fettle.errors import FettleError, MissingExtra, UnknownName, near_misses

COMMANDS = {
    "demo": ("fettle.cli.demo", "the whole trip on the bundled base and examples"),
    "data": ("fettle.cli.data", "import, split and show examples"),
    "models": ("fettle.cli.catalogue", "list and show base models"),
    "recipes": ("fettle.cli.catalogue", "list and show recipes"),
    "plan": ("fettle.cli.training", "show every setting and every token; train nothing"),
    "train": ("fettle.cli.training", "train as a recipe says; leave a bundle"),
    "runs": ("fettle.cli.catalogue", "list and show runs"),
    "evaluate": ("fettle.cli.using", "base against tuned on held-out rows"),
    "predict": ("fettle.cli.using", "apply a bundle to a file"),
    "chat": ("fettle.cli.using", "talk to a bundle, or to base and tuned side by side"),
    "export": ("fettle.cli.using", "write a bundle for use elsewhere, with a proof of parity"),
    "doctor": ("fettle.cli.demo", "what this machine can do, and what to mend"),
}
_TRAINING_PACKAGES = ("torch", "transformers", "tokenizers", "peft", "safetensors", "accelerate")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 the answer is no, 2 the request was wrong, 3 it failed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    wants_json = "--json" in words
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            sys.stdout.write(overview())
            return 0
        if words[0] in ("--version", "-V"):
            sys.stdout.write(f"fettle {_version()}\n")
            return 0
        return _run(words)
    except FettleError as problem:
        _say(problem, wants_json)
        return problem.exit_code
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] not in _TRAINING_PACKAGES:
            raise
        _say(missing_training(str(problem.name)), wants_json)
        return 3
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 3
    except BrokenPipeError:
        sys.stdout = io.StringIO()  # what is still buffered must go nowhere
        return 3
    except OSError as problem:
        _say(_of_the_machine(problem), wants_json)
        return 3


def overview() -> str:
    """The help of the whole command.

    >>> overview().splitlines()[0]
    'fettle: make a language model your own. Examples in, a tuned and scored model out.'
    """
    lines = ["fettle: make a language model your own. Examples in, a tuned and scored model out.", ""]
    lines += [f"  fettle {name:<9} {text}" for name, (_, text) in COMMANDS.items()]
    lines += [
        "",
        "  fettle COMMAND --help     what it takes, with examples",
        "  --json                    one JSON document instead of text; progress goes to stderr",
        "",
        "Start with: fettle demo",
    ]
    return "\n".join(lines) + "\n"


class LazyModule:
    """A module that is imported when something of it is first asked for, so that help and usage errors come at once."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(import_module(self._name), attribute)


def missing_training(package: str) -> MissingExtra:
    """What to say where the part that trains is not installed."""
    return MissingExtra(
        f"{package} is not installed",
        expected="the part of fettle that trains and runs models",
        attempt='pip install "fettle-llm[train]"',
    )


def _of_the_machine(problem: OSError) -> FettleError:
    """What the machine refused: a full disk, a folder that cannot be written."""
    attempt = "free some space, or FETTLE_HOME=/a/larger/disk" if problem.errno == errno.ENOSPC else ""
    where = str(problem.filename or "")
    return FettleError(
        problem.strerror or str(problem), where=where, expected="a file that can be read or written", attempt=attempt
    )


def _run(words: list[str]) -> int:
    name = words[0]
    if name not in COMMANDS:
        raise UnknownName(
            f"there is no command {name!r}", expected=f"one of: {near_misses(name, COMMANDS)}", attempt="fettle --help"
        )
    run: Callable[[str, list[str]], int] = import_module(COMMANDS[name][0]).run
    return run(name, words[1:])


def _say(problem: FettleError, wants_json: bool) -> None:
    if wants_json:
        sys.stdout.write(json.dumps({"error": problem.as_json()}, ensure_ascii=False) + "\n")
        return
    sys.stderr.write(f"{problem}\n")
    faults = problem.faults
    if len(faults) > 1 or (faults and str(faults[0]) != str(problem)):
        for fault in faults[:20]:
            sys.stderr.write(f"{fault}\n")
        if len(faults) > 20:
            sys.stderr.write(f"and {len(faults) - 20} more\n")


def _version() -> str:
    return version("fettle-llm")


if __name__ == "__main__":
    sys.exit(main())
