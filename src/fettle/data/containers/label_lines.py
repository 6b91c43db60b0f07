"""Lines of a label, a blank and a text: `0 some text`, `spam<TAB>some text`, fastText's `__label__spam some text`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fettle.data.containers.opening import decode_row, physical_lines
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.source import File

PREFIX = "__label__"
MAX_LABELS = 200
MAX_LABEL_SHARE = 0.2
MAX_BARE_SHARE = 0.2
MIN_LINES = 4
_STRUCTURED_SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".md")
_LABEL = re.compile(rb"\w[\w+&/-]*")


class LabelLines:
    """A file without a header, each line of which begins with its label."""

    name = "label_lines"

    def recognise(self, sample: Sample) -> str | None:
        """See the prefix on most lines, or few first words that come again and again.

        Trap: two lines of prose have two first words, which is few; hence a least number of lines, and twice as many
        lines as labels.
        """
        lines = sample.lines()
        num_prefixed = sum(line.startswith(PREFIX.encode()) for line in lines)
        if num_prefixed and 2 * num_prefixed >= len(lines):
            return f"lines of {PREFIX}LABEL and text"
        if sample.suffix in _STRUCTURED_SUFFIXES or len(lines) < MIN_LINES:
            return None
        labels = {line.split(maxsplit=1)[0].removeprefix(PREFIX.encode()) for line in lines}
        limit = min(MAX_LABELS, max(2, int(MAX_LABEL_SHARE * len(lines))))
        num_bare = sum(len(line.split(maxsplit=1)) < 2 for line in lines)
        if len(labels) > limit or 2 * len(labels) > len(lines) or num_bare > MAX_BARE_SHARE * len(lines):
            return None
        if not all(_LABEL.fullmatch(label) for label in labels):
            return None
        return f"lines that begin with one of {len(labels)} labels"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        prefix = PREFIX.encode()
        for number, line in physical_lines(path):
            stripped = line.strip()
            if not stripped:
                continue
            # With the prefix a refused line is recognised for what it is, even where it stands alone.
            raw = stripped if stripped.startswith(prefix) else prefix + stripped
            try:
                yield RawRow(number, _split(decode_row(raw)), raw)
            except BadRecord as bad:
                yield refuse(path, number, raw, bad)

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".txt")


def _split(line: str) -> dict[str, object]:
    """Label and text of one prefixed line.

    >>> _split("__label__spam Win a prize")
    {'label': 'spam', 'text': 'Win a prize'}
    """
    labelled = line.removeprefix(PREFIX)
    if not labelled or labelled[0].isspace():
        raise BadRecord("the line has no label", expected=f"{PREFIX}LABEL, a blank and the text")
    label, *rest = labelled.split(maxsplit=1)
    text = rest[0] if rest else ""
    if not text:
        raise BadRecord("there is no text after the label", expected="a label, a blank and the text")
    if text.startswith(PREFIX):
        second = text.split(maxsplit=1)[0].removeprefix(PREFIX)
        raise BadRecord(
            f"the line has two labels or more ({label}, {second})", expected="one label", attempt="keep one of them"
        )
    return {"label": label, "text": text}
