"""Steps: operations in the order in which they are done, from words or a file, and written down to be done again.

    [[steps]]
    operation = "deduplicate"
    kind = "near"
    keep = "newest(date)"

All faults of a file or of a line of words are told together, before any row is read. What an operation does is not
known here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Change, Cleaned, Operation
from fettle.cleaning.table import OPERATIONS
from fettle.config.read import Tree
from fettle.config.resolve import documented_keys, refuse_settings
from fettle.config.settings import Settings
from fettle.data.records import Row
from fettle.errors import Fault, RequestError, near_misses
from fettle.quality.finding import Given

_HEADER = re.compile(r"^\s*\[\[\s*steps\s*\]\]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_FORM = '[[steps]] tables, each with an operation: operation = "repair"'


@dataclass(frozen=True)
class Step:
    """One operation by name, and what it is set by."""

    operation: str
    settings: Settings

    @property
    def word(self) -> str:
        """The step as a word on a command line; settings that no word can say are left out.

        >>> read_words(["deduplicate=near"])[0].word
        'deduplicate=near'
        """
        value = OPERATIONS[self.operation].value
        return f"{self.operation}={self.settings.model_dump()[value]}" if value else self.operation


def read_words(words: Sequence[str]) -> list[Step]:
    """Steps from words `OPERATION` or `OPERATION=VALUE`, in the order given.

    >>> [step.operation for step in read_words(["repair", "strip=html"])]
    ['repair', 'strip']
    """
    steps: list[Step] = []
    faults: list[Fault] = []
    for word in words:
        name, sign, value = word.partition("=")
        entry = OPERATIONS.get(name.strip())
        if entry and sign and not entry.value:
            faults.append(Fault(word, 0, f"{name} takes no value", "the word alone", entry.example))
        elif entry and not sign and _needs_value(entry.settings, entry.value):
            faults.append(Fault(word, 0, f"{name} needs a value", f"{name}=VALUE", entry.example))
        else:
            tree: Tree = {"operation": name.strip()}
            if entry and sign:
                tree[entry.value] = value.strip()
            steps += _read_step(tree, Fault(word, 0, "", "", ""), faults)
    _refuse(faults)
    return steps


def parse_steps(text: str, where: str) -> list[Step]:
    """Steps from TOML; a fault names the line at which its step begins. Law: this undoes `write_steps`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise RequestError(str(problem), where=where, expected=_FORM) from None
    tables = tree.pop("steps", None)
    faults = [Fault(where, 0, f"there is no setting {key!r}", _FORM, near_misses(key, ["steps"])) for key in tree]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append(Fault(where, 0, "there are no steps", _FORM, "[[steps]]"))
        tables = []
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if _HEADER.match(line)]
    lines = lines if len(lines) == len(tables) else [0] * len(tables)
    steps: list[Step] = []
    for line, table in zip(lines, tables, strict=True):
        steps += _read_step(table, Fault(where, line, "", "", ""), faults)
    _refuse(faults)
    return steps


def write_steps(steps: Sequence[Step]) -> str:
    """The steps as TOML, what is as by default left out."""
    blocks = []
    for step in steps:
        lines = ["[[steps]]", f"operation = {_toml(step.operation)}"]
        written = step.settings.model_dump(exclude_defaults=True)
        lines += [f"{name} = {_toml(value)}" for name, value in written.items()]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks) if blocks else "steps = []\n"


def make_operations(steps: Sequence[Step], detectors: Detectors) -> list[Operation]:
    """The operations of the steps; what one of them lacks is told before any is run."""
    return [OPERATIONS[step.operation].make(step.settings, detectors) for step in steps]


def clean(rows: Sequence[Row], steps: Sequence[Step], given: Given, detectors: Detectors) -> Cleaned:
    """The rows after all steps. Every change names its step and the place of its row among the rows that came in.

    Trap: a row that is added is a copy, and what later steps do to it has the place of the row that it repeats.
    """
    cleaned = Cleaned(tuple(rows), tuple(range(len(rows))), ())
    for step, operation in zip(steps, make_operations(steps, detectors), strict=True):
        given.progress(step.word)
        done = operation(cleaned.rows, given)
        changes = tuple(
            Change(cleaned.origins[change.place], change.action, change.reason, step.word) for change in done.changes
        )
        origins = tuple(cleaned.origins[place] for place in done.origins)
        cleaned = Cleaned(done.rows, origins, cleaned.changes + changes)
    return cleaned


def _read_step(table: Mapping[str, object], place: Fault, faults: list[Fault]) -> list[Step]:
    """The step, or none and its faults; `place` says where the step stands."""

    def fault(problem: str, expected: str, attempt: str) -> None:
        faults.append(Fault(place.file, place.line, problem, expected, attempt))

    name = table.get("operation")
    if not isinstance(name, str) or name not in OPERATIONS:
        problem = f"there is no operation {name!r}" if "operation" in table else "the operation is missing"
        fault(problem, f"one of: {', '.join(OPERATIONS)}", near_misses(str(name), OPERATIONS, 1) if name else "")
        return []
    entry = OPERATIONS[name]
    known = documented_keys(entry.settings)
    settings = {key: value for key, value in table.items() if key != "operation"}
    strange = [key for key in settings if key not in known]
    for key in strange:
        expected = f"one of: {', '.join(known)}" if known else f"no setting beside operation: {name} has none"
        fault(f"{name} has no setting {key!r}", expected, near_misses(key, known, 1) if known else "")
    try:
        return [Step(name, entry.settings.model_validate({k: v for k, v in settings.items() if k not in strange}))]
    except ValidationError as problem:
        for error in problem.errors():
            key = ".".join(str(part) for part in error["loc"])
            message = error["msg"].removeprefix("Value error, ")
            wrong = f"{key} is missing" if error["type"] == "missing" else f"{key} = {error.get('input')!r}: {message}"
            fault(f"{name}: {wrong}", known.get(key, ""), entry.example)
        return []


def _needs_value(settings: type[Settings], value: str) -> bool:
    return bool(value) and settings.model_fields[value].is_required()


def _refuse(faults: Sequence[Fault]) -> None:
    if len(faults) > 1:
        raise RequestError(f"{len(faults)} things are wrong with the steps", faults=faults)
    refuse_settings(faults)


def _toml(value: object) -> str:
    """A value as TOML writes it.

    >>> _toml(["a", 1, True]), _toml({"a b": "c"})
    ('["a", 1, true]', '{"a b" = "c"}')
    """
    if isinstance(value, str):
        # TOML takes what JSON writes, and wants one more character escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(str(key))} = {_toml(each)}' for key, each in value.items())}}}"
    return repr(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml(key)
