"""Damage of encoding: text decoded with the wrong table, cut in the middle of a character, or escaped twice."""

from __future__ import annotations

import re
from collections.abc import Iterator

import ftfy
from ftfy.badness import BADNESS_RE

from fettle.quality.found import Found, settled

_ASCII_GATE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]|&amp;[#a-zA-Z]|=[89A-F][0-9A-F]=[89A-F]|â|Ã")
_SORTS = (
    ("nul", re.compile("\x00+"), 0.99),
    ("surrogate", re.compile("[\ud800-\udfff]+"), 0.99),
    ("replacement", re.compile("\ufffd+|\u00ef\u00bf\u00bd"), 0.95),
    ("not-a-character", re.compile("[\ufdd0-\ufdef\ufffe\uffff]+"), 0.95),
    # Tab, line feed, carriage return, form feed and next line are layout.
    ("control", re.compile("[\x01-\x08\x0b\x0e-\x1f\x7f\x80-\x84\x86-\x9f]+"), 0.9),
    ("escaped-twice", re.compile(r"&amp;(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,5});(?:\w{0,8};)?"), 0.9),
    ("quoted-printable", re.compile(r"(?:=[89A-F][0-9A-F]){2,}"), 0.85),
)
_BROKEN_RUN = re.compile(r"[^\x00-\x7f]+(?:[ \xa0]?[^\x00-\x7f]+)*")


def find_damage(text: str) -> list[Found]:
    """Stretches of broken text. Trap: lone surrogates cannot be written to a file, so a text with them is lost there.

    >>> [one.sort for one in find_damage("the cafÃ© is closed\\x00, Tom &amp;amp; Ann")]
    ['mojibake', 'nul', 'escaped-twice']
    """
    if text.isascii() and not _ASCII_GATE.search(text):
        return []
    found = [
        Found("encoding", match.start(), match.end(), confidence, sort)
        for sort, form, confidence in _SORTS
        for match in form.finditer(text)
    ]
    if not text.isascii():
        found += _mojibake(text)
    return settled(found)


def _mojibake(text: str) -> Iterator[Found]:
    """Runs that ftfy calls unlikely, where its repair changes them or three and more unlikely pairs stand together."""
    if not BADNESS_RE.search(text):
        return
    is_mendable = ftfy.fix_encoding(text) != text
    for run in _BROKEN_RUN.finditer(text):
        # One letter on each side, as the signs of damage may need their neighbours.
        around = text[max(0, run.start() - 2) : run.end() + 2]
        num_unlikely = len(BADNESS_RE.findall(around))
        if num_unlikely and (num_unlikely > 2 or (is_mendable and ftfy.fix_encoding(around) != around)):
            yield Found("encoding", run.start(), run.end(), 0.9 if is_mendable else 0.7, "mojibake")
