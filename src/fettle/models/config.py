"""Settings of the models room."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from fettle.config.settings import Settings


class AdapterSettings(Settings):
    """Which weights learn, and how much room they get."""

    kind: Literal["full", "lora", "rslora", "dora"] = "lora"
    """full: every weight learns. lora: low-rank adapters learn and the base stays as it is. rslora: the same, scaled by
    alpha / sqrt(rank). dora: direction and length of every weight learn apart."""

    rank: PositiveInt = 16
    """Width of each adapter. Its memory grows in proportion."""

    alpha: float = Field(default=32.0, gt=0)
    """Scale of the adapters: their output is multiplied by alpha / rank (rslora: alpha / sqrt(rank))."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that is dropped at random in training."""

    targets: str = "all-linear"
    """Layers that get an adapter: all-linear (all but the vocabulary head), or names joined by commas."""
