"""Markdown by sections: from one heading to the next is a row, with the headings above it as a column.

The text is as it was written, its own heading line included, so the sections joined give the document back. A mark
inside fenced code is code and no heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row, physical_lines
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.source import File

SUFFIXES = (".md", ".markdown")
PATH_SEPARATOR = " > "
_HEADING = re.compile(rb" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(rb" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})(.*)")
# Lines that an underline does not make a heading of: lists, quotes, tables, indented code, HTML.
_NO_HEADING_TEXT = re.compile(rb"\s{4}|\t| {0,3}(?:[-*+>|<#]|\d+[.)]\s)")


class Markdown:
    """A .md file with headings."""

    name = "markdown"

    def recognise(self, sample: Sample) -> str | None:
        if sample.suffix not in SUFFIXES:
            return None
        lines = sample.head.splitlines(keepends=True)
        num_headings = sum(bool(level) for _, level, _ in _marked(enumerate(lines, start=1)))
        if not num_headings:
            return None
        return "Markdown, every section under a heading a document"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        above: list[tuple[int, str]] = []
        section: list[bytes] = []
        start, size_bytes = 1, 0
        for number_line, level, title in _marked(physical_lines(path)):
            number, line = number_line
            if level:
                yield from _section(path, start, section, above)
                above = [*(each for each in above if each[0] < level), (level, title)]
                section, start, size_bytes = [], number, 0
            if size_bytes <= MAX_ROW_BYTES:
                section.append(line)
                size_bytes += len(line)
        yield from _section(path, start, section, above)

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".md", separator=b"\n\n")


def _marked(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[tuple[int, bytes], int, str]]:
    """Each line with the level and the words of the heading that begins at it; level 0 where none does."""
    fence = b""
    before_is_text = False
    waiting: tuple[int, bytes] | None = None
    for item in lines:
        line = item[1].rstrip(b"\r\n")
        if waiting is not None:
            # A line alone in its paragraph is a heading where the next underlines it.
            underline = _UNDERLINE.fullmatch(line)
            level = (1 if underline[1].startswith(b"=") else 2) if underline else 0
            yield waiting, level, _words(waiting[1]) if level else ""
            waiting = None
            before_is_text = not level
            if level:
                yield item, 0, ""
                continue
        opened = _FENCE.fullmatch(line)
        if fence:
            if opened and opened[1].startswith(fence) and not opened[2].strip():
                fence = b""
            yield item, 0, ""
            continue
        if opened and not (opened[1].startswith(b"`") and b"`" in opened[2]):
            fence, before_is_text = opened[1], False
            yield item, 0, ""
            continue
        heading = _HEADING.match(line)
        if heading:
            before_is_text = False
            yield item, len(heading[1]), _words(_without_closing(line[heading.end() :]))
        elif not line.strip():
            before_is_text = False
            yield item, 0, ""
        elif not before_is_text and not _NO_HEADING_TEXT.match(line):
            waiting = item
        else:
            before_is_text = True
            yield item, 0, ""
    if waiting is not None:
        yield waiting, 0, ""


def _without_closing(words: bytes) -> bytes:
    """The words of a heading without the marks that may close it.

    >>> _without_closing(b" Title ##"), _without_closing(b" C#")
    (b'Title', b'C#')
    """
    words = words.strip()
    without = words.rstrip(b"#")
    return without.rstrip() if not without or without[-1:].isspace() else words


def _words(heading: bytes) -> str:
    return " ".join(heading.decode("utf-8", "replace").split())


def _section(
    path: File, line: int, section: list[bytes], above: list[tuple[int, str]]
) -> Iterator[RawRow | RefusedRow]:
    num_blank = next((place for place, each in enumerate(section) if each.strip()), len(section))
    line += num_blank
    raw = b"".join(section[num_blank:])[: MAX_ROW_BYTES + 1].rstrip()
    if not raw:
        return
    headings = PATH_SEPARATOR.join(title for _, title in above)
    try:
        yield RawRow(line, {"text": decode_row(raw), "headings": headings}, raw)
    except BadRecord as bad:
        yield refuse(path, line, raw, bad)
