"""Plain text: every block of lines between blank lines is one document, or the whole file is one."""

from __future__ import annotations

from collections.abc import Iterator

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row, physical_lines
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.source import File

_STRUCTURED_SUFFIXES = (
    *(".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".parquet", ".arrow", ".feather", ".xml"),
    *(".conll", ".iob", ".iob2", ".bio", ".bioes"),
)


class PlainTextFile:
    """A .txt or .md file, or any other that is text and nothing else; each document starts at its first line."""

    name = "plain_text"
    _is_whole = False

    def recognise(self, sample: Sample) -> str | None:
        if sample.suffix in _STRUCTURED_SUFFIXES or not sample.lines():
            return None
        return "plain text, every block between blank lines a document"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        block: list[bytes] = []
        start, size_bytes = 0, 0
        for number, line in physical_lines(path):
            if not line.strip() and not (self._is_whole and block):
                if block:
                    yield _document(path, start, b"".join(block))
                block, size_bytes = [], 0
                continue
            if not block:
                start = number
            # Beyond the limit the document is refused anyway, and its end is all that matters.
            if size_bytes <= MAX_ROW_BYTES:
                block.append(line)
                size_bytes += len(line)
        if block:
            yield _document(path, start, b"".join(block))

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".txt", separator=b"\n\n")


class WholeTextFile(PlainTextFile):
    """The same files, each of them one document: what stands between blank lines belongs together."""

    name = "whole_text"
    _is_whole = True

    def recognise(self, sample: Sample) -> str | None:
        if sample.suffix in _STRUCTURED_SUFFIXES:
            return None
        return "plain text, the whole file a document"

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".txt")


def _document(path: File, line: int, block: bytes) -> RawRow | RefusedRow:
    raw = block[: MAX_ROW_BYTES + 1].rstrip(b"\r\n")
    try:
        return RawRow(line, {"text": decode_row(raw)}, raw)
    except BadRecord as bad:
        return refuse(path, line, raw, bad)
