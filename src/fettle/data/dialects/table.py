"""All dialects, the more telling tier first: a file with text and label has a text too, but is no plain text."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fettle.data.dialects.chat import ASSISTANT_TEXT, CHAT, GRADED_CHAT, SHAREGPT
from fettle.data.dialects.judged import JUDGED, JUDGED_ALPACA, JUDGED_CHAT, JUDGED_SHAREGPT, STEPS
from fettle.data.dialects.labelled import CHAT_TARGETS, LABELLED, MULTI_LABELLED, TEXT_TARGETS
from fettle.data.dialects.preferences import (
    ALPACA_PREFERENCE,
    CHAT_PREFERENCE,
    OPENAI_PREFERENCE,
    PREFERENCE,
    SHAREGPT_PREFERENCE,
)
from fettle.data.dialects.prompts import ALPACA, GRADED_PROMPT, PROMPT_COMPLETION
from fettle.data.dialects.protocol import Dialect, Fields
from fettle.data.dialects.tagged import SPAN_TAGGED, TOKEN_TAGGED
from fettle.data.dialects.texts import PAIR, PAIR_SCORE, SCORED, SCORED_PAIR, TEXT
from fettle.data.records import TASK_OF_RECORD, BadRecord, Record

_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def _parse_own(fields: Fields) -> Record:
    try:
        return _records.decode(msgspec.json.encode(fields.get("record")))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as fault:
        raise BadRecord(f"the record is none: {fault}", expected="a record as fettle writes it") from None


def _is_of(kind: type[msgspec.Struct]) -> Callable[[Fields], bool]:
    tag = kind.__struct_config__.tag

    def suits(fields: Fields) -> bool:
        record = fields.get("record")
        return isinstance(record, dict) and record.get("type") == tag

    return suits


OWN: tuple[Dialect, ...] = tuple(
    Dialect(
        f"own_{kind.__struct_config__.tag}",
        task,
        "rows as fettle writes them",
        _parse_own,
        required=("record", "fields", "part"),
        optional=("file", "line"),
        suits=_is_of(kind),
        is_own=True,
    )
    for kind, task in TASK_OF_RECORD.items()
)
"""One for each kind of record, since the task of a file is that of its dialect."""

TIERS: tuple[tuple[Dialect, ...], ...] = (
    OWN,
    (OPENAI_PREFERENCE, SHAREGPT_PREFERENCE, ALPACA_PREFERENCE, CHAT_PREFERENCE, PREFERENCE),
    (STEPS, JUDGED_CHAT, JUDGED_SHAREGPT, JUDGED_ALPACA, JUDGED),
    (TOKEN_TAGGED, TEXT_TARGETS, CHAT_TARGETS, GRADED_CHAT, ASSISTANT_TEXT),
    (CHAT, SHAREGPT),
    (PROMPT_COMPLETION, ALPACA, LABELLED, MULTI_LABELLED),
    (SPAN_TAGGED, SCORED_PAIR, SCORED, GRADED_PROMPT),
    (PAIR_SCORE, PAIR),
    (TEXT,),
)
"""Within a tier the dialect with the fewest guessed columns is taken, then the one that takes more of them."""

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for tier in TIERS for dialect in tier}
"""Every dialect by its name."""


def dialects(task: str | None = None) -> list[Dialect]:
    """The dialects of one task, or all of them.

    >>> [dialect.name for dialect in dialects("embed")]
    ['own_pair', 'pair_score', 'pair']
    """
    return [dialect for dialect in DIALECTS.values() if task is None or dialect.task == task]
