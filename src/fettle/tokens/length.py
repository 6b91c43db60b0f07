"""Examples that are longer than the model may read: cut, or learned in sections."""

from __future__ import annotations

from fettle.tokens.config import TooLong
from fettle.tokens.example import Example, TokenReads


def fit_example(example: Example, max_length: int, too_long: TooLong) -> list[Example]:
    """An example in rows of at most `max_length` tokens: split, or else cut; empty when nothing learned is left."""
    if example.num_tokens <= max_length:
        return [example]
    if example.target is not None:  # a share of each token, and a last token of its own: its encoder alone may cut it
        raise ValueError(f"{example.source}: a row that is read as a whole is cut where it is encoded")
    if too_long == "split":
        return split_example(example, max_length)
    cut = cut_example(example, max_length)
    return [] if cut is None else [cut]


def cut_example(example: Example, max_length: int) -> Example | None:
    """The first `max_length` tokens, counting what was cut; None when nothing learned is left.

    The stop token of the last answer falls away with the cut.
    """
    if example.num_tokens <= max_length:
        return example
    first = _section(example, 0, max_length)
    if not first.num_learned:
        return None
    return Example(first.ids, first.reads, example.source, False, example.num_tokens - max_length)


def split_example(example: Example, max_length: int) -> list[Example]:
    """The sections of a document, one after the other: each token is read in one of them and learned in one.

    The first token of a later section was learned at the end of the one before it; here it is only read, and what
    follows it is learned without sight of what came before.

    >>> import numpy as np
    >>> ids, reads = np.arange(5), TokenReads.of([0, 1, 2, 3, 4], [1, 2, 3, 4, 9], [1.0] * 5)
    >>> [(one.ids.tolist(), one.reads.token.tolist()) for one in split_example(Example(ids, reads), 3)]
    [([0, 1, 2], [1, 2, 3]), ([3, 4], [4, 9])]
    """
    sections = [_section(example, start, max_length) for start in range(0, example.num_tokens, max_length)]
    return [section for section in sections if section.num_learned]


def _section(example: Example, start: int, length: int) -> Example:
    reads = example.reads
    is_inside = (reads.at >= start) & (reads.at < start + length)
    inside = TokenReads(reads.at[is_inside] - start, reads.token[is_inside], reads.weight[is_inside])
    return Example(example.ids[start : start + length], inside, example.source, example.is_stop_learned)
