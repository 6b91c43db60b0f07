"""The noun that text detectors speak in: a stretch of a text, what it is and how sure that is.

Nothing here knows of rows, of findings or of what any detector looks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One stretch `text[start:end]`. `kind` is the family (`national-id`), `sort` the member of it (`us-ssn`).

    `confidence` is an order of trust from 0 to 1, no measured probability: 0.5 and below would not be reported.
    """

    kind: str
    start: int
    end: int
    confidence: float
    sort: str = ""


def settled(found: Iterable[Found]) -> list[Found]:
    """Stretches that do not overlap, in the order of the text: of two that do, the longer one, then the surer one.

    >>> long, short = Found("secret", 0, 9, 0.9), Found("email", 4, 9, 1.0)
    >>> settled([short, long]) == [long]
    True
    """
    kept: list[Found] = []
    for one in sorted(found, key=lambda each: (each.start - each.end, -each.confidence, each.start, each.kind)):
        if one.start < one.end and all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda each: each.start)


def stands_near(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether such words stand within 45 characters before a stretch, or within 25 after it.

    >>> stands_near(re.compile("tax"), "my tax number is 123", 17, 20)
    True
    """
    return bool(words.search(text, max(0, start - 45), start) or words.search(text, end, end + 25))
