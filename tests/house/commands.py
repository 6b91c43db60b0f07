"""The commands of the terminal as their parsers know them, and the command lines that texts name."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import import_module
from typing import Any

import typer

from fettle.cli.main import COMMANDS

_QUOTED = re.compile(r"`([^`\n]+)`")
_SENTENCE_END = re.compile(r"[.,;:)]+$")


@cache
def parsers() -> dict[str, Any]:
    """Every command that can be asked for by its words, `data import`, and its parser. Groups are left out."""
    found = {}
    for name, (module, _) in COMMANDS.items():
        home = import_module(module)
        command = typer.main.get_command(getattr(home, f"{name}_app", None) or home.app)
        below = getattr(command, "commands", None)
        found.update({f"{name} {verb}": inner for verb, inner in below.items()} if below else {name: command})
    return found


def groups() -> set[str]:
    """Commands that need a second word."""
    return {words.split()[0] for words in parsers() if " " in words}


def options(command: Any) -> set[str]:
    """The options of a command, `--help` left out."""
    named = [param for param in command.params if param.param_type_name == "option"]
    return {text for param in named for text in (*param.opts, *param.secondary_opts)} - {"--help"}


def examples(command: Any) -> list[str]:
    """The example lines of a command's help."""
    return [line.strip() for line in (command.help or "").splitlines() if re.search(r"\bfettle [a-z]", line)]


def named_in(document: str) -> list[str]:
    """Every command line that a Markdown text names, in code blocks and between backticks.

    >>> named_in("Type `fettle demo`.\\n```\\n$ FETTLE_HOME=x fettle train chat \\\\\\n    data=mail  # learn\\n```\\n")
    ['fettle demo', 'fettle train chat data=mail']
    """
    lines: list[str] = []
    is_code = False
    for line in document.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif is_code:
            lines.append(line.strip().removeprefix("$ ").split("  #")[0])
        else:
            lines += _QUOTED.findall(line)
    found = []
    for line in lines:
        for part in re.split(r"\||&&|;", line):
            words = part.split()
            while words and re.match(r"^[A-Z_]+=", words[0]):
                words.pop(0)
            if len(words) > 1 and words[0] in ("fettle", ".venv/bin/fettle"):
                found.append(" ".join(["fettle", *words[1:]]))
    return found


def fault_of(line: str) -> str:
    """What is wrong with a command line that a text names; empty where it could be typed. Capitals stand for names.

    >>> fault_of("fettle demo --json"), fault_of("fettle data import FILE --name N"), fault_of("fettle COMMAND --help")
    ('', '', '')
    >>> fault_of("fettle tune"), fault_of("fettle demo --quick"), fault_of("fettle data tidy x")
    ('no command tune', 'fettle demo has no --quick', 'no command data tidy')
    """
    try:
        words = shlex.split(line.replace("…", "x"))[1:]
    except ValueError:
        words = line.split()[1:]
    words = [_SENTENCE_END.sub("", word) for word in words]
    if not words or words[0].isupper() or words[0].startswith("-"):
        return ""
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    name = words[0]
    if name in groups():
        if len(words) == 1 or words[1].startswith("-") or words[1].isupper():
            return ""
        if any(f"{name} {verb}" not in parsers() for verb in words[1].split("|")):
            return f"no command {name} {words[1]}"
        name = f"{name} {words[1].split('|')[0]}"
    known = options(parsers()[name]) | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.strip("[]").split("=")[0] not in known]
    return f"fettle {name} has no {', '.join(unknown)}" if unknown else ""
