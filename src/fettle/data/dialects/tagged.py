"""Texts with spans to be found in them: as character offsets, or as one tag for each token.

The tags may be BIO, BILOU (BIOES is the same with other letters) or the bare names of IO. One rule reads them all:
a span goes on while its label does, and ends before a tag that begins another or says that it was the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from fettle.data.dialects.protocol import Dialect, Fields, kind, list_of, shown, text_of, unpacked
from fettle.data.records import BadRecord, Span, TaggedText

_BEGIN, _GO_ON, _END, _ALONE = "B", "IM", "EL", "SU"
_OUTSIDE = "O"
_PREFIXES = frozenset(f"{letter}-" for letter in _BEGIN + _GO_ON + _END + _ALONE)
_SPAN = '{"start": 0, "end": 3, "label": "PERSON"} or [0, 3, "PERSON"]'
_LABEL_KEYS = ("label", "type", "tag")


def _parse_spans(fields: Fields) -> TaggedText:
    """Spans as character offsets, each checked against the text. Spans that overlap are refused: a token has one tag.

    >>> SPAN_TAGGED.parse({"text": "Ada in Rome", "spans": [[7, 11, "PLACE"], {"start": 0, "end": 3, "label": "NAME"}]})
    TaggedText(text='Ada in Rome', spans=(Span(start=0, end=3, label='NAME'), Span(start=7, end=11, label='PLACE')))
    """
    text = text_of(fields, "text")
    listed = list_of(fields, "spans", f"spans, each {_SPAN}")
    spans = sorted(
        (_span(value, text, number) for number, value in enumerate(listed, start=1)), key=lambda span: span.start
    )
    for first, second in pairwise(spans):
        if second.start < first.end:
            raise BadRecord(
                f"the spans {_quoted(first, text)} and {_quoted(second, text)} overlap",
                expected="spans side by side, since a token gets one tag",
                attempt="keep one of the two",
            )
    return TaggedText(text, tuple(spans))


def _span(value: object, text: str, number: int) -> Span:
    if isinstance(value, dict):
        start, end = value.get("start"), value.get("end")
        label = next((value[key] for key in _LABEL_KEYS if key in value), None)
        said = value.get("text")
    elif isinstance(value, list) and len(value) == 3:
        start, end, label, said = *value, None
    else:
        raise BadRecord(f"span {number} is {kind(value)}", expected=_SPAN)
    if type(start) is not int or type(end) is not int:
        raise BadRecord(f"span {number} has no start and end in whole numbers", expected=_SPAN)
    if not 0 <= start < end <= len(text):
        raise BadRecord(
            f"span {number} goes from {shown(start)} to {shown(end)} in a text of {len(text)} characters",
            expected="0 <= start < end <= the length; end is the place after the last character",
            attempt="count characters, not bytes or words",
        )
    if not isinstance(label, str) or not label.strip():
        raise BadRecord(f"span {number} has no label", expected=_SPAN)
    if isinstance(said, str) and said != text[start:end]:
        raise BadRecord(
            f"span {number} says {shown(said)} where the text has {shown(text[start:end])}",
            expected="offsets in characters of the text as it stands",
            attempt="count characters, not bytes or words",
        )
    return Span(start, end, label.strip())


def _quoted(span: Span, text: str) -> str:
    return f"{shown(text[span.start : span.end])} ({span.start} to {span.end})"


def _look_like_spans(fields: Fields) -> bool | None:
    spans = unpacked(fields.get("spans"))
    if spans is None or spans == []:
        return None
    first = spans[0] if isinstance(spans, list) else None
    return (isinstance(first, list) and len(first) == 3) or (isinstance(first, dict) and "start" in first)


def _parse_tokens(fields: Fields) -> TaggedText:
    """Tokens and their tags become a text with offsets; one blank stands between any two tokens.

    >>> TOKEN_TAGGED.parse({"tokens": ["Ada", "Byron", "wrote"], "tags": ["B-NAME", "I-NAME", "O"]})
    TaggedText(text='Ada Byron wrote', spans=(Span(start=0, end=9, label='NAME'),))
    """
    tokens = [_token(token, number) for number, token in enumerate(list_of(fields, "tokens", "strings"), start=1)]
    tags = [_tag(tag, number) for number, tag in enumerate(list_of(fields, "tags", "strings, one a token"), start=1)]
    if not tokens:
        raise BadRecord("tokens is empty", expected="at least one token", attempt="leave the row out")
    if len(tokens) != len(tags):
        raise BadRecord(f"there are {len(tokens)} tokens and {len(tags)} tags", expected="one tag for each token")
    return TaggedText(" ".join(tokens), tuple(spans_of_tags(tokens, tags)))


def _token(value: object, number: int) -> str:
    if isinstance(value, str) and value and not value.isspace():
        return value
    said = "empty" if value is None or isinstance(value, str) else kind(value)
    raise BadRecord(f"token {number} is {said}", expected="a string", attempt="leave the token and its tag out")


def _tag(value: object, number: int) -> str:
    if isinstance(value, int) or (isinstance(value, str) and value.strip().isdecimal()):
        raise BadRecord(
            f"tag {number} is the number {shown(value)}",
            expected='names: "O", "B-PERSON", "I-PERSON"; what a number means is not in the row',
            attempt="write the names instead; the set's card lists them in order, the first is number 0",
        )
    if not isinstance(value, str) or not value.strip():
        said = "empty" if value is None or isinstance(value, str) else kind(value)
        raise BadRecord(f"tag {number} is {said}", expected='a string: "O", "B-PERSON", "I-PERSON"')
    tag = value.strip()
    if tag[:2] in _PREFIXES and not tag[2:].strip():
        raise BadRecord(f"tag {number} is {shown(tag)}, which names nothing", expected='a name after it: "B-PERSON"')
    return tag


def spans_of_tags(tokens: Sequence[str], tags: Sequence[str]) -> list[Span]:
    """The spans that tags say, as characters of the tokens joined by single blanks.

    >>> spans_of_tags(["Ada", "Byron", "Rome"], ["NAME", "NAME", "S-PLACE"])
    [Span(start=0, end=9, label='NAME'), Span(start=10, end=14, label='PLACE')]
    """
    spans: list[Span] = []
    opened: tuple[int, str] | None = None
    start = end = 0
    for token, tag in zip(tokens, tags, strict=True):
        place, label = _taken_apart(tag)
        if opened is not None and (label != opened[1] or place in _BEGIN + _ALONE):
            spans.append(Span(opened[0], end, opened[1]))
            opened = None
        end = start + len(token)
        if label and opened is None:
            opened = (start, label)
        if opened is not None and place in _END + _ALONE:
            spans.append(Span(opened[0], end, opened[1]))
            opened = None
        start = end + 1
    if opened is not None:
        spans.append(Span(opened[0], end, opened[1]))
    return spans


def _taken_apart(tag: str) -> tuple[str, str]:
    """The letter of a tag and its label; a bare name goes on, and outside is no label at all.

    >>> _taken_apart("B-NAME"), _taken_apart("NAME"), _taken_apart("O")
    (('B', 'NAME'), ('I', 'NAME'), ('I', ''))
    """
    if tag[:2] in _PREFIXES:
        return tag[0], tag[2:].strip()
    return "I", "" if tag == _OUTSIDE else tag


def bio_tags(tokens: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """One BIO tag for each token, the tokens joined by single blanks; `spans` are in order and do not overlap.

    Law: `spans_of_tags` undoes it where spans end with tokens. A token belongs to the first span that touches it.

    >>> bio_tags(["Ada", "Byron", "wrote"], [Span(0, 9, "NAME")])
    ['B-NAME', 'I-NAME', 'O']
    """
    tags: list[str] = []
    waiting = iter(spans)
    span = next(waiting, None)
    began = False
    for start, end in _places(tokens):
        while span is not None and span.end <= start:
            span, began = next(waiting, None), False
        if span is None or span.start >= end:
            tags.append(_OUTSIDE)
        else:
            tags.append(f"{'I' if began else 'B'}-{span.label}")
            began = True
    return tags


def _places(tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = 0
    for token in tokens:
        yield start, start + len(token)
        start += len(token) + 1


SPAN_TAGGED = Dialect(
    name="span_tagged",
    task="tag",
    evidence="spans says which characters of each text are what",
    parse=_parse_spans,
    required=("text", "spans"),
    suits=_look_like_spans,
)
TOKEN_TAGGED = Dialect(
    name="token_tagged",
    task="tag",
    evidence="every token has a tag",
    parse=_parse_tokens,
    required=("tokens", "tags"),
)
