"""`strip=…`: what stands in a text and should not be learned: hidden characters, markup, addresses, emoji.

Markup is taken out by pattern, not by a parser: a parser mends what it reads, and moves or swallows words of a chat in
which somebody writes "if x<y" or forgets to close a table. Everything outside of what is known to be markup stays to
the letter.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fettle.cleaning.config import StripSettings
from fettle.cleaning.detectors import Detectors
from fettle.cleaning.operation import Cleaned
from fettle.cleaning.operations.repair import InStages
from fettle.cleaning.texts import mend_rows
from fettle.data.records import Row
from fettle.quality.finding import Given
from fettle.quality.texts.hidden import strip_hidden

_BLOCKS = (
    "address|article|aside|blockquote|body|br|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]"
    "|head|header|hr|html|li|link|main|meta|nav|ol|option|p|pre|section|summary|table|tbody|td|tfoot|th|thead|title|tr"
    "|ul|!doctype"
)
_INLINES = (
    "a|abbr|acronym|audio|b|bdi|bdo|big|button|canvas|caption|cite|code|col|colgroup|data|datalist|del|dfn|dialog|em"
    "|embed|font|i|iframe|img|input|ins|kbd|label|legend|map|mark|meter|noscript|object|output|picture|progress|q|s"
    "|samp|select|small|source|span|strike|strong|sub|sup|svg|textarea|time|tt|u|var|video|wbr"
)
# Attributes are bounded in number and length, so that a text full of half-open tags costs no more than its length.
_ATTRIBUTES = r"""(?:\s(?:[^<>"']|"[^"<]{0,2000}"|'[^'<]{0,2000}'){0,2000}|/)?"""
_BLOCK = re.compile(rf"</?(?:{_BLOCKS}){_ATTRIBUTES}>", re.I)
_BLOCKS_TOGETHER = re.compile(rf"{_BLOCK.pattern}(?:\s*{_BLOCK.pattern})*[ \t\n]*", re.I)
_INLINE = re.compile(rf"</?(?:{_INLINES}){_ATTRIBUTES}>", re.I)
_UNSEEN = tuple(
    (re.compile(opening, re.I), re.compile(closing, re.I))
    for opening, closing in ((r"<!--", r"-->"), (r"<script[\s>]", r"</script\s*>"), (r"<style[\s>]", r"</style\s*>"))
)
_OPENS_TAG = re.compile(rf"!--|/?(?:{_BLOCKS}|{_INLINES}|script|style)\b", re.I)
_ESCAPED_TAG = rf"&lt;/?(?:{_BLOCKS}|{_INLINES})\b[^<>&]{{0,500}}&gt;"
_ENTITY = re.compile(rf"({_ESCAPED_TAG})|&(?:#\d{{1,7}}|#x[0-9a-f]{{1,6}}|[a-z][a-z0-9]{{1,31}});", re.I)


_CODE = re.compile(r"(?<![\\`])(`[^`\n]{1,500}`)(?!`)")
_FENCES = ("```", "~~~")


def strip_html(text: str) -> str:
    """The text as a browser would show it, without its tags. Angle brackets of other sorts stay, and so does code.

    A tag that is written as `&lt;b&gt;` is text and stays text.

    >>> strip_html("<p>Dear <b>Ada</b>,</p><p>if x<y &amp; y>z, type `<br>`</p>")
    'Dear Ada,\\nif x<y & y>z, type `<br>`'
    """
    if "<" not in text and "&" not in text:
        return text
    return _outside_fences(text, lambda plain: _outside_ticks(plain, _shown))


def _shown(text: str) -> str:
    """Text without tags: where some stand that begin or end a block, a line ends, but at the ends of the text."""
    for opening, closing in _UNSEEN:
        text = _without(text, opening, closing)
    text = _INLINE.sub("", text)
    out, reached = [], 0
    for blocks in _BLOCKS_TOGETHER.finditer(text):
        out.append(text[reached : blocks.start()].rstrip(" \t\n"))
        reached = blocks.end()
    lines = [*out, text[reached:]]
    if len(lines) > 1:
        lines = lines[not lines[0] : len(lines) - (not lines[-1])]
    return _ENTITY.sub(_unescaped, "\n".join(lines))


def _outside_fences(text: str, mend: Callable[[str], str]) -> str:
    """Mend what stands outside of fenced code. A fence that is not closed goes to the end."""
    out: list[str] = []
    plain: list[str] = []
    fence = ""
    for line in text.split("\n"):
        opens = next((mark for mark in _FENCES if line.startswith(mark)), "")
        if fence:
            out.append(line)
            fence = "" if line.strip() == fence else fence
        elif opens:
            out += [mend("\n".join(plain))] if plain else []
            out.append(line)
            plain, fence = [], opens
        else:
            plain.append(line)
    return "\n".join([*out, mend("\n".join(plain))] if plain else out)


def _outside_ticks(text: str, mend: Callable[[str], str]) -> str:
    """Code is put back afterwards, so that what stands around it is mended as one text."""
    held = _CODE.findall(text)
    mark = next((chr(code) for code in range(0xE000, 0xF900) if chr(code) not in text), "")
    if not held or not mark:
        return mend(text) if not held else text
    pieces = mend(_CODE.sub(mark, text)).split(mark)
    if len(pieces) != len(held) + 1:
        return text
    return "".join(piece + code for piece, code in zip(pieces, [*held, ""], strict=True))


def _without(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """The text without what stands between two marks. Where the last one is not closed, it stays."""
    out, reached = [], 0
    while begin := opening.search(text, reached):
        end = closing.search(text, begin.end())
        if end is None:
            break
        out.append(text[reached : begin.start()])
        reached = end.end()
    return "".join([*out, text[reached:]])


def _unescaped(entity: re.Match[str]) -> str:
    """The letter that an entity stands for. What would read as a tag next time stays escaped."""
    if entity[1]:
        return entity.group()
    letter = html.unescape(entity.group())
    if letter == "<" and _OPENS_TAG.match(entity.string, entity.end()):
        return entity.group()
    return letter


_MARKDOWN: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<!\\)!\[([^\[\]\n]{0,500})\]\([^()\s]{0,2000}(?:\s\"[^\"\n]{0,500}\")?\)"), r"\1"),
    (re.compile(r"(?<![\\!])\[([^\[\]\n]{1,500})\]\([^()\s]{0,2000}(?:\s\"[^\"\n]{0,500}\")?\)"), r"\1"),
    (re.compile(r"^ {0,3}#{1,6}[ \t]+(?=\S)", re.M), ""),
    (re.compile(r"^ {0,3}>[ \t]?", re.M), ""),
    (re.compile(r"(?<![\\*\w])\*\*(?=[^\s*])([^*\n]{1,500}?)(?<=[^\s*\\])\*\*(?![*\w])"), r"\1"),
    (re.compile(r"(?<![\\_\w])__(?=[^\s_])([^_\n]{1,500}?)(?<=[^\s_\\])__(?![_\w])"), r"\1"),
    (re.compile(r"(?<![\\*\w])\*(?=[^\s*])([^*\n]{1,500}?)(?<=[^\s*\\])\*(?![*\w])"), r"\1"),
    (re.compile(r"(?<![\\_\w])_(?=[^\s_])([^_\n]{1,500}?)(?<=[^\s_\\])_(?![_\w])"), r"\1"),
    (re.compile(r"(?<![\\~])~~(?=[^\s~])([^~\n]{1,500}?)(?<=[^\s~\\])~~(?!~)"), r"\1"),
)
_MARKS = re.compile(r"[*_~\[\]#>\\]")


def strip_markdown(text: str) -> str:
    """Headings, emphasis, links and quotes as plain words. Fenced code, lists and tables stay as they are.

    >>> strip_markdown("## Hello\\n**Ada**, see [here](https://x.y)")
    'Hello\\nAda, see here'
    """
    return _outside_fences(text, lambda plain: _outside_ticks(_CODE.sub(_unticked, plain), _unmarked))


def _unticked(code: re.Match[str]) -> str:
    """Code that holds marks keeps its ticks: without them the marks would be read as Markdown."""
    return code[1] if _MARKS.search(code[1]) else code[1][1:-1]


def _unmarked(text: str) -> str:
    for pattern, put in _MARKDOWN:
        text = pattern.sub(put, text)
    return text


_URL = re.compile(r"(?:https?://|ftp://|\bwww\.)[^\s<>\"'`{}|\\^\[\]]{2,}", re.I)
_URL_TAIL = ".,;:!?)*_"


def strip_urls(text: str) -> str:
    """The text without web addresses; the punctuation behind one stays, and so do brackets that are not its own.

    >>> strip_urls("look at https://x.y/z?a=1, please (or www.x.y)")
    'look at, please (or)'
    """
    out, reached = [], 0
    for found in _URL.finditer(text):
        out.append(text[reached : found.start()].removesuffix(" "))
        reached = found.end() - len(_tail(found.group()))
    return _tidy(text, "".join([*out, text[reached:]]))


def _tail(url: str) -> str:
    """The end of an address that is punctuation of the sentence."""
    bare = url.rstrip(_URL_TAIL)
    if ")" in url[len(bare) :] and "(" in bare:
        bare = url[: url.rindex(")") + 1]
    return url[len(bare) :]


def _tidy(text: str, after: str) -> str:
    """No blank stands at an end where none stood before."""
    after = after if text.startswith(" ") else after.lstrip(" ")
    return after if text.endswith(" ") else after.rstrip(" ")


_EMOJI_BASE = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd"
    "\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755"
    "\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a"
    "\U0001f1e6-\U0001f1ff\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236\U0001f238-\U0001f23a\U0001f250\U0001f251"
    "\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f7f0\U0001f900-\U0001f9ff\U0001fa70-\U0001faff"
)
_EMOJI_ONE = rf"(?:[{_EMOJI_BASE}]\ufe0f?|[\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f170-\U0001f251]\ufe0f)"
_EMOJI_TAIL = r"(?:[\U0001f3fb-\U0001f3ff\u20e3]|[\U000e0020-\U000e007f])*"
_EMOJI = re.compile(rf" ?{_EMOJI_ONE}{_EMOJI_TAIL}(?:\u200d{_EMOJI_ONE}{_EMOJI_TAIL})*|\ufe0f?\u20e3")


def strip_emoji(text: str) -> str:
    """The text without emoji, each with the blank before it. Signs that are shown as text (©, ✓, →) stay.

    >>> strip_emoji("Thanks \U0001f44d\U0001f3fd! Step 1\ufe0f\u20e3 → done ✓")
    'Thanks! Step 1 → done ✓'
    """
    return _tidy(text, _EMOJI.sub("", text))


_STRIPPERS: dict[str, tuple[str, Callable[[str], str]]] = {
    "hidden": ("characters that nobody sees", strip_hidden),
    "html": ("HTML", strip_html),
    "markdown": ("Markdown", strip_markdown),
    "urls": ("web addresses", strip_urls),
    "emoji": ("emoji", strip_emoji),
}


@dataclass(frozen=True)
class Strip:
    """The operation."""

    settings: StripSettings
    strip: Callable[[str], str]
    name: str = "strip"

    def __call__(self, rows: Sequence[Row], given: Given) -> Cleaned:
        """Strip every text of every row."""
        stage = (_STRIPPERS[self.settings.what][0], self.strip)
        return mend_rows(rows, InStages([stage]), "stripped")


def make_strip(settings: StripSettings, detectors: Detectors) -> Strip:
    """The factory in the table."""
    del detectors
    return Strip(settings, _STRIPPERS[settings.what][1])
