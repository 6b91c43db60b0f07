"""Versions: bytes that give the rows back, a hash of what they say, and names that are read as they are written."""

import contextlib
import io

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Row
from fettle.data.splits.split import PARTS
from fettle.data.versions import (
    VersionName,
    Written,
    content_hash,
    parse_version_name,
    read_rows,
    rows_of_part,
    write_rows,
)
from fettle.errors import DamagedFile, RequestError, UnknownName

texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(Message, st.sampled_from(["user", "assistant"]), texts, st.sampled_from([0.0, 1.0]))
records = st.one_of(
    st.builds(LabelledText, texts, texts),
    st.builds(PlainText, texts),
    st.builds(Conversation, st.lists(messages, min_size=1, max_size=3).map(tuple)),
)
rows_of_any_kind = st.lists(
    st.builds(
        Row,
        records,
        texts,
        st.integers(0, 2**60),
        st.dictionaries(texts, texts, max_size=3),
        st.sampled_from(["", *PARTS]),
    ),
    max_size=6,
)


def encode_rows(rows):
    sink = io.BytesIO()
    written = write_rows(sink, rows)
    assert written == Written(content_hash(rows), len(rows))
    return sink.getvalue()


def decode_rows(data):
    return list(read_rows(io.BytesIO(data)))


ROWS = [Row(LabelledText(f"text {n}", "x"), "a.csv", n, {"id": str(n)}, PARTS[n % 3]) for n in range(40)]


@given(rows_of_any_kind)
@settings(deadline=None, max_examples=60)
def test_decode_undoes_encode_and_the_bytes_are_the_same_again(rows):
    data = encode_rows(rows)
    assert decode_rows(data) == rows
    assert encode_rows(decode_rows(data)) == data


def test_the_bytes_do_not_depend_on_the_order_of_fields():
    one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
    rows = [[Row(PlainText("x"), "f", 1, fields)] for fields in (one, other)]
    assert encode_rows(rows[0]) == encode_rows(rows[1])
    assert content_hash(rows[0]) == content_hash(rows[1])


def test_other_programs_can_open_a_version():
    table = pq.read_table(io.BytesIO(encode_rows(ROWS)))
    assert table.column_names == ["record", "file", "line", "fields", "part"]
    assert table.num_rows == 40


def test_a_file_that_is_cut_off_is_damage():
    data = encode_rows([Row(PlainText("x"), "", 1)])
    for damaged in (b"", b"PAR1", b"text,label\n", data[:-1], data[: len(data) // 2], data + b"x"):
        with pytest.raises(DamagedFile):
            decode_rows(damaged)


def test_a_flipped_bit_in_a_page_is_damage():
    rows = [Row(PlainText(f"a text that is kept, number {n}"), "f", n) for n in range(200)]
    data = encode_rows(rows)
    for place in range(40, 400, 7):
        changed = bytearray(data)
        changed[place] ^= 0x10
        with contextlib.suppress(DamagedFile):
            assert decode_rows(bytes(changed)) == rows


def test_another_parquet_file_is_no_version():
    table = pq.read_table(io.BytesIO(encode_rows(ROWS)))
    sink = io.BytesIO()
    pq.write_table(table.drop_columns(["part"]), sink)
    with pytest.raises(DamagedFile):
        decode_rows(sink.getvalue())


def test_rows_are_written_and_read_in_groups_and_none_is_lost(monkeypatch):
    monkeypatch.setattr("fettle.data.versions._ROWS_PER_GROUP", 7)
    monkeypatch.setattr("fettle.data.versions._ROWS_PER_READ", 3)
    data = encode_rows(ROWS)
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 6
    assert decode_rows(data) == ROWS
    monkeypatch.setattr("fettle.data.versions._BYTES_PER_GROUP", 90)
    data = encode_rows(ROWS)
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 20
    assert decode_rows(data) == ROWS


@given(rows_of_any_kind)
@settings(deadline=None, max_examples=60)
def test_the_hash_is_of_what_rows_say(rows):
    moved = [Row(row.record, "elsewhere", row.line + 1, row.fields, row.part) for row in rows]
    assert content_hash(moved) == content_hash(rows)
    if rows:
        assert content_hash(rows[1:]) != content_hash(rows)
        first = rows[0]
        for other in (
            Row(PlainText("not this one, ever"), first.file, first.line, first.fields, first.part),
            Row(first.record, first.file, first.line, {**first.fields, "more than": "before, surely"}, first.part),
            Row(first.record, first.file, first.line, first.fields, "test" if first.part != "test" else "train"),
        ):
            assert content_hash([other, *rows[1:]]) != content_hash(rows)


def test_the_hash_depends_on_order_and_frames_its_parts():
    assert content_hash(ROWS) != content_hash(ROWS[::-1])
    one = Row(PlainText("x"), "f", 1, {"a": "b"})
    other = Row(PlainText("x"), "f", 1, {"ab": ""})
    assert content_hash([one]) != content_hash([other])
    # Frozen: a hash that changes between releases would orphan every version that was ever named by it.
    assert content_hash([one]) == "1e9515ad54a4b3b007d1635837c838c2c050ac1b1eb18c3311fd07aa48a22377"
    assert content_hash([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
prefixes = st.from_regex(r"[0-9a-f]{4,64}", fullmatch=True)


@given(names, st.sampled_from(["", *PARTS]), st.one_of(st.just(""), prefixes))
@settings(deadline=None, max_examples=100)
def test_str_undoes_parse(name, part, prefix):
    version = VersionName(name, part, prefix)
    assert parse_version_name(str(version)) == version


@given(st.text(alphabet="ab@#1.-T", max_size=12))
@example("a@test#1a2b")
@settings(deadline=None, max_examples=200)
def test_what_parses_is_written_as_it_was(written):
    with contextlib.suppress(RequestError):
        assert str(parse_version_name(written)) == written


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "the name of the dataset is missing"),
        ("@test", "the name of the dataset is missing"),
        ("a b", "'a b' is no name"),
        ("../a", "'../a' is no name"),
        ("a\n", "is no name"),
        ("a@", "there is no part ''"),
        ("a@tset", "there is no part 'tset'"),
        ("a@test@train", "there is no part 'test@train'"),
        ("a#", "'' begins no hash"),
        ("a#12", "'12' begins no hash"),
        ("a#XYZW", "'XYZW' begins no hash"),
        ("a#1A2B", "'1A2B' begins no hash"),
        ("a#1a2b@test", "'1a2b@test' begins no hash"),
    ],
)
def test_faults_of_a_name_are_named(written, problem):
    with pytest.raises(RequestError) as caught:
        parse_version_name(written)
    assert problem in caught.value.problem
    assert caught.value.where == written
    assert caught.value.expected


def test_a_misspelt_part_names_its_neighbour():
    with pytest.raises(UnknownName) as caught:
        parse_version_name("tickets@tset")
    assert caught.value.attempt == "tickets@test"


def test_the_parts_are_a_partition():
    rows = [*ROWS, Row(PlainText("no part"), "f", 1)]
    assert rows_of_part(rows, "") == rows
    parts = [rows_of_part(rows, part) for part in PARTS]
    assert sum(map(len, parts)) == len(rows)
    assert rows[-1] in parts[0]
    with pytest.raises(UnknownName):
        rows_of_part(rows, "dev")
