"""Slips of the pen: texts that differ by one letter lost, added or changed, or by two that changed places."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"\d+")


def with_gaps(key: str) -> list[str]:
    """The key, and the key without each one of its letters: two keys one slip apart share one of these.

    >>> with_gaps("abc")
    ['abc', 'bc', 'ac', 'ab']
    """
    return [key, *(key[:at] + key[at + 1 :] for at in range(len(key)))]


def is_slip(one: str, other: str) -> bool:
    """Whether two texts long enough to tell differ by one letter, or by two that changed places; digits must agree.

    >>> is_slip("delivery", "delivry"), is_slip("class 1", "class 2"), is_slip("delivery", "delivery")
    (True, False, False)
    """
    shorter, longer = sorted((one, other), key=len)
    if one == other or len(shorter) < 5 or len(longer) - len(shorter) > 1:
        return False
    if _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    at = next((at for at, sign in enumerate(shorter) if sign != longer[at]), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = one[at] == other[at + 1 : at + 2] and one[at + 1 : at + 2] == other[at]
    return one[at + 1 :] == other[at + 1 :] or (swapped and one[at + 2 :] == other[at + 2 :])
