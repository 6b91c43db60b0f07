"""E-mail addresses and the addresses of machines on a network. Reserved ones (example.com, 192.0.2.1) count too."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from fettle.quality.found import Found

_EMAIL = re.compile(
    r"""(?<![\w.+-])(?:\w[\w.+%'&=~-]{0,63}|"[^"\s@][^"@]{0,62}")@"""
    r"""(?:(?:[\w-]{1,63}\.){1,8}(?:[^\W\d_]{2,24}|xn--[\w-]{2,59})|localhost)(?![\w@])"""
)
# In `scheme://user:password@host` the end of the password and the host are no address.
_CREDENTIALS = re.compile(r"://[^\s/@]*:[^\s/@]*$")
# `picture@2x.png` is a file.
_FILE_ENDINGS = frozenset(
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "ts", "json", "html", "htm", "pdf", "zip"]
)
_DOMAIN_ENDINGS = "com|org|net|edu|gov|info|biz|io|co|uk|de|fr|es|it|nl|eu|ch|at|be|pl|se|no|dk|fi|ie|in|au|ca|us|me|br"
_SPELT_EMAIL = re.compile(
    r"(?<![\w.])(?!\d[\d.]* )\w[\w.+-]{0,63}(?:"
    r" ?[\[({<] ?(?:at|@) ?[\])}>] ?(?:[\w-]{1,63} ?(?:\.|\b(?:dot)\b"
    r"|[\[({<] ?(?:dot|\.) ?[\])}>]) ?){1,4}[^\W\d_]{2,24}"
    r"| at (?:[\w-]{1,63} dot ){1,4}[a-z]{2,24}"
    rf"| @ ?(?:[\w-]{{1,63}} ?\. ?){{1,4}}(?:{_DOMAIN_ENDINGS})"
    r")(?!\w)",
    re.IGNORECASE,
)
SPELT_EMAIL_GATE = re.compile(r"[\[({<] ?at ?[\])}>]| dot [a-z]| @ ?\w", re.IGNORECASE)

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\w|\.\w)")
_IPV4_GATE = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")
_NETWORK_WORDS = re.compile(
    r"\b(?:ip|ipv4|address|server|host|hosts|ping|pinged|dns|gateway|router|subnet|ssh|client|logged in|log ?in"
    r"|connect\w*|traffic|requests?|block\w*|port|proxy|vpn|firewall)\b|https?://|ssh://|@$",
    re.IGNORECASE,
)
_VERSION_WORDS = re.compile(
    r"\b(?:version|ver|v|release|build|firmware|software|driver|section|sections|sec|rev|chapter|clause|paragraph|item"
    r"|upgrad\w*|updat\w*|patch\w*|install\w*|downgrad\w*|kernel|android|ios|windows|macos)\b|§",
    re.IGNORECASE,
)
# Every machine has these: they name nobody.
_NOBODY = frozenset({"127.0.0.1", "0.0.0.0", "255.255.255.255"})

_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-f:]*\d)[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:]|\.\w)", re.IGNORECASE)
_MAC = re.compile(
    r"(?<![\w:.-])(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}"
    r"|(?=[0-9.]*[a-f])[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})"
    r"(?![\w:]|-\w|\.\w)",
    re.IGNORECASE,
)
_DOTTED_MAC_GATE = re.compile(r"\.[0-9a-f]{4}\.", re.IGNORECASE)


def find_emails(text: str) -> Iterator[Found]:
    """Addresses as machines write them, and as people spell them to hide them from machines.

    >>> [(one.start, one.end) for one in find_emails("to jo@example.com, or jo (at) example dot com")]
    [(3, 17), (22, 45)]
    """
    if "@" in text:
        for match in _EMAIL.finditer(text):
            is_file = match.group().rpartition(".")[2].lower() in _FILE_ENDINGS
            if not is_file and not _CREDENTIALS.search(text, max(0, match.start() - 120), match.start()):
                yield Found("email", match.start(), match.end(), 0.98, "email")
    if SPELT_EMAIL_GATE.search(text):
        for match in _SPELT_EMAIL.finditer(text):
            yield Found("email", match.start(), match.end(), 0.8, "spelt-email")


def find_machines(text: str) -> Iterator[Found]:
    """IPv4, IPv6 and MAC addresses.

    Trap: a version number has the form of an IPv4 address. Words such as `version` before it settle that, and four
    single digits need a word that speaks of networks.
    """
    if _IPV4_GATE.search(text):
        yield from _ipv4(text)
    if text.count(":") > 1 or text.count("-") > 4 or _DOTTED_MAC_GATE.search(text):
        for match in _MAC.finditer(text):
            if len(set(match.group().lower()) & set("0123456789abcdef")) > 1:
                yield Found("mac", match.start(), match.end(), 0.95, "mac")
        for match in _IPV6.finditer(text):
            if _is_ipv6(match.group()):
                yield Found("ip", match.start(), match.end(), 0.95, "ipv6")


def _ipv4(text: str) -> Iterator[Found]:
    for match in _IPV4.finditer(text):
        written = match.group()
        if written in _NOBODY or written.startswith("255.255."):
            continue
        before = text[max(0, match.start() - 40) : match.start()]
        names_network = bool(_NETWORK_WORDS.search(before))
        if _VERSION_WORDS.search(before) and not names_network:
            continue
        if len(written) == 7 and not names_network and written not in ("8.8.8.8", "1.1.1.1"):
            continue
        yield Found("ip", match.start(), match.end(), 0.95 if names_network else 0.8, "ipv4")


def _is_ipv6(written: str) -> bool:
    """Trap: `12::30` reads as one; a real one has three groups or more, and is not the machine itself (`::1`)."""
    groups = [group for group in written.split(":") if group]
    if len(groups) < 3 and not written.lower().startswith(("fe80::", "fd", "2001:", "2a0")):
        return False
    try:
        ipaddress.IPv6Address(written)
    except ValueError:
        return False
    return True
