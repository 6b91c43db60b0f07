"""Settings of the tokens room."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt

from fettle.config.settings import Settings

TooLong = Literal["cut", "drop", "split"]
CutAt = Literal["signs", "blanks"]
Scheme = Literal["bio", "bilou"]


class PromptSettings(Settings):
    """What stands around the user's text, and what happens to rows that are too long."""

    system: str = ""
    """System message put in front of every row that has none."""

    instruction: str = ""
    """Text put before the row's own text, in the same user message (tasks with a label)."""

    list_labels: bool = False
    """Whether the instruction ends with the list of all labels (tasks with a label)."""

    max_length: NonNegativeInt = 0
    """Most tokens of a row. 0: as many as the model's context has, at most 2,048."""

    too_long: TooLong = "cut"
    """Rows over max_length: cut at the end (their stop token is then not learned), dropped, or, where they are plain
    text, split into rows of their own (nothing is lost). All are counted."""


class MaskingSettings(Settings):
    """Which words of a text are hidden (task text, method masked)."""

    share: float = Field(default=0.15, gt=0, le=1)
    """Share of a text's words that is hidden in each step, others every time. Of these 0.8 are masked, 0.1 become other
    words and 0.1 stay."""


class TagSettings(Settings):
    """How spans become tags (task tag)."""

    scheme: Scheme = "bio"
    """What tags say. bio: where a span begins and goes on. bilou: also where it ends, and when it is one word."""

    cut_at: CutAt = "signs"
    """Where words end. signs: at blanks and around signs. blanks: at blanks only, for texts whose signs already stand
    apart; a span then never ends before a sign that touches it."""
