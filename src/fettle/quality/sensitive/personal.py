"""Personal data and secrets in a text: where they are, and how to take them out again.

Everything with the form of personal data counts, reserved and test values too (`example.com`, 555-0100,
4111 1111 1111 1111): in a training set they mark a place where real values were written. Names of people have no form;
they are found only by a tagger that the caller hands in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, Protocol

from fettle.quality.found import Found, settled
from fettle.quality.sensitive.contact import SPELT_EMAIL_GATE, find_emails, find_machines
from fettle.quality.sensitive.identity import find_births, find_identities
from fettle.quality.sensitive.money import find_money
from fettle.quality.sensitive.phones import PHONE_GATE, find_phones
from fettle.quality.sensitive.places import find_addresses
from fettle.quality.sensitive.secrets import find_secrets
from fettle.quality.sensitive.standins import Standins, normal_form

SECRET = "secret"
PERSONAL_KINDS = (
    "email", "phone", "card", "iban", "bank-account", "national-id", "ip", "mac", "date-of-birth", "address", "person",
)  # fmt: skip
"""The kinds of personal data; `person` comes from a tagger alone. Secrets are a kind of their own, `SECRET`."""

_DIGIT_OR_AT = re.compile(r"[\d@]")
# Digits, dashes, blanks and signs of other scripts, each as the one ASCII sign that a person means by it.
_PLAIN = {
    **{ord(sign): "-" for sign in "‐‑‒–—―−﹣－"},
    **{ord(sign): " " for sign in "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000"},
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code != 0xFF0D},
    **{first + value: str(value) for first in (0x660, 0x6F0, 0x966, 0x9E6) for value in range(10)},
}
_MOST_ROUNDS = 8
_OWN_MASK = re.compile(r"\[[A-Z][A-Z-]{1,20}(?::[0-9a-f]{12})?\]")


class Tag(Protocol):
    """A model that finds names in texts. Its kinds are its own (`person`, `organisation`)."""

    def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[Found]]:
        """For each text the stretches found in it."""
        ...


def find_personal(text: str, tagged: Iterable[Found] = ()) -> list[Found]:
    """Personal data and secrets, in the order of the text, without overlaps; `tagged` joins what a tagger found.

    What `redact` has put into a text is not found again.

    >>> [(one.kind, one.start, one.end) for one in find_personal("ask jo@example.com or +1 202 555 0143")]
    [('email', 4, 18), ('phone', 22, 37)]
    """
    found = [*tagged, *find_secrets(text)]
    if _DIGIT_OR_AT.search(text) or SPELT_EMAIL_GATE.search(text):
        plain = text if text.isascii() else text.translate(_PLAIN)
        found += find_emails(plain)
        found += find_machines(plain)
        found += find_births(plain)
        found += find_addresses(plain)
        found += find_identities(plain)
        if PHONE_GATE.search(plain):
            found += find_money(plain)
            found += find_phones(plain)
    if not found:
        return []
    masks = [mask.span() for mask in _OWN_MASK.finditer(text)] if "[" in text else []
    return settled(one for one in found if all(one.end <= start or end <= one.start for start, end in masks))


How = Literal["mask", "hash", "replace"]


def redact(
    text: str, found: Iterable[Found], how: How = "mask", salt: str = "", standins: Standins | None = None
) -> str:
    """The text with what was found taken out, and not one character more.

    `mask` leaves the kind, `hash` the kind and a keyed hash (equal values stay equal, and without the salt nobody can
    try values out), `replace` a reserved value of the same form that `standins` remembers. Trap: an empty salt with
    `hash` can be undone by trying all telephone numbers.

    >>> redact("ask jo@example.com now", find_personal("ask jo@example.com now"))
    'ask [EMAIL] now'
    """
    memory = standins if standins is not None else Standins()
    pieces, place = [], 0
    for one in settled(found):
        pieces += [text[place : one.start], _instead(text[one.start : one.end], one.kind, how, salt, memory)]
        place = one.end
    return "".join([*pieces, text[place:]])


def redact_all(
    text: str, kinds: Collection[str], how: How = "mask", salt: str = "", standins: Standins | None = None
) -> str:
    """Find and redact until nothing of these kinds is left: what one value covered may show once it is out.

    >>> redact_all("call 020 7946 0958", ["phone"], "replace")
    'call 202-555-0101'
    """
    memory = standins if standins is not None else Standins()
    for _ in range(_MOST_ROUNDS):
        found = [one for one in find_personal(text) if one.kind in kinds]
        redacted = redact(text, found, how, salt, memory)
        if redacted == text:
            break
        text = redacted
    return text


def _instead(value: str, kind: str, how: How, salt: str, standins: Standins) -> str:
    if how == "replace":
        return standins.of(kind, value)
    if how == "mask":
        return f"[{kind.upper()}]"
    keyed = hmac.new(salt.encode(), f"{kind}\n{normal_form(value)}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"[{kind.upper()}:{keyed.hexdigest()[:12]}]"
