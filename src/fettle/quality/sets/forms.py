"""The form that answers share, and the few that do not: JSON and its keys, endings, capitals, lists, prefixes, length.

A form is worth keeping to: what a model learns from a few answers of another form is to break the form now and then.
Pure functions over texts; what the answers say is not judged.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

FEWEST_ANSWERS = 50
"""Below this nothing dominates: three of forty prove no rule."""

SHARE_OF_THE_FORM = 0.95
"""A form dominates where so many answers keep to it. In sets of mixed tasks nothing does, and nothing is found."""

_MARKDOWN = re.compile(
    r"```|^#{1,6} \S|^\s*[-*+] \S|^\s*\d+[.)] \S|\*\*\S[^*\n]*\*\*|^\|.*\|\s*$|\[[^\]\n]+\]\([^)\n]+\)", re.MULTILINE
)
_PREFIX = re.compile(r"(?:\*\*|#+ )?([^\W\d_][\w ]{1,28}?)(?:\*\*)?:(?=\s)")
_FEWEST_OF_A_PREFIX = 2
_LENGTH_STEP = math.log(10.0)


@dataclass(frozen=True, slots=True)
class Deviation:
    """Answers that break a form which nearly all others keep.

    `aspect` names what was compared, `usual` is how the others are, `share` how many of them, and `found` how each of
    the `members` is instead, in their order.
    """

    aspect: str
    usual: str
    share: float
    members: tuple[int, ...]
    found: tuple[str, ...]


def deviations(answers: Sequence[str]) -> list[Deviation]:
    """Every aspect in which a few answers differ from the rest; empty answers are no answers.

    >>> answers = [f'{{"city": "town {n}"}}' for n in range(99)] + ["The city is Paris."]
    >>> [(each.aspect, each.usual, each.members) for each in deviations(answers)]
    [('JSON', 'an object', (99,))]
    """
    places = [place for place, answer in enumerate(answers) if answer.strip()]
    if len(places) < FEWEST_ANSWERS:
        return []
    texts = [answers[place].strip() for place in places]
    parsed = [_parsed(text) for text in texts]
    json_form = _deviation("JSON", [_json_form(each) for each in parsed], places)
    if (json_form is not None and json_form.usual != "no JSON") or _share(parsed) >= SHARE_OF_THE_FORM:
        # In a set of JSON the signs of prose say nothing; which keys there are does.
        objects = [at for at, each in enumerate(parsed) if isinstance(each, dict)]
        keys = [", ".join(sorted(parsed[at])) or "none" for at in objects]
        found = [json_form, _deviation("keys", keys, [places[at] for at in objects])]
        return [each for each in found if each is not None]
    forms = {aspect: [form(text) for text in texts] for aspect, form in _ASPECTS.items()}
    often = Counter(forms["prefix"])
    # A colon after a few words is common in prose: only a prefix that comes back is one.
    forms["prefix"] = [form if often[form] >= _FEWEST_OF_A_PREFIX else "no prefix" for form in forms["prefix"]]
    prose = [_deviation(aspect, found, places) for aspect, found in forms.items()]
    odd = {place for each in [json_form] if each for place in each.members}
    found = [json_form, *prose, _odd_lengths(texts, places)]
    return [each for each in found if each is not None and not (each is not json_form and set(each.members) <= odd)]


def _parsed(text: str) -> Any:
    """The JSON value of a text, `...` where it is none. A bare number or word is no JSON here."""
    if text[0] not in "{[":
        return ...
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ...


def _share(parsed: Sequence[Any]) -> float:
    """How many are JSON."""
    return sum(each is not ... for each in parsed) / len(parsed)


def _json_form(value: Any) -> str:
    """What a parsed answer is."""
    return "no JSON" if value is ... else "an object" if isinstance(value, dict) else "a list"


def _ending(text: str) -> str:
    """How a text ends."""
    last = text.rstrip("\"'”’»)*_` ")[-1:]
    return "a closing sign" if last in tuple(".!?…。！？:;।") else "no closing sign"


def _beginning(text: str) -> str:
    """How the first letter of a text is written; what begins with no letter keeps to either form."""
    first = text.lstrip("\"'“‘«(*_#-> ")[:1]
    if not first.isalpha() or first.lower() == first.upper():
        return ""
    return "a capital" if first.isupper() or first.istitle() else "a small letter"


def _case(text: str) -> str:
    """Whether a text shouts."""
    letters = [sign for sign in text if sign.isalpha() and sign.lower() != sign.upper()]
    if len(letters) < 8:
        return ""
    return "all capitals" if all(sign.isupper() for sign in letters) else "mixed case"


def _markup(text: str) -> str:
    """Whether a text is marked up."""
    return "markdown" if _MARKDOWN.search(text) else "plain text"


def _prefix(text: str) -> str:
    """The few words before a colon with which a text opens."""
    found = _PREFIX.match(text)
    return f"“{found[1].strip()}:”" if found else "no prefix"


def _lines(text: str) -> str:
    """Whether a text is one line."""
    return "one line" if "\n" not in text else "several lines"


_ASPECTS: dict[str, Callable[[str], str]] = {
    "ending": _ending,
    "beginning": _beginning,
    "capitals": _case,
    "markup": _markup,
    "prefix": _prefix,
    "lines": _lines,
}


def _deviation(aspect: str, forms: Sequence[str], places: Sequence[int]) -> Deviation | None:
    """The minority of one aspect, if there is a dominating form and anybody breaks it; "" keeps to any form."""
    counts = Counter(form for form in forms if form)
    total = counts.total()
    if total < FEWEST_ANSWERS:
        return None
    usual, most = min(counts.items(), key=lambda one: (-one[1], one[0]))
    if not SHARE_OF_THE_FORM <= most / total < 1.0:
        return None
    odd = [at for at, form in enumerate(forms) if form and form != usual]
    return Deviation(aspect, usual, most / total, tuple(places[at] for at in odd), tuple(forms[at] for at in odd))


def _odd_lengths(texts: Sequence[str], places: Sequence[int]) -> Deviation | None:
    """Answers ten times as long, or as short, as the middle one, where nineteen of twenty lie within that."""
    logs = [math.log(len(text)) for text in texts]
    middle = sorted(logs)[len(logs) // 2]
    odd = [at for at, each in enumerate(logs) if abs(each - middle) > _LENGTH_STEP]
    share = 1.0 - len(odd) / len(texts)
    if not odd or share < SHARE_OF_THE_FORM:
        return None
    odd.sort(key=lambda at: -abs(logs[at] - middle))
    found = tuple(f"{len(texts[at]):,} characters" for at in odd)
    return Deviation("length", f"about {round(math.exp(middle)):,} characters", share, _at(places, odd), found)


def _at(places: Sequence[int], chosen: Sequence[int]) -> tuple[int, ...]:
    """The places of those chosen."""
    return tuple(places[each] for each in chosen)


def by_form(deviation: Deviation) -> dict[str, int]:
    """How many of the members are of each form, the most frequent first.

    >>> by_form(Deviation("ending", "a closing sign", 0.97, (3, 8), ("no closing sign", "no closing sign")))
    {'no closing sign': 2}
    """
    counts: dict[str, int] = defaultdict(int)
    for form in deviation.found:
        counts[form] += 1
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
