"""The family of errors: what went wrong, where, what was expected, what to try.

Every error that a user can cause is a `FettleError`. It is the matching builtin too, so that a caller who knows
nothing of fettle can still catch it. A fault is the same four parts as plain data, for problems that are collected
(every bad row of a file, every bad key of a recipe) before anything stops.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One problem of one place. `line` counts from 1; 0 says that the fault is of the whole file.

    >>> print(Fault("chats.jsonl", 3, "no messages", "a list of turns", "add \\"messages\\""))
    chats.jsonl:3: no messages
      expected  a list of turns
      try       add "messages"
    """

    file: str
    line: int
    problem: str
    expected: str
    attempt: str

    def as_json(self) -> dict[str, object]:
        """The fault in the words of the terminal contract (`try` is a keyword in Python, hence `attempt`)."""
        return {
            "file": self.file,
            "line": self.line,
            "problem": self.problem,
            "expected": self.expected,
            "try": self.attempt,
        }

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return describe(self.problem, place, self.expected, self.attempt)


def describe(problem: str, where: str, expected: str, attempt: str) -> str:
    """Lay the four parts out as people read them: the place and the problem, then two indented lines."""
    lines = [f"{where}: {problem}" if where else problem]
    if expected:
        lines.append(f"  expected  {expected}")
    if attempt:
        lines.append(f"  try       {attempt}")
    return "\n".join(lines)


class FettleError(Exception):
    """The root of the family. `exit_code` is what the command line ends with."""

    exit_code = 3

    def __init__(
        self, problem: str, *, where: str = "", expected: str = "", attempt: str = "", faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.expected = expected
        self.attempt = attempt
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return describe(self.problem, self.where, self.expected, self.attempt)

    def __reduce__(self) -> tuple[object, ...]:
        parts = (type(self), self.problem, self.where, self.expected, self.attempt, self.faults)
        return (_rebuild, parts)

    def as_json(self) -> dict[str, object]:
        """The four parts, and the collected faults where there are any."""
        parts: dict[str, object] = {
            "problem": self.problem,
            "where": self.where,
            "expected": self.expected,
            "try": self.attempt,
        }
        if self.faults:
            parts["faults"] = [fault.as_json() for fault in self.faults]
        return parts


def _rebuild(
    kind: type[FettleError], problem: str, where: str, expected: str, attempt: str, faults: tuple[Fault, ...]
) -> FettleError:
    return kind(problem, where=where, expected=expected, attempt=attempt, faults=faults)


class RequestError(FettleError, ValueError):
    """The request was wrong: a key, a value, a name, a file. Nothing was done."""

    exit_code = 2


class UnknownName(RequestError, LookupError):
    """A name that nothing answers to."""

    __str__ = FettleError.__str__


class MissingFile(RequestError, FileNotFoundError):
    """A file or folder that is not there."""

    __str__ = FettleError.__str__


class MissingExtra(FettleError, ImportError):
    """A part of fettle that is installed on request (`pip install "fettle-llm[train]"`) is not installed."""

    __str__ = FettleError.__str__


class UnsafeModel(FettleError, PermissionError):
    """A model folder that asks for code to be run, or whose weights could run code."""

    __str__ = FettleError.__str__


class IncompatibleModel(RequestError, TypeError):
    """Parts that do not belong together: an adapter and another base, a bundle and another tokenizer."""

    __str__ = FettleError.__str__


class DamagedFile(FettleError, OSError):
    """Bytes that are not the bytes that were written."""

    __str__ = FettleError.__str__


class FullDisk(FettleError, OSError):
    """There is no space left. What was published before is untouched."""

    __str__ = FettleError.__str__


class NonFiniteLoss(FettleError, ArithmeticError):
    """The loss is not a number. Raised before the weights change."""


class MemoryExhausted(FettleError, MemoryError):
    """A single row does not fit into memory. Raised before the weights change."""


class UnsoundPlan(RequestError):
    """A plan that would train nothing, never stop, or score on rows that it trained on."""


def near_misses(name: str, known: Iterable[str], most: int = 3) -> str:
    """Name the likeliest meanings of a misspelt name, or all names where there are few.

    >>> near_misses("epoch", ["epochs", "seed"])
    'epochs'
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    return ", ".join(close or names[:12])
