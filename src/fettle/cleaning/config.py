"""How each operation is set: one frozen type an operation, light enough to be read by help and documentation."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from fettle.config.settings import Settings
from fettle.errors import near_misses

KEEP_RULES = ("longest", "shortest", "first", "last", "newest(FIELD)", "oldest(FIELD)")
KEEP_RULE = re.compile(r"(longest|shortest|first|last)|(newest|oldest)\(\s*([^()]+?)\s*\)")
WORD_RANGE = re.compile(r"\s*(\d{0,9})\s*\.\.\s*(\d{0,9})\s*")
Which = Literal["all", "minority", "training"]


class RepairSettings(Settings):
    """Mend broken encoding, control characters, line ends, letters in pieces and blanks at both ends."""


class StripSettings(Settings):
    """Take out what should not be learned."""

    what: Literal["hidden", "html", "markdown", "urls", "emoji"]
    """hidden (characters that nobody sees), html, markdown, urls or emoji."""


class RedactSettings(Settings):
    """Take out what is private."""

    how: Literal["mask", "hash", "replace", "drop"]
    """mask (its kind in its place), hash (the same for the same), replace (something made up) or drop (nothing)."""

    salt: str = ""
    """Goes into hashes and what is made up. Without one, a hash of something short can be found by trying."""

    kinds: tuple[str, ...] = ()
    """The kinds to take out; none named: all."""

    least_confidence: float = Field(default=0.0, ge=0.0, le=1.0)
    """What the detector is less sure of stays."""

    fields: tuple[str, ...] = ()
    """Fields of the rows whose values are redacted too; they are kept as they are where none is named."""


class DeduplicateSettings(Settings):
    """Keep one of the rows that are alike."""

    kind: Literal["exact", "near", "semantic"]
    """exact (case and spacing aside), near (most of the words) or semantic (the meaning, which needs a model)."""

    compare: Literal["input", "all"] | None = None
    """What of a conversation is compared: its input, as the checks do, or all of it. By default all for exact, else
    the input. Of other records it is always all; system turns are compared apart, so that a long one hides nothing."""

    keep: str = "longest"
    """Which one is kept: longest, shortest, first, last, newest(FIELD) or oldest(FIELD), the first of equals."""

    threshold: float | None = Field(default=None, gt=0.0, le=1.0)
    """How alike: 0.8 of the shingles for near, 0.95 of the cosine for semantic, where none is given."""

    @field_validator("keep")
    @classmethod
    def _is_a_rule(cls, keep: str) -> str:
        if not KEEP_RULE.fullmatch(keep):
            raise ValueError(f"it is one of {', '.join(KEEP_RULES)}; near: {near_misses(keep, KEEP_RULES, 1)}")
        return keep


class DropSettings(Settings):
    """Leave out the rows of the findings of one kind."""

    kind: str
    """The kind of finding, as a report of findings names it."""

    which: Which | None = None
    """all rows of a finding; minority (those that do not give its commonest answer; all where two are as common); or
    training (those not tested; where none is, those not validated; where none is held out, all). By default what the
    finding itself names, else training for a leak, else all."""


class KeepSettings(Settings):
    """Keep the rows that an expression holds for."""

    where: str
    """The expression: label = "refund" and words < 200."""


class DropWhereSettings(Settings):
    """Leave out the rows that an expression holds for."""

    where: str
    """The expression: part = "train" and text matches /unsubscribe/i."""


class LengthSettings(Settings):
    """Keep the rows of some length."""

    words: str
    """The fewest and the most words of all that is said in a row, labels left out: 3..200, 3.. or ..200."""

    @field_validator("words")
    @classmethod
    def _is_a_range(cls, words: str) -> str:
        found = WORD_RANGE.fullmatch(words)
        if not found or not any(found.groups()):
            raise ValueError("it is a range of words: 3..200, 3.. or ..200")
        if all(found.groups()) and int(found[1]) > int(found[2]):
            raise ValueError("its end lies before its beginning")
        return words


class SampleSettings(Settings):
    """Keep a number of rows, chosen by hash."""

    num_rows: int = Field(ge=1)
    """How many; fewer rows than that are all kept."""

    seed: int = 0
    """Another seed chooses other rows."""


class BalanceSettings(Settings):
    """Make labels as common as each other among the rows that train."""

    how: Literal["down", "up", "weights"]
    """down (leave rows out, as many as the rarest label has stay), up (repeat rows, up to the commonest label), or
    weights (a field `weight`: the rarer a label, the more a row of it weighs; all together as much as before)."""

    seed: int = 0
    """Another seed chooses other rows."""


class LabelsSettings(Settings):
    """Give labels that are one label one spelling."""

    how: Literal["merge"] = "merge"
    """merge, which is all that there is."""

    map: dict[str, str] = Field(default_factory=dict)
    """From each label to the one that it becomes. Without a map, labels that differ in case, spaces, hyphens and
    underscores alone become the commonest of them."""

    @field_validator("map")
    @classmethod
    def _ends(cls, names: dict[str, str]) -> dict[str, str]:
        for name in names:
            seen = [name]
            while names.get(seen[-1], seen[-1]) != seen[-1]:
                seen.append(names[seen[-1]])
                if seen[-1] in seen[:-1]:
                    raise ValueError(f"it goes round in a circle: {' → '.join(seen)}")
        return names


class RelabelSettings(Settings):
    """Do what a table of reviewed rows says."""

    file: str
    """The table: CSV, XLSX or JSON Lines with file, line, and verdict or new_label."""

    new_labels: tuple[str, ...] = ()
    """Labels that may be given although no row has them yet."""

    unknown_rows: Literal["refuse", "skip"] = "refuse"
    """What is done about rows of the table that are not among the rows: refuse the table, or skip them."""


class MineSettings(Settings):
    """Give pairs texts that look like the match and are not."""

    num_others: int = Field(ge=1, le=100)
    """How many texts that do not belong to it each pair is to have at most."""

    by: Literal["auto", "model", "words"] = "auto"
    """What finds them: the vectors of a model, or the words (BM25). auto: the model where one is given."""

    margin: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of the match's own score that a text must stay below it: what is nearer may well be right too."""
