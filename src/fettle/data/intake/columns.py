"""Which column is which field of a dialect: by a user's map, by name, or by a common synonym.

Where several columns could be one field that is said, and left to `recognise`, which has seen the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fettle.data.dialects.protocol import Dialect
from fettle.data.dialects.table import dialects
from fettle.data.intake.paths import MISSING, JsonPath
from fettle.errors import RequestError, near_misses

DROPPED = "-"
SYNONYMS: dict[str, tuple[str, ...]] = {
    "label": ("category", "intent", "class", "sentiment", "target", "labels"),
    "labels": ("tags", "categories", "topics"),
    "text": ("sentence", "message", "review", "utterance", "content", "body"),
    "prompt": ("question", "instruction", "input", "query"),
    "completion": ("answer", "response", "output", "reply"),
    "context": ("input",),
    "output": ("response",),
    "conversations": ("conversation", "dialogue", "dialog", "turns", "messages"),
    "tools": ("functions",),
    "images": ("image",),
    "rejected_message": ("rejected_response", "rejected_messages"),
    "spans": ("entities", "label", "labels"),
    "tags": ("ner_tags", "labels", "pos_tags"),
    "sentence1": ("text1", "sentence_a", "question1"),
    "sentence2": ("text2", "sentence_b", "question2"),
    "score": ("similarity", "similarity_score", "rating", "stars"),
    "anchor": ("query", "sentence1", "sentence_a", "text1", "question1", "question"),
    "positive": ("document", "passage", "sentence2", "sentence_b", "text2", "question2", "answer"),
    "negative": ("negatives", "hard_negative", "hard_negatives"),
}
_NARROWER = {("prefer", "label"): ("kto_tag",)}
"""Where one task means less by a field: a category says nothing of how good an answer is."""

LIST_FIELDS = frozenset(
    ("messages", "conversations", "labels", "spans", "tokens", "tags", "tools", "history", "completions", "negative")
)
"""Fields that hold lists. A path with `[]` into any other field gives its texts as one, a line each."""


@dataclass(slots=True)
class Reading:
    """A dialect whose fields were all found. `columns` leads from field to column, or to a path as it is written.

    `guessed` of them were found by a synonym, and for those in `doubtful` there were several.
    """

    dialect: Dialect
    columns: dict[str, str]
    guessed: tuple[str, ...] = ()
    doubtful: dict[str, Sequence[str]] = field(default_factory=dict)
    paths: Mapping[str, JsonPath] = field(default_factory=dict)

    def fields_of(self, row: Mapping[str, object]) -> dict[str, object]:
        """What one row has of the fields; what it does not have is left out."""
        fields: dict[str, object] = {}
        if self.dialect.takes_rest:
            taken = set(self.columns.values())
            fields = {column: value for column, value in row.items() if column not in taken}
        for name, column in self.columns.items():
            value = follow(self.paths[column], name, row) if column in self.paths else row.get(column, MISSING)
            if value is not MISSING:
                fields[name] = value
        return fields


def follow(path: JsonPath, name: str, row: Mapping[str, object]) -> object:
    """What a path finds for the field `name`: texts from a list become one text, unless the field holds a list."""
    value = path.find(row)
    if isinstance(value, list) and path.is_list and name not in LIST_FIELDS:
        texts = [item for item in value if isinstance(item, str)]
        if len(texts) == len(value):
            return "\n".join(texts)
    return value


def read_columns(
    dialect: Dialect, columns: Sequence[str], column_map: Mapping[str, str], paths: Mapping[str, JsonPath]
) -> Reading | None:
    """Find the fields of a dialect among columns; None where one that it needs is missing, or speaks against it."""
    found: dict[str, str] = {}
    guessed: list[str] = []
    doubtful: dict[str, Sequence[str]] = {}
    by_field = {name: column for column, name in column_map.items()}
    free = [column for column in columns if column not in column_map]
    if any(_could_be(dialect, name, free) for name in dialect.never):
        return None
    for name in (*dialect.required, *dialect.optional):
        if name in by_field:
            found[name] = by_field[name]
        elif name in free:
            found[name] = name
        else:
            likely = [column for column in _could_be(dialect, name, free) if column not in found.values()]
            if len(likely) > 1:
                # `input` beside another prompt is what goes with it; `context` takes it below.
                likely = [column for column in likely if column.casefold() != "input"]
            if likely:
                found[name] = likely[0]
                guessed.append(name)
            elif name in dialect.required:
                return None
            if len(likely) > 1:
                doubtful[name] = likely
    return Reading(dialect, found, tuple(guessed), doubtful, paths)


def words_for(dialect: Dialect, name: str) -> tuple[str, ...]:
    """What a column may be called, in small letters, to be taken for a field."""
    return (name, *_NARROWER.get((dialect.task, name), SYNONYMS.get(name, ())))


def _could_be(dialect: Dialect, name: str, columns: Iterable[str]) -> list[str]:
    words = words_for(dialect, name)
    return [column for column in columns if column.casefold() in words]


def check_map(column_map: Mapping[str, str], task: str | None) -> None:
    """Refuse a task or a field that no dialect knows, and two columns for one field."""
    if task is not None and not dialects(task):
        tasks = sorted({dialect.task for dialect in dialects()})
        raise RequestError(f"there is no task {task!r} to import for", expected=f"one of: {', '.join(tasks)}")
    known = {name for dialect in dialects(task) for name in (*dialect.required, *dialect.optional)}
    for column, name in column_map.items():
        if name != DROPPED and name not in known:
            raise RequestError(
                f"there is no field {name!r}",
                where=f"--map {column}={name}",
                expected=f"one of: {', '.join(sorted(known))}, or {DROPPED} to drop the column",
                attempt=f"--map {column}={near_misses(name, known, 1).split(', ')[0]}",
            )
    named = [name for name in column_map.values() if name != DROPPED]
    for name in named:
        if named.count(name) > 1:
            columns = [column for column, other in column_map.items() if other == name]
            raise RequestError(
                f"{' and '.join(columns)} are both mapped to {name}",
                where="--map",
                expected="one column for each field",
                attempt=f"--map {columns[-1]}={DROPPED}",
            )
