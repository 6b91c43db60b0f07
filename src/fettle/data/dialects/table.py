"""All dialects, the more telling tier first: a file with text and label has a text too, but is no plain text."""

from __future__ import annotations

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
from fettle.data.dialects.protocol import Dialect
from fettle.data.dialects.tagged import SPAN_TAGGED, TOKEN_TAGGED
from fettle.data.dialects.texts import PAIR, PAIR_SCORE, SCORED, SCORED_PAIR, TEXT

TIERS: tuple[tuple[Dialect, ...], ...] = (
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

    >>> [dialect.name for dialect in dialects("classify")]
    ['text_targets', 'chat_targets', 'labelled', 'multi_labelled']
    """
    return [dialect for dialect in DIALECTS.values() if task is None or dialect.task == task]
