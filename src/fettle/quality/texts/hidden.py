"""Characters that a reader does not see, or takes for others: hidden text in a row teaches what nobody wrote down.

Joiners in emoji and in scripts that need them, marks of direction in right-to-left text and the flags of regions are
writing, and are left alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from fettle.quality.found import Found, settled

_ZERO_WIDTH = (
    "\u200b\u2060-\u2064\u206a-\u206f\ufeff\u180e\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800\U0001d173-\U0001d17a"
)
_JOINERS = "\u200c\u200d"
_MARKS = "\u200e\u200f\u061c"
_EMBEDDINGS = "\u202a-\u202c\u2066-\u2069"
_OVERRIDES = "\u202d\u202e"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_TAGS = "\U000e0000-\U000e007f"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_ANY = re.compile(f"[{_ZERO_WIDTH}{_JOINERS}{_MARKS}{_EMBEDDINGS}{_OVERRIDES}{_SELECTORS}{_TAGS}{_PRIVATE}\u00ad]")

_RUNS = {
    "zero-width": re.compile(f"[{_ZERO_WIDTH}{_JOINERS}]+"),
    "direction": re.compile(f"[{_MARKS}{_EMBEDDINGS}{_OVERRIDES}]+"),
    "tag": re.compile(f"[{_TAGS}]+"),
    "selector": re.compile(f"[{_SELECTORS}]+"),
    "private-use": re.compile(f"[{_PRIVATE}]+"),
    "soft-hyphen": re.compile("\u00ad+"),
}
# England, Scotland, Wales and their like: a black flag, a region in tag characters, a cancel tag.
_REGION_FLAG = re.compile(
    "\U0001f3f4[\U000e0061-\U000e007a]{2}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,3}\U000e007f"
)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
# Arabic, Syriac, N'Ko, Mongolian, the scripts of India, and those of South-East Asia that stand words side by side.
_JOINED_SCRIPTS = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u18af\u1a20-\u1aaf\u1b00-\u1bbf\ua8e0-\ua8ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\ufb50-\ufdff\ufe70-\ufefc\U00011000-\U000114ff]"
)
_UNSPACED_SCRIPTS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3040-\u30ff\u4e00-\u9fff]"
)
_MONGOLIAN = re.compile("[\u1800-\u18af]")
_EMOJI_PARTS = re.compile(
    "[\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff\U000e0020-\U000e007f#*0-9\ufe0f\u20e3\u2640\u2642\u2695\u26a7]"
)
_IDEOGRAPHS = re.compile(
    "[\u2e80-\u2fdf\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u2200-\u22ff\u1000-\u109f\ua840-\ua87f]"
)

LOOKALIKES = dict(
    zip(
        "асеорхуіјѕԁһԛԝӏАВЕКМНОРСТХІЈЅԜԚΑΒΕΖΗΙΚΜΝΟΡΤΥΧο",
        "aceopxyijsdhqwlABEKMHOPCTXIJSWQABEZHIKMNOPTYXo",
        strict=True,
    )
)
"""Cyrillic and Greek letters that look like Latin ones. Greek letters that stand in units and formulas are not here."""

_OTHER_ALPHABETS = re.compile("[\u0370-\u03ff\u0400-\u052f]")
_WORD = re.compile(r"[^\W\d_]+")


def find_hidden(text: str) -> list[Found]:
    """Hidden characters, each run of a sort as one stretch, and words that mix alphabets to look like others.

    >>> [one.sort for one in find_hidden("pay\\u200bpal and p\\u0430ypal")]
    ['zero-width', 'look-alike']
    >>> find_hidden("👩‍🚀 ❤️ می‌خواهم")
    []
    """
    if text.isascii():
        return []
    found = [*_invisible(text)] if _ANY.search(text) else []
    if _OTHER_ALPHABETS.search(text):
        found += _lookalikes(text)
    return settled(found)


def strip_hidden(text: str) -> str:
    """The text as it looks: hidden characters gone, look-alikes as the Latin letters that they pass for.

    >>> strip_hidden("pay\\u200bpal and p\\u0430ypal")
    'paypal and paypal'
    """
    while found := find_hidden(text):
        pieces, place = [], 0
        for one in found:
            seen = as_latin(text[one.start : one.end]) if one.sort == "look-alike" else ""
            pieces += [text[place : one.start], seen]
            place = one.end
        text = "".join([*pieces, text[place:]])
    return text


def as_latin(text: str) -> str:
    """Look-alike letters as the Latin ones, every other character as it is.

    >>> as_latin("р\\u0430y")
    'pay'
    """
    return "".join(LOOKALIKES.get(sign, sign) for sign in text)


def _invisible(text: str) -> Iterator[Found]:
    flags = [flag.span() for flag in _REGION_FLAG.finditer(text)]
    has_right_to_left = bool(_RIGHT_TO_LEFT.search(text))
    for sort, run in _RUNS.items():
        for match in run.finditer(text):
            start, end = match.span()
            if any(flag_start <= start and end <= flag_end for flag_start, flag_end in flags):
                continue
            if sort == "direction" and has_right_to_left and not re.search(f"[{_OVERRIDES}]", match.group()):
                continue
            if sort in ("zero-width", "selector") and end - start == 1 and _belongs(text, start):
                continue
            yield Found("hidden-text", start, end, 0.8 if sort == "soft-hyphen" else 0.95, sort)


def _belongs(text: str, place: int) -> bool:
    """Whether a joiner or a selector is part of how its neighbours are written."""
    sign, before, after = text[place], text[place - 1 : place], text[place + 1 : place + 2]
    if sign == "\u200d" and _EMOJI_PARTS.match(before) and _EMOJI_PARTS.match(after):
        return True
    if sign in _JOINERS:
        return bool(_JOINED_SCRIPTS.match(before) or _JOINED_SCRIPTS.match(after))
    if sign == "\u200b":
        return bool(_UNSPACED_SCRIPTS.match(before) or _UNSPACED_SCRIPTS.match(after))
    if sign in "\ufe0e\ufe0f":
        return bool(before) and bool(_EMOJI_PARTS.match(before) or unicodedata.category(before) in ("So", "Sm", "Sk"))
    if sign == "\u2800":
        return bool(re.search("[\u2801-\u28ff]", text))
    if sign == "\u180e":
        return bool(_MONGOLIAN.match(before))
    return re.match(f"[{_SELECTORS}]", sign) is not None and bool(_IDEOGRAPHS.match(before))


def _lookalikes(text: str) -> Iterator[Found]:
    """Words in Latin letters with foreign look-alikes among them, and words of look-alikes alone in Latin text."""
    words = [*_WORD.finditer(text)]
    foreign = [word for word in words if _OTHER_ALPHABETS.search(word.group())]
    is_foreign_text = any(
        _OTHER_ALPHABETS.match(sign) and sign not in LOOKALIKES for word in foreign for sign in word.group()
    )
    for word in foreign:
        others = [sign for sign in word.group() if _OTHER_ALPHABETS.match(sign)]
        if not all(sign in LOOKALIKES for sign in others):
            continue
        is_mixed = len(others) < len(word.group())
        # In a text that has other Cyrillic or Greek words, a whole word of look-alikes is simply a word.
        if is_mixed or (not is_foreign_text and len(others) > 2 and len(words) > len(foreign)):
            yield Found("hidden-text", word.start(), word.end(), 0.9 if is_mixed else 0.7, "look-alike")
