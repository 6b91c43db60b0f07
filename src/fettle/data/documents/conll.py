"""CoNLL: a token a line with its tags beside it, a blank line between sentences.

Columns go by position: the first is the token, the last its tag; what stands between is not read. What the tags mean
(BIO, BIOES, plain names) is not known here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row, physical_lines, take_sample
from fettle.data.containers.protocol import QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.source import File

SUFFIXES = (".conll", ".iob", ".iob2", ".bio", ".bioes")
DOCUMENT_START = "-DOCSTART-"
_LEAST_SHARE = 0.95
_MIN_LINES = 4
_TAG = re.compile(r"O|[BIESULM]-\S+")
_DOCUMENT_START = DOCUMENT_START.encode()


class Conll:
    """A .conll or other file of tokens and tags."""

    name = "conll"

    def recognise(self, sample: Sample) -> str | None:
        """See two columns or more on nearly every line, the last of them tags.

        Trap: label and text on a line, or words in columns, look alike; only tags (`O`, `B-PER`) tell tokens. With the
        extension of such files, whatever stands last is a tag.
        """
        lines = [line for line in sample.lines() if not _is_between(line)]
        num_columns = _num_columns(lines)
        # Ten columns that begin with a number are CoNLL-U, where neither the first nor the last is what is meant.
        if num_columns < 2 or (num_columns == 10 and sum(line[:1].isdigit() for line in lines) > len(lines) // 2):
            return None
        cells = [_cells(line.decode("utf-8", "replace")) for line in lines]
        fitting = [row for row in cells if len(row) == num_columns]
        num_tags = sum(_TAG.fullmatch(row[-1]) is not None for row in fitting)
        if sample.suffix not in SUFFIXES and (num_tags < _LEAST_SHARE * len(cells) or len(cells) < _MIN_LINES):
            return None
        if len(fitting) < _LEAST_SHARE * len(cells) and sample.suffix not in SUFFIXES:
            return None
        kinds = sorted({row[-1].partition("-")[2] or row[-1] for row in fitting} - {"O"})
        skipped = "" if num_columns == 2 else f", the {num_columns - 2} columns between not read"
        return (
            f"CoNLL: a token and its tag on each line{skipped}, blank lines between sentences; "
            f"tags of {', '.join(kinds[:8])}{', ...' if len(kinds) > 8 else ''}"
        )

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        sample = take_sample(path)
        num_columns = _num_columns([line for line in sample.lines() if not _is_between(line)])
        sentence: list[tuple[int, bytes]] = []
        size_bytes = 0
        for number, line in physical_lines(path):
            stripped = line.strip(b" \r\n")
            if not stripped.strip() or stripped.startswith(_DOCUMENT_START):
                if sentence:
                    yield _sentence(path, sentence, num_columns)
                sentence, size_bytes = [], 0
            # Beyond the limit the sentence is refused anyway.
            elif size_bytes <= MAX_ROW_BYTES:
                sentence.append((number, stripped))
                size_bytes += len(stripped)
        if sentence:
            yield _sentence(path, sentence, num_columns)

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".conll", separator=b"\n\n")


def _is_between(line: bytes) -> bool:
    """Whether a line stands between sentences: the start of a document, or a comment.

    >>> _is_between(b"# sent_id = 4"), _is_between(b"#hashtag O"), _is_between(b"# O")
    (True, False, False)
    """
    if line.startswith(_DOCUMENT_START):
        return True
    if not line.startswith(b"#"):
        return False
    cells = _cells(line.decode("utf-8", "replace"))
    return len(cells) < 2 or not _TAG.fullmatch(cells[-1])


def _num_columns(lines: list[bytes]) -> int:
    counts = Counter(len(_cells(line.decode("utf-8", "replace"))) for line in lines)
    return counts.most_common(1)[0][0] if counts else 0


def _cells(line: str) -> list[str]:
    """The columns of a line: between tabs where there are any, so that a token may hold a blank.

    >>> _cells("New York\\tB-LOC"), _cells("York  NNP B-LOC")
    (['New York', 'B-LOC'], ['York', 'NNP', 'B-LOC'])
    """
    return line.split("\t") if "\t" in line else line.split()


def _sentence(path: File, lines: list[tuple[int, bytes]], num_columns: int) -> RawRow | RefusedRow:
    raw = b"\n".join(line for _, line in lines)
    tokens: list[str] = []
    tags: list[str] = []
    fault_line = lines[0][0]
    try:
        decode_row(raw[: MAX_ROW_BYTES + 1])
        for fault_line, line in lines:  # noqa: B007 (the fault is of the line that was read last)
            if line.startswith(b"#") and _is_between(line):
                continue
            cells = _cells(decode_row(line))
            if len(cells) != num_columns or not cells[0] or not cells[-1]:
                raise BadRecord(
                    f"{len(cells)} columns where others have {num_columns}"
                    if len(cells) != num_columns
                    else "a column is empty",
                    expected="a token first and its tag last on every line, a blank line after the sentence",
                    attempt="mend the line; the whole sentence waits with it",
                )
            tokens.append(cells[0])
            tags.append(cells[-1])
        if not tokens:
            raise BadRecord("there are comments and no token", expected="tokens and tags")
    except BadRecord as bad:
        return refuse(path, fault_line, raw[: MAX_ROW_BYTES + 1], bad)
    return RawRow(lines[0][0], {"tokens": tokens, "tags": tags}, raw)
