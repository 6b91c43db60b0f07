"""The containers by name, in the order in which they are tried, and where an extension settles the matter.

A conclusive container leaves no room for another: what reads as JSON objects is not prose. The others are only likely,
so the next is tried when the columns of the first make no sense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fettle.data.containers.columnar import Columnar
from fettle.data.containers.delimited import SUFFIXES, Delimited
from fettle.data.containers.json_lines import JsonLines
from fettle.data.containers.label_lines import LabelLines
from fettle.data.containers.plain_text import PlainTextFile, WholeTextFile
from fettle.data.containers.protocol import Container, Sample
from fettle.data.containers.spreadsheet import Spreadsheet
from fettle.data.documents.conll import Conll
from fettle.data.documents.html import Html
from fettle.data.documents.markdown import SUFFIXES as MARKDOWN_SUFFIXES
from fettle.data.documents.markdown import Markdown
from fettle.data.documents.xml import Xml


@dataclass(frozen=True, slots=True)
class Entry:
    """How a container is made; with one of `settling_suffixes` its recognition is conclusive."""

    factory: Callable[[], Container]
    is_conclusive: bool = False
    settling_suffixes: tuple[str, ...] = ()


CONTAINERS: dict[str, Entry] = {
    "spreadsheet": Entry(Spreadsheet, is_conclusive=True),
    "columnar": Entry(Columnar, is_conclusive=True),
    "json_lines": Entry(JsonLines, is_conclusive=True),
    "html": Entry(Html, is_conclusive=True),
    "xml": Entry(Xml, is_conclusive=True),
    "conll": Entry(Conll, is_conclusive=True),
    "markdown": Entry(Markdown, settling_suffixes=MARKDOWN_SUFFIXES),
    "delimited": Entry(Delimited, settling_suffixes=SUFFIXES),
    "label_lines": Entry(LabelLines),
    "plain_text": Entry(PlainTextFile),
}


def candidates(sample: Sample, is_whole: bool = False) -> list[tuple[Container, str]]:
    """The containers that a file may be, likeliest first, each with its evidence. `is_whole`: a text is one document.

    >>> from pathlib import Path
    >>> head = b'{"text": "a"}'
    >>> [container.name for container, _ in candidates(Sample(Path("a.txt"), head, len(head)))]
    ['json_lines']
    """
    found: list[tuple[Container, str]] = []
    wholes: tuple[Container, ...] = (Html(is_whole=True), WholeTextFile()) if is_whole else ()
    for whole in wholes:
        if (evidence := whole.recognise(sample)) is not None:
            return [(whole, evidence)]
    for entry in CONTAINERS.values():
        container = entry.factory()
        evidence = container.recognise(sample)
        if evidence is None:
            continue
        if entry.is_conclusive or sample.suffix in entry.settling_suffixes:
            return [(container, evidence)]
        found.append((container, evidence))
    return found
