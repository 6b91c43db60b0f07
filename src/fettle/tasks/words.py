"""What methods share that learn to write: the next token is the objective, and its loss is what a row costs."""

from __future__ import annotations

from fettle.generation.reading import Reader, WordReader
from fettle.tasks.task import Terms
from fettle.tokens.layout import Layout
from fettle.training.losses.tokens import LossShape
from fettle.training.objective import NextToken, Objective


def next_token(terms: Terms, layout: Layout) -> Objective:
    """Cross-entropy of every learned token."""
    return NextToken(layout, LossShape(terms.training.label_smoothing, terms.training.z_loss))


def word_reader(terms: Terms) -> Reader:
    """Next-token loss of each row."""
    return WordReader(terms.dtype)


def room_for_prompt(terms: Terms) -> int:
    """Most tokens of a prompt: one is left for the answer."""
    return max(1, terms.max_length - 1)
