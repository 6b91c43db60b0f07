"""`labels=merge` and `relabel=FILE`: labels spelt in one way, and labels as people have reviewed them.

Where a label stands in a record is known here; what a good label is, is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fettle.cleaning.config import LabelsSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Change, Cleaned, replace_rows
from fettle.cleaning.where import labels_in
from fettle.data.records import JudgedAnswer, LabelledText, MultiLabelledText, Record, Row, Span, TaggedText
from fettle.quality.finding import Given

_BETWEEN_WORDS = re.compile(r"[\s_-]+")


@dataclass(frozen=True)
class Labels:
    """The operation."""

    settings: LabelsSettings
    name: str = "labels"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Rename labels wherever a record has them."""
        names = self.settings.map or one_spelling(label for row in rows for label in _names_of(row.record))
        mended = {}
        for place, row in enumerate(rows):
            renamed = {label: resolve(label, names) for label in _names_of(row.record)}
            changed = [f"{old!r} is {new!r}" for old, new in renamed.items() if old != new]
            if changed:
                record = with_labels(row.record, renamed.__getitem__)
                change = Change(place, "relabelled", ", ".join(changed))
                mended[place] = (msgspec.structs.replace(row, record=record), change)
        return replace_rows(rows, mended, {})


def one_spelling(labels: Iterable[str]) -> dict[str, str]:
    """For each label that has a commoner spelling, that one; of two as common the first in the alphabet.

    >>> one_spelling(["order_status", "Order status", "order_status", "refund"])
    {'Order status': 'order_status'}
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        plain = unicodedata.normalize("NFKC", label).casefold()
        spellings[_BETWEEN_WORDS.sub(" ", plain).strip()][label] += 1
    found = {}
    for counts in spellings.values():
        best = min(counts, key=lambda label: (-counts[label], label))
        found.update({label: best for label in counts if label != best})
    return found


def resolve(label: str, names: Mapping[str, str]) -> str:
    """The label at the end of a chain of names. The chain has an end: a map that has none is refused."""
    while names.get(label, label) != label:
        label = names[label]
    return label


def with_labels(record: Record, rename: Callable[[str], str]) -> Record:
    """The record with other labels; labels that become one stand once."""
    match record:
        case LabelledText(text, label):
            return LabelledText(text, rename(label))
        case MultiLabelledText(text, labels):
            return MultiLabelledText(text, tuple(dict.fromkeys(rename(label) for label in labels)))
        case TaggedText(text, spans):
            renamed = (Span(span.start, span.end, rename(span.label)) for span in spans)
            return TaggedText(text, tuple(dict.fromkeys(renamed)))
    return record


def _names_of(record: Record) -> tuple[str, ...]:
    """The labels that people wrote; good and bad are no names."""
    return () if isinstance(record, JudgedAnswer) else labels_in(record)


def make_labels(settings: LabelsSettings, detectors: Detectors) -> Labels:
    """The factory in the table."""
    return Labels(settings)
