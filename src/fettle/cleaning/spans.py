"""Spans that follow their words when a text is mended.

Where a mender says what it put where, offsets are moved by that. Else the text is mended in a way that shows where
each boundary went, and the result is taken only if it is the same text as without the trick and each span holds the
same words, mended. What cannot be shown is not guessed: the text is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fettle.data.records import Span, TaggedText

_PRIVATE_USE = range(0xE000, 0xF900)


class CannotFollow(Exception):
    """Why a record is left as it was. It becomes the reason of its row and reaches nobody else."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The characters from `start` to just before `end` were replaced by `put`."""

    start: int
    end: int
    put: str


@dataclass(frozen=True, slots=True)
class Mended:
    """A text after mending and what was done in words; `edits`, in order, where the mender knows them."""

    text: str
    deeds: tuple[str, ...] = ()
    edits: tuple[Edit, ...] | None = None


def mend_tagged(record: TaggedText, mended: Mended, mend: Callable[[str], Mended]) -> TaggedText:
    """The mended text with every span on its words, or `CannotFollow`. Spans whose words were cut out go with them."""
    if mended.text == record.text or not record.spans:
        return TaggedText(mended.text, record.spans)
    if mended.edits is not None:
        moved = [_moved(span, mended.edits) for span in record.spans]
        return TaggedText(mended.text, tuple(span for span in moved if span.start < span.end))
    for way in (_by_pieces, _by_marks):
        spans = _followed(record, mended.text, way, mend)
        if spans is not None:
            return TaggedText(mended.text, spans)
    raise CannotFollow("its spans could not be moved with their words")


def _moved(span: Span, edits: Sequence[Edit]) -> Span:
    """A span of which an edit replaced a part holds the whole of what was put there."""
    start, end = span.start, span.end
    shift = 0
    for edit in edits:
        begin, grown = edit.start + shift, len(edit.put) - (edit.end - edit.start)
        if edit.end <= span.start:
            start += grown
        elif edit.start < span.start:
            start = begin
        if edit.end <= span.end:
            end += grown
        elif edit.start < span.end:
            end = begin + len(edit.put)
        shift += grown
    return Span(start, end, span.label)


_Where = dict[int, int]
_Way = Callable[[str, Sequence[int], str, Callable[[str], Mended]], _Where | None]


def _followed(record: TaggedText, after: str, way: _Way, mend: Callable[[str], Mended]) -> tuple[Span, ...] | None:
    """The moved spans if one way of following shows where each boundary went and every span kept its words."""
    bounds = sorted({bound for span in record.spans for bound in (span.start, span.end)})
    where = way(record.text, bounds, after, mend)
    if where is None:
        return None
    moved = []
    for span in record.spans:
        old, new = record.text[span.start : span.end], after[where[span.start] : where[span.end]]
        words = mend(old).text.strip() if old else ""
        if not words or new.strip() != words:
            return None
        start = where[span.start] + len(new) - len(new.lstrip()) if old == old.strip() else where[span.start]
        end = start + len(words) if old == old.strip() else where[span.end]
        moved.append(Span(start, end, span.label))
    return tuple(moved)


def _by_pieces(text: str, bounds: Sequence[int], after: str, mend: Callable[[str], Mended]) -> _Where | None:
    """Mend what lies between the boundaries piece by piece, the blanks at a piece's ends aside."""
    cuts = [0, *bounds, len(text)]
    pieces = [_mend_core(text[start:end], mend) for start, end in pairwise(cuts)]
    joined = "".join(pieces)
    cut = 0
    if joined != after:
        cut = len(joined) - len(joined.lstrip())
        if joined.strip() != after:
            return None
    where, reached = {}, 0
    for bound, piece in zip(bounds, pieces, strict=False):
        reached += len(piece)
        where[bound] = min(max(reached - cut, 0), len(after))
    return where


def _mend_core(piece: str, mend: Callable[[str], Mended]) -> str:
    core = piece.strip()
    if not core:
        return piece
    lead = len(piece) - len(piece.lstrip())
    return piece[:lead] + mend(core).text + piece[lead + len(core) :]


def _by_marks(text: str, bounds: Sequence[int], after: str, mend: Callable[[str], Mended]) -> _Where | None:
    """Put a character that the text does not hold at every boundary, mend, and look where the marks went."""
    mark = next((chr(code) for code in _PRIVATE_USE if chr(code) not in text), "")
    cuts = [0, *bounds, len(text)]
    marked = mark.join(text[start:end] for start, end in pairwise(cuts))
    pieces = mend(marked).text.split(mark) if mark else []
    if len(pieces) != len(bounds) + 1 or "".join(pieces) != after:
        return None
    where, reached = {}, 0
    for bound, piece in zip(bounds, pieces, strict=False):
        reached += len(piece)
        where[bound] = reached
    return where
