"""What an export form is: the records that it takes, what it asks of them, and how a row is written in it.

A form knows nothing of the stream that its rows come in, nor of the file that they go to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from fettle.data.records import Record, Row
from fettle.errors import Fault

Content: TypeAlias = dict[str, object] | str
"""A row as a form writes it: cells or keys by name, or a block of text."""

Problem: TypeAlias = tuple[str, str]
"""What is wrong, and what to try."""

Kind: TypeAlias = type[msgspec.Struct]

KIND_NAMES: dict[str, str] = {
    "conversation": "conversations",
    "labelled": "texts with a label",
    "labels": "texts with several labels",
    "tagged": "texts with spans",
    "scored": "texts with a score",
    "pair": "pairs of texts",
    "preference": "preferences",
    "judged": "judged answers",
    "steps": "answers judged step by step",
    "graded": "prompts with what a grader needs",
    "text": "plain texts",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a form asks of a record: what is expected, who says so, and what breaks it."""

    expected: str
    source: str
    find: Callable[[Record], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file of a form may hold; 0 is no limit. `least_rows` counts the rows that train.

    With `needed_parts` a folder without a file for each of these parts is of no use; with `has_no_row_twice` no row may
    stand in two files of one folder.
    """

    least_rows: int = 0
    most_rows: int = 0
    most_bytes: int = 0
    needed_parts: tuple[str, ...] = ()
    has_no_row_twice: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a person may choose about an export.

    With `is_strict` any fault stops before anything is written. `num_tokens` counts the tokens of a record, and one of
    more than `most_tokens` is refused. `on_fault` is told every fault, as it is found. `tags` and `splits_words` are
    for `conll`, `label_name` for `mistral-classifier`.
    """

    is_strict: bool = False
    num_tokens: Callable[[Record], int] | None = None
    most_tokens: int = 0
    on_fault: Callable[[Fault], None] | None = None
    tags: Literal["BIO", "BILOU"] = "BIO"
    splits_words: bool = False
    label_name: str = "label"


USUAL = ExportOptions()
"""What an export does where nothing is chosen."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write examples for others.

    `rules` has an entry for each kind of record that the form takes. `suffixes` are the endings of its files, the usual
    one first. A form that `says_part` or `says_fields` has a place for them in each row; one that `mixes_kinds` takes
    records of several kinds into one file. One that `is_folder` has its files in a folder always. `known_parts` are the
    parts that the form can name, where it cannot name all. `columns` is the order of the columns of a table.
    """

    name: str
    summary: str
    write: Callable[[Row, ExportOptions], Content]
    rules: Mapping[Kind, tuple[Rule, ...]]
    suffixes: tuple[str, ...] = (".jsonl",)
    limits: Limits = Limits()
    says_part: bool = False
    says_fields: bool = False
    mixes_kinds: bool = False
    is_folder: bool = False
    known_parts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    part_stems: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "validation": "validation", "test": "test"}
    )


def kind_name(kind: Kind) -> str:
    """What records of a kind are called, in the plural.

    >>> from fettle.data.records import PlainText
    >>> kind_name(PlainText)
    'plain texts'
    """
    return KIND_NAMES[str(kind.__struct_config__.tag)]
