"""Files of word vectors in all their forms: read as they were written, and what is wrong with them said by line."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

import fettle.models.vectors.reading as reading
from fettle.errors import RequestError
from fettle.models.vectors.reading import VectorFile, read_vectors

SETTINGS = settings(deadline=None)
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
# Words as files hold them: neither blanks nor line ends, and not what Python calls a blank word.
WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def lines_of(words: list[str], vectors: Floats, end: str = "\n", mark: str = " ") -> str:
    rows = (mark.join([word, *map(repr, map(float, row))]) for word, row in zip(words, vectors, strict=True))
    return "".join(row + end for row in rows)


def header_of(vectors: Floats) -> str:
    return f"{vectors.shape[0]} {vectors.shape[1]}\n"


def glove(words: list[str], vectors: Floats) -> bytes:
    return lines_of(words, vectors).encode()


def word2vec_text(words: list[str], vectors: Floats) -> bytes:
    return (header_of(vectors) + lines_of(words, vectors, " \n")).encode()


def windows_with_tabs(words: list[str], vectors: Floats) -> bytes:
    return b"\xef\xbb\xbf" + (header_of(vectors) + lines_of(words, vectors, "\r\n", "\t")).encode()


def word2vec_binary(words: list[str], vectors: Floats) -> bytes:
    entries = (word.encode() + b" " + row.astype("<f4").tobytes() for word, row in zip(words, vectors, strict=True))
    return header_of(vectors).encode() + b"\n".join(entries) + b"\n"


def read(content: bytes, most: int = 1000) -> VectorFile:
    return read_vectors(io.BytesIO(content), "vectors.txt", most)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], Floats]:
    words = draw(st.lists(WORD, min_size=1, max_size=12, unique=True))
    size = draw(st.integers(2, 6))
    return words, draw(nps.arrays(np.float32, (len(words), size), elements=NUMBERS))


@pytest.mark.parametrize("write", [glove, word2vec_text, windows_with_tabs, word2vec_binary])
@SETTINGS
@given(table=tables())
def test_what_was_written_is_read(write: Callable[[list[str], Floats], bytes], table: tuple[list[str], Floats]) -> None:
    words, vectors = table
    found = read(write(words, vectors))
    assert found.words == words
    assert np.array_equal(found.vectors_VD, vectors)
    assert (found.num_refused, found.faults) == (0, [])


@pytest.mark.parametrize("write", [glove, word2vec_text, word2vec_binary])
@pytest.mark.parametrize("block", [100, 300, 1000])
def test_blocks_of_any_size_give_the_same(
    write: Callable[[list[str], Floats], bytes], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"w{number}" for number in range(60)]
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    content = write(words, vectors)
    monkeypatch.setattr(reading, "_BLOCK_BYTES", block)
    found = read(content)
    assert found.words == words and np.array_equal(found.vectors_VD, vectors)


@pytest.mark.parametrize("write", [glove, word2vec_text, word2vec_binary])
@pytest.mark.parametrize("most", [1, 7, 59, 60, 61])
def test_the_first_words_are_kept(write: Callable[[list[str], Floats], bytes], most: int) -> None:
    words = [f"w{number}" for number in range(60)]
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    found = read(write(words, vectors), most)
    assert found.words == words[:most] and np.array_equal(found.vectors_VD, vectors[:most])


BAD_LINES = {
    "another length": (b"bad 1 2\n", "2 numbers end the line where others have 3"),
    "longer": (b"bad 1 2 3 4\n", "4 numbers end the line where others have 3"),
    "no number": (b"bad 1 x 3\n", "1 numbers end the line where others have 3"),
    "not a number": (b"bad 1 nan 3\n", "no finite number"),
    "infinite": (b"bad 1 -inf 3\n", "no finite number"),
    "too large": (b"bad 1 1e39 3\n", "no finite number"),
    "no UTF-8": (b"b\xe4d 1 2 3\n", "is not UTF-8"),
    "twice": (b"first 7 8 9\n", "a second time"),
    "no word": (b" 1 2 3\n", "no word"),
}


@pytest.mark.parametrize("name", BAD_LINES)
@pytest.mark.parametrize("head", [b"", b"4 3\n"])
def test_a_bad_line_is_left_out_and_told_by_its_line(name: str, head: bytes) -> None:
    line, problem = BAD_LINES[name]
    found = read(head + b"first 1 2 3\nsecond 4 5 6\n" + line + b"last 7 8 9\n")
    assert found.words == ["first", "second", "last"]
    assert found.vectors_VD.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert found.num_refused == 1
    [fault] = found.faults
    assert problem in fault.problem
    assert (fault.file, fault.line) == ("vectors.txt", 3 + bool(head))
    assert fault.expected and fault.attempt


def test_words_may_hold_blanks() -> None:
    found = read(b"the 1 2 3\n. . . 4 5 6\nat name@domain.com 7 8 9\n")
    assert found.words == ["the", ". . .", "at name@domain.com"]
    assert found.vectors_VD[1:].tolist() == [[4, 5, 6], [7, 8, 9]]


def test_every_bad_line_is_counted_and_some_are_kept_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_FAULTS_KEPT", 5)
    found = read(b"good 1 2 3\n" * 40 + b"other 1 2 3\n")
    assert found.words == ["good", "other"]
    assert found.num_refused == 39
    assert [fault.line for fault in found.faults] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("write", [word2vec_text, word2vec_binary])
def test_a_file_that_is_cut_off_is_refused(write: Callable[[list[str], Floats], bytes]) -> None:
    words = [f"w{number}" for number in range(20)]
    content = write(words, np.ones((20, 3), np.float32))
    half = content[: content.index(b"w10")]
    with pytest.raises(RequestError, match="ends after 10 of 20 vectors"):
        read(half)
    assert len(read(half, 10).words) == 10


def test_lines_beyond_what_the_header_promises_are_read_and_bytes_are_told() -> None:
    assert len(read(b"1 3\na 1 2 3\nb 1 2 3\n").words) == 2
    content = word2vec_binary(["a", "b"], np.ones((2, 3), np.float32)) + b"more"
    assert "bytes follow" in read(content).faults[0].problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"It was a dark night.\nAnd so on.\n",
        b"\xff\xfet\x00h\x00",
        b"400000 300\n",
        b"5 3\n" + b"\x00" * 90_000,
    ],
)
def test_what_is_no_file_of_vectors_is_refused(content: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read(content)
    assert caught.value.where.startswith("vectors.txt")


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 200)
    with pytest.raises(RequestError, match="a line is longer"):
        read(b"the 1 2 3\n" * 20 + b"x" * 1000)


def test_vectors_of_one_number_are_no_headers() -> None:
    assert read(b"12 5\n13 6\n14 7\n").words == ["12", "13", "14"]


def test_a_binary_word_may_be_any_and_numbers_may_look_like_line_ends() -> None:
    odd = struct.unpack("<f", b"\n\n\n\n")[0]
    vectors = np.full((3, 2), odd, np.float32)
    found = read(word2vec_binary(["naïve", "你好", "c"], vectors))
    assert found.words == ["naïve", "你好", "c"] and np.array_equal(found.vectors_VD, vectors)
