"""Help is frozen, short and shown by examples; printing it loads nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import examples, fault_of, groups, options, parsers

from fettle.cli.main import COMMANDS, main, overview

FROZEN = Path(__file__).parent / "help"
RENEW = "FETTLE_RENEW_HELP=1 .venv/bin/python -m pytest tests/house/test_help.py"
MOST_OPTIONS = 6
FEWEST_EXAMPLES = 2
PAGES = ["", *COMMANDS, *(words for words in parsers() if words not in COMMANDS)]

# Commands with one example, commands without `--json`, arguments without a line of help. Each list may shrink and
# never grow.
ONE_EXAMPLE = {"recipes list", "recipes show", "runs list", "runs show"}
NO_JSON = {"chat"}
SILENT = {"recipes show name", "runs show name"}
HEAVY = ("torch", "transformers", "peft", "safetensors")
LIGHT_PAGES = ["", "data", "data import", "models", "recipes", "runs"]
# Commands whose help loads torch, though it need not. The list may shrink and never grow.
HEAVY_PAGES = ["demo", "plan", "train", "evaluate", "predict", "chat", "export", "doctor"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page or "fettle")
def test_help_is_unchanged(page, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main([*page.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    frozen = FROZEN / f"{page.replace(' ', '-') or 'fettle'}.txt"
    if os.environ.get("FETTLE_RENEW_HELP"):
        frozen.write_text(shown, encoding="utf-8")
    assert frozen.is_file(), f"a new command; freeze its help with: {RENEW}"
    assert shown == frozen.read_text(encoding="utf-8"), f"help changed; if that is meant, freeze it anew with: {RENEW}"


def test_no_help_is_frozen_of_a_command_that_is_gone():
    assert {path.stem for path in FROZEN.glob("*.txt")} == {page.replace(" ", "-") or "fettle" for page in PAGES}


@pytest.mark.parametrize("words", parsers())
def test_a_command_has_few_options(words):
    assert len(options(parsers()[words])) <= MOST_OPTIONS, "six options at most; variety goes into recipes"


@pytest.mark.parametrize("words", parsers())
def test_a_command_is_shown_by_examples_that_can_be_typed(words):
    shown = examples(parsers()[words])
    assert len(shown) >= (1 if words in ONE_EXAMPLE else FEWEST_EXAMPLES)
    assert all(f"fettle {words}" in line for line in shown)
    assert not [fault for line in shown if (fault := fault_of(line[line.index("fettle ") :].split(" | ")[0]))]


def test_the_exceptions_only_shrink():
    assert {words for words in parsers() if len(examples(parsers()[words])) < FEWEST_EXAMPLES} == ONE_EXAMPLE
    assert {words for words in parsers() if "--json" not in options(parsers()[words])} == NO_JSON
    assert sorted([*LIGHT_PAGES[1:2], *LIGHT_PAGES[3:], *HEAVY_PAGES]) == sorted(COMMANDS)


def test_every_option_and_argument_is_explained():
    silent = {
        f"{words} {param.name}"
        for words, command in parsers().items()
        for param in command.params
        if not getattr(param, "help", None) and param.name != "help"
    }
    assert silent == SILENT


def test_the_overview_names_every_command():
    for name, (_, text) in COMMANDS.items():
        assert f"fettle {name}" in overview()
        assert text in overview()


def test_groups_need_a_verb():
    assert groups() == {"data", "models", "recipes", "runs"}


def loads(*pages: list[str]) -> list[str]:
    """Which heavy packages a fresh process has in memory after it ran these commands, one after the other."""
    program = (
        "import sys\nfrom fettle.cli.main import main\n"
        f"code = max(main(words) for words in {pages!r})\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_help_is_light():
    assert not loads(*([*page.split(), "--help"] for page in LIGHT_PAGES))


def test_all_help_is_light():
    assert not loads(*([page, "--help"] for page in HEAVY_PAGES))


def test_looking_at_what_there_is_loads_no_torch():
    assert not loads(["--version"], ["recipes", "list"], ["models", "list"], ["runs", "list"], ["data", "list"])


def test_importing_fettle_loads_nothing_of_the_house():
    program = "import sys, fettle; print([name for name in sys.modules if name.startswith('fettle.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
