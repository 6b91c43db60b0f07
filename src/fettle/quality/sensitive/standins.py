"""What stands in for a value that was taken out: reserved values of the same form, the same for the same value.

Where reserved values run out (documentation addresses of a network, fictional telephone numbers) they come round again.
"""

from __future__ import annotations

import datetime
import re

from stdnum import luhn
from stdnum.iso7064 import mod_97_10

_AREA_CODES = ("202", "212", "303", "312", "404", "415", "503", "512", "602", "617")
_DOCUMENTED_NETS = ("192.0.2", "198.51.100", "203.0.113")
# What `Standins` itself makes; such a value stays as it is, so that redacting twice is redacting once.
_MADE_HERE = {
    "email": re.compile(r"user\d+@example\.com"),
    "phone": re.compile(r"(?:\+1 )?\d{3}-555-01\d\d"),
    "card": re.compile(r"4000 0000 \d{4} \d{4}"),
    "iban": re.compile(r"GB\d\d WEST \d{4} \d{4} \d{4} \d\d"),
    "ip": re.compile(r"192\.0\.2\.\d+|198\.51\.100\.\d+|203\.0\.113\.\d+|2001:db8:0:1::[0-9a-f]+"),
    "mac": re.compile(r"00:00:5e:00:53:[0-9a-f]{2}"),
    "date-of-birth": re.compile(r"1970-\d\d-\d\d"),
    "address": re.compile(r"\d+ Example Street"),
    "secret": re.compile(r"example-secret-\d+"),
    "person": re.compile(r"Person \d+"),
}


def normal_form(value: str) -> str:
    """A value without the ways of writing it: `+44 20 7946-0958` and `+442079460958` are one.

    >>> normal_form("4111-1111 1111.1111")
    '4111111111111111'
    """
    return value.casefold() if "@" in value else re.sub(r"[\s.\-/()]", "", value).casefold()


class Standins:
    """Remembers which stand-in a value got. One for each dataset keeps equal values equal throughout it.

    >>> standins = Standins()
    >>> [standins.of("email", each) for each in ("jo@x.org", "al@x.org", "Jo@x.org")]
    ['user1@example.com', 'user2@example.com', 'user1@example.com']
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._num_of_kind: dict[str, int] = {}

    def of(self, kind: str, value: str) -> str:
        """The stand-in of a value: a new one, or the one that it has; a stand-in stands for itself."""
        made_here = _MADE_HERE.get(kind)
        if (made_here and made_here.fullmatch(value)) or (made_here is None and _is_blank(value)):
            return value
        key = (kind, normal_form(value))
        if key not in self._given:
            number = self._num_of_kind.get(kind, 0) + 1
            self._num_of_kind[kind] = number
            self._given[key] = _make(kind, value, number)
        return self._given[key]


def _make(kind: str, value: str, number: int) -> str:
    match kind:
        case "email":
            return f"user{number}@example.com"
        case "phone":
            head = "+1 " if value.lstrip("(").startswith("+") else ""
            return f"{head}{_AREA_CODES[number // 100 % 10]}-555-01{number % 100:02}"
        case "card":
            body = f"40000000{number % 10**7:07}"
            whole = body + luhn.calc_check_digit(body)
            return " ".join(whole[at : at + 4] for at in range(0, 16, 4))
        case "iban":
            bban = f"WEST{number % 10**14:014}"
            whole = "GB" + mod_97_10.calc_check_digits(bban + "GB") + bban
            return " ".join(whole[at : at + 4] for at in range(0, 22, 4))
        case "ip":
            at = number % 762
            return f"2001:db8:0:1::{number:x}" if ":" in value else f"{_DOCUMENTED_NETS[at // 254]}.{at % 254 + 1}"
        case "mac":
            return f"00:00:5e:00:53:{number % 256:02x}"
        case "date-of-birth":
            return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number % 365)).isoformat()
        case "address":
            return f"{number} Example Street"
        case "secret":
            return f"example-secret-{number}"
        case "person":
            return f"Person {number}"
        case _:
            return _blank(value, number)


def _blank(value: str, number: int) -> str:
    """The same form with X for letters and a running number for digits: `AB 12 34 56 C` is `XX 00 00 01 X`."""
    num_digits = sum(sign.isdigit() for sign in value)
    # The first half stays zero, which tells a stand-in from a value.
    room = max(1, num_digits // 2)
    running = iter(f"{number % 10**room:0{num_digits}}") if num_digits else iter("")
    return "".join(next(running) if sign.isdigit() else "X" if sign.isalpha() else sign for sign in value)


def _is_blank(value: str) -> bool:
    digits = [sign for sign in value if sign.isdigit()]
    room = max(1, len(digits) // 2)
    has_letters = any(sign.isalpha() for sign in value)
    return (
        all(sign == "X" for sign in value if sign.isalpha())
        and all(sign == "0" for sign in digits[: len(digits) - room])
        and (len(digits) > 1 or (has_letters and not digits))
    )
