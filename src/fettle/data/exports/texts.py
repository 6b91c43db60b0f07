"""The forms of texts: plain, with spans as offsets, with spans as tags of their words (CoNLL); and the rules of texts.

Trap of CoNLL: it holds words, not the blanks between them. A text that is not its words with single blanks between
them is refused, unless splitting it into words was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from fettle.data.exports.form import ExportOptions, Form, Limits, Problem, Rule
from fettle.data.records import (
    BadRecord,
    LabelledText,
    MultiLabelledText,
    PlainText,
    Record,
    Row,
    ScoredText,
    Span,
    TaggedText,
    TextPair,
)

CONLL = "CoNLL-2003 shared task: a word and its tag a line, a blank line between sentences"
OFFSETS = "spaCy's and Prodigy's spans: start and end in characters, end not included"
BLOCKS = "plain text files: documents between blank lines"

_WORD = re.compile(r"\w+|[^\w\s]")
_TEXTS = (LabelledText, MultiLabelledText, TaggedText, ScoredText, TextPair, PlainText)


def some_text(source: str) -> Rule:
    """The text says something; a reader would take an empty one for a row that is missing."""

    def find(record: Record) -> Iterator[Problem]:
        if isinstance(record, _TEXTS) and not record.text.strip():
            yield "the text is empty", "fill it in, or leave the row out"
        if isinstance(record, TextPair) and not record.match.strip():
            yield "the text that belongs to it is empty", "fill it in, or leave the row out"

    return Rule("some text", source, find)


def score_or_others(source: str) -> Rule:
    """A pair has a score or texts that do not belong to it, not both, and none of those texts is empty."""

    def find(record: Record) -> Iterator[Problem]:
        if isinstance(record, TextPair) and record.others and record.score is not None:
            yield "it has a score and texts that do not belong to it", "remove one of the two"
        if isinstance(record, TextPair) and any(not other.strip() for other in record.others):
            yield "a text that does not belong to it is empty", "fill it in, or remove it"

    return Rule("a score, or texts that do not belong to it", source, find)


def some_label(source: str) -> Rule:
    """Every label says something; that there are none of several is allowed."""

    def find(record: Record) -> Iterator[Problem]:
        labels: tuple[str, ...] = (record.label,) if isinstance(record, LabelledText) else ()
        labels = record.labels if isinstance(record, MultiLabelledText) else labels
        if any(not label.strip() for label in labels):
            yield "a label is empty", "fill it in, or leave the row out"

    return Rule("labels that are not empty", source, find)


def sound_spans(source: str) -> Rule:
    """Every span lies in the text, is not empty and has a label."""

    def find(record: Record) -> Iterator[Problem]:
        for number, span in enumerate(record.spans if isinstance(record, TaggedText) else (), start=1):
            assert isinstance(record, TaggedText)
            if not 0 <= span.start < span.end <= len(record.text):
                yield (
                    f"span {number} ({span.start} to {span.end}) does not lie in the {len(record.text)} characters",
                    "mend its start and end",
                )
            if not span.label.strip():
                yield f"span {number} has no label", "name it"

    return Rule("spans in the text, each with a label", source, find)


def no_overlap(source: str) -> Rule:
    """No two spans share a character, since a word has one tag."""

    def find(record: Record) -> Iterator[Problem]:
        spans = sorted(record.spans, key=lambda span: (span.start, span.end)) if isinstance(record, TaggedText) else []
        for left, right in pairwise(spans):
            if right.start < left.end:
                yield (
                    f"the spans {left.start}-{left.end} and {right.start}-{right.end} overlap",
                    "keep one of them, or export it as spans",
                )

    return Rule("spans that do not overlap", source, find)


def one_word_labels(source: str) -> Rule:
    """A label has no blank, which would end the tag."""

    def find(record: Record) -> Iterator[Problem]:
        for label in sorted({span.label for span in record.spans} if isinstance(record, TaggedText) else ()):
            if label.strip() and label.split() != [label]:
                yield f"the label {label!r} has a blank", "join its words with _"

    return Rule("labels of one word", source, find)


def no_blank_lines(source: str) -> Rule:
    """A document is one block: no blank line in it, and no line end at its beginning or end."""

    def find(record: Record) -> Iterator[Problem]:
        if not isinstance(record, PlainText):
            return
        # A reader splits at line feeds alone, and a line of ASCII blanks is blank to it.
        lines = record.text.encode("utf-8", "surrogatepass").split(b"\n")
        if record.text.strip() and any(not line.strip() for line in lines):
            yield "a blank line stands in the text or at its end", "export it as trl, or repair the text"
        if record.text.endswith("\r"):
            yield "the text ends with a carriage return", "export it as trl, or repair the text"
        if record.text.startswith("\ufeff"):
            yield "the text begins with a byte order mark", "repair the text"
        if "\0" in record.text:
            yield "the text holds a NUL", "repair the text"

    return Rule("documents without blank lines", source, find)


def write_text(row: Row, options: ExportOptions) -> str:
    """The document and the end of its last line."""
    assert isinstance(row.record, PlainText)
    return row.record.text + "\n"


def write_spans(row: Row, options: ExportOptions) -> dict[str, object]:
    """The text and its spans by their offsets."""
    record = row.record
    assert isinstance(record, TaggedText)
    return {"text": record.text, "spans": span_objects(record.spans)}


def span_objects(spans: tuple[Span, ...]) -> list[dict[str, object]]:
    """Spans as JSON objects: start, end, label."""
    return [{"start": span.start, "end": span.end, "label": span.label} for span in spans]


def write_conll(row: Row, options: ExportOptions) -> str:
    """A line for each word with its tag.

    >>> row = Row(TaggedText("Ada lives in New York", (Span(0, 3, "PER"), Span(13, 21, "LOC"))), "f", 1)
    >>> write_conll(row, ExportOptions(tags="BILOU")).split()[1::2]
    ['U-PER', 'O', 'O', 'B-LOC', 'L-LOC']
    """
    record = row.record
    assert isinstance(record, TaggedText)
    words = _split_words(record) if options.splits_words else _given_words(record)
    lines: list[str] = []
    for span, inside in _runs(words, record.spans):
        tags = ["O"] * len(inside) if span is None else tags_of(span.label, len(inside), options.tags == "BILOU")
        lines += [f"{record.text[start:end]} {tag}\n" for (start, end), tag in zip(inside, tags, strict=True)]
    return "".join(lines)


def tags_of(label: str, num_words: int, is_bilou: bool) -> list[str]:
    """The tags of the words of one span.

    >>> tags_of("PER", 3, False), tags_of("PER", 3, True), tags_of("PER", 1, True)
    (['B-PER', 'I-PER', 'I-PER'], ['B-PER', 'I-PER', 'L-PER'], ['U-PER'])
    """
    if not is_bilou:
        return [f"{'I' if number else 'B'}-{label}" for number in range(num_words)]
    if num_words == 1:
        return [f"U-{label}"]
    return [f"B-{label}", *[f"I-{label}"] * (num_words - 2), f"L-{label}"]


def _given_words(record: TaggedText) -> list[tuple[int, int]]:
    words = [(found.start(), found.end()) for found in re.finditer(r"[^ ]+", record.text)]
    joined = " ".join(record.text[start:end] for start, end in words)
    if joined != record.text or any(re.search(r"\s|\ufeff|\0", record.text[start:end]) for start, end in words):
        raise BadRecord(
            "the blanks between its words are not single ones",
            expected="words with one blank between them, since the form keeps no others",
            attempt="split it into words (the blanks are lost), or export it as spans",
        )
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    for span in record.spans:
        if span.start not in starts or span.end not in ends:
            raise BadRecord(
                f"the span {span.start}-{span.end} ends inside a word",
                expected="spans of whole words",
                attempt="split it into words (the blanks are lost), or export it as spans",
            )
    _check_marks(record, words)
    return words


def _split_words(record: TaggedText) -> list[tuple[int, int]]:
    """Words and marks by themselves, cut where a span begins or ends."""
    edges = sorted({edge for span in record.spans for edge in (span.start, span.end)} | {0, len(record.text)})
    words = [
        (found.start() + left, found.end() + left)
        for left, right in pairwise(edges)
        for found in _WORD.finditer(record.text[left:right])
        if not set("\0\ufeff") & set(found[0])
    ]
    for span in record.spans:
        if not any(span.start <= start < span.end for start, _ in words):
            raise BadRecord(
                f"the span {span.start}-{span.end} holds no word",
                expected="spans of words",
                attempt="remove it, or export it as spans",
            )
    _check_marks(record, words)
    return words


def _check_marks(record: TaggedText, words: list[tuple[int, int]]) -> None:
    if not words or any(record.text[start:end] == "-DOCSTART-" for start, end in words):
        raise BadRecord(
            "it has no word, or the one that begins a document (-DOCSTART-)",
            expected="at least one word, and none that the form reserves",
            attempt="leave the row out",
        )


def _runs(words: list[tuple[int, int]], spans: tuple[Span, ...]) -> Iterator[tuple[Span | None, list[tuple[int, int]]]]:
    """The words of each span together, and every other word alone."""
    waiting = sorted(spans, key=lambda span: span.start)
    at = 0
    while at < len(words):
        while waiting and waiting[0].end <= words[at][0]:
            waiting.pop(0)
        span = waiting[0] if waiting and waiting[0].start <= words[at][0] else None
        end = at + 1
        while span is not None and end < len(words) and words[end][0] < span.end:
            end += 1
        yield span, words[at:end]
        at = end


TEXT_FORMS: tuple[Form, ...] = (
    Form(
        "conll",
        "a word and its tag a line (BIO or BILOU), a blank line between texts",
        write_conll,
        {TaggedText: (some_text(CONLL), sound_spans(CONLL), no_overlap(CONLL), one_word_labels(CONLL))},
        suffixes=(".conll", ".bio", ".txt"),
        limits=Limits(least_rows=1, source=CONLL),
    ),
    Form(
        "spans",
        "a text and its spans by start, end and label",
        write_spans,
        {TaggedText: (some_text(OFFSETS), sound_spans(OFFSETS))},
        suffixes=(".jsonl", ".json"),
    ),
    Form(
        "text",
        "plain text, a blank line between documents",
        write_text,
        {PlainText: (some_text(BLOCKS), no_blank_lines(BLOCKS))},
        suffixes=(".txt", ".md"),
    ),
)
