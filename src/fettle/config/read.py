"""Where settings come from: TOML files and `key=value` words. Both become nested dictionaries."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fettle.errors import MissingFile, RequestError

Tree = dict[str, object]


def read_toml(path: Path) -> Tree:
    """Read a recipe file; a fault of its grammar names the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFile(
            "there is no such recipe file", where=str(path), attempt="fettle recipes list shows the named ones"
        ) from None
    except (UnicodeDecodeError, IsADirectoryError) as problem:
        raise RequestError("this is no text file", where=str(path), expected=f"TOML in UTF-8 ({problem})") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise RequestError(str(problem), where=str(path), expected="TOML, for example: training.epochs = 4") from None


def read_assignments(words: Sequence[str]) -> Tree:
    """Read `key=value` words. A value is TOML where it parses as TOML, else the text itself.

    >>> read_assignments(["training.epochs=2", "data=tickets"])
    {'training': {'epochs': 2}, 'data': 'tickets'}
    """
    tree: Tree = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key.strip():
            raise RequestError(
                f"{word!r} is no setting",
                where="command line",
                expected="KEY=VALUE",
                attempt="for example training.epochs=2",
            )
        place(tree, key.strip(), _toml_value(value))
    return tree


def place(tree: Tree, key: str, value: object) -> None:
    """Put a value at a dotted key, making the tables on the way."""
    *tables, leaf = key.split(".")
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise RequestError(
                f"{table} has a value and is used as a table too", where=f"{key}=", expected="one of the two"
            )
        tree = inner
    tree[leaf] = value


def flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested tables to dotted keys.

    >>> flatten({"training": {"epochs": 2}})
    {'training.epochs': 2}
    """
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _toml_value(text: str) -> object:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if len(document) == 1 else text  # more keys: the text had lines of its own
