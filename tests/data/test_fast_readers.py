"""The fast readers of JSON and of quoted cells: what they give the strict ones give too, or they give nothing."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.data.containers import json_lines, opening
from fettle.data.containers.json_lines import certain_object, decode_object
from fettle.data.containers.opening import decode_row, line_blocks, physical_lines
from fettle.data.containers.quoting import LineReader, records, split_cells
from fettle.data.records import BadRecord


def strictly(raw: bytes) -> dict[str, object] | None:
    """What the strict reader says; None where it refuses."""
    try:
        return decode_object(decode_row(raw))
    except BadRecord:
        return None


def check_law(raw: bytes) -> bool:
    """Whether the fast reader was certain; where it was, the strict one reads the same, to the kind of each number."""
    fast = certain_object(raw)
    if fast is None:
        return False
    # `repr` tells 1 from 1.0, 0.0 from -0.0 and one order of keys from another.
    assert repr(fast) == repr(strictly(raw)), raw
    return True


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['":', '": ', '\\":', '" :', "a\\", "\\\\", '{"a": 1}', '"', ":", "\t:", "\u2028", "\ud7ff", "\U0001f600"]
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 1e308, 5e-324, -0.0]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
LAYOUTS = st.sampled_from([(None, None), (",", ":"), (", ", " : "), (" ,", "\t:\r"), ("\n,", ":\n")])


@given(st.dictionaries(TEXTS, VALUES, max_size=5), LAYOUTS, st.booleans())
@settings(deadline=None, max_examples=300)
def test_what_is_certain_is_what_the_strict_reader_reads(value, layout, is_ascii):
    separators = None if layout[0] is None else layout
    check_law(json.dumps(value, ensure_ascii=is_ascii, separators=separators).encode())


MARKS = b'{ } [ ] , : " \\ \\" \\\\ \\u0041 \\ud83d \\ude00 \\udc00 \\n \\/ \\x a b null true NaN Infinity'
DIGITS = b"-0 0 1 01 1. .5 1e5 1E+400 -1e-400 1e 0.1 123456789012345678901234567890 1.7976931348623159e308"
WORDS = [
    *(*MARKS.split(), *DIGITS.split(), b"\xff", b"\xed\xa0\x80", b"\xc3\xa9"),
    *(
        b" ",
        b"\t",
        b"\n",
        b"\r",
        b"\x0b",
        b"\x0c",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xef\xbb\xbf",
        b"\xc2\xa0",
        b'":',
        b'" :',
    ),
    *(b'{"a":', b'"a":1', b'"a": 2', b'"b" :"', b'{"a":{"a":1}}', b'"a\\":', b'"a\\\\":', b'["a"]', b'"'),
]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(lambda words: b"{" + b"".join(words) + b"}"))
@settings(deadline=None, max_examples=1_000)
@example(b'{"a":1,"a":2}')
@example(b'{"a" :1,"a":2}')
@example(b'{"a\\\\":1,"a\\\\":2}')
@example(b'{"\\"a":1,"\\"a":2}')
@example(b'{"a":1,"a":2,"b\\\\":3}')
@example(b'{"a":1,"a":2,"b":"\\":"}')
@example(b'{"a\\"":1,"a\\"":2}')
@example(b'{"a":":","a" :":"}')
@example(b'{"a":{"b":1,"b":2}}')
@example(b'{"\\u0061":1,"a":2}')
def test_no_soup_of_marks_is_read_otherwise(raw):
    check_law(raw)


def test_changed_bytes_of_sound_rows_are_not_read_otherwise():
    rng = random.Random(7)
    rows = [
        b'{"messages": [{"role": "user", "content": "say \\"a\\": b"}, {"role": "assistant", "content": "1 : 2"}]}',
        b'{"text": "caf\xc3\xa9 \\u00e9", "label": "x", "n": -1.5e3, "deep": {"a": [1, {"b": null}]}}',
        b'{"name": "f", "arguments": "{\\"city\\": \\"Rome\\", \\"n\\": 1}"}',
    ]
    marks = b'"\\:{}[], \t0123456789eE+-.ntfu\x00\xff'
    num_certain = 0
    for _ in range(6_000):
        raw = bytearray(rng.choice(rows))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(raw))
            match rng.randrange(3):
                case 0:
                    raw[at] = rng.choice(marks)
                case 1:
                    del raw[at : at + rng.randrange(1, 12)]
                case _:
                    other = rng.randrange(len(raw))
                    raw[at:at] = raw[other : other + rng.randrange(1, 20)]
            if not raw:
                raw = bytearray(b"{}")
        num_certain += check_law(bytes(raw))
    assert num_certain > 2_000


@pytest.mark.parametrize(
    "raw",
    [
        b'{"messages": [{"role": "user", "content": "a: b"}, {"role": "assistant", "content": "say \\"so\\""}]}',
        b'{"arguments": "{\\"city\\": \\"Rome\\"}", "text": "a : b"}',
        b'{ "a" : 1 ,\t"b":\t[ ] }',
        b"{}",
        '{"text": "ünï \\ud83d\\ude00", "n": 123456789012345678901}'.encode(),
        b'{"a": ' * 64 + b"1" + b"}" * 64,
    ],
)
def test_plain_rows_are_certain(raw):
    assert check_law(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": [{"b": 1, "\\u0062": 1}]}',
        b'{"a": ' * 65 + b"1" + b"}" * 65,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud83d"}',
        b'{"a": "\xff"}',
        b'{"a": "\0"}',
        b"[1]",
        b"",
    ],
)
def test_what_is_refused_is_never_certain(raw):
    assert certain_object(raw) is None
    assert strictly(raw) is None


def test_a_row_over_the_limit_is_never_certain(monkeypatch):
    monkeypatch.setattr(json_lines, "MAX_ROW_BYTES", 10)
    assert certain_object(b'{"a": "aa"}') is None
    assert certain_object(b'{"a": "a"}') is not None


CELLS = st.lists(
    st.sampled_from(['"', '""', ",", ";", "a", " ", "\t", "\r", "\n", '"a"', "é", "\0", "\ud7ff", "'", "\\", "x" * 9]),
    max_size=12,
)


@given(CELLS.map("".join), st.sampled_from([",", "\t", ";", "|"]))
@settings(deadline=None, max_examples=1_000)
def test_cells_read_fast_are_the_cells(line, delimiter):
    found = LineReader(delimiter).cells(line.encode())
    if found is None:
        return
    if '"' in line:
        assert found == split_cells(line, delimiter)
        alone = list(records([(1, line.encode() + b"\n")], delimiter))
        assert [record.is_sound for record in alone] == [True]


@given(st.lists(CELLS.map("".join), max_size=6))
@settings(deadline=None, max_examples=200)
def test_one_reader_forgets_one_line_before_the_next(lines):
    reader = LineReader(",")
    assert [reader.cells(line.encode()) for line in lines] == [LineReader(",").cells(line.encode()) for line in lines]


def test_sound_quotes_are_read_fast_and_unsound_ones_never():
    reader = LineReader(",")
    assert reader.cells(b'"a, ""b""",c,5" screen,') == ['a, "b"', "c", '5" screen', ""]
    assert reader.cells(b'"' + b"x" * 200_000 + b'",y') is None
    for line in (b'"open,a', b'"shut" late,a', b'"a\0"', b'"\xff"', b'"two\nlines"'):
        assert reader.cells(line) is None


