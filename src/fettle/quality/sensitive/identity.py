"""National numbers, and dates of birth that a word announces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fettle.quality.found import Found, stands_near
from fettle.quality.sensitive.countries import BY_WORD, SURE

_SURE_GATE = re.compile(
    r"\d(?:\d-\d\d-\d|\d{5}|\.\d{3}[.\-]?\d|\.\d\d\.\d|-\d{4}-|-\d{3}-| ?\d\d[ .\-]\d\d[ .\-]\d| ?\d{3} ?[A-Z] ?\d)"
    r"|[A-Z][ -]?\d\d ?\d|[A-Z]\d\d[A-Z]"
)
_WORD_GATE = re.compile(r"\d(?:(?:[ .\-/]?\d){5}|\d{3}[A-Za-z]|[A-Za-z]\d)")
_EDGE_BEFORE = r"(?<![^\W_])(?<!\d[.,/])(?<!\w-)"
_EDGE_AFTER = r"(?!\w|-\w|[.,/]\d)"
_SURE = re.compile(_EDGE_BEFORE + "(?:" + "|".join(f"(?:{number.form})" for number in SURE) + ")" + _EDGE_AFTER)
_SURE_FORMS = [(number, re.compile(f"(?:{number.form}){_EDGE_AFTER}")) for number in SURE]

# A word is looked for at the beginnings of words only, which is five times as fast.
_WORDS = re.compile(
    r"\b(?:" + "|".join(number.words.replace(r"\b", "").replace("(?-i:SIN)", "sin") for number in BY_WORD) + ")"
)
_WORDED = [
    (number, re.compile(number.words, re.IGNORECASE), re.compile(f"{_EDGE_BEFORE}(?:{number.form}){_EDGE_AFTER}"))
    for number in BY_WORD
]

_MONTHS = (
    r"(?:jan|feb|fév|mar|mär|maa|mrt|apr|abr|avr|may|mai|maj|mei|mag|jun|juin|giu|jul|juil|lug|aug|aoû|ago|sep|set|oct"
    r"|okt|out|ott|nov|dec|dez|déc|dic|ene|gen)[^\W\d_]{0,7}\.?"
)
_DATE = re.compile(
    r"(?<![\d./\-])(?:\d{1,2}(?:[./\-]| [./\-] )\d{1,2}(?:[./\-]| [./\-] )(?:19|20)?\d\d|(?:19"
    r"|20)\d\d[./\-]\d{1,2}[./\-]\d{1,2}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.|º)?[ \-](?:of |de )?{_MONTHS},?(?: de| del)?[ \-](?:19|20)?\d\d"
    rf"|{_MONTHS} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d|\d\d (?:0\d|1[0-2]) (?:19|20)\d\d|(?:19"
    rf"|20)\d\d年\d{{1,2}}月\d{{1,2}}日)"
    r"(?![\d/\-])",
    re.IGNORECASE,
)
_DATE_GATE = re.compile(r"(?:19|20)\d\d(?!\d)|\d[./\-]\d\d?[./\-]\d\d")
_BIRTH = re.compile(
    r"\bborn\b|birth(?!day (?:honours|party))|\bd\.?o\.?b\b|\bgeb(?:oren|urtsdatum|urtstag|\.)|\bné(?:e|\(e\))? le"
    r"|naissance|\bnac(?:í|id[oa]|imiento)"
    r"|\bnat[oa] il|nascita|geboorte|nascid[oa]|nascimento|nasci em|urodz|\bfödd|födelse|\bfødt|родил|рождения"
    r"|生年月日|出生",
    re.IGNORECASE,
)


# `Which singer was born on 4 May 1950?` is a question about public knowledge; `my son was born on …` is a record.
_QUIZ = re.compile(
    r"\b(?:actor|actress|singer|songwriter|rapper|composer|musician|president|director|author|writer|player|band"
    r"|star|frontman"
    r"|entrepreneur|famous|legend\w*|honours|who|whose|whom|which|what|where|name (?:the|this)"
    r"|this (?:[\w'-]+ ){0,4}?(?:country|state|city|town|actor|actress|singer|man"
    r"|woman|star|person|president|author|king|queen|player|city|place|writer|director|musician|artist|celebrity))\b"
    r"|\?",
    re.IGNORECASE,
)
_OWN_PEOPLE = re.compile(
    r"\b(?:i|i'm|my|our|we|patient|customer|client|caller|applicant|member|tenant|employee|user|mr|mrs|ms|miss)\b",
    re.IGNORECASE,
)


def _asks(text: str, start: int, end: int) -> bool:
    """Whether the sentence around a place asks about somebody whom everybody may know."""
    first = (
        max(
            text.rfind(". ", 0, start),
            text.rfind("! ", 0, start),
            text.rfind("? ", 0, start),
            text.rfind("\n", 0, start),
        )
        + 1
    )
    stop = re.compile(r"[.!?](?:\s+[A-Z]|$)|\n").search(text, end)
    sentence = text[first : stop.start() + 1 if stop else len(text)]
    return bool(_QUIZ.search(sentence)) and not _OWN_PEOPLE.search(sentence)


def find_identities(text: str) -> Iterator[Found]:
    """Numbers that a state gives to one person: by a form of their own, or beside their word.

    >>> sorted({one.sort for one in find_identities("SSN 078-05-1120; CPF 529.982.247-25")})
    ['br-cpf', 'us-ssn']
    """
    for match in _SURE.finditer(text) if _SURE_GATE.search(text) else ():
        for number, form in _SURE_FORMS:
            whole = form.match(text, match.start())
            if whole and number.check(whole.group()):
                yield Found("national-id", whole.start(), whole.end(), 0.9, number.sort)
                break
    if not _WORD_GATE.search(text) or not _WORDS.search(text.lower()):
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
    if not _DATE_GATE.search(text):
        return
    for word in _BIRTH.finditer(text):
        if word.group().lower() == "born" and _asks(text, word.start(), word.end()):
            continue
        date = _DATE.search(text, word.end(), word.end() + 45)
        # Between the word and its date stands no other sentence and no other date.
        if date and not re.search(r"[.!?;] [A-Z]|\n", text[word.end() : date.start()]):
            yield Found("date-of-birth", date.start(), date.end(), 0.85, "after-word")
            continue
        before = re.search(
            _DATE.pattern + r"[ ,(]{1,3}$", text[max(0, word.start() - 35) : word.start()], re.IGNORECASE
        )
        if before and word.group()[0] in "dD":
            offset = max(0, word.start() - 35)
            end = offset + len(before.group().rstrip(" ,(")) + before.start()
            yield Found("date-of-birth", offset + before.start(), end, 0.7, "before-word")
