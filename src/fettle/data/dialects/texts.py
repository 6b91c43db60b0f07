"""Texts alone, with a score, or in pairs."""

from __future__ import annotations

import math

from fettle.data.dialects.protocol import Dialect, Fields, kind, present, shown, text_of, unpacked
from fettle.data.records import BadRecord, PlainText, Record, ScoredText, TextPair


def _parse_text(fields: Fields) -> Record:
    """Keep the document to the character.

    >>> TEXT.parse({"text": " a line "}).text
    ' a line '
    """
    return PlainText(text_of(fields, "text"))


def _parse_scored(fields: Fields) -> Record:
    """A text and its number.

    >>> SCORED.parse({"text": "fine", "score": "4.5"}).score
    4.5
    """
    return ScoredText(text_of(fields, "text"), score_of(fields))


def _parse_scored_pair(fields: Fields) -> Record:
    """Two texts and how near they are.

    >>> SCORED_PAIR.parse({"sentence1": "a", "sentence2": "b", "score": 2})
    ScoredText(text='a', score=2.0, other='b')
    """
    return ScoredText(text_of(fields, "sentence1"), score_of(fields), text_of(fields, "sentence2"))


def _parse_pair(fields: Fields) -> Record:
    """A text, one that belongs to it, and perhaps one or several that do not.

    >>> PAIR.parse({"anchor": "a", "positive": "b", "negative": ["c", "d"]}).others
    ('c', 'd')
    """
    return TextPair(text_of(fields, "anchor"), text_of(fields, "positive"), _others(fields.get("negative")))


def _parse_pair_score(fields: Fields) -> Record:
    """The same two texts as `scored_pair`, for an embedding to learn how near they are.

    >>> PAIR_SCORE.parse({"anchor": "a", "positive": "b", "score": 0.5}).score
    0.5
    """
    return TextPair(text_of(fields, "anchor"), text_of(fields, "positive"), score=score_of(fields))


def score_of(fields: Fields) -> float:
    """A finite number, as a number or in digits.

    >>> score_of({"score": " -3.5 "})
    -3.5
    """
    value = present(fields, "score")
    score = _number(value)
    if score is None:
        said = "empty" if value is None or (isinstance(value, str) and not value.strip()) else shown(value)
        raise BadRecord(
            f"score is {said}", expected="a finite number, like 3.5", attempt="mend it, or leave the row out"
        )
    return score


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        # float() would read "1_000" as well, which is no number in any file.
        score = float(value) if not isinstance(value, str) or "_" not in value else math.nan
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) else None


def _others(written: object) -> tuple[str, ...]:
    value = unpacked(written)
    if value is None or value == "":
        return ()
    listed = value if isinstance(value, list) else [value]
    for number, other in enumerate(listed, start=1):
        if not isinstance(other, str) or not other.strip():
            said = "empty" if other is None or isinstance(other, str) else kind(other)
            raise BadRecord(f"negative {number} is {said}", expected="a text, or a list of texts")
    return tuple(listed)


def _is_number(fields: Fields) -> bool | None:
    value = fields.get("score")
    return None if value is None or value == "" else _number(value) is not None


TEXT = Dialect(
    name="text",
    task="text",
    evidence="every text is a document",
    parse=_parse_text,
    required=("text",),
)
SCORED = Dialect(
    name="scored",
    task="score",
    evidence="every text has a score",
    parse=_parse_scored,
    required=("text", "score"),
    suits=_is_number,
)
SCORED_PAIR = Dialect(
    name="scored_pair",
    task="score",
    evidence="every two sentences have a score",
    parse=_parse_scored_pair,
    required=("sentence1", "sentence2", "score"),
    suits=_is_number,
)
PAIR = Dialect(
    name="pair",
    task="embed",
    evidence="positive belongs to anchor",
    parse=_parse_pair,
    required=("anchor", "positive"),
    optional=("negative",),
    never=("label",),
)
PAIR_SCORE = Dialect(
    name="pair_score",
    task="embed",
    evidence="score says how near anchor and positive are",
    parse=_parse_pair_score,
    required=("anchor", "positive", "score"),
    suits=_is_number,
)
