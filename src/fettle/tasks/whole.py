"""Texts that are read as a whole, one or two that are compared: the row that a head reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fettle.tasks.task import Terms
from fettle.tokens.example import Example, Target, pooled_example


class WholeTexts:
    """Texts behind the instruction, if there is one, pooled as the terms say and cut where they are too long."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._before = text_before(terms)

    def read(self, text: str, other: str = "", source: str = "", target: Target | None = None) -> Example:
        """One row; `other` is the text that this one is compared with, if there is any."""
        whole = self._before + text
        tokenizer, most = self._terms.tokenizer, self._terms.max_length
        if not other:
            ids, num_cut = tokenizer.encode_whole(whole, most)
            return pooled_example(ids, self._terms.pooling, target, source, num_cut)
        ids, kinds, num_cut = tokenizer.encode_compared(whole, other, most)
        row = pooled_example(ids, self._terms.pooling, target, source, num_cut)
        return replace(row, kinds=np.asarray(kinds, np.int64))


def text_before(terms: Terms) -> str:
    """What stands before every text, with the break after it."""
    return "".join(f"{part}\n" for part in (terms.prompt.system, terms.prompt.instruction) if part)
