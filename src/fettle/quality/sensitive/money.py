"""Payment cards, IBANs, and account numbers that a word announces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn

from fettle.quality.found import Found, stands_near

_SEPARATOR = r"([ .\-]{0,3})"
_CARD = re.compile(
    rf"(?<![\w.])(?<!\d[ \-])(?:[2-6]\d{{3}}{_SEPARATOR}\d{{4}}\1\d{{4}}\1\d{{4}}(?:\1\d{{1,3}})?"
    rf"|3\d{{3}}{_SEPARATOR}\d{{6}}\2\d{{4,5}}|4\d{{12}})(?![\w]|[.\-]\d)"
)
_CARD_OF_16 = re.compile(r"(?<![\w.])[2-6]\d{3}([ .\-]{0,3})\d{4}\1\d{4}\1\d{4}(?!\d)")
_CARD_WORDS = re.compile(
    r"\b(?:card|visa|master ?card|maestro|amex|american express|discover|diners|jcb|credit|debit|karte\w*|kredit\w*"
    r"|carte|tarjeta|carta|kaart|cartão|karta|cc)\b",
    re.IGNORECASE,
)

# How many characters an IBAN of each country has (SWIFT's register).
_IBAN_REGISTER = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
    "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
    "LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18 "
    "SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {country: int(length) for country, length in re.findall(r"([A-Z]{2})(\d\d)", _IBAN_REGISTER)}
_IBAN_HEAD = re.compile(r"(?<![^\W_])[A-Z]{2}[ \-]?\d{2}(?=[ .\-]?[A-Z0-9])", re.IGNORECASE)
_IBAN_CHARACTER = re.compile(r"[ .\-]{0,2}([A-Z0-9])", re.IGNORECASE)

_ACCOUNT = re.compile(
    r"\b(?:account|acct|a/c|konto|kontonummer|cuenta|compte|conto|rekening)\.?"
    r"(?: (?:number|no|nr|num)\b\.?|nummer\b|-?nr\b\.?| #|#)?(?: (?:is|was"
    r"|are))?\s?[:=#]?\s?(\d(?:[ \-]?\d){5,16})(?!\w)"
    r"|\b(?:sort ?code|bsb)(?: (?:is|was))?\s?[:=]?\s?(\d\d[ \-]?\d\d[ \-]?\d\d|\d{3}[ \-]\d{3})(?!\w)"
    r"|\b(?:routing|aba|transit)(?: (?:number|no)\b\.?)?(?: (?:is|was))?\s?[:=#]?\s?(\d{9}|\d{5}-\d{3})(?!\w)",
    re.IGNORECASE,
)


def find_money(text: str) -> Iterator[Found]:
    """Cards by issuer, length and Luhn digit; IBANs by country, length and check digits; announced account numbers.

    >>> [one.kind for one in find_money("pay 4111 1111 1111 1111 or GB82 WEST 1234 5698 7654 32")]
    ['card', 'iban']
    """
    yield from _cards(text)
    yield from _ibans(text)
    for match in _ACCOUNT.finditer(text):
        group = match.lastindex or 0
        yield Found(
            "bank-account", match.start(group), match.end(group), 0.75, ("", "account", "sort", "routing")[group]
        )


def _cards(text: str) -> Iterator[Found]:
    for match in _CARD.finditer(text):
        start, end = match.span()
        if not _is_card(match.group()):
            # Sixteen digits and a security code after a space may read as nineteen.
            shorter = _CARD_OF_16.match(text, start)
            if shorter is None or not _is_card(shorter.group()):
                continue
            end = shorter.end()
        is_plain = text[start:end].isdecimal()
        near = stands_near(_CARD_WORDS, text, start, end)
        yield Found("card", start, end, 0.99 if near else 0.8 if is_plain else 0.95, "card")


def _is_card(written: str) -> bool:
    digits = re.sub(r"\D", "", written)
    return len(set(digits)) > 1 and _issuer_fits(digits) and bool(luhn.is_valid(digits))


def _issuer_fits(digits: str) -> bool:
    """Whether the first digits belong to an issuer whose cards are this long."""
    two, three, four = int(digits[:2]), int(digits[:3]), int(digits[:4])
    match len(digits):
        case 13:
            return two // 10 == 4
        case 14:
            return 300 <= three <= 305 or two in (36, 38, 39)
        case 15:
            return two in (34, 37)
        case 16:
            is_debit = four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)
            is_american = four == 6011 or 644 <= three <= 649 or two in (60, 65, 62, 81, 82)
            is_master = 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204
            return two // 10 == 4 or is_debit or is_american or is_master or 3528 <= four <= 3589
        case 19 if two // 10 == 4:
            return True
        case _:
            return two in (50, 62, 63, 67)


def _ibans(text: str) -> Iterator[Found]:
    for head in _IBAN_HEAD.finditer(text):
        length = _IBAN_LENGTHS.get(head.group()[:2].upper())
        if length is None:
            continue
        end = head.end()
        for _ in range(length - 4):
            character = _IBAN_CHARACTER.match(text, end)
            if character is None:
                break
            end = character.end()
        else:
            is_whole = end == len(text) or not text[end].isalnum()
            if is_whole and iban.is_valid(text[head.start() : end], check_country=False):
                yield Found("iban", head.start(), end, 0.99, "iban")
