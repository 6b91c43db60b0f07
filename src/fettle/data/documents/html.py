"""HTML pages as the text that people see in them: no scripts, no styles, nothing hidden; nothing is run or fetched.

A short page is one row. A long one is cut at its headings, each section a row with the headings above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from selectolax.lexbor import LexborHTMLParser

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row
from fettle.data.containers.protocol import BOM, QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.documents.visible_text import Section, visible_sections
from fettle.data.records import BadRecord
from fettle.data.streams.packed import open_file
from fettle.data.streams.source import File

SUFFIXES = (".html", ".htm", ".xhtml")
MAX_NESTING = 1_000
"""Elements that stand open at once. The parser's work grows with the square of them."""

LONG_PAGE_CHARACTERS = 8_000
"""A page with more visible text is cut at its headings."""

_START = re.compile(rb"(?:\s|<!--.*?-->|<\?xml.*?\?>)*+<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_START_BYTES = 4_096
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_HEADING_OR_NOT_SHOWN = re.compile(rb"<(?:(!--)|(script|style|template)\b|h[1-6]\b)", re.IGNORECASE)
_ENDS = {tag: re.compile(rb"</" + tag + rb"\b", re.IGNORECASE) for tag in (b"script", b"style", b"template")}
# These are closed by what follows them or hold nothing, so an open one says nothing of depth.
_NEVER_DEEP = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd option tr td th thead tbody "
    b"tfoot colgroup html head body".split()
)


class Html:
    """A .html file; with `is_whole` one row however long it is."""

    name = "html"

    def __init__(self, is_whole: bool = False) -> None:
        self._is_whole = is_whole

    def recognise(self, sample: Sample) -> str | None:
        head = sample.head.removeprefix(BOM)
        if not _START.match(head[:_START_BYTES]) and not (sample.suffix in SUFFIXES and _TAG.search(head)):
            return None
        said = "HTML, the visible text of the page a document"
        return said if self._is_whole else f"{said}, or of every section where it is long"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        with open_file(path) as file:
            page = file.read(MAX_ROW_BYTES + 1).removeprefix(BOM)
        try:
            text = decode_row(page)
            if _nesting(page) > MAX_NESTING:
                raise BadRecord(
                    "its elements are nested too deeply", expected=f"at most {MAX_NESTING:,} in one another"
                )
        except BadRecord as bad:
            yield refuse(path, 1, page, bad)
            return
        parsed = LexborHTMLParser(text)
        title_node = parsed.css_first("title")
        title = " ".join(title_node.text().split()) if title_node is not None else ""
        for line, section in self._divided(visible_sections(parsed.root), page):
            fields: dict[str, object] = {"text": section.text, "title": title, "headings": section.headings}
            raw = msgspec.json.encode(fields)
            if section.text:
                yield RawRow(line, fields, raw)
            else:
                yield refuse(path, line, raw, BadRecord("the page shows no text", expected="text outside of scripts"))

    def _divided(self, sections: list[Section], page: bytes) -> list[tuple[int, Section]]:
        """The sections with their lines; one of all of them where the page is short."""
        lines = _section_lines(page, len(sections))
        filled = [(line, section) for line, section in zip(lines, sections, strict=True) if section.text]
        if self._is_whole or sum(len(section.text) for _, section in filled) <= LONG_PAGE_CHARACTERS:
            return [(1, Section("", "\n\n".join(section.text for _, section in filled)))]
        return filled

    def quarantine_form(self, path: File) -> QuarantineForm:
        """Refused sections are written as JSON lines of what was read."""
        return QuarantineForm(".jsonl")


def _nesting(page: bytes) -> int:
    """No fewer elements than this stand open at once, seen without building the page.

    >>> _nesting(b"<div><p>a<p>b<div><br></div></div>")
    2
    """
    deepest, depth = 0, 0
    for closing, tag in _TAG.findall(page):
        if tag.lower() in _NEVER_DEEP:
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _section_lines(page: bytes, num_sections: int) -> list[int]:
    """The line of each section: the first begins with the page, each other with a heading.

    The parser tells no lines. Where not as many headings stand in the source as it found, all are put at line 1.
    """
    lines, line, counted, position = [1], 1, 0, 0
    while found := _HEADING_OR_NOT_SHOWN.search(page, position):
        position = found.end()
        if found[1] or found[2]:
            # What is not closed runs to the end of the page: no heading follows.
            position = page.find(b"-->", position) if found[1] else _end_of(page, found[2].lower(), position)
            if position < 0:
                break
            continue
        line += page.count(b"\n", counted, found.start())
        counted = found.start()
        lines.append(line)
    return lines if len(lines) == num_sections else [1] * num_sections


def _end_of(page: bytes, tag: bytes, start: int) -> int:
    found = _ENDS[tag].search(page, start)
    return found.end() if found else -1
