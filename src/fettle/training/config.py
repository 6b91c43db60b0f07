"""Settings of the training room."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from fettle.config.settings import Settings


class TrainingSettings(Settings):
    """How the weights are changed, how often they are looked at, and what is kept."""

    epochs: PositiveFloat = 3.0
    """Times that every row is learned from."""

    max_steps: NonNegativeInt = 0
    """Optimizer steps at most. 0: as many as the epochs take."""

    rows_per_step: PositiveInt = 16
    """Rows of one optimizer step."""

    learning_rate: PositiveFloat = 1e-3
    """Size of the steps at their largest."""

    schedule: Literal["cosine", "constant"] = "cosine"
    """What becomes of the learning rate after the warm-up."""

    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate grows from nothing."""

    final_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the learning rate that is left at the end of the cosine."""

    weight_decay: NonNegativeFloat = 0.01
    """Pull of the matrices towards zero, decoupled from the gradient (AdamW). Vectors are not pulled."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's memory of the gradient."""

    beta2: float = Field(default=0.99, ge=0, lt=1)
    """AdamW's memory of the squared gradient."""

    clip_norm: NonNegativeFloat = 1.0
    """Longest gradient; longer ones are shortened to it. 0: never."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout inside the base, where its architecture has any. An adapter's own is adapter.dropout."""

    max_tokens_per_call: PositiveInt = 4096
    """Tokens that the model runs at once; a step with more is accumulated over several calls."""

    layout: Literal["auto", "packed", "padded"] = "auto"
    """How rows are laid out for the model. auto: packed where its attention allows it."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of matrix products; weights stay in float32. auto: what this machine multiplies fastest."""

    evaluate_every_steps: NonNegativeInt = 0
    """Steps between looks at the held-out rows. 0: once an epoch."""

    keep: Literal["best", "last"] = "best"
    """Which weights the bundle gets: those of the best look at the held-out rows, or the last."""

    watch: Literal["loss", "metric"] = "loss"
    """What "best" means: the held-out loss, or the task's own metric on the held-out rows."""

    patience: NonNegativeInt = 0
    """Looks without improvement after which training stops early. 0: never."""

    keep_checkpoints: NonNegativeInt = 2
    """Latest checkpoints that stay on disk beside the best one. 0: all."""
