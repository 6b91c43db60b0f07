"""Which language a text is in, as far as its length lets anybody say so.

Short texts of one language look like another by chance, so a verdict asks for length, for a margin, and for a language
that is common enough to be worth a guess. A script that no word of the expected language uses needs no statistics.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

LANGUAGES = (
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "te", "th",
    "tr", "uk", "ur", "vi", "zh",
)  # fmt: skip
"""The languages that are told apart; rarer ones would be guessed wrongly more often than met."""

_FEWEST_LETTERS = 12
_LEAST_CONFIDENCE = 0.5
# What the main language may have left: near siblings share most of their words.
_LARGEST_RIVAL, _LARGEST_SIBLING = 0.05, 0.005
_SIBLINGS = ({"da", "no", "sv"}, {"bg", "hr", "sl", "sr"}, {"cs", "sk"}, {"es", "pt", "it"}, {"de", "nl"}, {"ru", "uk"})
_NOT_WORDS = re.compile(r"https?://\S+|\S+@\S+|<[^>]*>|[\d_]+|`[^`]*`")
_SCRIPTS = {
    "latin": "[A-Za-z\u00c0-\u024f\u1e00-\u1eff]",
    "cyrillic": "[\u0400-\u052f]",
    "greek": "[\u0370-\u03ff\u1f00-\u1fff]",
    "arabic": "[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff]",
    "hebrew": "[\u0590-\u05ff]",
    "devanagari": "[\u0900-\u097f]",
    "bengali": "[\u0980-\u09ff]",
    "tamil": "[\u0b80-\u0bff]",
    "telugu": "[\u0c00-\u0c7f]",
    "thai": "[\u0e00-\u0e7f]",
    "hangul": "[\uac00-\ud7af\u1100-\u11ff]",
    "kana": "[\u3040-\u30ff]",
    "han": "[\u4e00-\u9fff\u3400-\u4dbf]",
}
_SCRIPT_FORMS = {script: re.compile(form) for script, form in _SCRIPTS.items()}
_SCRIPTS_OF = {
    "ar": {"arabic"},
    "fa": {"arabic"},
    "ur": {"arabic"},
    "he": {"hebrew"},
    "el": {"greek"},
    "hi": {"devanagari"},
    "bn": {"bengali"},
    "ta": {"tamil"},
    "te": {"telugu"},
    "th": {"thai"},
    "ko": {"hangul", "han"},
    "ja": {"kana", "han"},
    "zh": {"han"},
    "bg": {"cyrillic"},
    "ru": {"cyrillic"},
    "uk": {"cyrillic"},
    "sr": {"cyrillic", "latin"},
}
_LANGUAGE_OF_SCRIPT = {
    "cyrillic": "ru",
    "greek": "el",
    "arabic": "ar",
    "hebrew": "he",
    "devanagari": "hi",
    "bengali": "bn",
    "tamil": "ta",
    "telugu": "te",
    "thai": "th",
    "hangul": "ko",
    "kana": "ja",
    "han": "zh",
}


def language_of(text: str) -> tuple[str, float]:
    """The likeliest language and its share of the trust, 0 to 1; an empty name where there are no words.

    >>> language_of("Wo ist meine Karte geblieben? Ich warte seit zwei Wochen.")[0]
    'de'
    """
    words = _words(text)
    if not words:
        return "", 0.0
    language, confidence = _identifier().classify(words)
    return str(language), float(confidence)


def main_language(texts: Sequence[str], most_texts: int = 400) -> str:
    """The language of most of the longer texts, from an even sample; empty where there is no text.

    >>> main_language(["the card did not arrive yet", "I would like to close it please", "merci beaucoup"])
    'en'
    """
    longer = sorted(texts, key=len, reverse=True)[: max(len(texts) // 2, 20)]
    sample = longer[:: max(1, len(longer) // most_texts)][:most_texts]
    votes = Counter(language for language, _ in map(language_of, sample) if language)
    return max(votes, key=lambda language: (votes[language], language)) if votes else ""


def is_foreign(text: str, main: str) -> str:
    """The language that a text is in, where that is surely another than `main`; empty otherwise.

    Trap: a name, a quotation or a loan word makes a short text look foreign; texts below a dozen letters are
    judged by their script alone.

    >>> is_foreign("Wo ist meine Karte geblieben? Ich warte seit zwei Wochen.", "en"), is_foreign("c'est la vie", "en")
    ('de', '')
    """
    words = _words(text)
    script = _foreign_script(words, main)
    if script:
        guess, confidence = _identifier().classify(words)
        return (
            str(guess)
            if confidence > 0.5 and script in _SCRIPTS_OF.get(str(guess), {"latin"})
            else script_language(script, main)
        )
    if sum(sign.isalpha() for sign in words) < _FEWEST_LETTERS:
        return ""
    ranked = dict(_identifier().rank(words))
    best = max(ranked, key=lambda language: ranked[language])
    are_siblings = any({best, main} <= family for family in _SIBLINGS)
    rival = _LARGEST_SIBLING if are_siblings else _LARGEST_RIVAL
    is_sure = best != main and ranked[best] >= _LEAST_CONFIDENCE and ranked.get(main, 0.0) <= rival
    return str(best) if is_sure else ""


def script_language(script: str, main: str) -> str:
    """The language that a script most often writes; Latin script stands for English, unless that is the main one."""
    return _LANGUAGE_OF_SCRIPT.get(script, "en" if main != "en" else "fr")


def _foreign_script(words: str, main: str) -> str:
    """A script with two thirds of the letters, six and more, that the main language is not written in.

    Latin letters in a text of another script are names and terms too often to say anything.
    """
    counts = {script: len(form.findall(words)) for script, form in _SCRIPT_FORMS.items()}
    total = sum(counts.values())
    if not total:
        return ""
    largest = max(counts, key=lambda script: counts[script])
    is_strange = largest not in _SCRIPTS_OF.get(main, {"latin"}) and largest != "latin"
    least = 3 if largest in ("han", "kana", "hangul") else 6
    return largest if is_strange and counts[largest] >= least and 3 * counts[largest] >= 2 * total else ""


def _words(text: str) -> str:
    return " ".join(_NOT_WORDS.sub(" ", text).split())


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier
