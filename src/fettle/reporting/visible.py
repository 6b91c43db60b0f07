"""Texts as people can safely look at them: hidden characters as code points, marked places, long texts cut.

Whatever a text holds, what comes out is valid Unicode that turns no line around and draws over no neighbour.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from markupsafe import Markup, escape

from fettle.reporting.data_report import Mark

MOST_STACKED_MARKS = 4
"""Combining marks upon one letter. Writing needs up to four; more of them climb over the lines above."""
MOST_LINES = 14
CONTEXT_CHARACTERS = 80
MOST_COMPARED_CHARACTERS = 300
LEAST_SHARED_WORDS = 0.6

# Python calls these printable, but they leave nothing to see: fillers, a blank pattern, joiners, variation selectors.
_BLANKS = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0])
) | frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_PRESENTATION = "\ufe0e\ufe0f"
_JOINERS = "\u200c\u200d"
_IDEOGRAPHIC_SPACE = "\u3000"
_FIRST_JOINED_SCRIPT = 0x600


def visible(text: str, most_characters: int = 500, *, from_end: bool = False) -> str:
    """One line of text with its hidden characters as code points, at most so long; `from_end` keeps the end of it.

    >>> visible("pay\\u202ecod.exe")
    'pay[U+202E]cod.exe'
    >>> visible("reports/2026/tickets.jsonl", 14, from_end=True)
    '…tickets.jsonl'
    """
    kept = text[-most_characters:] if from_end else text[:most_characters]
    pieces = [piece if shows else f"[{_named(piece)}]" for piece, shows in _pieces(kept, breaks="")]
    line = "".join(pieces)
    if len(line) <= most_characters and len(kept) == len(text):
        return line
    return "…" + line[len(line) - most_characters + 1 :] if from_end else line[: most_characters - 1] + "…"


def marked(text: str, marks: Sequence[Mark] = (), most_characters: int = 600, kind: str = "") -> Markup:
    """A text as HTML with its marked places, of a long one the beginning and what surrounds the first marks.

    >>> print(marked("call 0171 now", [Mark(5, 9, "phone")]))
    call <mark>0171<span class="what">phone</span></mark> now

    `kind` becomes the class of the marks, for a page that marks more than one kind of thing.
    """
    opening = f'<mark class="{escape(kind)}">' if kind else "<mark>"
    merged = _merged(marks, len(text))
    windows = _windows(len(text), merged, most_characters)
    lines_left = [MOST_LINES - 1]
    html: list[str] = []
    seen = 0
    for start, end in [*windows, (len(text), len(text))]:
        html.append(_gap(seen, start, merged))
        place = start
        for mark in merged:
            low, high = max(mark.start, start), min(mark.end, end)
            if low < high:
                html.append(_shown(text[place:low], lines_left))
                label = visible(mark.label, 60)
                what = f'<span class="what">{escape(label)}</span>' if label else ""
                html.append(f"{opening}{_shown(text[low:high], lines_left)}{what}</mark>")
                place = high
        html.append(_shown(text[place:end], lines_left))
        seen = end
    return Markup("".join(html))  # every piece is escaped where it is made


def differing(text: str, other: str) -> list[Mark]:
    """The words of a text that another one does not have at their place; none where the two hardly share any.

    Only the beginnings are compared, as no more of them is shown.

    >>> differing("send my parcel back", "send the parcel back")
    [Mark(start=5, end=7, label='')]
    """
    words, others = (_WORD.findall(each[:MOST_COMPARED_CHARACTERS]) for each in (text, other))
    matcher = SequenceMatcher(None, others, words, autojunk=False)
    if matcher.ratio() < LEAST_SHARED_WORDS:
        return []
    starts = [0, *accumulate(map(len, words))]
    return [
        Mark(starts[low], starts[high])
        for operation, _, _, low, high in matcher.get_opcodes()
        if operation != "equal" and low < high
    ]


def _merged(marks: Sequence[Mark], length: int) -> list[Mark]:
    """Marks within the text, in order, those that overlap made one."""
    merged: list[Mark] = []
    within = [Mark(max(0, mark.start), min(length, mark.end), mark.label) for mark in marks]
    for mark in sorted((mark for mark in within if mark.start < mark.end), key=lambda mark: (mark.start, mark.end)):
        if merged and mark.start < merged[-1].end:
            last = merged.pop()
            is_new = mark.label and mark.label not in last.label.split(", ")
            label = ", ".join(filter(None, [last.label, mark.label])) if is_new else last.label
            mark = Mark(last.start, max(last.end, mark.end), label)
        merged.append(mark)
    return merged


def _windows(length: int, marks: Sequence[Mark], most_characters: int) -> list[tuple[int, int]]:
    """Which stretches of a text are shown."""
    if length <= most_characters:
        return [(0, length)]
    if not marks:
        return [(0, most_characters)]
    windows = [(0, min(CONTEXT_CHARACTERS, most_characters))]
    room = most_characters - windows[0][1]
    for mark in marks:
        if room <= 0:
            break
        start = max(windows[-1][1], mark.start - CONTEXT_CHARACTERS)
        end = min(max(start, mark.end + CONTEXT_CHARACTERS), start + room, length)
        room -= end - start
        if start == windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        elif start < end:
            windows.append((start, end))
    return windows


def _gap(start: int, end: int, marks: Sequence[Mark]) -> str:
    """What stands in the place of characters that are left out, and how many marked places they hold."""
    if start >= end:
        return ""
    num_marks = sum(start <= mark.start < end for mark in marks)
    places = f", {num_marks:,} marked place{'s' * (num_marks != 1)}" if num_marks else ""
    return f'<span class="gap">… {end - start:,} character{"s" * (end - start != 1)}{places} …</span>'


def _shown(text: str, lines_left: list[int]) -> str:
    """A stretch as HTML. Line breaks are kept as long as there are lines left, then only shown."""
    html = []
    for piece, shows in _pieces(text, breaks="\n\t"):
        if not shows:
            name = unicodedata.name(piece[0], "")
            title = f' title="{escape(name.lower())}"' if name else ""
            html.append(f'<span class="code"{title}>{_named(piece)}</span>')
            continue
        kept = piece.split("\n", lines_left[0])
        lines_left[0] -= len(kept) - 1
        html.append(str(escape("\n".join([*kept[:-1], kept[-1].replace("\n", " ↵ ")]))))
    return "".join(html)


def _named(run: str) -> str:
    """A run of one hidden character by its code point.

    >>> _named("\\u200b\\u200b")
    'U+200B ×2'
    """
    code = f"U+{ord(run[0]):04X}"
    return code if len(run) == 1 else f"{code} ×{len(run):,}"


def _pieces(text: str, *, breaks: str) -> Iterator[tuple[str, bool]]:
    """A text in order as stretches that show themselves, and runs of one hidden character."""
    if text.isascii() and text.isprintable():
        yield text, True
        return
    start = 0
    while start < len(text):
        is_hidden = _is_hidden(text, start, breaks)
        end = start + 1
        while end < len(text) and _is_hidden(text, end, breaks) == is_hidden:
            if is_hidden and text[end] != text[start]:
                break
            end += 1
        yield text[start:end], not is_hidden
        start = end


def _is_hidden(text: str, at: int, breaks: str) -> bool:
    """Whether a character leaves nothing to see, or changes how others are drawn, where it stands."""
    char = text[at]
    if char.isascii():
        return not char.isprintable() and char not in breaks
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char in _JOINERS:  # emoji and the scripts of half of Asia are written with them
        return not (_may_join(before) and _may_join(after))
    if char in _PRESENTATION:  # emoji again
        return not before or before.isalpha() or before.isspace() or not before.isprintable() or before in _BLANKS
    if char in _BLANKS or (not char.isprintable() and char != _IDEOGRAPHIC_SPACE):
        return True
    return _is_combining(char) and _is_unborne(text, at)


def _may_join(char: str) -> bool:
    is_letter = char.isprintable() and (char not in _BLANKS or char in _PRESENTATION)
    return bool(char) and ord(char) >= _FIRST_JOINED_SCRIPT and is_letter


def _is_combining(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me")


def _is_unborne(text: str, at: int) -> bool:
    """Whether a combining mark has no letter to stand on, or stands on too many others."""
    for below in range(at - 1, at - 1 - MOST_STACKED_MARKS, -1):
        if below < 0:
            return True
        if not _is_combining(text[below]):
            return not text[below].isprintable() or text[below] in _BLANKS
    return True
