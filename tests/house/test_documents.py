"""Every command line that a document or an error names could be typed as it stands."""

import ast

import pytest
from commands import fault_of, named_in
from source_tree import ROOT, sources

from fettle.app.planning import PlanSettings
from fettle.config.resolve import documented_keys

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOUNS = [
    "workspace",
    "record",
    "dataset",
    "version",
    "recipe",
    "plan",
    "run",
    "bundle",
    "report",
    "verdict",
    "review",
    "capture",
    "example",
    "batch",
    "read",
    "layout",
    "checkpoint",
    "step",
    "preflight",
    "setting",
    "fault",
    "quarantine",
    "base",
    "adapter",
    "task",
    "probe",
    "watcher",
]
# Texts that point at a command that is not there. The list may shrink and never grow.
WRONG_POINTERS: dict[str, list[str]] = {}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_commands_that_exist(path):
    lines = named_in(path.read_text(encoding="utf-8"))
    assert not [f"{line}: {fault}" for line in lines if (fault := fault_of(line))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_settings_that_exist(path):
    tables = {key.partition(".")[0] for key in documented_keys(PlanSettings) if "." in key}
    unknown = []
    for line in named_in(path.read_text(encoding="utf-8")):
        if line.split()[1] in ("plan", "train"):
            keys = [word.partition("=")[0] for word in line.split()[2:] if "=" in word and not word.startswith("-")]
            unknown += [key for key in keys if not key.isupper() and key not in documented_keys(PlanSettings)]
    assert not unknown, f"settings are {sorted(tables)} and what is in them"


def commands_in(tree: ast.Module) -> list[str]:
    """Command lines in the texts of a file: what errors tell people to type. A name filled in later is NAME."""
    found = []
    # Docstrings are prose, and pieces of an f-string are met as a whole.
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped |= {id(piece) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for piece in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            text = node.value
        else:
            continue
        if text.startswith("fettle ") and "\n" not in text:
            found.append(text)
    return found


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_errors_name_commands_that_exist(source):
    faults = [f"{line}: {fault}" for line in commands_in(source.tree) if (fault := fault_of(line))]
    assert faults == WRONG_POINTERS.get(source.name, [])


def test_the_glossary_has_every_noun():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = {line.split("**")[1] for line in text.splitlines() if line.startswith("- **")}
    assert not [noun for noun in NOUNS if noun not in entries]
    assert all(len(line) < 240 for line in text.splitlines()), "one line each"
