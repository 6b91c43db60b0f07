"""`repair`: texts that a wrong decoding, a terminal or an editor has damaged.

What is mended is what has no meaning: broken encoding, control characters, line ends of other systems, letters in
pieces, blanks at both ends. Quotes, ligatures, wide letters and HTML entities are left: people may have meant them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ftfy

from fettle.cleaning.config import RepairSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Cleaned
from fettle.cleaning.spans import Mended
from fettle.cleaning.texts import mend_rows
from fettle.data.records import Row
from fettle.quality.finding import Given

Stage = tuple[str, Callable[[str], str]]

_ENCODING = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=True,
    fix_encoding=True,
    restore_byte_a0=True,
    replace_lossy_sequences=False,  # what was lost is better seen than papered over
    decode_inconsistent_utf8=True,
    fix_c1_controls=True,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=True,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)
_KEPT_CONTROLS = "\t\n"
_LINE_ENDS = {"\r\n": "\n", "\r": "\n", "\u2028": "\n", "\u2029": "\n", "\x85": "\n"}


def mend_encoding(text: str) -> str:
    """Text that was decoded as what it is not, decoded again.

    >>> mend_encoding("cafÃ©")
    'café'
    """
    return str(ftfy.fix_text(text, _ENCODING))


def mend_line_ends(text: str) -> str:
    """Every line ends with a line feed.

    >>> mend_line_ends("a\\r\\nb")
    'a\\nb'
    """
    for ending, mended in _LINE_ENDS.items():
        text = text.replace(ending, mended)
    return text


def without_controls(text: str) -> str:
    """The text without control characters; tabs and line feeds stay.

    >>> without_controls("a\\x00b\\tc")
    'ab\\tc'
    """
    if text.isprintable():
        return text
    return "".join(letter for letter in text if unicodedata.category(letter) != "Cc" or letter in _KEPT_CONTROLS)


# The encoding first: what looks like a control character may be half of a letter that was decoded wrongly.
_STAGES: tuple[Stage, ...] = (
    ("broken encoding", mend_encoding),
    ("line ends", mend_line_ends),
    ("control characters", without_controls),
    ("letters in pieces", lambda text: unicodedata.normalize("NFC", text)),
    ("blanks at the ends", str.strip),
)


class InStages:
    """A mender that does one thing after the other and says which of them changed the text."""

    reads_json = False
    may_leave = True

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)

    def __call__(self, text: str) -> Mended:
        deeds = []
        for deed, mend in self._stages:
            after = mend(text)
            if after != text:
                deeds.append(deed)
            text = after
        return Mended(text, tuple(deeds))


@dataclass(frozen=True)
class Repair:
    """The operation."""

    settings: RepairSettings
    name: str = "repair"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Repair every text of every row."""
        return mend_rows(rows, InStages(_STAGES), "repaired")


def make_repair(settings: RepairSettings, detectors: Detectors) -> Repair:
    """The factory in the table."""
    return Repair(settings)
