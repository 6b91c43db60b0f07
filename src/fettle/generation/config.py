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
