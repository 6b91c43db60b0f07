"""What is wrong with an answer by its wording alone: empty, cut off, going round in a loop, an unfilled template."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from fettle.quality.found import Found, settled

_END = re.compile(r"[.!?…。！？؟।:;\"'”’»)\]}>*`~|]$|[\U0001f000-\U0001faff\u2600-\u27bf]\ufe0f?$")
_FULL_STOP = re.compile(r"[.!?…。！？؟।][\"'”’»)\]*_`]*$")
# Words that no sentence ends with.
_NEVER_LAST = re.compile(
    r"(?:^|\s)(?:the|a|an|and|or|because|than|your|our|their|its|my|if|as|but|which|der|die|das|und"
    r"|oder|ein|eine|einen|weil"
    r"|le|la|les|et|ou|un|une|el|los|y|o|que|il|e|di|het|een|en|van)$|[,\-–—(]$",
    re.IGNORECASE,
)
# Lines that end without a full stop by their nature: lists, headings, code, addresses of the web, names under a letter.
_NO_SENTENCE = re.compile(
    r"^\s*(?:[-*•+>|#]|\d+[.)]|[a-zA-Z][.)] |https?://|\|)|[\w.-]+@[\w.-]+$|https?://\S+$|[=<>{};]"
)
_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_SMILEY = re.compile(r"(?<!\S)[:;=8xX]['\-]?[()\[\]]|(?<!\S)[()\[\]]['\-]?[:;=](?!\S)|^\s*\w{1,3}[)\]]", re.MULTILINE)
_OPENERS, _CLOSERS = "([{", ")]}"
_INLINE_LIST = re.compile(r"(?:\s[-*•]\s|\s\d{1,2}[.)]\s|:\s)[^.!?]*$")
_FEWEST_ANSWERS, _FEWEST_LETTERS, _FEWEST_LETTERS_BY_WORD = 8, 25, 10
# Where fewer have a full stop, a missing one is a manner of writing; then only a word that ends no sentence tells.
_LEAST_SHARE, _LEAST_SHARE_BY_WORD = 0.95, 0.5

_TEMPLATE = (
    (
        "placeholder",
        re.compile(
            r"\{\{[-\s]*[\w.|]+(?:\([^)]*\))?[-\s]*\}\}|\{%-? ?\w+[^%]{0,80}%\}|\$\{\w+\}"
            r"|<%=? ?\w+[^%]{0,80}%>"
        ),
    ),
    (
        "placeholder",
        re.compile(
            r"(?<![{$\w])\{(?:[a-z]+_)?(?:name|user|username|customer|company|date|product|order|first|last"
            r"|email|amount|city|title)(?:_\w+)?\}(?!\})",
            re.I,
        ),
    ),
    (
        "placeholder",
        re.compile(
            r"\[(?:your|insert|enter|add|customer|company|recipient|sender|first|last|full|agent"
            r"|client)(?:'s)? ?[\w' -]{0,40}\](?!\()|\[(?:name|date|company|address|signature)\]|<(?:your"
            r"|insert|enter)[ _-][\w _-]{1,40}>",
            re.I,
        ),
    ),
    (
        "chat-mark",
        re.compile(
            r"<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[(?:CLS"
            r"|SEP|PAD|MASK)\]|<\|endoftext\|>",
            re.I,
        ),
    ),
    (
        "chat-mark",
        re.compile(
            r"(?:^|\n)#{2,3} ?(?:Response|Instruction|Input|Human|Assistant|User):|\n\s*(?:Human|User"
            r"|Assistant|AI|Bot): "
        ),
    ),
    (
        "refusal",
        re.compile(
            r"\bas an? (?:\w+ )?(?:ai|artificial intelligence"
            r"|(?:large )?language model)(?: (?:language )?model| assistant)?\b[, ]|\bi(?:'m| am) (?:just "
            r"|only )?an? (?:ai|large language|language) (?:language )?model\b|\bmy knowledge cutoff\b"
            r"|\bals (?:ki|ki-?sprachmodell|sprachmodell)\b|\ben tant qu[e'](?: |')?(?:une? )?(?:ia"
            r"|intelligence artificielle|modèle de langage)\b|\bcomo (?:una? )?(?:ia|modelo de lenguaje"
            r"|inteligencia artificial)\b",
            re.I,
        ),
    ),
    ("filler", re.compile(r"\blorem ipsum\b", re.I)),
    ("filler", re.compile(r"\b(?:TODO|FIXME|TBD)\b(?!\.\w)")),
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_NO_SPACES = re.compile(r"(.{2,40}?)\1{4,}", re.DOTALL)


def is_empty(answer: str) -> bool:
    """Whether an answer says nothing: blanks, dashes and stops. An emoji says something.

    >>> is_empty(" ... "), is_empty("-"), is_empty("👍"), is_empty("4")
    (True, True, False, False)
    """
    return not any(sign.isalnum() or ord(sign) > 0x2100 for sign in answer)


def truncated_answers(answers: Sequence[str]) -> dict[int, str]:
    """Places of answers that stop before their end, with the reason: `fence`, `bracket` or `sentence`.

    A missing full stop says something only where the others have one: 95 in a hundred, of eight answers and more.

    >>> truncated_answers(["Open the box and take the"] + ["It is on its way and comes by Friday."] * 19)
    {0: 'sentence'}
    """
    long = [answer for answer in answers if sum(sign.isalpha() for sign in answer) >= _FEWEST_LETTERS]
    num_ended = sum(bool(_FULL_STOP.search(answer.rstrip())) for answer in long)
    share = num_ended / len(long) if len(long) >= _FEWEST_ANSWERS else 0.0
    reasons = ((place, _open_end(answer, share)) for place, answer in enumerate(answers))
    return {place: reason for place, reason in reasons if reason}


def find_repetition(answer: str) -> list[Found]:
    """The stretch in which an answer says one phrase four times running or more, and little else.

    >>> [(one.start, one.end) for one in find_repetition("Yes: " + "press the red button " * 6)]
    [(5, 130)]
    """
    words = [(match.group().lower(), match.start(), match.end()) for match in re.finditer(r"\S+", answer)]
    if len(words) < 12:
        return _repetition_without_spaces(answer)
    plain = [word for word, _, _ in words]
    grams = Counter(zip(plain, plain[1:], plain[2:], strict=False))
    if grams and max(grams.values()) < 4:
        return _repetition_without_spaces(answer) if len(answer) > 12 * len(words) else []
    best = (0, 0)
    for period in range(1, min(40, len(plain) // 4) + 1):
        start = 0
        for at in range(period, len(plain) + 1):
            if at < len(plain) and plain[at] == plain[at - period]:
                continue
            length = at - start
            # Rows of figures repeat by nature; a word alone must come eight times, a phrase four.
            least = max(12, 8 if period == 1 else 4 * period)
            if (
                length >= least
                and length > best[1] - best[0]
                and re.search(r"[^\W\d_]{2}", " ".join(plain[start : start + period]))
            ):
                best = (start, at)
            start = at - period + 1
    if best[1] == 0:
        return []
    return [Found("repeated", words[best[0]][1], words[best[1] - 1][2], 0.9, "phrase")]


def find_template(text: str) -> list[Found]:
    """Marks of a template that was never filled in, of a chat format, or of the model that wrote the answer.

    Inside code, braces and `TODO` are code.

    >>> [one.sort for one in find_template("Dear {{name}}, as an AI language model, I cannot.<|im_end|>")]
    ['placeholder', 'refusal', 'chat-mark']
    """
    code = [block.span() for block in _CODE.finditer(text)] if "`" in text else []
    found = []
    for sort, form in _TEMPLATE:
        for match in form.finditer(text):
            is_code = any(start <= match.start() < end for start, end in code)
            if not is_code or sort == "chat-mark":
                found.append(Found("template", match.start(), match.end(), 0.9, sort))
    return settled(found)


def _open_end(answer: str, share_ended: float) -> str:
    stripped = answer.rstrip()
    if len(_FENCE.findall(stripped)) % 2:
        return "fence"
    if _has_open_bracket(stripped):
        return "bracket"
    if share_ended < _LEAST_SHARE_BY_WORD or _END.search(stripped):
        return ""
    num_letters = sum(sign.isalpha() for sign in stripped)
    if _NEVER_LAST.search(stripped) and num_letters >= _FEWEST_LETTERS_BY_WORD:
        return "sentence"
    last_line = stripped.rpartition("\n")[2]
    # A short last line below others is a name or a heading.
    is_signature = "\n" in stripped and len(last_line.split()) <= 4
    is_list = bool(_NO_SENTENCE.search(last_line) or _INLINE_LIST.search(last_line[-200:]))
    is_short = num_letters < _FEWEST_LETTERS
    return "" if share_ended < _LEAST_SHARE or is_short or is_signature or is_list else "sentence"


def _has_open_bracket(text: str) -> bool:
    """Whether a bracket near the end is never closed. Smileys and `a)` are no brackets, code is not looked into."""
    rest = _SMILEY.sub(" ", _CODE.sub(" ", text))
    stack: list[int] = []
    for place, sign in enumerate(rest):
        if sign in _OPENERS:
            stack.append(place)
        elif sign in _CLOSERS and stack and _OPENERS[_CLOSERS.index(sign)] == rest[stack[-1]]:
            stack.pop()
    return bool(stack) and len(rest) - stack[-1] < 300 and not _FULL_STOP.search(text) and len(rest.split()) > 3


def _repetition_without_spaces(answer: str) -> list[Found]:
    """Loops in scripts without spaces, or in one endless word."""
    match = _NO_SPACES.search(answer) if len(answer) <= 20000 and not answer.isspace() else None
    if match is None or match.end() - match.start() < 20 or not re.search(r"[^\W\d_]", match.group(1)):
        return []
    return [Found("repeated", match.start(), match.end(), 0.8, "signs")]
