"""The text of a page as its reader sees it, in sections that begin at headings.

Blanks are set as a browser sets them: runs of them are one, blocks stand on lines of their own, and what is
preformatted stays as it is. Of forms and pictures nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from fettle.data.documents.markdown import PATH_SEPARATOR

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_NOT_SHOWN = frozenset(
    (
        *("head", "script", "style", "template", "noscript", "svg", "iframe", "object", "audio", "video", "canvas"),
        *("textarea", "select", "datalist"),
    )
)
_PARAGRAPHS = frozenset((*_HEADINGS, "p", "ul", "ol", "dl", "table", "blockquote", "pre", "figure", "hr"))
_LINES = frozenset(
    (
        *("address", "article", "aside", "body", "br", "caption", "center", "dd", "details", "dialog", "div", "dt"),
        *("fieldset", "figcaption", "footer", "form", "header", "html", "legend", "li", "main", "nav", "option"),
        *("section", "summary", "tbody", "tfoot", "thead", "tr"),
    )
)
_CELLS = frozenset(("td", "th"))
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\n\r\f]+")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page and the headings above it, outermost first."""

    headings: str
    text: str


@dataclass(slots=True)
class _Writer:
    """Text as it is set: what is due between two pieces is written once, and never at the beginning."""

    pieces: list[str] = field(default_factory=list)
    due: str = ""

    def ask(self, gap: str) -> None:
        """Ask for a gap before the next piece; the widest asked for wins."""
        if len(gap) > len(self.due) or (self.due in (" ", "\t") and gap == "\n"):
            self.due = gap

    def write(self, text: str, is_preformatted: bool) -> None:
        if not is_preformatted:
            if text[:1] in " \t\n\r\f":
                self.ask(" ")
            words = _BLANKS.sub(" ", text).strip(" ")
            if not words:
                return
            ends_blank = text[-1:] in " \t\n\r\f"
            text = words
        else:
            ends_blank = False
        if self.pieces:
            self.pieces.append(self.due)
        self.pieces.append(text)
        self.due = " " if ends_blank else ""

    def text(self) -> str:
        return "".join(self.pieces).strip()


def visible_sections(root: LexborNode | None) -> list[Section]:
    """The text before the first heading, then that of each heading, itself first. Some may be empty.

    >>> from selectolax.lexbor import LexborHTMLParser
    >>> page = LexborHTMLParser("<p>a <b>b</b><script>x</script><h1>One</h1>c<br>d<h2>Two</h2><p hidden>no")
    >>> visible_sections(page.root)  # doctest: +NORMALIZE_WHITESPACE
    [Section(headings='', text='a b'), Section(headings='One', text='One\\n\\nc\\nd'),
     Section(headings='One > Two', text='Two')]
    """
    sections: list[Section] = []
    above: list[tuple[int, str]] = []
    writer = _Writer()
    if root is None:
        return [Section("", "")]
    num_preformatted, num_hidden = 0, 0
    for node, is_entered in _walk(root):
        tag = node.tag or ""
        if tag == "-text":
            if is_entered and not num_hidden:
                writer.write(node.text_content or "", num_preformatted > 0)
            continue
        change = 1 if is_entered else -1
        num_hidden += change * _is_hidden(node, tag)
        num_preformatted += change * (tag == "pre")
        if tag in _HEADINGS and is_entered:
            sections.append(Section(_joined(above), writer.text()))
            writer = _Writer()
            level = int(tag[1])
            words = "" if num_hidden else " ".join(node.text().split())
            above = [*(each for each in above if each[0] < level), (level, words)]
        if tag in _PARAGRAPHS:
            writer.ask("\n\n")
        elif tag in _LINES:
            writer.ask("\n")
        elif tag in _CELLS:
            writer.ask("\t")
    sections.append(Section(_joined(above), writer.text()))
    return sections


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node at its beginning (True) and its end (False), in order. Not by recursion: pages nest as they like."""
    node: LexborNode | None = root
    while node is not None:
        yield node, True
        child = node.first_child if not _is_never_shown(node) else None
        if child is not None:
            node = child
            continue
        while node is not None:
            yield node, False
            if node.mem_id == root.mem_id:
                return
            following = node.next
            if following is not None:
                node = following
                break
            node = node.parent


def _is_never_shown(node: LexborNode) -> bool:
    return node.tag in _NOT_SHOWN


def _is_hidden(node: LexborNode, tag: str) -> bool:
    if tag in _NOT_SHOWN:
        return True
    attributes = node.attributes
    return "hidden" in attributes or bool(_HIDING.search(attributes.get("style") or ""))


def _joined(above: list[tuple[int, str]]) -> str:
    return PATH_SEPARATOR.join(words for _, words in above if words)
