"""JSON as RFC 8259 has it: texts made from its grammar, and texts that break one rule each. Both readers are asked.

Beyond the grammar fettle refuses what readers of JSON do not agree on: keys given twice, numbers beyond a double, half
surrogate pairs, NUL bytes, deep nesting, and rows that are no objects.
"""

from __future__ import annotations

import itertools
import json

import pytest

from fettle.data.containers.json_lines import JsonLines, certain_object, decode_object
from fettle.data.containers.opening import decode_row
from fettle.data.containers.protocol import RawRow, RefusedRow
from fettle.data.records import BadRecord

# The rules of the grammar, each with texts that it makes.
BLANKS = ("", " ", "\t", "\r", "  \t ")
LITERALS = ("true", "false", "null")
INTEGERS = ("0", "-0", "7", "-12", "10", "9007199254740993", "123456789012345678901234567890", "9" * 4_300)
FRACTIONS = ("0.5", "-0.0", "1.50", "0.1000000000000000055", "12.3456789e0", "0." + "1" * 5_000)
EXPONENTS = ("1e5", "1E5", "1e+5", "1E-5", "-0e-0", "0e99", "1.5e308", "2.5e-324", "1e-400")
NUMBERS = (*INTEGERS, *FRACTIONS, *EXPONENTS)
ESCAPES = (r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t")
CODES = (r"\u0041", r"\u00e9", r"\u00E9", r"\u0000", r"\u001f", r"\ud83d\ude00", r"\uD834\uDD1E", r"\uffff", r"\u2028")
PLAIN = (
    " ",
    "!",
    "#",
    "[",
    "]",
    "~",
    "\x7f",
    "\x80",
    "é",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\U0001f600",
    "\U0010ffff",
    "//",
    "'",
)
STRINGS = tuple(f'"{inside}"' for inside in ("", *ESCAPES, *CODES, *PLAIN, "".join(ESCAPES), "".join(CODES)))
ARRAYS = ("[]", "[ ]", "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", '[{},"",null]', "[[[[[[]]]]]]", "[" * 62 + "]" * 62)
OBJECTS = ("{}", "{ }", '{"":0}', '{"b":{"b":1}}', '{"b":1,"c":2}', '{ "b" : 1 , "c" : 2 }', '{"a":{"a":{}}}')
VALUES = (*LITERALS, *NUMBERS, *STRINGS, *ARRAYS, *OBJECTS)

ACCEPTED = [
    *OBJECTS,
    *(f'{{"a":{value}}}' for value in VALUES),
    *(f"{{{string}:1}}" for string in STRINGS),
    *(f'{one}{{{other}"a"{one}:{other}1{one}}}{other}' for one, other in itertools.product(BLANKS, repeat=2)),
    *(f'{{"a":{one},"b":[{one},{other}]}}' for one, other in zip(VALUES, reversed(VALUES), strict=True)),
]

BAD_LITERALS = (
    "True",
    "NULL",
    "nul",
    "truee",
    "fals",
    "none",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "inf",
)
BAD_NUMBERS = (
    *("+1", "01", "-01", "00", "1.", ".5", "-.5", "-", "--1", "1e", "1e+", "1E-", "1.e5", "1.5.5", "1e5.5", "0x1F"),
    *("1_000", "1,000", "1 000", "0b1", "1f", "1e5e5", "- 1", "1e 5", "\uff11", "\u0661", "1\u00a0"),
)
BEYOND_A_DOUBLE = ("1e309", "-1e309", "1e999", "9" * 400 + ".0", "1" + "0" * 308 + "e1", "9" * 4_301)
BAD_STRINGS = (
    *('"', '"a', 'a"', "'a'", "a", '"a""b"', '"a"b', '"\\"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\\U0041"', '"\\a"'),
    *('"\\0"', '"\\\'"', '"\\ "', '"\\u"', '"\\u-123"', '"\\u 123"', '"\\é"', "`a`", "\u201ca\u201d", '"\\\n"'),
    *(f'"{chr(code)}"' for code in range(32)),
)
HALF_PAIRS = (
    r'"\ud800"',
    r'"\udbff"',
    r'"\udc00"',
    r'"\udfff"',
    r'"\ud83d\u0041"',
    r'"\ude00\ud83d"',
    r'"\ud83d\ud83d"',
)
BAD_ARRAYS = (
    "[",
    "]",
    "[1",
    "1]",
    "[,]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[1;2]",
    "[1,2",
    "[[]",
    "[]]",
    "[}",
    "(1)",
    "[1:2]",
)
BAD_OBJECTS = (
    *("{", "}", "{a:1}", '{"a"}', '{"a":}', "{:1}", '{"a" 1}', '{"a"=1}', '{"a":1,}', '{,"a":1}', '{"a":1,,"b":2}'),
    *('{"a":1 "b":2}', '{"a":1;"b":2}', "{1:1}", "{null:1}", "{'a':1}", '{"a"::1}', '{"a":1:2}', '{"a":1]', "{[]:1}"),
    *('{"a":1}}', '{{"a":1}', '{"a":1}{"b":2}', '{"a":1},', '{"a":1} x', '{"a":1}//c', '{"a":1}/**/', '/**/{"a":1}'),
    *('{"a":/**/1}', '#c\n{"a":1}', '{"a":1}#', '{"a":1};', 'x{"a":1}', '\ufeff{"a":1}', '{"a":1}\ufeff', "{...}"),
)
BAD_BLANKS = ("\x0b", "\x0c", "\u00a0", "\u2003", "\u2028", "\u3000", "\x00", "\x1f", "\u200b", "\ufeff")
TWICE = (
    *('{"a":1,"a":1}', '{"a":1,"b":2,"a":3}', '{"a":1,"\\u0061":2}', '{"b":{"a":1,"a":2}}', '{"b":[{"a":1,"a":2}]}'),
    *('{"":1,"":2}', '{"a" :1,"a":2}', '{"a":":","a":2}', '{"\\"":1,"\\"":2}', '{"\\\\":1,"\\\\":2}'),
)
NO_OBJECTS = (*LITERALS, *INTEGERS[:4], *STRINGS[:4], *ARRAYS[:6])
TOO_DEEP = (
    '{"a":' * 65 + "1" + "}" * 65,
    '{"a":' + "[" * 64 + "]" * 64 + "}",
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"a":' * 100_000 + "1" + "}" * 100_000,
)
WRONG_VALUES = (*BAD_LITERALS, *BAD_NUMBERS, *BEYOND_A_DOUBLE, *BAD_STRINGS, *HALF_PAIRS, *BAD_ARRAYS)

REFUSED = [
    *(f'{{"a":{value}}}'.encode() for value in (*WRONG_VALUES, *BAD_OBJECTS)),
    *(f"{{{string}:1}}".encode() for string in (*BAD_STRINGS, *HALF_PAIRS)),
    *(text.encode() for text in (*BAD_OBJECTS, *TWICE, *NO_OBJECTS, *TOO_DEEP)),
    *(f'{{"a":{blank}1}}'.encode() for blank in BAD_BLANKS),
    *(f'{{"a"{blank}:1}}'.encode() for blank in BAD_BLANKS),
    *(
        b'{"a":"' + bad + b'"}'
        for bad in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80")
    ),
    *(
        b'{"' + bad + b'":1}'
        for bad in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82")
    ),
]


def strictly(raw: bytes) -> dict[str, object] | None:
    try:
        return decode_object(decode_row(raw))
    except BadRecord:
        return None


def test_there_are_texts_enough():
    assert len(set(ACCEPTED)) >= 100
    assert len(set(REFUSED)) >= 150


@pytest.mark.parametrize("part", range(8))
def test_what_the_grammar_makes_is_read_as_the_standard_reads_it(part):
    for text in ACCEPTED[part::8]:
        wanted = json.loads(text)
        assert repr(strictly(text.encode())) == repr(wanted), text
        assert repr(certain_object(text.encode())) in (repr(wanted), "None"), text


@pytest.mark.parametrize("part", range(8))
def test_what_breaks_a_rule_is_refused_by_both_readers(part):
    for raw in REFUSED[part::8]:
        assert strictly(raw) is None, raw[:100]
        assert certain_object(raw) is None, raw[:100]


def test_most_of_what_is_right_is_read_fast():
    fast = [text for text in ACCEPTED if certain_object(text.encode()) is not None]
    assert len(fast) > 0.9 * len(ACCEPTED)


def test_every_text_is_a_row_or_a_fault_of_its_line(tmp_path):
    lines = [*(text.encode() for text in ACCEPTED), *(raw for raw in REFUSED if b"\n" not in raw and b"\0" not in raw)]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    found = list(JsonLines().read(path))
    kinds = {row.line if isinstance(row, RawRow) else row.fault.line: type(row) for row in found}
    assert kinds == {
        number: RawRow if number <= len(ACCEPTED) else RefusedRow
        for number, line in enumerate(lines, start=1)
        if line.strip(b" \t\r")
    }
