"""An example: what one row means to a model.

Token ids, and reads. A read says where the model is read, what is expected there and with what weight. Expectations
are never aligned to the tokens: where rows share a beginning, its last token is read once for each of them.

A row that is read as a whole has a target instead: its reads are the tokens that are pooled, and their weights the
share of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class TokenReads:
    """Next-token reads: after token `at` the token `token` is expected, with weight `weight` (0 = looked at only)."""

    at: Ints
    token: Ints
    weight: Floats

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, at: list[int], token: list[int], weight: list[float]) -> TokenReads:
        """Three columns of equal length.

        >>> len(TokenReads.of([0, 1], [7, 8], [1.0, 1.0]))
        2
        """
        return cls(np.asarray(at, np.int64), np.asarray(token, np.int64), np.asarray(weight, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is expected of a row as a whole: one number or several, [K], and the weight of the row."""

    values: Floats
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One sequence and its reads. `source` is `file:line`, so that any fault can name the row.

    `remark` says, in the words of a warning, what of the row could not be encoded as it is; nothing otherwise.
    `kinds` says of each token which of two texts it belongs to, 0 or 1; None where there is one text.
    """

    ids: Ints
    reads: TokenReads
    source: str = ""
    is_stop_learned: bool = field(default=True)
    num_cut_tokens: int = 0
    target: Target | None = None
    remark: str = ""
    kinds: Ints | None = None

    @property
    def num_tokens(self) -> int:
        """Tokens that the model reads."""
        return len(self.ids)

    @property
    def num_learned(self) -> int:
        """Expectations that pull on the weights."""
        if self.target is not None:
            return int(self.target.weight > 0)
        return int((self.reads.weight > 0).sum())

    def num_bytes(self, bytes_of_tokens: Ints) -> int:
        """Bytes of text that the learned tokens spell, where `bytes_of_tokens` has the bytes of each token."""
        return int(bytes_of_tokens[self.reads.token[self.reads.weight > 0]].sum())

    @property
    def learned_weight(self) -> float:
        """The weights of all expectations together; a loss is a sum divided by this."""
        if self.target is not None:
            return self.target.weight
        return float(self.reads.weight.sum(dtype=np.float64))
