"""Settings of the models room."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from fettle.config.settings import Settings
from fettle.errors import Fault

NEW_BASE = "new"
"""What `base=` says where there is no base: one is made from the rows."""

ALL, HEAD, BIASES, LAST = "all", "head", "biases", "last:"
"""What `adapter.learn` says beside names of weights; `last:` is followed by a number of layers."""
VECTORS_BASE = "vectors"
"""The kind of a base that is a table of word vectors, made from a file or from texts."""

WAYS_TO_LEARN_VECTORS = ("word2vec", "skip-gram", "glove")
"""What `base=` says for word vectors that are learned from texts. word2vec is its CBOW."""


class AdapterSettings(Settings):
    """Which weights learn, and how much room they get."""

    kind: Literal["full", "lora", "rslora", "dora", "pissa"] = "lora"
    """full: the weights of the base learn. lora: low-rank adapters learn and the base stays as it is. rslora: the same,
    scaled by alpha / sqrt(rank). dora: direction and length of every weight learn apart. pissa: the adapters begin with
    the largest singular vectors of every weight, and the bundle holds them at twice the rank."""

    learn: str = Field(default=ALL, min_length=1)
    """Which weights of the base learn (kind full): all; last:K, the last K layers and what follows them; head; biases,
    with the head; or names joined by commas, * for any characters. A head that is tied to the embeddings learns with
    all, or by name. A new head always learns."""

    rank: PositiveInt = 16
    """Width of each adapter. Its memory grows in proportion."""

    alpha: float = Field(default=32.0, gt=0)
    """Scale of the adapters: their output is multiplied by alpha / rank (rslora: alpha / sqrt(rank))."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that is dropped at random in training."""

    targets: str = "all-linear"
    """Layers that get an adapter: all-linear (all but the vocabulary head), or names joined by commas."""

    def faults(self) -> list[Fault]:
        """What these settings say that cannot be, all of it.

        >>> [fault.problem for fault in AdapterSettings(kind="full", learn="last:0").faults()]
        ['last:0 is no number of layers']
        """
        if self.kind != "full" and self.learn != ALL:
            problem = f"{self.kind} adapters leave the base as it is, so none of its weights can be chosen to learn"
            return [Fault("adapter.learn", 0, problem, ALL, "adapter.kind=full, or adapter.targets")]
        count = self.learn.removeprefix(LAST)
        if self.learn.startswith(LAST) and not (count.isdecimal() and int(count)):
            return [
                Fault("adapter.learn", 0, f"{self.learn} is no number of layers", f"{LAST}2", f"adapter.learn={LAST}2")
            ]
        return []


class HeadSettings(Settings):
    """The layer that reads classes or numbers, for methods that have one."""

    pooling: Literal["auto", "first", "last", "mean"] = "auto"
    """Which hidden states stand for a text. auto: the last where words see only what is before them, else the mean."""

    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of what the head reads that is dropped at random in training."""

    class_weights: Literal["none", "balanced"] = "none"
    """How much rows count. balanced: rows of rare labels more, so that all labels together count the same."""

    sizes: tuple[PositiveInt, ...] = ()
    """Beginnings of a vector that are to be of use alone, in numbers: 64, 128. The whole vector always is."""


class ShapeSettings(Settings):
    """The model that `base=new` makes: a Llama of these sizes, and the vocabulary that it reads with."""

    vocabulary: int = Field(default=8192, ge=260)
    """Most tokens of the vocabulary learned from the text. 260 are the bytes and the control tokens alone."""

    width: PositiveInt = 256
    """Numbers that stand for one token between layers."""

    layers: PositiveInt = 6
    """Layers, one above the other."""

    heads: PositiveInt = 4
    """Heads of the attention. Together they are as wide as the model."""

    key_heads: NonNegativeInt = 0
    """Heads of keys and values, each shared by several heads of queries. 0: as many as heads."""

    feed_forward: NonNegativeInt = 0
    """Width inside the feed-forward part of a layer. 0: 8/3 of the width, rounded up to a multiple of 64."""

    context: int = Field(default=1024, ge=8)
    """Most tokens that the model reads at once."""

    def faults(self) -> list[Fault]:
        """What keeps these sizes from being a model, all of it.

        >>> [fault.problem for fault in ShapeSettings(width=250, heads=4, key_heads=3).faults()]
        ['250 wide cannot be divided among 4 heads of an even width', '4 heads cannot share 3 heads of keys']
        """
        found = []
        if self.width % (2 * self.heads):  # positions turn the numbers of a head in pairs
            problem = f"{self.width} wide cannot be divided among {self.heads} heads of an even width"
            wider = -(-self.width // (2 * self.heads)) * 2 * self.heads
            found.append(Fault("shape.width", 0, problem, "a multiple of twice shape.heads", f"shape.width={wider}"))
        if self.key_heads and self.heads % self.key_heads:
            problem = f"{self.heads} heads cannot share {self.key_heads} heads of keys"
            fitting = [number for number in range(1, self.heads + 1) if self.heads % number == 0]
            nearest = max(number for number in fitting if number <= self.key_heads)
            expected = f"one of: {', '.join(map(str, fitting))}"
            found.append(Fault("shape.key_heads", 0, problem, expected, f"shape.key_heads={nearest}"))
        return found


class VectorSettings(Settings):
    """Word vectors: how they are learned from texts, and how much of a file of them is kept."""

    size: PositiveInt = 100
    """Numbers that stand for one word. A file has a size of its own."""

    window: PositiveInt = 5
    """Words on each side that count as neighbours of a word, at most."""

    epochs: NonNegativeInt = 0
    """Times that the text is learned from. 0: five times for eight million words and more, up to fifty for fewer."""

    least_count: PositiveInt = 2
    """Words that occur less often get no vector of their own."""

    most: PositiveInt = 400_000
    """Most words of the table: the commonest of a text, the first of a file."""

    negative: PositiveInt = 5
    """Noise words that each neighbour is told from (word2vec, skip-gram)."""

    lowercase: bool = True
    """Whether capitals and small letters are one. A file decides that by its own words."""

    text: str = ""
    """Dataset whose texts the vectors are learned from. Empty: the rows to learn from."""

    beside: NonNegativeInt | None = None
    """Words on each side whose vectors a word is shown with. Empty: two for tagging, else none."""
