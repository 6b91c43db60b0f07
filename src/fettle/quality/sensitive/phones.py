"""Telephone numbers: by their international prefix, by a national form that little else has, or by a word nearby.

A run of digits alone is no telephone number: prices, ISBNs and order numbers look the same. So forms that are shared
with other numbers count only beside a word such as `call` or `mobile`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from fettle.quality.found import Found

PHONE_GATE = re.compile(r"\d(?:[ \t.\-/()]{0,3}\d){6}")

_RUN = re.compile(
    r"(?<![\w/$€£#%])(?<!\d[.,\-+:])(?<![0-9a-f]-)(?:\(?\+ ?\(?"
    r"|\()?\d(?:[ \t.\-/()]{0,3}\d){6,17}(?![\w%])(?![.,:]\d| ?[=*])"
)
_EXTENSION = re.compile(r",? ?(?:x|ext\.?|extension|durchwahl|poste) ?\d{1,6}(?!\w)", re.IGNORECASE)
_GROUP = re.compile(r"[^ \t/]+")
_DATE = re.compile(r"\d{1,4}[./\-]\d{1,2}[./\-]\d{1,4}(?: \d{1,4})?")

_PHONE_WORDS = re.compile(
    r"phone(?!s)|\btel\b|\bfax|mobile|\bmob\b|\bcell\b|cellular|landline|whats ?app|\bsms\b|hotline|helpline"
    r"|voicemail|viber"
    r"|telefon|telefoon|téléphone|teléfono|telefone|handy|rufnummer|mobil|portable|móvil|movil|celular|cellulare|mobiel"
    r"|komórk|телефон|мобильн|電話|电话|手机|携帯|전화|फोन|هاتف",
    re.IGNORECASE,
)
_CALL_WORDS = re.compile(
    r"\bcall|\btext (?:me|us|him|her|them|back)|\bdial|\bring\b|\brang\b|reach|contact|\bmy (?:new )?number"
    r"|\bnumber(?:'s| is)"
    r"|message me|signal|get (?:hold|in touch)|anruf|\bruf|meine nummer|appel|mon numéro|llám|llam|mi número|chiama"
    r"|mio numero"
    r"|\bbel\b|mijn nummer|ligue|meu número|zadzwo|звон|номер|\bat$",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(
    r" ?[(\[](?:phone|tel|fax|mobile|mob|cell|home|work|office|handy|mobil|portable|whats ?app)\b", re.IGNORECASE
)
# A number that is announced as something else.
_OTHER_NUMBER = re.compile(
    r"\b(?:order|invoice|ticket|tracking|reference|ref|case|serial|part|model|isbn|isbn-1[03]|issn|sku|ean|upc|gtin"
    r"|asin|doi"
    r"|pmid|account|acct|card|version|policy|claim|booking|confirmation|transaction|routing|code|iban|ssn|passport"
    r"|licen[cs]e|patent|membership|flight|lot|batch|item|product|vin|imei|nhs|tax|id|total|sum|population|parcel"
    r"|shipment"
    r"|bestell\w*|rechnung\w*|commande|pedido|ordine)"
    r"[ \-]?(?:number|no|nr|num|id|code|nummer)?\.?(?: is| was|'s)?[ :=#\-.]{0,3}$",
    re.IGNORECASE,
)

_AMERICAN = re.compile(r"(?:\(?1[ .\-]{0,2})?(?:\(\d{3}\)[ .\-]{0,2}|\d{3}[.\-/])\d{3}[ .\-]?\d{4}")
_AMERICAN_SPACED = re.compile(r"(?:1 )?[2-9]\d\d [2-9]\d\d[ \-]\d{4}")
_FICTIONAL = re.compile(r"555[ .\-]01\d\d")
_SHORT_LOCAL = re.compile(r"[2-9]\d\d[ .\-]?\d{4}")
_NO_PHONE = re.compile(r"\d{5}-\d{4}|(?:1\d|20)\d\d[ \-/.](?:1\d|20)\d\d")  # an American postal code; two years
_TOLL_FREE = re.compile(r"1[38]00[ \-]\d{3}[ \-]\d{3}")
_AREA_IN_BRACKETS = re.compile(r"\(0?\d{1,5}\)[ \-/]?\d{2,5}(?:[ \-]?\d{2,5}){0,3}")
_WITH_TRUNK_ZERO = re.compile(r"\(?0\d{1,5}\)?(?:[ \t.\-/]{1,3}\(?\d{1,8}\)?)+")
_MOBILE_UNBROKEN = {"GB": re.compile(r"07\d{9}"), "FR": re.compile(r"0[67]\d{8}"), "AU": re.compile(r"04\d{8}"),
                    "DE": re.compile(r"01[567]\d{8,9}")}  # fmt: skip
_TRUNK_ZERO_REGIONS = re.findall("..", "GBDEFRNLAUITBECHATSEIEJPNZZAKRTRCNFIPKIDMYTHUANGKEEGIN")
_REGIONS = ["US", *_TRUNK_ZERO_REGIONS, *re.findall("..", "ESPLPTBRMXDKNOSGHKCZHUGRRUILAESACLCOARPHVNRO")]


def find_phones(text: str) -> Iterator[Found]:
    """Telephone numbers with their extension, if they have one.

    >>> text = "Call 020 7946 0958 about order 4567 8901234"
    >>> [text[one.start : one.end] for one in find_phones(text)]
    ['020 7946 0958']
    """
    if not PHONE_GATE.search(text):
        return
    place = 0
    while run := _RUN.search(text, place):
        found = _best_of(text, run.start(), run.end())
        if found is None:
            place = run.end()
            continue
        extension = _EXTENSION.match(text, found.end)
        place = extension.end() if extension else found.end
        yield Found("phone", found.start, place, found.confidence, found.sort)


def _best_of(text: str, start: int, end: int) -> Found | None:
    """The longest stretch of whole groups of a run that is a number: `020 7946 0958 12 times` has one too many."""
    groups = [(start + group.start(), start + group.end()) for group in _GROUP.finditer(text[start:end])]
    for first, (head, _) in enumerate(groups[:2]):
        # One or two digits at the head may belong to the sentence (`2 020 7946 0958`); more are part of the number.
        if first and groups[0][1] - groups[0][0] > 2:
            break
        for _, tail in reversed(groups[first:]):
            if text[head] == "(" and ")" not in text[head:tail]:
                head += 1
            confidence = _confidence(text, head, tail)
            if confidence > 0.0:
                return Found("phone", head, tail, confidence, "phone")
    return None


def _confidence(text: str, start: int, end: int) -> float:
    written = text[start:end]
    digits = re.sub(r"\D", "", written)
    if not 7 <= len(digits) <= 16 or written.count("(") != written.count(")") or len(set(digits)) == 1:
        return 0.0
    if "+" in written[:2]:
        # `12 + 44 2079460958` is a sum.
        if re.search(r"\d\s?$", text[max(0, start - 2) : start]):
            return 0.0
        return _international("+" + digits.replace("+", ""), written)
    before = text[max(0, start - 45) : start]
    has_phone_word = bool(_PHONE_WORDS.search(before) or _IN_BRACKETS.match(text, end))
    if not has_phone_word and _OTHER_NUMBER.search(before):
        return 0.0
    has_call_word = has_phone_word or bool(_CALL_WORDS.search(before))
    if _DATE.fullmatch(written) and not _AMERICAN.fullmatch(written):
        return 0.0
    if digits.startswith("00") and len(digits) >= 10:
        confidence = _international("+" + digits[2:], written)
        return min(confidence, 0.9) if has_call_word or confidence > 0.9 else 0.0
    by_form = _by_form(written, digits)
    if by_form > 0.0:
        return by_form
    if has_call_word:
        return _by_word(written, digits, 0.8 if has_phone_word else 0.7)
    return 0.0


def _by_form(written: str, digits: str) -> float:
    """Forms that need no word beside them."""
    if _AMERICAN.fullmatch(written):
        return 0.9
    if _FICTIONAL.fullmatch(written) or _TOLL_FREE.fullmatch(written):
        return 0.75
    if _AMERICAN_SPACED.fullmatch(written):
        return 0.75 if _is_valid(digits, "US") else 0.0
    if _AREA_IN_BRACKETS.fullmatch(written) and len(digits) >= 9:
        return 0.8 if _region_of(digits, _REGIONS) else 0.0
    if _WITH_TRUNK_ZERO.fullmatch(written) and len(digits) >= 9:
        return 0.8 if _region_of(digits, _TRUNK_ZERO_REGIONS) else 0.0
    for region, form in _MOBILE_UNBROKEN.items():
        if form.fullmatch(digits) and written == digits and _is_valid(digits, region):
            return 0.65
    return 0.0


def _by_word(written: str, digits: str, confidence: float) -> float:
    """Forms that a word makes sure: seven local digits, or a valid number of any of the regions."""
    if _NO_PHONE.fullmatch(written) or ("/" in written and digits[0] != "0"):
        return 0.0
    if _SHORT_LOCAL.fullmatch(written):
        return confidence
    # Numbers that people make up often have an area code that does not exist (555 123 4567).
    if len(digits) == 10 or (len(digits) == 11 and digits[0] == "1"):
        return confidence
    return confidence if _region_of(digits, _REGIONS) else 0.0


def _international(number: str, written: str) -> float:
    """Trap: people write the trunk zero in brackets, +44 (0)20, and it is not dialled."""
    if "(0)" in written:
        number = "+" + re.sub(r"\D", "", written.replace("(0)", ""))
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return 0.0
    if phonenumbers.is_valid_number(parsed):
        return 0.98
    return 0.85 if phonenumbers.is_possible_number(parsed) else 0.0


def _region_of(digits: str, regions: list[str]) -> str:
    return next((region for region in regions if _is_valid(digits, region)), "")


def _is_valid(number: str, region: str | None) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, region)))
    except phonenumbers.NumberParseException:
        return False