PIECES = st.lists(
    st.sampled_from([b"a", b"\n", b"\r\n", b"\r", b"bcd" * 5, b"\x0b", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\0"]),
    max_size=30,
)


@given(PIECES, st.integers(1, 9), st.booleans())
@settings(deadline=None, max_examples=200)
def test_blocks_of_any_size_hold_the_same_lines(tmp_path_factory, pieces, block_bytes, has_mark):
    written = b"\xef\xbb\xbf" * has_mark + b"".join(pieces)
    data = written.removeprefix(b"\xef\xbb\xbf")
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_bytes(written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", max(3, block_bytes))
        found = list(physical_lines(path))
    assert b"".join(line for _, line in found) == data
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert all(line.endswith(b"\n") for _, line in found[:-1])
    assert all(line.count(b"\n") <= 1 for _, line in found)


def test_a_line_without_end_takes_the_memory_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "MAX_ROW_BYTES", 1_000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 30_000_000 + b"\nlast\n")
    tracemalloc.start()
    try:
        assert [number for number, _ in physical_lines(path)] == [1, 2]
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_line_without_end_is_held_no_longer_than_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(opening, "MAX_ROW_BYTES", 50)
    monkeypatch.setattr(opening, "BLOCK_BYTES", 16)
    path = tmp_path / "a.txt"
    path.write_bytes(b"first\n" + b"x" * 1_000 + b"\nlast\n" + b"y" * 1_000)
    assert [line for _, lines in line_blocks(path) for line in lines] == [b"first\n", b"x" * 51, b"last\n", b"y" * 51]
