"""JSON lines (one object a line), and the .json file that is one array of objects.

JSON is read more strictly than the standard library does: a key given twice, NaN and Infinity, half a surrogate pair
and deep nesting are refused, because each means something else to every reader of the file. Most rows are plain, and a
fast reader takes those; whatever it cannot be sure of goes to the strict one, which alone says what is wrong.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from fettle.data.containers.opening import MAX_ROW_BYTES, decode_row, line_blocks, take_sample
from fettle.data.containers.protocol import BOM, QuarantineForm, RawRow, RefusedRow, Sample, refuse
from fettle.data.records import BadRecord
from fettle.data.streams.packed import open_file
from fettle.data.streams.source import File
from fettle.errors import RequestError

MAX_DEPTH = 64
MAX_ARRAY_BYTES = 1_000_000_000
"""An array is read whole, and takes one to four times its size in memory."""

MAX_BROKEN_ELEMENTS = 1_000
"""An array with more is given up as a whole: to find the place of each fault costs a pass over the file."""

MAX_INTEGER_CHARACTERS = sys.int_info.default_max_str_digits
"""Python reads no longer ones, nor does the fast reader; the number is named before that happens."""

_SAMPLED_LINES = 50
_BLANKS = re.compile(r"[ \t\r\n]*")
_BLANK_BEFORE_COLON = re.compile(rb'"[ \t\r\n]+:')


class JsonLines:
    """A .jsonl, .ndjson or .json file."""

    name = "json_lines"

    def recognise(self, sample: Sample) -> str | None:
        lines = sample.lines()
        if not lines:
            return None
        if _is_array(sample):
            return "a JSON array of objects"
        if 2 * _num_objects(lines) < len(lines) and not (
            lines[0].lstrip().startswith(b"{") and sample.suffix in (".json", ".jsonl", ".ndjson")
        ):
            return None
        keys: dict[str, None] = {}
        for line in lines[:_SAMPLED_LINES]:
            try:
                keys.update(dict.fromkeys(decode_object(decode_row(line))))
            except BadRecord:
                continue
        return f"JSON lines with the keys ({', '.join(list(keys)[:8])}{', ...' if len(keys) > 8 else ''})"

    def read(self, path: File) -> Iterator[RawRow | RefusedRow]:
        sample = take_sample(path)
        if _is_array(sample):
            yield from _read_array(path)
            return
        lines = sample.lines()
        if 2 * _num_objects(lines) < len(lines) and lines[0].strip() == b"{":
            raise RequestError(
                "the file is one JSON object over several lines",
                where=str(path),
                expected="one object a line, or one array of objects",
                attempt="wrap the examples in [ and ], with commas between them",
            )
        for first, block in line_blocks(path):
            for number, line in enumerate(block, start=first):
                raw = line.strip(b" \t\r\n")
                if not raw:
                    continue
                fields = certain_object(raw)
                if fields is not None:
                    yield RawRow(number, fields, raw)
                    continue
                try:
                    yield RawRow(number, decode_object(decode_row(raw)), raw)
                except BadRecord as bad:
                    yield refuse(path, number, raw, bad)

    def quarantine_form(self, path: File) -> QuarantineForm:
        return QuarantineForm(".jsonl")


_plain_object = msgspec.json.Decoder(dict[str, object]).decode


def certain_object(raw: bytes) -> dict[str, object] | None:
    """Read one JSON object fast, or not at all. Law: what it gives, the strict reader gives too.

    The fast reader refuses all that the strict one does but keys given twice and deep nesting. A key ends with a quote
    and a colon, so no more keys were written than there are such places; as many decoded keys means that none was lost.

    >>> certain_object(b'{"a": 1}'), certain_object(b'{"a": 1, "a": 2}')
    ({'a': 1}, None)
    """
    if len(raw) > MAX_ROW_BYTES:
        return None
    try:
        value = _plain_object(raw)
    except (ValueError, RecursionError):
        return None
    num_keys = _num_keys(value)
    if raw.count(b":") == num_keys:
        return value
    has_blanks = b" :" in raw or b"\t" in raw or b"\n" in raw or b"\r" in raw
    if (not has_blanks and raw.count(b'":') == num_keys) or _most_keys(raw) == num_keys:
        return value
    return None


def _num_keys(value: dict[str, object]) -> int:
    """How many keys stand in a value, those of its inner objects too; -1 where it is nested too deeply."""
    num_keys, depth = 0, 0
    level: list[dict[str, object] | list[object]] = [value]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return -1
        below: list[dict[str, object] | list[object]] = []
        for item in level:
            children: Iterable[object] = item
            if item.__class__ is dict:
                num_keys += len(item)
                children = item.values()
            below.extend([child for child in children if child.__class__ is dict or child.__class__ is list])
        level = below
    return num_keys


def _most_keys(raw: bytes) -> int:
    """No more keys than this were written, escaped quotes inside strings (JSON within JSON) left out of the count.

    A quote after a backslash ends a key only where the backslash is itself escaped.
    """
    escaped = raw.count(b'\\":') - raw.count(b'\\\\":')
    return raw.count(b'":') - escaped + len(_BLANK_BEFORE_COLON.findall(raw))


def decode_object(text: str) -> dict[str, object]:
    """Read one JSON object, strictly.

    >>> decode_object('{"a": 1}')
    {'a': 1}
    """
    try:
        value, end = _decoder.raw_decode(text, _skip_blanks(text, 0))
        beyond = _skip_blanks(text, end)
        if beyond != len(text):
            raise json.JSONDecodeError("Extra data", text, beyond)
    except json.JSONDecodeError as error:
        raise _syntax_fault(error, 0) from error
    except RecursionError as error:
        raise _too_deep() from error
    return _checked_object(value, text)


def _checked_object(value: object, text: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadRecord(
            "the row is no JSON object", expected='an object: {"text": "...", ...}', attempt="name the keys"
        )
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise BadRecord(
                "the row holds half a surrogate pair (a \\ud8xx escape without its other half)",
                expected="whole characters",
                attempt="remove the escape, or write the character itself",
            ) from error
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keyed = dict(pairs)
    if len(keyed) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise BadRecord(f"the key {twice!r} is given twice", expected="each key once", attempt="remove one of them")
    return keyed


def _refuse_constant(name: str) -> float:
    raise BadRecord(f"{name} is no JSON", expected="finite numbers", attempt="write null, or leave the row out")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse_constant(f"the number {digits[:20]}, which is infinite,")


def _whole(digits: str) -> int:
    if len(digits) > MAX_INTEGER_CHARACTERS:
        raise BadRecord(
            f"a number has {len(digits)} digits", expected=f"numbers of at most {MAX_INTEGER_CHARACTERS:,} digits"
        )
    return int(digits)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
)


def _depth(value: object) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        children = list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else None
        if children is not None:
            deepest = max(deepest, depth)
            waiting += [(child, depth + 1) for child in children]
    return deepest


def _too_deep() -> BadRecord:
    return BadRecord("the row is nested too deeply", expected=f"at most {MAX_DEPTH} objects and lists in one another")


def _syntax_fault(error: json.JSONDecodeError, start: int) -> BadRecord:
    return BadRecord(
        f"not JSON at character {error.pos - start + 1}: {error.msg[:1].lower()}{error.msg[1:]}",
        expected='one whole object: {"text": "...", ...}',
        attempt="mend the row, or leave it out",
    )


def _skip_blanks(text: str, start: int) -> int:
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def _num_objects(lines: list[bytes]) -> int:
    return sum(line.lstrip().startswith(b"{") for line in lines)


def _is_array(sample: Sample) -> bool:
    """Whether the file is one array. Lines that are arrays each are JSON lines, and each is refused for itself."""
    lines = sample.lines()
    first = lines[0].strip() if lines else b""
    if not first.startswith(b"["):
        return False
    num_objects = sum(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines)
    if 2 * num_objects > len(lines):
        return False
    # One whole array that more lines follow is a row of JSON lines.
    return len(lines) == 1 or not _is_whole_json(first)


def _is_whole_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_array(path: File) -> Iterator[RawRow | RefusedRow]:
    """The elements of one array. An element that is no JSON costs itself, and reading goes on at the next one.

    The file is read whole, since an array has no lines. Bytes that are no UTF-8 travel as surrogates through the
    decoding, so that they spoil only the element in which they stand.
    """
    with open_file(path) as file:
        data = file.read(MAX_ARRAY_BYTES + 1)
    if len(data) > MAX_ARRAY_BYTES:
        raise RequestError(
            f"the array is larger than {MAX_ARRAY_BYTES // 1_000_000} MB",
            where=str(path),
            expected="an array that fits into memory, or one object a line, of which there may be any number",
            attempt="write the examples as JSON lines",
        )
    text = data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    del data
    opening = _skip_blanks(text, 0)
    position, line, line_start, counted, num_broken = opening + 1, 1, 0, 0, 0
    while True:
        position = _skip_blanks(text, position)
        if text[position : position + 1] == ",":
            position += 1
            continue
        line += text.count("\n", counted, position)
        line_start = max(line_start, text.rfind("\n", counted, position) + 1)
        counted = position
        if position >= len(text) or text[position] == "]":
            break
        value, end, bad = _take(text, line_start, position)
        num_broken += bad is not None
        if num_broken > MAX_BROKEN_ELEMENTS:
            raise RequestError(
                f"more than {MAX_BROKEN_ELEMENTS:,} elements of the array are broken",
                where=f"{path}:{line}",
                expected="one array of objects",
                attempt="write the examples as JSON lines, one object a line",
            )
        yield _element(path, line, text[position:end], value, bad)
        position = end
    rest = text[_skip_blanks(text, position + 1) :]
    if position >= len(text):
        unclosed = BadRecord(
            "the file ends before its array does", expected="a closing ]", attempt="find what is missing"
        )
        yield refuse(path, line, b"", unclosed)
    elif rest:
        beyond = BadRecord("there is more after the end of the array", expected="one array of objects in the file")
        yield refuse(path, line, _one_line(rest), beyond)


def _take(text: str, line_start: int, position: int) -> tuple[object, int, BadRecord | None]:
    """The element at `position`, where it ends, and what is wrong with it; a broken one has no value."""
    try:
        value, end = _decoder.raw_decode(text, position)
    except json.JSONDecodeError as error:
        return None, _next_element(text, line_start, position, error.pos), _syntax_fault(error, position)
    except RecursionError:
        return None, _next_element(text, line_start, position, position), _too_deep()
    except BadRecord as error:
        return None, _end_of_element(text, line_start, position), error
    return value, end, None


def _element(path: File, line: int, text: str, value: object, bad: BadRecord | None) -> RawRow | RefusedRow:
    raw = _one_line(text)
    try:
        decode_row(raw)
        if bad is not None:
            raise bad
        return RawRow(line, _checked_object(value, text), raw)
    except BadRecord as error:
        return refuse(path, line, raw, error)


def _one_line(text: str) -> bytes:
    # A line feed inside a JSON string is written \n: those that stand there plainly are layout and may be blanks.
    pieces = (piece.strip(" \t\r") for piece in text.rstrip(" \t\r\n,").split("\n"))
    line = " ".join(piece for piece in pieces if piece)
    return line.encode("utf-8", "surrogateescape")[: MAX_ROW_BYTES + 1]


def _end_of_element(text: str, line_start: int, start: int) -> int:
    """Where an element that is JSON, but refused, ends."""
    try:
        return json.JSONDecoder().raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return _next_element(text, line_start, start, start)


def _next_element(text: str, line_start: int, start: int, broken: int) -> int:
    """Where the element after a broken one begins: an opening brace at the same indentation, or after `},`.

    Trap: on one line, a string that is never closed runs into the element after it. That one then stays part of the
    broken one, and both go into quarantine: to split there would cut lists of objects apart.
    """
    margin = text[line_start:start]
    if margin.strip() or line_start == 0:
        following = re.compile(r"\}\s*,\s*(?=\{)").search(text, broken)
    else:
        following = re.compile(rf"\n{margin}(?=\{{)").search(text, broken)
    if following:
        return following.end()
    closing = text.rfind("]", broken)
    return closing if closing > broken else len(text)
