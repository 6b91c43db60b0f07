"""XML: the rows of a repeated element, or the text of a document.

An element that comes again and again and holds leaves is a row: the text of each leaf under its name, attributes as
`name@attribute`, leaves of inner elements as `outer/inner`, a leaf that comes several times as a list. Where no element
is like that, the text of the whole file is one document. Entities are neither expanded nor fetched: a file that
declares any is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

import msgspec

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row, take_sample
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.documents.html import Html
from fettle.data.documents.xml_shape import Path as ElementPath
from fettle.data.documents.xml_shape import Shapes, Strict, column_name
from fettle.data.records import BadRecord
from fettle.data.streams.packed import open_file
from fettle.data.streams.source import BLOCK_BYTES, File
from fettle.errors import RequestError

SUFFIXES = (".xml",)


class Xml:
    """A .xml file."""

    name = "xml"

    def recognise(self, sample: Sample) -> str | None:
        head = sample.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not head.startswith(b"<?xml") and not (sample.suffix in SUFFIXES and head.startswith(b"<")):
            return None
        if Html().recognise(sample) is not None:
            return None
        shapes = _shapes(sample)
        path = shapes.record()
        if path is None:
            return "XML, the text of the file a document"
        columns = list(shapes.columns(path))
        named = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
        return f"XML, every <{path[-1]}> a row with the columns ({named})"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        shapes = _shapes(take_sample(path))
        record = shapes.record()
        reader = _Rows(record, shapes.prose) if record is not None else _WholeText(shapes.prose)
        try:
            with open_file(path) as file:
                while block := file.read(BLOCK_BYTES):
                    reader.feed(block)
                    yield from _rows(path, reader.take())
                reader.close()
        except (expat.ExpatError, BadRecord) as error:
            raise _no_xml(path, reader.line, error) from error
        yield from _rows(path, reader.take())

    def quarantine_form(self, path: File) -> QuarantineForm:
        """Refused rows are written as JSON lines under the same names."""
        return QuarantineForm(".jsonl")


def _shapes(sample: Sample) -> Shapes:
    shapes = Shapes()
    try:
        shapes.feed(sample.head)
        if sample.is_whole:
            shapes.close()
    except (expat.ExpatError, BadRecord):
        # What is wrong with the file is said, with its line, when it is read.
        pass
    return shapes


def _no_xml(path: File, line: int, error: Exception) -> RequestError:
    if isinstance(error, BadRecord):
        return RequestError(error.problem, where=f"{path}:{line}", expected=error.expected, attempt=error.attempt)
    return RequestError(
        f"the file is no XML: {str(error).partition(':')[0]}",
        where=f"{path}:{line}",
        expected="every element closed, and & and < written as &amp; and &lt;",
        attempt="mend the file there",
    )


def _rows(path: File, found: list[tuple[int, dict[str, object], bool]]) -> Iterator[RawRow | RefusedRow]:
    for line, fields, is_overlong in found:
        raw = msgspec.json.encode(fields)
        try:
            if is_overlong:
                decode_row(b" " * (MAX_ROW_BYTES + 1))
            if not fields.get("text", True):
                raise BadRecord("there is no text in the file", expected="text between tags")
        except BadRecord as bad:
            yield refuse(path, line, raw, bad)
        else:
            yield RawRow(line, fields, raw)


class _WholeText(Strict):
    """All text of a file: what stands beside elements runs on, leaves stand on lines of their own."""

    def __init__(self, prose: frozenset[ElementPath]) -> None:
        super().__init__()
        self._prose = prose
        self._pieces: list[str] = []
        self._size_bytes = 0
        self._done: list[tuple[int, dict[str, object], bool]] = []

    def started(self, path: ElementPath, attributes: dict[str, str]) -> None:
        """Nothing: an element begins where text may run on."""

    def said(self, text: str) -> None:
        """Keep text, up to the size of a row."""
        self._size_bytes += len(text)
        if self._size_bytes <= MAX_ROW_BYTES:
            self._pieces.append(text)

    def ended(self, path: ElementPath) -> None:
        """End a line after every element that stands in no prose; the last end closes the document."""
        if path[:-1] not in self._prose:
            self._pieces.append("\n")
        if len(path) == 1:
            lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
            text = "\n".join(line for line in lines if line)
            self._done.append((1, {"text": text}, self._size_bytes > MAX_ROW_BYTES))

    def take(self) -> list[tuple[int, dict[str, object], bool]]:
        """The document, once it is whole."""
        done, self._done = self._done, []
        return done


class _Rows(Strict):
    """The rows of one element, held no longer than until they are taken."""

    def __init__(self, record: ElementPath, prose: frozenset[ElementPath]) -> None:
        super().__init__()
        self._record, self._prose = record, prose
        self._prose_depth = 0
        self._done: list[tuple[int, dict[str, object], bool]] = []
        self._fields: dict[str, object] | None = None
        self._line, self._size_bytes = 0, 0
        self._texts: list[list[str]] = []
        self._have_children: list[bool] = []

    def started(self, path: ElementPath, attributes: dict[str, str]) -> None:
        """Open a row, or an element within one."""
        if path == self._record:
            self._fields, self._line, self._size_bytes = {}, self.line, 0
        if self._fields is None:
            return
        if self._prose_depth or path in self._prose:
            self._prose_depth += 1
            if self._prose_depth > 1:
                return
        if self._have_children:
            self._have_children[-1] = True
        self._texts.append([])
        self._have_children.append(False)
        name = column_name(path, self._record)
        for attribute, value in attributes.items():
            self._add(f"{name}@{attribute}", value)

    def said(self, text: str) -> None:
        """Keep the text of the innermost open element."""
        if self._texts and self._size_bytes <= MAX_ROW_BYTES:
            self._texts[-1].append(text)
            self._size_bytes += len(text)

    def ended(self, path: ElementPath) -> None:
        """Set down the text of an element that is a leaf, or that says something beside its children."""
        if not self._texts:
            return
        if self._prose_depth:
            self._prose_depth -= 1
            if self._prose_depth:
                return
        text, has_children = "".join(self._texts.pop()).strip(), self._have_children.pop()
        if text or not has_children:
            self._add(column_name(path, self._record), text)
        if path == self._record and self._fields is not None:
            self._done.append((self._line, self._fields, self._size_bytes > MAX_ROW_BYTES))
            self._fields = None

    def take(self) -> list[tuple[int, dict[str, object], bool]]:
        """The rows that are whole by now."""
        done, self._done = self._done, []
        return done

    def _add(self, name: str, value: str) -> None:
        assert self._fields is not None
        self._size_bytes += len(name)
        before = self._fields.get(name)
        if before is None:
            self._fields[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            self._fields[name] = [before, value]
