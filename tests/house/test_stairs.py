"""Imports go down, and each library stays behind its fence."""

import ast
import subprocess
import sys

import pytest
from source_tree import PACKAGE, ROOT, project, sources

LAZY_DOORS = {"cli/main.py", "__init__.py", "tasks/table.py"}
TERMINAL = {"rich", "typer", "click"}
HEAVY = {"torch", "transformers", "peft", "safetensors", "accelerate"}
CONTRACTS = project()["tool"]["importlinter"]["contracts"]


def test_the_import_contracts_are_kept(tmp_path):
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_has_its_floor():
    layers = next(contract for contract in CONTRACTS if contract["type"] == "layers")["layers"]
    named = {name.strip(" ()") for floor in layers for name in floor.split("|")}
    there = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert there - {"__init__", "__main__"} == named


def fenced(contract_name):
    contract = next(contract for contract in CONTRACTS if contract["name"].startswith(contract_name))
    return tuple(contract["source_modules"]), set(contract["forbidden_modules"])


@pytest.mark.parametrize("contract_name", ["torch", "the terminal"])
def test_fences_hold_for_imports_of_types_too(contract_name):
    modules, forbidden = fenced(contract_name)
    found = []
    for source in sources():
        module = "fettle." + source.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if any(module == each or module.startswith(each + ".") for each in modules):
            found += [(source.name, name) for _, name in source.imports() if name.partition(".")[0] in forbidden]
    assert not found


def test_the_terminal_library_is_in_the_cli_only():
    assert not [
        (source.name, name)
        for source in sources()
        for _, name in source.imports()
        if name.partition(".")[0] in TERMINAL and not source.name.startswith("cli/")
    ]


def test_the_hub_client_is_in_one_file():
    users = {
        source.name
        for source in sources()
        for _, name in source.imports()
        if name.partition(".")[0] == "huggingface_hub"
    }
    assert users <= {"models/folders/hub.py"}


def test_no_import_stands_in_a_function():
    found = [
        f"{source.name}:{inner.lineno}"
        for source in sources()
        for function in source.functions()
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not found, "an import inside a function hides a circle or a weight; cure the cause"


def test_there_are_three_lazy_doors():
    users = {
        source.name
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name | ast.Attribute | ast.alias)
        and getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))) in ("import_module", "__import__")
    }
    assert users == LAZY_DOORS


def test_inside_the_house_nobody_imports_from_a_face():
    """`from fettle.room import thing` goes through the room's __init__, which is for guests."""
    packages = {"fettle"} | {
        "fettle." + path.parent.relative_to(PACKAGE).as_posix().replace("/", ".")
        for path in PACKAGE.rglob("__init__.py")
        if path.parent != PACKAGE
    }
    found = []
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module in packages:
                folder = PACKAGE.parent / node.module.replace(".", "/")
                found += [
                    f"{source.name}:{node.lineno} {alias.name}"
                    for alias in node.names
                    if not (folder / f"{alias.name}.py").is_file() and not (folder / alias.name).is_dir()
                ]
    assert not found
