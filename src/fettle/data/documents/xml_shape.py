"""How an XML file is built: which element is a row. And the strict reader that all of XML is read through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias
from xml.parsers import expat

from fettle.data.containers.opening import MAX_ROW_BYTES
from fettle.data.records import BadRecord

MAX_NESTING = 256
MOST_PATHS = 5_000
"""A file with more kinds of elements is no table."""

_LEAST_SHARE = 0.5
Path: TypeAlias = tuple[str, ...]


class Strict:
    """Expat, with what could harm refused: entities of the file's own, those of other files, nesting without end.

    The parser is asked for nothing outside the file. Trap: a reference that nobody declared is skipped in silence where
    a document type lies elsewhere, and its character would be lost; it is refused.
    """

    def __init__(self) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = parser.ProcessingInstructionHandler = self._progressed
        parser.EntityDeclHandler = self._refuse_entity
        parser.ExternalEntityRefHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._refuse_entity
        self._parser = parser
        self._path: Path = ()
        self._quiet_bytes = 0

    @property
    def line(self) -> int:
        """The line that is being read."""
        return int(self._parser.CurrentLineNumber)

    def feed(self, block: bytes) -> None:
        """Read on."""
        self._quiet_bytes += len(block)
        self._parser.Parse(block, False)
        # Expat begins a tag again with every block until it is whole, so one without end costs the square of its size.
        if self._quiet_bytes > MAX_ROW_BYTES + len(block):
            raise BadRecord("a tag or comment is longer than a row may be", expected=f"{MAX_ROW_BYTES:,} bytes at most")

    def close(self) -> None:
        """Say that this was all."""
        self._parser.Parse(b"", True)

    def started(self, path: Path, attributes: dict[str, str]) -> None:
        """An element begins."""
        raise NotImplementedError

    def said(self, text: str) -> None:
        """Text of the innermost open element."""
        raise NotImplementedError

    def ended(self, path: Path) -> None:
        """An element ends."""
        raise NotImplementedError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._quiet_bytes = 0
        if len(self._path) >= MAX_NESTING:
            raise BadRecord("its elements are nested too deeply", expected=f"at most {MAX_NESTING} in one another")
        self._path = (*self._path, name)
        self.started(self._path, attributes)

    def _end(self, name: str) -> None:
        self._quiet_bytes = 0
        self.ended(self._path)
        self._path = self._path[:-1]

    def _text(self, text: str) -> None:
        self._quiet_bytes = 0
        self.said(text)

    def _progressed(self, *said: object) -> None:
        self._quiet_bytes = 0

    def _refuse_entity(self, *declared: object) -> int:
        raise BadRecord(
            "it declares entities, or uses what another file declares",
            expected="the five of XML (&amp; &lt; &gt; &quot; &apos;) and numbers (&#233;)",
            attempt="write the characters themselves",
        )


@dataclass(slots=True)
class Shape:
    """What elements of one path have in common. `speaks`: some have text of their own, perhaps beside others."""

    count: int = 0
    num_characters: int = 0
    children: dict[str, None] = field(default_factory=dict)
    attributes: dict[str, None] = field(default_factory=dict)
    speaks: bool = False

    @property
    def is_prose(self) -> bool:
        """Whether text and elements are mixed."""
        return self.speaks and bool(self.children)

    @property
    def is_leaf(self) -> bool:
        """Whether its text is one column: it has no elements, or they are words among others."""
        return self.speaks or not self.children


class Shapes(Strict):
    """The shapes of all elements of a file, or of its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.by_path: dict[Path, Shape] = {}
        self._open: list[Shape] = []

    @property
    def prose(self) -> frozenset[Path]:
        """The elements in which text and elements are mixed, so that neither is a column."""
        return frozenset(path for path, shape in self.by_path.items() if shape.is_prose)

    def started(self, path: Path, attributes: dict[str, str]) -> None:
        """Note the element with its parent."""
        if len(self.by_path) >= MOST_PATHS and path not in self.by_path:
            raise BadRecord("there are too many kinds of elements for a table")
        shape = self.by_path.setdefault(path, Shape())
        shape.count += 1
        shape.attributes.update(dict.fromkeys(attributes))
        if self._open:
            self._open[-1].children[path[-1]] = None
        self._open.append(shape)
        self._count(sum(map(len, attributes.values())))

    def said(self, text: str) -> None:
        """Count what is said, for every element around it."""
        length = len(text.strip())
        if length:
            self._count(length)
            self._open[-1].speaks = True

    def ended(self, path: Path) -> None:
        """Close the element."""
        self._open.pop()

    def _count(self, num_characters: int) -> None:
        for shape in self._open:
            shape.num_characters += num_characters

    def columns(self, record: Path) -> dict[str, None]:
        """The columns that rows of an element will have, as far as the file was seen."""
        found: dict[str, None] = {}
        in_prose = self._in_prose()
        for path, shape in self.by_path.items():
            if path[: len(record)] != record or path in in_prose:
                continue
            name = column_name(path, record)
            found.update(dict.fromkeys(f"{name}@{attribute}" for attribute in shape.attributes))
            if shape.is_leaf:
                found[name] = None
        return found

    def record(self) -> Path | None:
        """The element that is a row, None where the file is prose.

        That is a repeated one with leaves alone in it and most of the text of the file; else one with inner elements
        as well; else, where nothing repeats, an element of two leaves or more.
        """
        in_prose = self._in_prose()
        num_columns = self._num_columns(in_prose)
        candidates = [
            path
            for path, shape in self.by_path.items()
            if num_columns[path] > 1 and path not in in_prose and not shape.is_prose
        ]
        all_characters = max(
            (shape.num_characters for path, shape in self.by_path.items() if len(path) == 1), default=0
        )
        for is_row in (self._repeats_leaves, self._repeats, self._has_leaves):
            fitting = [path for path in candidates if is_row(path)]
            best = max(fitting, key=lambda path: (self.by_path[path].num_characters, -len(path)), default=None)
            if best is not None and self.by_path[best].num_characters >= _LEAST_SHARE * all_characters:
                return best
        return None

    def _in_prose(self) -> set[Path]:
        """The elements somewhere within prose; parents were met before their children."""
        found: set[Path] = set()
        for path in self.by_path:
            above = path[:-1]
            if above and (above in found or self.by_path[above].is_prose):
                found.add(path)
        return found

    def _num_columns(self, in_prose: set[Path]) -> dict[Path, int]:
        """How many columns a row of each element would have; children were met after their parents."""
        counts = dict.fromkeys(self.by_path, 0)
        for path in reversed(self.by_path):
            if path in in_prose:
                continue
            shape = self.by_path[path]
            counts[path] += len(shape.attributes) + shape.is_leaf
            if len(path) > 1:
                counts[path[:-1]] += counts[path]
        return counts

    def _repeats_leaves(self, path: Path) -> bool:
        return self._repeats(path) and all(self.by_path[*path, name].is_leaf for name in self.by_path[path].children)

    def _repeats(self, path: Path) -> bool:
        return self.by_path[path].count > 1

    def _has_leaves(self, path: Path) -> bool:
        inner = [self.by_path[*path, name] for name in self.by_path[path].children]
        return len(inner) > 1 and all(shape.is_leaf and shape.count == 1 for shape in inner)


def column_name(path: Path, record: Path) -> str:
    """The name of the column for an element of a row.

    >>> column_name(("set", "row", "author", "name"), ("set", "row")), column_name(("set", "row"), ("set", "row"))
    ('author/name', 'row')
    """
    return "/".join(path[len(record) :]) or path[-1]
