"""Texts to vectors with an encoder: the mean of what it says of each token, made one long.

Axes: N texts, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from fettle.errors import DamagedFile
from fettle.models.folders.safety import refuse_unsafe_folder
from fettle.models.forward import only_reading, use_own_attention

MOST_TOKENS = 256
"""A longer text is read up to there: sentence encoders are trained on no more."""

_TEXTS_PER_CALL = 64


class TextEmbedder:
    """An encoder that was opened from a folder, ready to embed texts. The same text always gets the same vector."""

    def __init__(self, folder: Path) -> None:
        refuse_unsafe_folder(folder, needs_weights=True)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            network, loading = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as problem:
            raise DamagedFile(f"the encoder cannot be opened: {problem}", where=str(folder)) from None
        missing = sorted(name for name in loading["missing_keys"] if "pooler" not in name)
        if missing:
            raise DamagedFile(f"the encoder lacks weights, such as {missing[0]}", where=str(folder))
        self._network = network
        use_own_attention(network)
        reach = int(getattr(network.config, "max_position_embeddings", MOST_TOKENS) or MOST_TOKENS)
        self.most_tokens = min(MOST_TOKENS, reach)

    def num_tokens(self, text: str) -> int:
        """How many tokens a text has, those that the encoder puts around it among them."""
        return len(self._tokenizer(text, verbose=False)["input_ids"])

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [N, D], in the order of the texts. Texts of one length go together, so that little is padded."""
        vectors_ND = np.zeros((len(texts), int(self._network.config.hidden_size)), np.float32)
        by_length = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))
        with only_reading(self._network):
            for start in range(0, len(by_length), _TEXTS_PER_CALL):
                places = by_length[start : start + _TEXTS_PER_CALL]
                vectors_ND[places] = self._embed([texts[place] for place in places])
        return vectors_ND

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self.most_tokens, return_tensors="pt", verbose=False
        )
        hidden_NTD = self._network(**inputs).last_hidden_state
        is_real_NT1 = inputs["attention_mask"][:, :, None].to(hidden_NTD.dtype)
        mean_ND = (hidden_NTD * is_real_NT1).sum(1) / is_real_NT1.sum(1).clamp(min=1.0)
        unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(mean_ND, dim=1).numpy()
        return unit
