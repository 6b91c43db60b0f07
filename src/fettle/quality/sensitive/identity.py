"""National numbers, and dates of birth that a word announces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fettle.quality.found import Found, stands_near
from fettle.quality.sensitive.countries import BY_WORD, SURE

IDENTITY_GATE = re.compile(r"[A-Z]\d|\d ?[A-Z]\b|\d-\d|\d\.\d{3}\.?\d|\d/\d{3}|\d{6}|\d\d \d\d|[A-Z] \d\d|[A-Z]-\d")
_EDGE_BEFORE = r"(?<![^\W_])(?<!\d[.,/])(?<!\w-)"
_EDGE_AFTER = r"(?!\w|-\w|[.,/]\d)"
_SURE = re.compile(_EDGE_BEFORE + "(?:" + "|".join(f"(?:{number.form})" for number in SURE) + ")" + _EDGE_AFTER)
_SURE_FORMS = [(number, re.compile(f"(?:{number.form}){_EDGE_AFTER}")) for number in SURE]

_WORDS = re.compile("|".join(f"(?:{number.words})" for number in BY_WORD), re.IGNORECASE)
_WORDED = [
    (number, re.compile(number.words, re.IGNORECASE), re.compile(f"{_EDGE_BEFORE}(?:{number.form}){_EDGE_AFTER}"))
    for number in BY_WORD
]

_MONTHS = (
    r"(?:jan|feb|fév|mar|mär|maa|mrt|apr|abr|avr|may|mai|maj|mei|mag|jun|juin|giu|jul|juil|lug|aug|aoû|ago|sep|set|oct"
    r"|okt|out|ott|nov|dec|dez|déc|dic|ene|gen)[^\W\d_]{0,7}\.?"
)
_DATE = re.compile(
    r"(?<![\d./\-])(?:\d{1,2}(?:[./\-]| [./\-] )\d{1,2}(?:[./\-]| [./\-] )(?:19|20)?\d\d|(?:19|20)\d\d[./\-]\d{1,2}[./\-]\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.|º)?[ \-](?:of |de )?{_MONTHS},?(?: de| del)?[ \-](?:19|20)?\d\d"
    rf"|{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d|\d\d (?:0\d|1[0-2]) (?:19|20)\d\d|(?:19|20)\d\d年\d{{1,2}}月\d{{1,2}}日)"
    r"(?![\d/\-])",
    re.IGNORECASE,
)
_BIRTH = re.compile(
    r"\bborn\b|birth|\bd\.?o\.?b\b|\bgeb(?:oren|urtsdatum|urtstag|\.)|\bné(?:e|\(e\))? le|naissance|\bnac(?:í|id[oa]|imiento)"
    r"|\bnat[oa] il|nascita|geboorte|nascid[oa]|nascimento|nasci em|urodz|\bfödd|födelse|\bfødt|родил|рождения|生年月日|出生",
    re.IGNORECASE,
)


def find_identities(text: str) -> Iterator[Found]:
    """Numbers that a state gives to one person: by a form of their own, or beside their word.

    >>> [one.sort for one in find_identities("SSN 078-05-1120; CPF 529.982.247-25")]
    ['us-ssn', 'br-cpf']
    """
    if not IDENTITY_GATE.search(text):
        return
    for match in _SURE.finditer(text):
        for number, form in _SURE_FORMS:
            whole = form.match(text, match.start())
            if whole and number.check(whole.group()):
                yield Found("national-id", whole.start(), whole.end(), 0.9, number.sort)
                break
    if not _WORDS.search(text):
        return
    for number, words, form in _WORDED:
        if words.search(text):
            for match in form.finditer(text):
                if stands_near(words, text, match.start(), match.end()) and number.check(match.group()):
                    yield Found("national-id", match.start(), match.end(), 0.85, number.sort)


def find_births(text: str) -> Iterator[Found]:
    """Whole dates, day, month and year, that a word says somebody was born on.

    >>> [one.kind for one in find_births("DOB: 4 July 1976, joined 5 July 2001")]
    ['date-of-birth']
    """
    for word in _BIRTH.finditer(text):
        date = _DATE.search(text, word.end(), word.end() + 45)
        # Between the word and its date stands no other sentence and no other date.
        if date and not re.search(r"[.!?;] [A-Z]|\n", text[word.end() : date.start()]):
            yield Found("date-of-birth", date.start(), date.end(), 0.85, "after-word")
            continue
        before = re.search(_DATE.pattern + r"[ ,(]{1,3}$", text[max(0, word.start() - 35) : word.start()], re.IGNORECASE)
        if before and word.group()[0] in "dD":
            offset = max(0, word.start() - 35)
            end = offset + len(before.group().rstrip(" ,(")) + before.start()
            yield Found("date-of-birth", offset + before.start(), end, 0.7, "before-word")
