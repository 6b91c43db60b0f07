"""Rows with planted duplicates: made-up sentences and templates, and copies of them, the same for every engine.

Words come from a made-up vocabulary by Zipf's law, as in real text: few are everywhere and most are rare. The seed is
fixed, so every run and every engine gets the same rows to the byte. Which rows were planted as copies of which is told.
"""

from __future__ import annotations

import random
from itertools import accumulate

NUM_WORDS = 20_000
_SYLLABLES = [first + vowel + last for first in "bcdfghklmnprstvw" for vowel in "aeiou" for last in ("", "n", "r", "s")]
_TEMPLATES = (
    "please cancel order {} and send the {} back to {}",
    "how long does it take until my {} arrives in {}",
    "the {} that i bought is {} and i want my money back",
    "can you tell me whether the {} fits a {} of size {}",
    "i cannot log in with {} since the update of {}",
    "what does {} mean in the contract for {}",
)


class RowMaker:
    """Draws rows from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        words: dict[str, None] = {}
        while len(words) < NUM_WORDS:
            words["".join(self.random.choices(_SYLLABLES, k=self.random.choice((1, 2, 2, 3))))] = None
        self.words = list(words)
        self.weights = list(accumulate(1 / (rank + 3) for rank in range(NUM_WORDS)))

    def drawn_words(self, num_words: int) -> list[str]:
        """Words as they come in texts."""
        return self.random.choices(self.words, cum_weights=self.weights, k=num_words)

    def fresh(self) -> str:
        """A row of some 60 characters: nine of ten are free sentences, the others fill a template."""
        if self.random.random() < 0.1:
            template = self.random.choice(_TEMPLATES)
            return template.format(*(" ".join(self.drawn_words(2)) for _ in range(template.count("{}"))))
        return " ".join(self.drawn_words(self.random.randint(8, 15)))

    def nearly(self, text: str) -> str:
        """The text with a small edit at one place: a letter changed, left out or doubled, or a short word added."""
        place = self.random.randrange(len(text))
        kind = self.random.randrange(4)
        if kind == 3:
            return f"{text} {self.random.choice(self.words[:50])}"
        middle = (self.random.choice("aeiou"), "", text[place] * 2)[kind]
        return text[:place] + middle + text[place + 1 :]


def planted_rows(num_rows: int, seed: int = 7) -> tuple[list[str], list[tuple[int, int]], list[tuple[int, int]]]:
    """Rows in random order, and which of them are exact and near copies: pairs of places, the original first.

    5 % of the rows are exact copies and 5 % near ones.
    """
    maker = RowMaker(seed)
    num_copies = num_rows // 20
    rows = [maker.fresh() for _ in range(num_rows - 2 * num_copies)]
    sources = [maker.random.randrange(len(rows)) for _ in range(2 * num_copies)]
    rows += [rows[source] for source in sources[:num_copies]]
    rows += [maker.nearly(rows[source]) for source in sources[num_copies:]]
    order = list(range(num_rows))
    maker.random.shuffle(order)
    place = [0] * num_rows
    for new, old in enumerate(order):
        place[old] = new
    first_copy = num_rows - 2 * num_copies
    planted = [(place[source], place[first_copy + number]) for number, source in enumerate(sources)]
    return [rows[old] for old in order], planted[:num_copies], planted[num_copies:]


def held_out_rows(rows: list[str], num_rows: int, seed: int = 11) -> tuple[list[str], list[tuple[int, int]]]:
    """Rows to hold out, a tenth of which leaked: each of those is a small edit of one of the given rows.

    The pairs are (place in the given rows, place in the held-out ones).
    """
    maker = RowMaker(seed)
    num_leaks = num_rows // 10
    sources = [maker.random.randrange(len(rows)) for _ in range(num_leaks)]
    held = [maker.nearly(rows[source]) for source in sources] + [maker.fresh() for _ in range(num_rows - num_leaks)]
    return held, [(source, number) for number, source in enumerate(sources)]
