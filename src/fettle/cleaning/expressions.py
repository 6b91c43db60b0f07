"""A small language that says which rows are meant: `label in ["refund", "late"] and words < 200`.

    EXPRESSION  =  comparisons, joined by and, or, not and parentheses
    comparison  =  NAME OPERATOR VALUE      operators: = != < <= > >= in, not in, contains, matches
    VALUE       =  "text"  or  'text'  or  12.5  or  ["a", "b"] behind in  or  /regular expression/ behind matches

The parser is written by hand, and nothing is ever handed to Python to run. What a name means is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from fettle.errors import RequestError

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "matches"]
Constant: TypeAlias = str | float | tuple[str | float, ...]

_MOST_LETTERS = 4_000
_MOST_DEPTH = 40
_EXAMPLE = 'label = "refund" and words < 200'
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<number>[-+]?\d+(?:\.\d+)?(?![\w.-]))
  | (?P<quoted>`[^`]+`)
  | (?P<name>[^\W\d][\w.-]*)
  | (?P<sign>==|!=|<=|>=|[=<>()\[\],])
  )""",
    re.X | re.S,
)
_PATTERN = re.compile(r"\s*/((?:[^/\\]|\\.)*)/(i?)(?!\w)", re.S)
_WORDS = ("and", "or", "not", "in", "contains", "matches")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression as RE2 reads it: its time grows with the text and never runs away.

    There are no references back and no looking around, and `\\w`, `\\d` and `\\b` mean ASCII; `\\pL` is any letter.
    """

    source: str
    ignores_case: bool = False

    def found_in(self, texts: list[str]) -> list[bool]:
        """Whether each text holds a match.

        >>> Pattern("^a+$").found_in(["aaa", "aab"])
        [True, False]
        """
        # Arrow takes no half of a surrogate pair; what stands in its place matches no letter.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        column = pa.array(clean, pa.large_string())
        found: list[bool] = pc.match_substring_regex(column, self.source, ignore_case=self.ignores_case).to_pylist()
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """One name held against one value."""

    name: str
    operator: Operator
    value: Constant | Pattern


@dataclass(frozen=True, slots=True)
class Not:
    """What the part does not hold for."""

    part: Expression


@dataclass(frozen=True, slots=True)
class AllOf:
    """What every part holds for."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What at least one part holds for."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Comparison | Not | AllOf | AnyOf


def parse_expression(source: str) -> Expression:
    """Read an expression; a fault says at which character it stands.

    >>> parse_expression("words < 20")
    Comparison(name='words', operator='<', value=20.0)
    >>> parse_expression("label = refund")
    Traceback (most recent call last):
    ...
    fettle.errors.RequestError: label = refund: refund (character 9) is no value
      expected  "text" in quotes, a number, ["a", "b"] behind in, /regular expression/ behind matches
      try       label = "refund"
    """
    if len(source) > _MOST_LETTERS:
        raise RequestError(f"an expression of {len(source)} characters", expected=f"{_MOST_LETTERS} at most")
    return _Parser(source).whole()


def names_in(expression: Expression) -> Iterator[str]:
    """Every name that is compared.

    >>> sorted(set(names_in(parse_expression("words < 20 or not (words > 30 and part = 'test')"))))
    ['part', 'words']
    """
    match expression:
        case Comparison(name):
            yield name
        case Not(part):
            yield from names_in(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from names_in(part)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    written: str
    start: int
    end: int


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0

    def whole(self) -> Expression:
        found = self.any_of()
        token = self.peek()
        if token.kind != "end":
            raise self.fault(token, "stands where and, or or the end belongs", _EXAMPLE)
        return found

    def any_of(self) -> Expression:
        parts = [self.all_of()]
        while self.take("or"):
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def all_of(self) -> Expression:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def one(self) -> Expression:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise RequestError(f"parentheses {_MOST_DEPTH} deep", where=self.source, expected="a simpler expression")
        found: Expression
        if self.take("not"):
            found = Not(self.one())
        elif self.take("("):
            found = self.any_of()
            if not self.take(")"):
                raise self.fault(self.peek(), "stands where a closing parenthesis belongs", ")")
        else:
            found = self.comparison()
        self.depth -= 1
        return found

    def comparison(self) -> Comparison:
        token = self.peek()
        if token.kind not in ("name", "quoted") or token.written in _WORDS:
            raise self.fault(token, "is no name", f"a comparison: {_EXAMPLE}")
        self.at = token.end
        name = token.written.strip("`")
        operator = self.operator(name)
        if operator == "matches":
            return Comparison(name, operator, self.pattern())
        if operator in ("in", "not in"):
            return Comparison(name, operator, self.listed())
        return Comparison(name, operator, self.constant(f"{name} {operator} "))

    def operator(self, name: str) -> Operator:
        token = self.peek()
        known: dict[str, Operator] = {"==": "=", "=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
        known |= {"in": "in", "contains": "contains", "matches": "matches"}
        self.at = token.end
        if token.written == "not" and self.take("in"):
            return "not in"
        if token.kind in ("sign", "name") and token.written in known:
            return known[token.written]
        raise self.fault(
            token, f"stands where {name} is compared", "one of: = != < <= > >= in, not in, contains, matches"
        )

    def constant(self, before: str = "") -> str | float:
        token = self.peek()
        self.at = token.end
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.written[1:-1], flags=re.S)
        if token.kind == "number":
            return float(token.written)
        expected = '"text" in quotes, a number, ["a", "b"] behind in, /regular expression/ behind matches'
        attempt = f'{before}"{token.written}"' if token.kind == "name" else ""
        raise self.fault(token, "is no value", expected, attempt)

    def listed(self) -> tuple[str | float, ...]:
        if not self.take("["):
            raise self.fault(self.peek(), "stands where a list belongs", 'for example ["a", "b"]')
        values: list[str | float] = []
        while not self.take("]"):
            if values and not self.take(","):
                raise self.fault(self.peek(), "stands where a comma or ] belongs", 'for example ["a", "b"]')
            values.append(self.constant())
        return tuple(values)

    def pattern(self) -> Pattern:
        found = _PATTERN.match(self.source, self.at)
        if not found:
            raise self.fault(
                self.peek(),
                "is no regular expression",
                "one between slashes, /i to ignore case: text matches /refund/i",
            )
        self.at = found.end()
        pattern = Pattern(found[1].replace(r"\/", "/"), bool(found[2]))
        try:
            pattern.found_in([""])
        except pa.ArrowInvalid as problem:
            raise RequestError(
                f"/{found[1]}/ is no regular expression: {problem}",
                where=self.source,
                expected="the grammar of RE2: no references back, no looking around",
            ) from None
        return pattern

    def take(self, word: str) -> bool:
        token = self.peek()
        if token.written == word and token.kind in ("name", "sign"):
            self.at = token.end
            return True
        return False

    def peek(self) -> _Token:
        if not self.source[self.at :].strip():
            return _Token("end", "", len(self.source), len(self.source))
        found = _TOKEN.match(self.source, self.at)
        if not found:
            start = self.at + len(self.source[self.at :]) - len(self.source[self.at :].lstrip())
            return _Token("stray", self.source[start], start, start + 1)
        kind = str(found.lastgroup)
        return _Token(kind, found[kind], found.start(kind), found.end())

    def fault(self, token: _Token, problem: str, expected: str, attempt: str = "") -> RequestError:
        place = "the end" if token.kind == "end" else f"{token.written} (character {token.start + 1})"
        return RequestError(f"{place} {problem}", where=self.source, expected=expected, attempt=attempt)
