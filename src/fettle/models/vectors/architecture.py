"""An architecture of our own: a table of word vectors as a model of transformers.

Each token is given the vector of its word and, with a window, those of the words beside it; nothing else is computed
and nothing but the table is learned. It opens from a plain folder through transformers' Auto classes like any other.

Axes: B rows of a call, T tokens of a row, D numbers of a vector, V words, W = 2 window + 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

MODEL_TYPE = "word_vectors"
_NOWHERE = -1


class WordVectorsConfig(PretrainedConfig):  # type: ignore[misc]
    """Size of the table, and how many neighbours on each side a token is shown with."""

    model_type = MODEL_TYPE

    def __init__(self, vocab_size: int = 2, vector_size: int = 100, window: int = 0, **others: Any) -> None:
        super().__init__(**{"pad_token_id": 0, **others, "tie_word_embeddings": False})
        self.vocab_size = vocab_size
        self.vector_size = vector_size
        self.window = window
        self.hidden_size = vector_size * (2 * window + 1)


class WordVectors(PreTrainedModel):  # type: ignore[misc]
    """The table, `words.weight` [V, D]. What it gives is [B, T, W x D]: a token's neighbours from left to right."""

    config_class = WordVectorsConfig
    base_model_prefix = ""
    # There is no attention, so any that a layout asks for is as good as another.
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: WordVectorsConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.vector_size)
        self.learned: nn.Parameter | None = None
        self.register_buffer("places_V", None, persistent=False)
        self.post_init()

    def learn_only(self, ids: Tensor) -> None:
        """Let the vectors of these words learn and no others: steps then cost as much as these words take.

        A table of 400,000 words is moved as a whole by AdamW, and pulled towards zero where no row ever meets it.
        """
        ids = torch.unique(ids)
        self.learned = nn.Parameter(self.words.weight.detach()[ids].clone())
        self.places_V = torch.full((self.config.vocab_size,), _NOWHERE, device=ids.device)
        self.places_V[ids] = torch.arange(len(ids), device=ids.device)
        self.words.weight.requires_grad_(False)

    def whole_table(self) -> Tensor:
        """The table with what was learned in it, [V, D]."""
        table_VD = self.words.weight.detach()
        if self.learned is None:
            return table_VD
        return table_VD.index_copy(0, torch.nonzero(self.places_V >= 0)[:, 0], self.learned.detach())

    def save_pretrained(self, save_directory: Any, **others: Any) -> None:
        """Write the table as one, whichever of its words have learned."""
        super().save_pretrained(save_directory, **{**others, "state_dict": {"words.weight": self.whole_table()}})

    def _look_up(self, ids_BT: Tensor) -> Tensor:
        vectors_BTD: Tensor = self.words(ids_BT)
        if self.learned is None:
            return vectors_BTD
        places_BT = self.places_V[ids_BT]
        learned_BTD = embedding(places_BT.clamp(min=0), self.learned)
        return torch.where((places_BT >= 0)[..., None], learned_BTD, vectors_BTD)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -0.5 / module.embedding_dim, 0.5 / module.embedding_dim)

    def get_input_embeddings(self) -> nn.Embedding:
        """The table."""
        return self.words

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another table in its place."""
        self.words = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        **_others: object,
    ) -> BaseModelOutput:
        """The vectors of the tokens. attention_mask: [B, T], 0 where a row is padded; vectors are zeros there.

        Rows may lie end to end where `position_ids` [B, T] tells the place of each token in its own row.
        """
        vectors_BTD = self._look_up(input_ids)
        if attention_mask is not None:
            vectors_BTD = vectors_BTD * attention_mask[..., None].to(vectors_BTD.dtype)
        window = self.config.window
        if window:
            shifts = range(-window, window + 1)
            vectors_BTD = torch.cat([_shifted(vectors_BTD, position_ids, shift) for shift in shifts], dim=-1)
        return BaseModelOutput(last_hidden_state=vectors_BTD)


def _shifted(vectors_BTD: Tensor, places_BT: Tensor | None, shift: int) -> Tensor:
    """For each token the vector of the one `shift` places on; zeros where its row has none."""
    length = vectors_BTD.shape[1]
    ahead, behind = min(max(shift, 0), length), min(max(-shift, 0), length)
    moved_BTD = pad(vectors_BTD[:, ahead : length - behind], (0, 0, behind, ahead))
    if places_BT is None or not shift:
        return moved_BTD
    moved_BT = pad(places_BT[:, ahead : length - behind], (behind, ahead), value=_NOWHERE)
    # In another row the place is another: rows count from 0, so it is smaller behind the end, and never negative.
    return moved_BTD * (moved_BT == places_BT + shift)[..., None].to(moved_BTD.dtype)


AutoConfig.register(MODEL_TYPE, WordVectorsConfig)
AutoModel.register(WordVectorsConfig, WordVectors)
