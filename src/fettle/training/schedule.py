"""The learning rate of each step: a pure function, so that it is the same after a resume."""

from __future__ import annotations

import math

from fettle.training.config import TrainingSettings


def learning_rate_at(step: int, num_steps: int, settings: TrainingSettings) -> float:
    """Rise over the warm-up, then stay, fall along half a cosine, or stay and fall at the end. `step` counts from 0.

    >>> settings = TrainingSettings(learning_rate=1.0, warmup_share=0.2)
    >>> [round(learning_rate_at(step, 10, settings), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    num_warmup = math.ceil(settings.warmup_share * num_steps)
    if step < num_warmup:
        return settings.learning_rate * (step + 1) / num_warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "wsd":
        num_falling = min(math.ceil(settings.decay_share * num_steps), num_steps - num_warmup)
        left = min(1.0, (num_steps - step) / num_falling)
        return settings.learning_rate * (settings.final_share + (1 - settings.final_share) * left)
    done = (step - num_warmup) / max(1, num_steps - num_warmup)
    share = settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * share
