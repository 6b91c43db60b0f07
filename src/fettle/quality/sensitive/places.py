"""Street addresses of a house: a number, a street word and a name, as a few countries write them.

A street without a house number is no address of a person, and is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fettle.quality.found import Found

_NAME = r"[A-Z][\w'’.\-]*"
_TOWN_NAME = r"[A-Z][^\W\d_][^\W\d_'’.\-]*(?!\w)"
_ENGLISH_STREETS = (
    r"Street|Str?\.?|Avenue|Ave?\.?|Road|Rd\.?|Boulevard|Blvd\.?|Lane|Ln\.?|Drive|Dr\.?|Court|Ct\.?|Way|Place|Pl\.?"
    r"|Square"
    r"|Sq\.?|Terrace|Ter\.?|Circle|Cir\.?|Parkway|Pkwy\.?|Highway|Hwy\.?|Close|Crescent|Cres\.?|Gardens|Grove|Mews"
    r"|Hill|Row"
    r"|Walk|Trail|Trl\.?|Loop|Alley|Broadway|Quay|Green|Rise|View|Wharf|Turnpike|Pike|Plaza|Expressway|Freeway"
)
_UK_POSTCODE = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}"
_FLAT = r"(?:[,.]? {0,2}(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Room|Rm|Bldg|#)\.? ?#?\w{1,6})?"
_TOWN = (
    rf"(?:,? {_TOWN_NAME}(?: {_TOWN_NAME}){{0,2}})?"
    rf"(?:,? (?:[A-Z]{{2}},? \d{{5}}(?:-\d{{4}})?|{_UK_POSTCODE}|[A-Z]{{2,3}} \d{{4}}|[A-Z]\d[A-Z] ?\d[A-Z]\d)(?!\w))?"
)
_FLAT_FIRST = r"(?:(?:Flat|Apartment|Apt|Unit|Suite)\.? ?#?\w{1,4},? )?"
_ENGLISH = re.compile(
    rf"(?<![\w.,/$£€#-]){_FLAT_FIRST}(?:\d{{1,3}},|\d{{1,5}}(?:[A-Ka-k]|-\d{{1,4}})?) (?:(?:[NSEW]\.?|[NS][EW]|North"
    rf"|South|East|West) )?"
    rf"(?:{_NAME}|\d{{1,3}}(?:st|nd|rd|th)) (?:(?:{_NAME}|of"
    rf"|the) ){{0,2}}?(?:{_ENGLISH_STREETS})(?![\w'’])(?: (?:[NSEW]|[NS][EW])\b\.?)?" + _FLAT + _TOWN
)
_LOWER_ENGLISH = re.compile(
    r"(?<![\w.,/$£€#-])\d{1,5}[a-z]? (?:[^\W\d_][\w'’.\-]* ){1,3}?(?:street|st|avenue|ave|road|rd|boulevard|blvd"
    r"|lane|ln|drive"
    r"|dr|court|ct|way|place|square|terrace|circle|parkway|crescent|close|gardens|grove)(?!\w)\.?" + _FLAT,
    re.IGNORECASE,
)
_BOX = re.compile(r"(?<!\w)P\.? ?O\.? ?Box #?\d{1,6}(?!\w)", re.IGNORECASE)
_FRENCH = re.compile(
    r"(?<![\w.,/-])\d{1,4}(?: ?(?:bis|ter|quater|[A-D]))?,? (?:[Rr]ue|[Aa]venue|av\.|[Bb]oulevard|[Bb]d\.?|[Pp]lace"
    r"|[Cc]hemin"
    r"|[Ii]mpasse|[Aa]llée|[Qq]uai|[Rr]oute|[Cc]ours|[Pp]assage|[Ff]aubourg) (?:(?:de|du|des|la|le|les|l['’]|d['’]"
    r"|aux?|en) ?){0,3}[A-ZÀ-Ü][\w'’\-]*"
    r"(?: (?:de|du|des|la|et|[A-ZÀ-Ü])[\w'’\-]*){0,4}(?:,? (?:F-?)?\d{5} [A-ZÀ-Ü][\w\-]+)?",
)
_GERMAN_TOWN = r"(?:,? ?(?:[AD]-?|CH-?)?\d{4,5} [A-ZÄÖÜ][\w\-]+(?: (?:am|an der|im) [A-ZÄÖÜ]\w+)?)"
_GERMAN = re.compile(
    r"(?<!\w)(?:[A-ZÄÖÜ][\w\-]* ?){0,2}(?:(?:[A-ZÄÖÜ][\wß\-]*)?(?:[sS]traße|[sS]trasse|[sS]tr\.|[aA]llee|[gG]asse"
    r"|chaussee)"
    rf" ?\d{{1,4}}(?: ?[a-hA-H](?!\w)|[-/]\d{{1,4}})?(?!\w|[.,]\d){_GERMAN_TOWN}?"
    rf"|[A-ZÄÖÜ][\wß\-]*(?:weg|platz|ring|damm|ufer|hof|markt|steig|wall"
    rf"|graben) \d{{1,4}}(?: ?[a-h](?!\w))?{_GERMAN_TOWN}"
    rf"|(?:Am|An der|Im|In der|Zum|Zur|Auf dem|Unter den) [A-ZÄÖÜ][\wß\-]+ \d{{1,4}}(?: ?[a-h](?!\w))?{_GERMAN_TOWN})"
)
_DUTCH = re.compile(
    r"(?<!\w)[A-Z][\w'\-]*(?: [A-Z]?[\w'\-]+){0,2}?(?:straat|laan|gracht|plein|kade|dijk|singel|dreef) \d{1,4}"
    r"(?:[- ]?[a-zA-Z](?!\w)|-\d{1,4})?(?!\w)(?:,? \d{4} ?[A-Z]{2}(?: [A-Z]\w+)?)?"
)
_SOUTHERN = re.compile(
    r"(?<!\w)(?:(?:Calle|C/|Avenida|Avda\.?|Av\.|Paseo|Plaza|Rua|R\.|Travessa|Praça)(?: (?:de|del|da|do|dos|das|la"
    r"|los|las|el))*"
    r"(?: [A-ZÀ-Ü][\w'’]+){1,3}(?: (?:de|da|y)(?: [A-ZÀ-Ü]\w+))?,? ?(?:n\.?º ?|nº ?|núm\.? ?)?\d{1,4}"
    r"|(?:Via|Viale|Corso|Piazza|Vicolo|Largo)(?: (?:di|del|della|dei|delle|dell['’]))?(?: [A-ZÀ-Ü][\w'’]+){1,3}"
    r"(?:, ?\d{1,4}| \d{1,4}(?=,? \d{5}\b|[.;!]|$|,? a [A-Z])))(?!\w)(?:,? ?\d{5}(?:-\d{3})? [A-ZÀ-Ü][\w]+)?"
)
_NAME_THEN_NUMBER = re.compile(r"[ .,º]\d{1,4}(?!\d)")
_GERMAN_GATE = re.compile(
    r"[sS]tra(?:ß|ss)e ?\d|[sS]tr\. ?\d|(?:llee|asse|weg|latz|ing|amm|ufer|hof|arkt|eig|all|aben|haussee) \d"
    r"|(?:Am|der|Im|Zum|Zur|dem|den) [A-ZÄÖÜ][\wß\-]+ \d"
)
_DUTCH_GATE = re.compile(r"(?:straat|laan|gracht|plein|kade|dijk|singel|dreef) \d")
_SOUTHERN_GATE = re.compile(r"\b(?:Calle|C/|Av|Paseo|Plaza|Rua|R\.|Travessa|Praça|Via|Corso|Piazza|Vicolo|Largo)")
_NUMBER_THEN_WORD = re.compile(r"\d[a-z]? [^\W\d_]", re.IGNORECASE)
_LIVES = re.compile(
    r"\b(?:address|live[sd]? at|living at|resid\w+ at|reside|moved to|ship\w* to|deliver\w* to|send (?:it|them"
    r"|this) to|mail\w* to"
    r"|sent to|located at|home is|house at|flat at|apartment at|pick\w* up (?:at|from)|stay\w* at|postcode|zip)\b",
    re.IGNORECASE,
)
_DAY_AND_NAME = re.compile(rf"\d{{1,3}}, (?:{_NAME} ){{1,3}}?(?:{_ENGLISH_STREETS}) [A-Z]")
_YEAR_BEFORE = re.compile(r"\b(?:in|since|of|from|the|by|until|after|before|during|a|an|year)\s$", re.IGNORECASE)


def find_addresses(text: str) -> Iterator[Found]:
    """Addresses with their house number, flat, town and postal code as far as these stand there.

    >>> text = "Send it to 742 Evergreen Terrace, Springfield, IL 62704 please"
    >>> [text[one.start : one.end] for one in find_addresses(text)][:1]
    ['742 Evergreen Terrace, Springfield, IL 62704']
    """
    for match in _ENGLISH.finditer(text):
        # `in 1969 Abbey Road` tells a year, not a house.
        is_year = re.match(r"(?:1[5-9]|20)\d\d ", match.group()) and _YEAR_BEFORE.search(text[: match.start()][-8:])
        # After `8, ` a street word that goes on into a name is no street: `on Aug. 8, Juvenile Court Judge Smith`.
        is_date = _DAY_AND_NAME.match(match.group())
        if not is_year and not is_date:
            yield Found("address", match.start(), match.end(), 0.75, "street")
    for match in _FRENCH.finditer(text):
        yield Found("address", match.start(), match.end(), 0.8, "street")
    if _NUMBER_THEN_WORD.search(text):
        for match in _LOWER_ENGLISH.finditer(text):
            if _LIVES.search(text, max(0, match.start() - 40), match.start()):
                yield Found("address", match.start(), match.end(), 0.7, "street")
    for match in _BOX.finditer(text):
        yield Found("address", match.start(), match.end(), 0.8, "post-box")
    if not _NAME_THEN_NUMBER.search(text):
        return
    for gate, form in ((_GERMAN_GATE, _GERMAN), (_DUTCH_GATE, _DUTCH), (_SOUTHERN_GATE, _SOUTHERN)):
        if gate.search(text):
            for match in form.finditer(text):
                if match.group()[-1].isalnum():
                    yield Found("address", match.start(), match.end(), 0.75, "street")
