"""What the pieces of a method are made from, put together from a plan's settings and a base."""

from __future__ import annotations

from transformers import PretrainedConfig

from fettle.app.planning import PlanSettings
from fettle.models.forward import reach_of
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import Survey, Terms
from fettle.tokens.config import PromptSettings

_LONGEST_DEFAULT = 2048


def make_terms(
    settings: PlanSettings, tokenizer: ModelTokenizer, survey: Survey, attention: str, max_length: int
) -> Terms:
    """What the pieces of a plan's method are made from."""
    return Terms(
        tokenizer=tokenizer,
        survey=survey,
        prompt=settings.prompt,
        head=settings.head,
        masking=settings.masking,
        tag=settings.tag,
        decoding=settings.decoding,
        training=settings.training,
        embed=settings.embed,
        attention=attention,
        max_length=max_length,
    )


def longest_allowed(config: PretrainedConfig, prompt: PromptSettings) -> int:
    """Most tokens of a row: the setting, within the model's context."""
    return min(prompt.max_length or _LONGEST_DEFAULT, reach_of(config))
