"""The package as its files and syntax trees, for the tests that guard the house. Nothing of fettle is imported here."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fettle"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of the package. `name` is its path inside the package, `app/demo.py`."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything that is imported, `jinja2.Environment` for a name out of a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the package, in order of its name."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Source(path.relative_to(PACKAGE).as_posix(), path, text, ast.parse(text)))
    return tuple(found)


@cache
def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def parameters(function: Function) -> list[str]:
    """Names of what a function is given, itself left out.

    >>> parameters(ast.parse("def f(self, a, *, b): ...").body[0])
    ['a', 'b']
    """
    given = function.args
    names = [each.arg for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]


def dotted(node: ast.expr) -> str:
    """What is called or read, as it is written; empty where it is not a plain name.

    >>> dotted(ast.parse("torch.load", mode="eval").body)
    'torch.load'
    """
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else node.attr
    return ""
