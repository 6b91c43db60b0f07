"""Rows for speed comparisons: token ids and learned positions, the same for every engine.

Random ids serve, since speed does not depend on what they mean. Seeds are fixed, so every run and every engine gets the
same rows to the byte.
"""

from __future__ import annotations

import csv
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

# Token ids, and for each 1 where it is a target; or, for a classifier, token ids and the label's number alone.
Row = tuple[list[int], list[int]]

VOCABULARY = 49_152
NUM_LABELS = 77
# The shape of BERT-base, without dropout, so that losses can be compared.
ENCODER = {
    "vocab_size": 30_522,
    "num_labels": NUM_LABELS,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
# The shape of SmolLM2-135M. Weights are random: speed does not depend on them.
DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}


@dataclass(frozen=True)
class Workload:
    """What is trained: `draw` makes so many steps' rows. `is_full`: every weight learns, else LoRA, rank 16.

    `shape` is that of the decoder, in the words of transformers.
    """

    name: str
    what: str
    rows_per_step: int
    draw: Callable[[int], list[Row]]
    is_full: bool = False
    is_encoder: bool = False
    shape: dict[str, Any] = field(default_factory=lambda: DECODER)

    def steps(self, count: int) -> list[list[Row]]:
        """The rows of each of so many optimizer steps."""
        rows = self.draw(count)
        edges = [self.rows_per_step * number for number in range(count + 1)]
        return [rows[first:end] for first, end in pairwise(edges)]


def shared_instruction(rows: int, seed: int = 0) -> list[Row]:
    """One instruction of 200 tokens for all rows, 10 to 60 tokens of a row's own, 4 learned."""
    draw = random.Random(seed)
    prefix = [draw.randrange(VOCABULARY) for _ in range(200)]
    found = []
    for _ in range(rows):
        own = draw.randint(10, 60)
        ids = prefix + [draw.randrange(VOCABULARY) for _ in range(own)] + [draw.randrange(VOCABULARY) for _ in range(4)]
        found.append((ids, [0] * (200 + own) + [1] * 4))
    return found


def mixed_chats(rows: int, seed: int = 1) -> list[Row]:
    """Prompts (log-normal, median 45, at most 400 tokens) and answers (median 55, at most 500); nothing shared."""
    draw = random.Random(seed)
    found = []
    for _ in range(rows):
        prompt = int(min(400, max(8, draw.lognormvariate(3.8, 0.8))))
        answer = int(min(500, max(4, draw.lognormvariate(4.0, 0.9))))
        found.append(([draw.randrange(VOCABULARY) for _ in range(prompt + answer)], [0] * prompt + [1] * answer))
    return found


def long_rows(rows: int, seed: int = 2) -> list[Row]:
    """Rows of 2,048 tokens, all learned, nothing shared: little can be saved here."""
    draw = random.Random(seed)
    return [([draw.randrange(VOCABULARY) for _ in range(2048)], [1] * 2048) for _ in range(rows)]


def turn_trees(conversations: int, seed: int = 3) -> list[Row]:
    """Conversations of four turns, a row a turn: row k learns the k-th answer after all that came before it."""
    draw = random.Random(seed)
    found = []
    for _ in range(conversations):
        history = [draw.randrange(VOCABULARY) for _ in range(60)]
        for _ in range(4):
            question = [draw.randrange(VOCABULARY) for _ in range(draw.randint(15, 60))]
            answer = [draw.randrange(VOCABULARY) for _ in range(draw.randint(30, 120))]
            learned = [0] * (len(history) + len(question)) + [1] * len(answer)
            found.append((history + question + answer, learned))
            history = history + question + answer
    return found


def labelled_rows(rows: int, seed: int = 4) -> list[Row]:
    """Questions to a bank with one of 77 labels, as an encoder reads them.

    The texts of banking77, where the folder that BANKING77 names has its train.csv; else rows of its lengths.
    """
    draw = random.Random(seed)
    path = Path(os.environ.get("BANKING77", "-")) / "train.csv"
    if not path.exists():
        lengths = [min(100, max(6, round(draw.lognormvariate(2.6, 0.45)))) for _ in range(rows)]
        return [
            ([draw.randrange(1000, 30_000) for _ in range(length)], [draw.randrange(NUM_LABELS)]) for length in lengths
        ]
    with path.open(encoding="utf-8", newline="") as stream:
        found = [(row["text"], row["category"]) for row in csv.DictReader(stream)]
    number_of: dict[str, int] = {label: number for number, label in enumerate(sorted({label for _, label in found}))}
    words: dict[str, int] = {}
    draw.shuffle(found)
    return [
        (
            [words.setdefault(word, 1000 + len(words)) for word in re.findall(r"\w+|\S", text.lower())],
            [number_of[label]],
        )
        for text, label in found[:rows]
    ]


WORKLOADS = {
    one.name: one
    for one in (
        Workload("W1", "one instruction shared by all rows, LoRA", 16, lambda steps: shared_instruction(16 * steps)),
        Workload("W1-full", "the same, every weight learns", 16, lambda steps: shared_instruction(16 * steps), True),
        Workload("W2", "mixed chats, nothing shared, LoRA", 8, lambda steps: mixed_chats(8 * steps)),
        Workload("W2-full", "the same, every weight learns", 8, lambda steps: mixed_chats(8 * steps), True),
        Workload("W3", "rows of 2,048 tokens, nothing shared, LoRA", 2, lambda steps: long_rows(2 * steps)),
        Workload("W5", "an encoder that classifies", 32, lambda steps: labelled_rows(32 * steps), True, True),
        Workload("W4", "conversations with a row a turn, LoRA", 16, lambda steps: turn_trees(4 * steps)),
    )
}
