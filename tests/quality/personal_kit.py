"""Values with the form of personal data and secrets, made up from a seed, in sentences that people might write.

Check digits are computed here and not by the code under test. Secret-shaped values are put together from pieces, so
that no file of this repository holds one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from stdnum import luhn, verhoeff
from stdnum.iso7064 import mod_11_2, mod_97_10


@dataclass(frozen=True)
class Plant:
    """A sentence with one planted value `text[start:end]`."""

    kind: str
    sort: str
    text: str
    start: int
    end: int


Make = Callable[[random.Random], str]


def digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def letters(rng: random.Random, count: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def fill(rng: random.Random, form: str) -> str:
    """`#` a digit, `%` a digit from 2 to 9, anything else itself."""
    return "".join(digits(rng, 1) if sign == "#" else rng.choice("23456789") if sign == "%" else sign for sign in form)


def grouped(number: str, sizes: tuple[int, ...], by: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return by.join([*parts, number[at:]] if at < len(number) else parts)


# E-mail

FIRST = ["anna", "jörg", "maria", "liam", "chloe", "ahmed", "yuki", "olga", "carlos", "priya", "sam", "wei"]
LAST = [
    "smith",
    "müller",
    "garcia",
    "okafor",
    "tanaka",
    "ivanova",
    "rossi",
    "dubois",
    "jansen",
    "nowak",
    "patel",
    "o'brien",
]
HOSTS = [
    "example.com",
    "example.org",
    "mail.example.co.uk",
    "gmail.com",
    "web.de",
    "corp.example-shop.io",
    "uni.edu.pl",
    "xn--bcher-kva.example",
]


def email(rng: random.Random) -> str:
    first, last, host = rng.choice(FIRST), rng.choice(LAST), rng.choice(HOSTS)
    form = rng.choice(
        ["{f}.{l}@{h}", "{f}_{l}{n}@{h}", "{f}+{l}@{h}", "{F}.{L}@{h}", "{f}{n}@{h}", "{i}{l}@{h}", "{f}-{l}@{h}"]
    )
    return form.format(f=first, l=last.replace("'", ""), F=first.title(), L=last.replace("'", "").title(), i=first[0],
                       n=rng.randrange(10, 2000), h=host)  # fmt: skip


def spelt_email(rng: random.Random) -> str:
    first, last = rng.choice(["anna", "liam", "sam"]), rng.choice(["smith", "rossi", "patel"])
    form = rng.choice(
        [
            "{f}.{l} (at) example (dot) com",
            "{f} [at] example [dot] org",
            "{f}.{l} at gmail dot com",
            "{f}{{at}}example.com",
        ]
    )
    return form.format(f=first, l=last)


# Telephone

PHONES = {
    "us": ["(202) 555-01##", "202-555-01##", "202.555.01##", "202 555 01##", "+1 202 555 01##", "+1-415-%##-####",
        "(415) %##-####",
           "1-800-%##-####", "+1 (212) %##-####", "415-%##-####", "1 (646) %##-####", "617%######", "555-01##",
           "415/%##-####"],
    "gb": ["020 7946 0###", "+44 20 7946 0###", "0161 496 0###", "07700 900###", "+44 7700 900###", "0044 20 7946 0###",
           "+44 (0)20 7946 0###", "(020) 7946 0###", "07700900###", "0800 0## 1###", "+447700900###"],
    "de": ["030 23125 ###", "+49 30 23125 ###", "0171 %######", "0171/%######", "+49 (0)171 %######", "089-%#####",
    "(030) 23125###",
           "0049 30 23125###", "0151 2%######", "+49 151 2%######"],
    "fr": ["01 99 00 ## ##", "06 39 98 ## ##", "+33 6 39 98 ## ##", "06.39.98.##.##", "06-39-98-##-##",
    "0033 6 39 98 ## ##", "0639980###",
           "+33 (0)1 44 %# ## ##"],
    "es": ["612 34# ###", "+34 612 34# ###", "91 123 ## ##", "612 34 ## ##"],
    "it": ["06 6982 ####", "347 12# ####", "+39 347 12# ####", "+39 06 6982 ####"],
    "nl": ["020 %## ####", "06 1234 ####", "06-1234####", "+31 6 1234 ####", "+31 (0)20 %## ####"],
    "au": ["(02) 5550 ####", "0491 570 ###", "+61 2 5550 ####", "+61 491 570 ###", "1300 %## ###"],
    "in": ["+91 98765 4####", "98765 4####", "+91-98765-4####", "098765 4####", "9876 54 ####"],
    "br": ["(11) 9%###-####", "+55 11 9%###-####", "11 9%###-####", "(21) %###-####"],
    "jp": ["03-%###-####", "090-1%##-####", "+81 90-1%##-####"],
    "pl": ["512 34# ###", "+48 512 34# ###", "22 %## ## ##", "512-34#-###"],
    "ch": ["044 668 ## ##", "+41 44 668 ## ##", "079 %## ## ##"],
    "se": ["08-%## ### ##", "070-1## ## ##", "+46 70 1## ## ##"],
    "cn": ["138 1234 ####", "+86 138 1234 ####"],
    "ie": ["01 %## ####", "085 1## ####", "+353 85 1## ####"],
}  # fmt: skip


def phone(rng: random.Random) -> str:
    return fill(rng, rng.choice(PHONES[rng.choice(list(PHONES))]))


# Money

CARDS = [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("65", 16), ("36", 14),
         ("3528", 16), ("62", 16)]  # fmt: skip


def card(rng: random.Random) -> str:
    prefix, length = rng.choice(CARDS)
    body = prefix + digits(rng, length - len(prefix) - 1)
    number = body + luhn.calc_check_digit(body)
    by = rng.choice(["", " ", "-", " ", "."])
    sizes = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}[length]
    return rng.choice(
        [grouped(number, sizes, by), "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"][
            : 1 + rng.randrange(4)
        ]
    )


BBANS = {"DE": "#" * 18, "GB": "WEST" + "#" * 14, "FR": "#" * 23, "ES": "#" * 20, "IT": "X" + "#" * 22,
    "NL": "ABNA" + "#" * 10,
         "CH": "#" * 17, "AT": "#" * 16, "BE": "#" * 12, "PL": "#" * 24, "NO": "#" * 11, "SE": "#" * 20, "PT": "#" * 21,
         "IE": "AIBK" + "#" * 14, "MT": "MALT" + "#" * 23, "SA": "#" * 20}  # fmt: skip


def iban(rng: random.Random) -> str:
    country = rng.choice(list(BBANS))
    bban = fill(rng, BBANS[country])
    number = country + mod_97_10.calc_check_digits(bban + country) + bban
    written = grouped(number, (4,) * (len(number) // 4), rng.choice(["", " ", " ", "-"]))
    return written.lower() if rng.random() < 0.1 else written


# National numbers


def weighed(number: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))


def until(rng: random.Random, make: Callable[[random.Random], str | None]) -> str:
    """The first of the tries that came to a number: some check digits do not exist."""
    while (made := make(rng)) is None:
        pass
    return made


def birthday(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(1940, 2005), rng.randrange(1, 13), rng.randrange(1, 29)


def ssn(rng: random.Random) -> str:
    number = f"{rng.randrange(1, 665):03}{rng.randrange(1, 99):02}{rng.randrange(1, 9999):04}"
    return rng.choice(
        [grouped(number, (3, 2, 4), "-"), grouped(number, (3, 2, 4), " "), number, "078-05-1120", "219-09-9999"]
    )


def nino(rng: random.Random) -> str:
    head = letters(rng, 1, "ABCEGHJKLMNPRSTWXYZ") + letters(rng, 1, "ABCEGHJKLMNPRSTWXYZ")
    number = digits(rng, 6)
    if number == "000000" or head in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
        number, head = "123456", "QQ"
    by = rng.choice(["", " ", "-"])
    return by.join([head, number[:2], number[2:4], number[4:], letters(rng, 1, "ABCD")])


def nhs(rng: random.Random) -> str:
    def make(rng: random.Random) -> str | None:
        body = digits(rng, 9)
        check = 11 - weighed(body, tuple(range(10, 1, -1))) % 11
        return None if check == 10 else body + str(check % 11)

    return grouped(until(rng, make), (3, 3, 4), rng.choice(["", " ", "-"]))


def steuer_id(rng: random.Random) -> str:
    signs = list("1234567890")
    rng.shuffle(signs)
    signs[rng.randrange(1, 10)] = signs[rng.randrange(1, 10)]
    if len(set(signs)) != 9 or signs[0] == "0":
        return steuer_id(rng)
    product = 10
    for sign in signs:
        total = (int(sign) + product) % 10 or 10
        product = total * 2 % 11
    number = "".join(signs) + str((11 - product) % 10)
    return rng.choice([number, grouped(number, (2, 3, 3, 3), " ")])


def nir(rng: random.Random) -> str:
    year, month, _ = birthday(rng)
    place, order = rng.randrange(1001, 95990), rng.randrange(1, 999)
    body = f"{rng.randrange(1, 3)}{year % 100:02}{month:02}{place:05}{order:03}"
    number = f"{body}{97 - int(body) % 97:02}"
    return grouped(number, (1, 2, 2, 2, 3, 3, 2), rng.choice(["", " "]))


def dni(rng: random.Random) -> str:
    number = digits(rng, 8)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]
    return rng.choice(
        [
            number + letter,
            f"{number}-{letter}",
            f"{number[:2]}.{number[2:5]}.{number[5:]}-{letter}",
            f"{number} {letter}",
        ]
    )


def nie(rng: random.Random) -> str:
    head, number = rng.choice("XYZ"), digits(rng, 7)
    letter = "TRWAGMYFPDXBNJZSQVHLCKE"[int(str("XYZ".index(head)) + number) % 23]
    return rng.choice([head + number + letter, f"{head}-{number}-{letter}"])


ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17,
    19, 21, 2, 4, 18,
                                                        20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23],
                                                        strict=True))  # fmt: skip


def codice_fiscale(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    birth = f"{year % 100:02}{'ABCDEHLMPRST'[month - 1]}{day + 40 * rng.randrange(2):02}"
    body = f"{letters(rng, 6, 'BCDFGLMNPRSTVZ')}{birth}H501"
    total = sum(
        ODD[sign] if at % 2 == 0 else int(sign, 36) - (10 if sign.isalpha() else 0) for at, sign in enumerate(body)
    )
    return body + chr(65 + total % 26)


def bsn(rng: random.Random) -> str:
    def make(rng: random.Random) -> str | None:
        body = digits(rng, 8)
        check = weighed(body, tuple(range(9, 1, -1))) % 11
        return None if check == 10 or body[0] == "0" else body + str(check)

    return rng.choice([number := until(rng, make), grouped(number, (4, 2, 3), "."), grouped(number, (3, 3, 3), " ")])


def pesel(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    body = f"{year % 100:02}{month + (20 if year >= 2000 else 0):02}{day:02}{digits(rng, 4)}"
    return body + str(-weighed(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def personnummer(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    body = f"{year % 100:02}{month:02}{day:02}{digits(rng, 3)}"
    check = luhn.calc_check_digit(body)
    return rng.choice([f"{body[:6]}-{body[6:]}{check}", f"{year // 100}{body[:6]}-{body[6:]}{check}"])


def cpf(rng: random.Random) -> str:
    body = digits(rng, 9)
    for weights in (range(10, 1, -1), range(11, 1, -1)):
        remainder = weighed(body, tuple(weights)) % 11
        body += "0" if remainder < 2 else str(11 - remainder)
    return rng.choice([body, f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"])


def aadhaar(rng: random.Random) -> str:
    body = rng.choice("23456789") + digits(rng, 10)
    return grouped(body + verhoeff.calc_check_digit(body), (4, 4, 4), rng.choice(["", " ", "-"]))


def pan(rng: random.Random) -> str:
    return (
        letters(rng, 3) + rng.choice("PCHFATBLJG") + letters(rng, 1) + f"{rng.randrange(1, 10000):04}" + letters(rng, 1)
    )


def tfn(rng: random.Random) -> str:
    def make(rng: random.Random) -> str | None:
        number = rng.choice("123456789") + digits(rng, 8)
        return number if weighed(number, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 else None

    return grouped(until(rng, make), (3, 3, 3), rng.choice(["", " "]))


def sin(rng: random.Random) -> str:
    body = digits(rng, 8)
    return grouped(body + luhn.calc_check_digit(body), (3, 3, 3), rng.choice(["", " ", "-"]))


def ahv(rng: random.Random) -> str:
    body = "756" + digits(rng, 9)
    check = -weighed(body, (1, 3) * 6) % 10
    return grouped(f"{body}{check}", (3, 4, 4, 2), rng.choice([".", "", " "]))


def chinese_id(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    body = f"{rng.choice(['110101', '310104', '440305'])}{year}{month:02}{day:02}{digits(rng, 3)}"
    return body + mod_11_2.calc_check_digit(body)


def hetu(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    number = rng.randrange(2, 900)
    check = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(f"{day:02}{month:02}{year % 100:02}{number:03}") % 31]
    return f"{day:02}{month:02}{year % 100:02}{'A' if year >= 2000 else '-'}{number:03}{check}"


def passport(rng: random.Random) -> str:
    return rng.choice(
        [digits(rng, 9), letters(rng, 1) + digits(rng, 8), letters(rng, 2) + digits(rng, 7), "C0" + digits(rng, 7)]
    )


NATIONAL: dict[str, tuple[Make, tuple[str, ...]]] = {
    "us-ssn": (ssn, ("My SSN is {}.", "social security number {} on file", "SSN: {}")),
    "gb-nino": (nino, ("My National Insurance number is {}", "NINO {} please", "the NI number {} belongs to him")),
    "gb-nhs": (nhs, ("NHS number {}", "her NHS no. is {}")),
    "de-steuer-id": (steuer_id, ("Meine Steuer-ID lautet {}.", "IdNr. {}", "German tax ID {} for the form")),
    "fr-nir": (nir, ("Mon numéro de sécurité sociale est le {}.", "NIR {}", "my French number {} does not work")),
    "es-dni": (dni, ("Mi DNI es {}.", "DNI: {}", "el titular con DNI {} no aparece")),
    "es-nie": (nie, ("Mi NIE es {}.", "NIE {}")),
    "it-codice-fiscale": (codice_fiscale, ("Il mio codice fiscale è {}.", "CF: {}", "intestato a {} da ieri")),
    "nl-bsn": (bsn, ("Mijn BSN is {}.", "burgerservicenummer {}")),
    "pl-pesel": (pesel, ("Mój PESEL to {}.", "PESEL: {}")),
    "se-personnummer": (personnummer, ("Mitt personnummer är {}.", "personnummer {}")),
    "br-cpf": (cpf, ("Meu CPF é {}.", "CPF {} do titular")),
    "in-aadhaar": (aadhaar, ("My Aadhaar number is {}.", "Aadhaar: {}")),
    "in-pan": (pan, ("My PAN is {}.", "PAN card {} was rejected")),
    "au-tfn": (tfn, ("My TFN is {}.", "tax file number {}")),
    "ca-sin": (sin, ("My SIN is {}.", "social insurance number {}")),
    "ch-ahv": (ahv, ("Meine AHV-Nummer ist {}.", "AHV {}")),
    "cn-ric": (chinese_id, ("我的身份证号是 {} 谢谢", "ID card {} from Beijing")),
    "fi-hetu": (hetu, ("Henkilötunnukseni on {}.", "my Finnish code is {} as shown")),
    "passport": (passport, ("My passport number is {}.", "passport no. {} expires soon", "Reisepass {}")),
}

# Network, dates, places


def ipv4(rng: random.Random) -> str:
    return rng.choice(
        ["192.0.2.{}", "198.51.100.{}", "203.0.113.{}", "10.12.{}.7", "172.16.0.{}", "192.168.1.{}"]
    ).format(rng.randrange(10, 255))


def ipv6(rng: random.Random) -> str:
    def group() -> str:
        return f"{rng.randrange(1, 65536):x}"

    whole = ":".join(["2001", "db8", *(group() for _ in range(6))])
    return rng.choice(
        [whole, f"2001:db8::{group()}", f"fe80::{group()}:{group()}", f"2001:db8:{group()}::{group()}", whole.upper()]
    )


def mac(rng: random.Random) -> str:
    pairs = [f"{rng.randrange(256):02x}" for _ in range(6)]
    plain = "".join(pairs)
    return rng.choice([":".join(pairs), "-".join(pairs).upper(), ":".join(pairs).upper()] + (
        [".".join([plain[:4], plain[4:8], plain[8:]])] if any(sign in "abcdef" for sign in plain) else []))  # fmt: skip


MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def date(rng: random.Random) -> str:
    year, month, day = birthday(rng)
    name = MONTHS[month - 1]
    return rng.choice([f"{day:02}/{month:02}/{year}", f"{day}.{month}.{year}", f"{year}-{month:02}-{day:02}",
    f"{day} {name} {year}",
                       f"{name} {day}, {year}", f"{day}th of {name} {year}", f"{name[:3]} {day}, {year}",
                       f"{month}/{day}/{year % 100:02}",
                       f"{day:02}-{month:02}-{year}", f"{day}-{name[:3]}-{year}"])  # fmt: skip


STREETS = ["Maple", "Oak", "Washington", "Church", "Station", "Mill", "Victoria", "Kingston", "Elm", "Evergreen"]


def address(rng: random.Random) -> str:
    number, name = rng.randrange(1, 2400), rng.choice(STREETS)
    return rng.choice([
        f"{number} {name} {rng.choice(['Street', 'St', 'Ave', 'Road', 'Drive', 'Lane', 'Blvd.', 'Terrace'])}",
        f"{number} {name} Avenue, Apt {rng.randrange(1, 40)}B, Springfield, IL {digits(rng, 5)}",
        f"{number % 200 + 1} {name} Road, London SW{rng.randrange(1, 20)} {rng.randrange(1, 9)}AB",
        f"Flat {rng.randrange(1, 20)}, {number % 200 + 1} {name} Close, Leeds LS{rng.randrange(1, 20)} 4QT",
        f"{number} N. {name} St, Suite {rng.randrange(100, 900)}, Austin, TX {digits(rng, 5)}",
        f"{number} SW {rng.randrange(4, 90)}th Street",
        f"{rng.choice(['Haupt', 'Bahnhof', 'Garten', 'Schiller'])}{rng.choice(['straße', 'str.', 'strasse'])}"
        f" {number % 200 + 1}",
        f"Berliner Straße {number % 200 + 1}a, {rng.randrange(10000, 99999)} Hamburg",
        f"Lindenweg {number % 90 + 1}, {rng.randrange(10000, 99999)} Köln",
        f"{number % 200 + 1} rue {rng.choice(['de la Paix', 'Victor Hugo', 'du Bac', 'des Lilas'])}, "
        f"750{rng.randrange(10, 20)} Paris",
        f"Calle {rng.choice(['Mayor', 'de Alcalá', 'Gran Vía'])} {number % 200 + 1}, 28013 Madrid",
        f"Via {rng.choice(['Roma', 'Garibaldi', 'Dante Alighieri'])} {number % 200 + 1}, 00184 Roma",
        f"{rng.choice(['Dorpsstraat', 'Prinsengracht', 'Beatrixlaan'])} {number % 300 + 1}, "
        f"{rng.randrange(1000, 9999)} AB Amsterdam",
        f"P.O. Box {number}",
    ])  # fmt: skip


def account(rng: random.Random) -> str:
    return digits(rng, rng.choice([8, 10, 12]))


# Secrets

BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
HEX = "0123456789abcdef"


def token(*pieces: str, count: int, alphabet: str = BASE62) -> Make:
    """A maker of tokens: a prefix in pieces, then so many signs, a digit and a letter among them."""
    last = {BASE62: "k", HEX: "a"}.get(alphabet, "K")
    return lambda rng: "".join(pieces) + letters(rng, count - 2, alphabet) + "7" + last


def password(rng: random.Random) -> str:
    return (
        rng.choice(["Tr0ub", "hunter", "Summer", "c0rrect"])
        + rng.choice(["4dor", "2x", "-horse", "9Q"])
        + rng.choice(["&3", "!2024", "#77", "_19"])
    )


def private_key(rng: random.Random) -> str:
    kind = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    body = "\n".join(letters(rng, 64, BASE62 + "+/") for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE " + f"KEY-----\n{body}\n-----END {kind}PRIVATE " + "KEY-----"


def jwt(rng: random.Random) -> str:
    return "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "J" + letters(rng, 30, BASE62) + "." + letters(rng, 43, BASE62 + "_-")


SECRETS: dict[str, Make] = {
    "aws-access-key": token("AK", "IA", count=16, alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "github-token": token("gh", "p_", count=36),
    "github-oauth": token("gh", "o_", count=36),
    "github-server": token("gh", "s_", count=36),
    "github-pat": token("github", "_pat_", count=60),
    "gitlab-token": token("gl", "pat-", count=20),
    "slack-token": token("xo", "xb-", count=40),
    "stripe-live": token("sk", "_live_", count=24),
    "stripe-test": token("sk", "_test_", count=24),
    "stripe-restricted": token("rk", "_live_", count=24),
    "openai-key": token("sk", "-", count=48),
    "openai-project": token("sk", "-proj-", count=60),
    "anthropic-key": token("sk", "-ant-", "api03-", count=80),
    "huggingface-token": token("h", "f_", count=34),
    "google-key": token("AI", "za", count=35),
    "twilio-key": token("S", "K", count=32, alphabet=HEX),
    "twilio-account": token("A", "C", count=32, alphabet=HEX),
    "sendgrid-key": lambda rng: "S" + "G." + letters(rng, 22, BASE62) + "." + letters(rng, 43, BASE62),
    "npm-token": token("np", "m_", count=36),
    "pypi-token": token("py", "pi-", count=90),
    "jwt": jwt,
    "private-key": private_key,
}
NAMED_SECRETS: dict[str, Make] = {
    "aws-secret-key": lambda rng: letters(rng, 37, BASE62 + "/+") + "aZ9",
    "azure-key": lambda rng: letters(rng, 83, BASE62 + "/+") + "aZ9" + "==",
    "password": password,
    "hex": lambda rng: letters(rng, 31, HEX) + "a",
}
NAMED_FRAMES = {
    "aws-secret-key": ("aws_secret_access_key = {}", "AWS secret: {}"),
    "azure-key": ("DefaultEndpointsProtocol=https;AccountName=x;AccountKey={}", "our azure storage key {}"),
    "password": (
        "password={}",
        "My password is {}",
        "'pwd': '{}'",
        "DB_PASSWORD: {}",
        "Mein Passwort lautet {}",
        "postgres://app:{}@db.example.com/x",
    ),
    "hex": ("api_key: {}", '"apiKey": "{}"', "client_secret={}", "X-Api-Key: {}"),
}

FRAMES: dict[str, tuple[Make, tuple[str, ...]]] = {
    "email": (email, ("Write to {} please.", "my address is {}", "{}", "Contact <{}> or call", "email:{}, thanks",
        "I changed it from {} last week")),
    "spelt-email": (spelt_email, ("Write to {} please.", "my e-mail is {}", "reach me at {} any time")),
    "phone": (phone, ("Call me on {} tonight.", "My phone number is {}", "Tel.: {}", "you can reach me at {}.",
    "text me on {}, thanks",
                      "My mobile is {} and it does not work", "Phone {} (after 6)", "contact: {}")),
    "card": (card, ("My card {} was charged twice.", "card number: {}", "I paid with {} yesterday",
        "{} exp 12/27 cvv 123", "Visa {}.")),
    "iban": (iban, ("Transfer it to {} please.", "IBAN: {}", "my account {} was closed", "{}", "({})")),
    "bank-account": (account, ("My account number is {}.", "account no. {}", "Account: {}")),
    "ip": (ipv4, ("I logged in from {} yesterday", "host {} is down", "IP: {}", "ssh root@{}", "http://{}/admin",
        "{} - - GET /")),
    "ipv6": (ipv6, ("I logged in from {} yesterday", "host {} is down", "[{}]", "address {}.")),
    "mac": (mac, ("My router's MAC is {}.", "device {} cannot connect", "{}")),
    "date-of-birth": (date, ("I was born on {}.", "DOB: {}", "date of birth {}", "Her birthday is {}, the form"
        " says", "The patient (born {}) called",
                             "Mr Smith was born {} in Leeds")),
    "address": (address, ("I live at {}.", "Please send it to {} by Friday", "My new address is {}, thanks",
        "Ship to: {}", "We moved to {} last year")),
}  # fmt: skip
KIND_OF = {"spelt-email": "email", "ipv6": "ip"}


def planted(sort: str, kind: str, value: str, frame: str) -> Plant:
    before, after = frame.split("{}")
    return Plant(kind, sort, before + value + after, len(before), len(before) + len(value))


def plants(seed: int, num_each: int) -> list[Plant]:
    """So many sentences for every sort of value."""
    rng = random.Random(seed)
    made = []
    for sort, (make, frames) in FRAMES.items():
        made += [planted(sort, KIND_OF.get(sort, sort), make(rng), rng.choice(frames)) for _ in range(num_each)]
    for sort, (make, frames) in NATIONAL.items():
        made += [planted(sort, "national-id", make(rng), rng.choice(frames)) for _ in range(num_each)]
    for sort, make in SECRETS.items():
        frames = ("use {} here", "export KEY={}", '"{}"', "the token is {}.", "{}")
        made += [planted(sort, "secret", make(rng), rng.choice(frames)) for _ in range(num_each)]
    for sort, make in NAMED_SECRETS.items():
        made += [planted(sort, "secret", make(rng), rng.choice(NAMED_FRAMES[sort])) for _ in range(num_each)]
    return made
