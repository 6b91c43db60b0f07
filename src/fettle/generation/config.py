"""Settings of the generation room."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from fettle.config.settings import Settings


class DecodingSettings(Settings):
    """How an answer is written."""

    max_new_tokens: PositiveInt = 128
    """Most tokens of an answer; one that reaches this is counted as cut off."""

    temperature: float = Field(default=0.0, ge=0)
    """0 takes the likeliest token each time; higher draws more freely."""

    least_probability: float = Field(default=0.0, ge=0, lt=1)
    """Where no label is as likely as this, the answer is "none of these". 0: never. Of several labels, each is given
    that is as likely as this (0: as 0.5)."""
