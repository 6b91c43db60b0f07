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

    tokens_per_step: NonNegativeInt = 0
    """Tokens of one optimizer step, about: as many whole rows as come nearest. 0: rows_per_step decides."""

    learning_rate: PositiveFloat = 1e-3
    """Size of the steps at their largest."""

    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Share of the learning rate that each layer gets of the one above it: the head all of it, embeddings the least."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """How weights are moved. muon: Muon for the matrices inside the trunk, AdamW for the rest."""

    schedule: Literal["cosine", "constant", "wsd"] = "cosine"
    """What becomes of the learning rate after the warm-up. wsd: it stays, and falls in a line over the last steps."""

    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate grows from nothing."""

    final_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the learning rate that is left at the end of the cosine or of the fall."""

    decay_share: float = Field(default=0.2, gt=0, le=1)
    """Share of the steps over which the learning rate falls (schedule wsd)."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of every expectation that is spread over all tokens."""

    z_loss: NonNegativeFloat = 0.0
    """Weight of the squared log-normaliser in the loss, which keeps logits from drifting."""

    weight_decay: NonNegativeFloat = 0.01
    """Pull of the matrices towards zero, decoupled from the gradient (AdamW). Vectors are not pulled."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's memory of the gradient."""

    beta2: float = Field(default=0.99, ge=0, lt=1)
    """AdamW's memory of the squared gradient."""

    clip_norm: NonNegativeFloat = 1.0
    """Longest gradient; longer ones are shortened to it. 0: never."""

    average: float = Field(default=0.0, ge=0, lt=1)
    """Memory of a running average of the weights, which looks and the bundle then take; early on it is shorter,
    (1 + steps) / (10 + steps), so that the start is forgotten. Four bytes for each weight that learns. 0: none."""

    embedding_noise: NonNegativeFloat = 0.0
    """Noise on what is read in training (NEFTune): uniform, at most this / sqrt(tokens of the row x width). 0: none."""

    order: str = Field(default="random", pattern=r"^(random|length|loss|field:.+)$")
    """Order of the rows in the first epoch: random; length, short ones first; loss, those first that the base finds
    easiest; field:NAME, by a column of the rows, numbers before text would be. Later epochs are random."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout inside the base, where its architecture has any. An adapter's own is adapter.dropout."""

    max_tokens_per_call: PositiveInt = 4096
    """Tokens that the model runs at once; a step with more is accumulated over several calls. Halved when memory
    runs out."""

    layout: Literal["auto", "tree", "packed", "padded"] = "auto"
    """How rows are laid out for the model. auto: the first of the others that its attention allows."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format that the model computes in; the weights that learn are kept in float32. auto: the fastest here."""

    compile: Literal["auto", "on", "off"] = "auto"
    """Whether layers are compiled. auto: when the run is long enough to win back the time that it takes."""

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


class ReplaySettings(Settings):
    """Rows of another dataset that are learned beside one's own, so that less of what the base knows is forgotten."""

    data: str = ""
    """Dataset to draw them from, of the same task: name, name@part or name#hash-prefix. Empty: none."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the rows of each step that comes from there."""


class EmbedSettings(Settings):
    """How vectors of texts are learned (task embed): what pulls them together, and what apart."""

    temperature: PositiveFloat = 0.05
    """What cosines are divided by in the loss. The smaller, the more the nearest wrong answers count."""

    is_symmetric: bool = False
    """Whether a match is to find its text as well, as half of the loss."""

    repeats_count: bool = False
    """Whether a text that belongs to the same text elsewhere, or stands in a step several times, counts as wrong each
    time all the same."""

    scores: Literal["order", "cosine"] = "order"
    """What is learned from scores. order: the nearer of two pairs has the larger cosine (CoSENT). cosine: the cosine is
    the score itself, from -1 to 1."""
