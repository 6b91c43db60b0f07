"""Keys, tokens and passwords: by the prefix that their issuer gives them, or by the name they are assigned to.

Nothing here asks whether a secret is live. Shapes are as the issuers' documents and the secret scanners of public code
hosts state them; example keys of documentation count too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from fettle.quality.found import Found

_LONG_WORD = re.compile(r"[^\s\"'`,;()<>{}|]{14,}")
_TOKENS = (
    ("aws-access-key", r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("github-token", r"gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255}"),
    ("gitlab-token", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas)-[\w\-.]{18,300}"),
    ("slack-token", r"xox[abeoprs]-[\w-]{10,250}|xapp-\d-[\w-]{10,250}|xoxe\.xox[bp]-\d-[\w-]{20,250}"),
    ("slack-webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}"),
    ("discord-webhook", r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}"),
    ("stripe-key", r"(?:[sr]k|pk)_(?:live|test)_[A-Za-z0-9]{10,250}|whsec_[A-Za-z0-9+/=]{24,}"),
    ("anthropic-key", r"sk-ant-[\w-]{20,250}"),
    ("openai-key", r"sk-(?:proj|svcacct|admin|None|or-v1)-[\w-]{20,250}|sk-[A-Za-z0-9]{32,64}(?![\w-])"
                   r"|sess-[A-Za-z0-9]{40}"),
    ("huggingface-token", r"(?:hf|api_org)_[A-Za-z0-9]{30,60}"),
    ("google-key", r"AIza[\w-]{33,40}|ya29\.[\w.-]{20,500}|GOCSPX-[\w-]{20,40}"),
    ("google-client", r"\d{8,20}-[a-z0-9]{32}\.apps\.googleusercontent\.com"),
    ("twilio-key", r"(?:SK|AC)[0-9a-f]{32}(?!\w)"),
    ("sendgrid-key", r"SG\.[\w-]{16,40}\.[\w-]{16,80}"),
    ("npm-token", r"npm_[A-Za-z0-9]{30,60}"),
    ("pypi-token", r"pypi-[\w-]{16,500}"),
    ("rubygems-token", r"rubygems_[0-9a-f]{48}"),
    ("docker-token", r"dckr_(?:pat|oat)_[\w-]{20,60}"),
    ("azure-secret", r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}"),
    ("mailchimp-key", r"[0-9a-f]{32}-us\d{1,2}(?!\w)"),
    ("mailgun-key", r"key-[0-9a-z]{32}(?!\w)"),
    ("telegram-token", r"\d{8,10}:AA[\w-]{32,34}"),
    ("discord-token", r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}"),
    ("digitalocean-token", r"do[opr]_v1_[0-9a-f]{64}"),
    ("shopify-token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("square-token", r"sq0[a-z]{3}-[\w-]{22,60}|EAAA[\w-]{60}"),
    ("databricks-token", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("vault-token", r"hv[sbr]\.[\w-]{24,200}"),
    ("grafana-token", r"gl(?:sa|c)_[\w+/=]{32,400}"),
    ("newrelic-key", r"NRAK-[A-Z0-9]{27}"),
    ("postman-key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("linear-key", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    ("notion-token", r"ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43}(?!\w)"),
    ("atlassian-token", r"ATATT3[\w=-]{60,300}"),
    ("groq-key", r"gsk_[A-Za-z0-9]{40,60}"),
    ("xai-key", r"xai-[A-Za-z0-9]{60,90}"),
    ("replicate-token", r"r8_[A-Za-z0-9]{36,40}"),
    ("perplexity-key", r"pplx-[A-Za-z0-9]{40,60}"),
    ("supabase-token", r"sbp_[0-9a-f]{40}|sb_secret_[\w-]{20,60}"),
    ("planetscale-token", r"pscale_(?:tkn|pw|oauth)_[\w=.-]{30,64}"),
    ("facebook-token", r"EAACEdEose0cBA[0-9A-Za-z]+"),
    ("age-key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("jwt", r"ey[JK][\w-]{8,}\.ey[JK]?[\w-]{6,}\.[\w-]{5,}"),
)  # fmt: skip
_EDGE = r"(?<![A-Za-z0-9])"
_ANY_TOKEN = re.compile(_EDGE + "(?:" + "|".join(f"(?:{form})" for _, form in _TOKENS) + ")")
_EACH_TOKEN = [(sort, re.compile(form)) for sort, form in _TOKENS]

_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?s:.){0,20000}?-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|[\sA-Za-z0-9+/=\\:,\-]{0,20000})"
)
_URL_PASSWORD = re.compile(
    r"(?<![\w+.-])[a-z][a-z0-9+.\-]{1,20}://[^\s:/@\"'<>]{0,80}:([^\s/@\"'<>]{1,120})@[^\s\"'<>]+", re.I
)

_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|psw|secret|token|api[ _\-]?key|apikey|access[ _\-]?key(?:[ _\-]?id)?"
    r"|auth[ _\-]?key"
    r"|private[ _\-]?key|account[ _\-]?key|shared[ _\-]?access[ _\-]?key|subscription[ _\-]?key|client[ _\-]?secret"
    r"|signing[ _\-]?key|encryption[ _\-]?key|master[ _\-]?key|secret[ _\-]?(?:access[ _\-]?)?key|credentials?"
    r"|passwort|kennwort|mot de passe|contraseña|contrasena|senha|wachtwoord|hasło|пароль)"
)
_NO_NAMES = r"(?!pass(?:age|eng|ing|ion|ive)|secret(?:ar|ion|e[ds]?\b)|tokeni[sz])"
"""Words that begin like the name of a secret: a passage to read, a secretary."""

_ASSIGNMENT = re.compile(
    rf"{_NO_NAMES}{_NAMES}(?:[\w]{{0,12}})[\"'`\]]{{0,2}}\s?(?::=|=>|==?|:|\|)\s?(?:[bru]?[\"'`]{{1,3}})?([^\s\"'`<>,;]{{6,200}})",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?:password|passwort|passcode|passphrase|kennwort|mot de passe|contraseña|senha|wachtwoord|api key|secret key"
    r"|access token|pwd)"
    r"(?: (?:for|to|of) [\w ]{1,24}?)? (?:is|was|ist|lautet|est|es|é|to|set to|reset to|of)(?: now"
    r"| set to)?:? [\"'`“]?([^\s\"'`“”<>,;]{6,128})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:authorization: ?)?(?:bearer|basic) ([A-Za-z0-9\-._~+/]{16,1000}={0,2})", re.IGNORECASE)
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AZURE_KEY = re.compile(
    r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{86}==|(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{43}=(?![A-Za-z0-9/+=])"
)
_HEX_KEY = re.compile(r"(?<!\w)[0-9a-f]{32}(?!\w)")
_KEY_WORDS = re.compile(r"aws|secret|akia|amazon", re.IGNORECASE)
_AZURE_WORDS = re.compile(
    r"azure|ocp-apim|subscription|cognitive|account ?key|sharedaccess|[a-z] ?key\b", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"^[\[{$%<(]|^(?:os\.|process\.|env\b|getenv|config\b|settings\b|self\.|request|None|null|true"
    r"|false|undefined|example-secret"
    r"|string|optional|required|your|my|the_|enter|change|redacted|hidden)|[({]$|\(\)|\*{3}|x{5}|\.{3}"
    r"|^[A-Z][A-Z_]+$|://",
    re.IGNORECASE,
)
_STEMS = (
    "pass", "pwd", "psw", "secret", "token", "key", "kennwort", "contrase", "senha",
    "wachtw", "hasło", "пароль", "bearer", "basic", "credential", "://",
)  # fmt: skip


def find_secrets(text: str) -> Iterator[Found]:
    """Keys and tokens with a known shape, private keys as whole blocks, passwords in addresses and assignments.

    >>> [one.sort for one in find_secrets("export DB=postgres://app:hunter2@db.local/x")]
    ['url-password']
    """
    lower = text.lower()
    is_named = any(stem in lower for stem in _STEMS)
    if not is_named and max(map(len, text.split()), default=0) < 14:
        return
    if "-----BEGIN" in text:
        for match in _PRIVATE_KEY.finditer(text):
            end = match.start() + len(match.group().rstrip())
            yield Found("secret", match.start(), end, 0.99, "private-key")
    if _LONG_WORD.search(text):
        yield from _tokens(text)
    if "://" in text:
        for match in _URL_PASSWORD.finditer(text):
            yield Found("secret", match.start(1), match.end(1), 0.95, "url-password")
    for form in (_ASSIGNMENT, _SAID) if is_named else ():
        for match in form.finditer(text):
            value = match.group(1).rstrip(".!?)]:")
            if _is_password(value, is_said=form is _SAID):
                yield Found("secret", match.start(1), match.start(1) + len(value), 0.75, "password")


def _tokens(text: str) -> Iterator[Found]:
    for match in _ANY_TOKEN.finditer(text):
        for sort, form in _EACH_TOKEN:
            whole = form.match(text, match.start())
            if whole:
                end = match.start() + len(whole.group().rstrip("."))
                yield Found("secret", match.start(), end, 0.97, sort)
                break
    for match in _BEARER.finditer(text):
        if _has_digit_and_letter(match.group(1)):
            yield Found("secret", match.start(1), match.end(1), 0.85, "bearer-token")
    if _KEY_WORDS.search(text):
        yield from _keys_of_no_form(text, _AWS_SECRET, "aws-secret-key")
    if _AZURE_WORDS.search(text):
        yield from _keys_of_no_form(text, _AZURE_KEY, "azure-key")
        if re.search(r"azure|ocp-apim|subscription|cognitive|datadog", text, re.IGNORECASE):
            for match in _HEX_KEY.finditer(text):
                yield Found("secret", match.start(), match.end(), 0.7, "azure-key")


def _keys_of_no_form(text: str, form: re.Pattern[str], sort: str) -> Iterator[Found]:
    for match in form.finditer(text):
        key = match.group()
        # Forty hex digits are a commit; a path has few capitals and no digits.
        if not re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", key) and _bits_a_character(key) > 3.8 and _num_classes(key) >= 3:
            yield Found("secret", match.start(), match.end(), 0.85, sort)


def _is_password(value: str, *, is_said: bool) -> bool:
    """A value that is random enough to be a secret and is no placeholder.

    After `password =` a digit and a letter will do; in a sentence (`my password is …`) it must look like nothing else.
    """
    if len(value) < 6 or _PLACEHOLDER.search(value):
        return False
    classes = _num_classes(value)
    if is_said:
        return any(sign.isdigit() for sign in value) and classes >= 2 and any(sign.isalpha() for sign in value)
    if not _has_digit_and_letter(value) and classes < 3:
        return False
    return len(value) >= 8 or classes >= 3


def _num_classes(value: str) -> int:
    """How many of small letters, capitals, digits and signs a value has."""
    return sum(
        (
            any(sign.islower() for sign in value),
            any(sign.isupper() for sign in value),
            any(sign.isdigit() for sign in value),
            any(not sign.isalnum() for sign in value),
        )
    )


def _has_digit_and_letter(value: str) -> bool:
    return any(sign.isdigit() for sign in value) and any(sign.isalpha() for sign in value)


def _bits_a_character(value: str) -> float:
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
