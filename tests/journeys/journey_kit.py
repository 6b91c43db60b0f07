"""Rows and words for whole trips over the tiny base."""

from __future__ import annotations

import json
from pathlib import Path

ASKS = {
    "delivery": ("where is my parcel", "when will it arrive", "the delivery is late"),
    "payment": ("the card was charged twice", "which cards do you take", "the payment failed"),
    "refund": ("send the money back", "please cancel the order", "I want a refund"),
}
FEW = (
    "training.max_steps=6",
    "training.rows_per_step=8",
    "training.evaluate_every_steps=3",
    "adapter.rank=4",
    "decoding.max_new_tokens=6",
)


def write_intents(path: Path) -> Path:
    """Sixty texts with their labels, one of them bad."""
    rows = [{"text": f"{ASKS[label][n % 3]}, order {n}", "label": label} for n in range(20) for label in ASKS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"text": "no label"}\n')
    return path


def write_replies(path: Path) -> Path:
    """Forty questions and answers."""
    rows = [
        {"prompt": f"{ASKS[label][n % 3]} {n}", "completion": f"It is {label}."} for n in range(14) for label in ASKS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
