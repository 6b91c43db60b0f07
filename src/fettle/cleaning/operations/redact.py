"""`redact=…`: what is private in texts is masked, hashed, replaced or cut out.

What is private is found by the detector that is handed in. Nothing private is left because mending it is hard: a row
whose spans cannot follow their words is dropped. Labels, the names of speakers and of tools, and the keys of JSON are
no texts and are not looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fettle.cleaning.config import RedactSettings
from fettle.cleaning.detectors import Detectors, FindPersonal, missing_detector
from fettle.cleaning.detectors import Redact as RedactText
from fettle.cleaning.operation import Cleaned
from fettle.cleaning.spans import Edit, Mended
from fettle.cleaning.texts import mend_rows
from fettle.data.records import Row
from fettle.quality.finding import Given


class _Redactor:
    reads_json = True
    may_leave = False

    def __init__(self, settings: RedactSettings, find: FindPersonal, redact: RedactText) -> None:
        self._settings, self._find, self._redact = settings, find, redact

    def __call__(self, text: str) -> Mended:
        wanted = self._settings
        found = [
            each
            for each in self._find(text)
            if (not wanted.kinds or each.kind in wanted.kinds) and each.confidence >= wanted.least_confidence
        ]
        if not found:
            return Mended(text)
        kinds = tuple(dict.fromkeys(each.kind for each in found))
        if wanted.how == "drop":
            cuts = tuple(Edit(each.start, each.end, "") for each in found)
            return Mended(_apply(text, cuts), kinds, cuts)
        after = self._redact(text, found, wanted.how, wanted.salt)
        edits = tuple(self._edit(text, each) for each in found)
        return Mended(after, kinds, edits if _apply(text, edits) == after else None)

    def _edit(self, text: str, found: Any) -> Edit:
        """What is put in the place of one thing, when it is redacted by itself."""
        alone = dataclasses.replace(found, start=0, end=found.end - found.start)
        put = self._redact(text[found.start : found.end], [alone], self._settings.how, self._settings.salt)
        return Edit(found.start, found.end, put)


def _apply(text: str, edits: Sequence[Edit]) -> str:
    out, reached = [], 0
    for edit in edits:
        out += [text[reached : edit.start], edit.put]
        reached = edit.end
    return "".join([*out, text[reached:]])


@dataclass(frozen=True)
class Redact:
    """The operation."""

    settings: RedactSettings
    find: FindPersonal
    new_redact: Callable[[], RedactText]
    name: str = "redact"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Redact every text of every row, and the values in what tools are called with."""
        mender = _Redactor(self.settings, self.find, self.new_redact())
        return mend_rows(rows, mender, "redacted", self.settings.fields)


def make_redact(settings: RedactSettings, detectors: Detectors) -> Redact:
    """The factory in the table."""
    if detectors.find_personal is None or detectors.new_redact is None:
        raise missing_detector("redact", "a detector of what is private")
    return Redact(settings, detectors.find_personal, detectors.new_redact)
