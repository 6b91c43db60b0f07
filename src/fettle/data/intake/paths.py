"""Paths into rows that hold objects and lists: `ticket.body`, `turns[0].text`, `meta.tags[]`, `tags[;]`.

A path names a column and goes on from there. What the value is for is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from fettle.errors import near_misses

MISSING: Final = object()
"""What a path finds where there is nothing; null is something."""

_ROOT = re.compile(r"[^.\[\]]+")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]*)\]")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class _Each:
    """Every element of a list, or, with a `separator`, every piece of a string."""

    separator: str = ""


_Step: TypeAlias = str | int | _Each


@dataclass(frozen=True, slots=True)
class JsonPath:
    """`.name` takes a key, `[0]` an element (`[-1]` the last), `[]` each element, `[;]` each piece between semicolons.

    >>> path = parse_path("meta.tags[].name")
    >>> path.find({"meta": {"tags": [{"name": "a"}, {"name": "b"}]}})
    ['a', 'b']
    """

    written: str
    root: str
    steps: tuple[_Step, ...]

    def find(self, row: Mapping[str, object]) -> object:
        """What stands there, or `MISSING`."""
        return _follow(row[self.root], self.steps) if self.root in row else MISSING

    @property
    def is_list(self) -> bool:
        """Whether it finds a list however the row is written."""
        return any(isinstance(step, _Each) for step in self.steps)

    def neighbours(self, rows: Iterable[Mapping[str, object]]) -> tuple[str, list[str]]:
        """Where the path breaks off, and as whole paths what could have been meant there, likeliest first.

        >>> parse_path("ticket.bdy").neighbours([{"ticket": {"body": "a"}}])
        ('ticket', ['ticket.body'])
        """
        deepest: str = ""
        names: dict[str, None] = {}
        for row in rows:
            place, found = self._break_off(row)
            if len(place) > len(deepest):
                deepest, names = place, {}
            if place == deepest:
                names.update(dict.fromkeys(found))
        step = _STEP.match(self.written, len(deepest)) if deepest else None
        wanted = self.root if not deepest else (step.group(1) or "") if step else ""
        close = near_misses(wanted, names).split(", ") if names else []
        return deepest, [f"{deepest}.{name}" if deepest else name for name in close]

    def _break_off(self, row: Mapping[str, object]) -> tuple[str, list[str]]:
        """How far the path leads in one row, as it is written, and the keys that stand there."""
        if self.root not in row:
            return "", list(row)
        value, at = row[self.root], len(self.root)
        for step in self.steps:
            if isinstance(step, _Each):
                led = value[0] if isinstance(value, list) and value else MISSING
            else:
                led = _taken(value, step)
            matched = _STEP.match(self.written, at)
            if led is MISSING or matched is None:
                break
            value, at = led, matched.end()
        return self.written[:at], list(value) if isinstance(value, dict) else []


def parse_path(written: str) -> JsonPath | None:
    """Read a path; None where the words are none, or name a column and go no further.

    >>> parse_path("turns[0].text").steps
    (0, 'text')
    >>> parse_path("subject") is parse_path("a..b") is None
    True
    """
    root = _ROOT.match(written)
    if root is None:
        return None
    steps: list[_Step] = []
    at = root.end()
    while at < len(written):
        step = _STEP.match(written, at)
        if step is None:
            return None
        key, inside = step.groups()
        if key is not None:
            steps.append(key)
        else:
            steps.append(int(inside) if _WHOLE_NUMBER.fullmatch(inside) else _Each(inside))
        at = step.end()
    return JsonPath(written, root.group(), tuple(steps)) if steps else None


def _follow(value: object, steps: tuple[_Step, ...]) -> object:
    for place, step in enumerate(steps):
        if isinstance(step, _Each):
            return _follow_each(value, step, steps[place + 1 :])
        value = _taken(value, step)
        if value is MISSING:
            return MISSING
    return value


def _taken(value: object, step: str | int) -> object:
    if isinstance(step, str):
        return value.get(step, MISSING) if isinstance(value, dict) else MISSING
    return value[step] if isinstance(value, list) and -len(value) <= step < len(value) else MISSING


def _follow_each(value: object, step: _Each, steps: tuple[_Step, ...]) -> object:
    """What every element leads to, in one list however many `[]` follow; elements that lead nowhere are left out."""
    if step.separator:
        if not isinstance(value, str):
            return MISSING
        items: list[object] = [piece.strip() for piece in value.split(step.separator) if piece.strip()]
    elif isinstance(value, list):
        items = value
    else:
        return MISSING
    found = [led for item in items if (led := _follow(item, steps)) is not MISSING]
    if any(isinstance(later, _Each) for later in steps):
        return [item for led in found if isinstance(led, list) for item in led]
    return found
