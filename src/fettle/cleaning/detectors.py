"""What operations need of the room below: detectors, by the shape of what they are called with.

They are handed in as one record, so that an operation does not choose its detector and tests can bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import py3langid

from fettle.errors import RequestError
from fettle.quality.finding import Check

Pair = tuple[int, int, float]


class FindPersonal(Protocol):
    """Finds what is private in a text: objects with `kind`, `start`, `end` and `confidence`, none over another."""

    def __call__(self, text: str) -> Sequence[Any]:
        """What was found, in the order of the text."""
        ...


class Redact(Protocol):
    """Puts something else in the places of what was found: the same for the same, as long as it lives."""

    def __call__(self, text: str, found: Sequence[Any], how: str, salt: str) -> str:
        """The text without what was found."""
        ...


class SimilarPairs(Protocol):
    """Finds texts that are nearly the same: two places each, and how alike they are. Groups are never mixed."""

    def __call__(self, texts: Sequence[str], threshold: float, groups: Sequence[int]) -> Iterable[Pair]:
        """The pairs; `groups` has one number a text."""
        ...


class SemanticPairs(Protocol):
    """Finds vectors that lie close: two places each, and their cosine."""

    def __call__(self, vectors: npt.NDArray[np.float32], threshold: float) -> Iterable[Pair]:
        """The pairs of unit vectors."""
        ...


class TellLanguage(Protocol):
    """The language of a text as two or three small letters; empty where there is nothing to tell it by."""

    def __call__(self, text: str) -> str:
        """For example `de`."""
        ...


def language_of(text: str) -> str:
    """The likeliest language of a text. Trap: of a word or two it is often wrong.

    >>> language_of("Guten Tag, wo ist mein Paket geblieben?"), language_of("12")
    ('de', '')
    """
    if not any(letter.isalpha() for letter in text):
        return ""
    return str(py3langid.classify(text)[0])


@dataclass(frozen=True)
class Detectors:
    """The detectors that operations call. One that is missing is refused by the operation that wants it.

    `new_redact` makes a redactor that remembers nothing of other datasets. `checks` has a check for each kind of
    finding.
    """

    find_personal: FindPersonal | None = None
    new_redact: Callable[[], Redact] | None = None
    similar_pairs: SimilarPairs | None = None
    semantic_pairs: SemanticPairs | None = None
    language: TellLanguage = language_of
    checks: Mapping[str, Check] = field(default_factory=dict)


def missing_detector(operation: str, what: str) -> RequestError:
    """The error of an operation that was given no detector, or no model, to work with."""
    return RequestError(f"{operation} needs {what}, and there is none here", where=operation)
