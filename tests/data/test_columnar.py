"""Parquet and Arrow: every row by its number, damage as an error, one bad value costs its row."""

from __future__ import annotations

import datetime
import decimal
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_kit import import_files

from fettle.data.containers import columnar
from fettle.data.containers.columnar import Columnar
from fettle.data.containers.opening import take_sample
from fettle.data.containers.protocol import RawRow, RefusedRow
from fettle.data.containers.table import candidates
from fettle.errors import RequestError


def as_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=3)
    return sink.getvalue()


def as_arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue()


def as_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue()


def as_feather(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pyarrow.feather.write_feather(table, sink)
    return sink.getvalue()


FORMS = {"parquet": as_parquet, "arrow": as_arrow, "stream": as_stream, "feather": as_feather}


def rows_of(path: Path) -> list[RawRow | RefusedRow]:
    return list(Columnar().read(path))


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_in_order_under_their_columns(tmp_path, form):
    table = pa.table({"text": [f"t{n}" for n in range(10)], "label": ["x", "y"] * 5})
    path = tmp_path / "a.of.no.kind"
    path.write_bytes(FORMS[form](table))
    [(container, evidence)] = candidates(take_sample(path))
    assert container.name == "columnar"
    assert evidence.endswith("with the columns (text, label)")
    assert [(row.line, row.fields) for row in rows_of(path)] == list(enumerate(table.to_pylist(), start=1))
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    assert len(import_files([path], {}, None).rows) == 10


VALUES = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8))


@given(st.lists(st.tuples(VALUES, st.none() | st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=40)
def test_written_rows_are_read_again(tmp_path_factory, values):
    table = pa.table(
        {"text": pa.array([a for a, _ in values], pa.string()), "n": pa.array([b for _, b in values], pa.int64())}
    )
    for name, form in FORMS.items():
        path = tmp_path_factory.mktemp("columns") / name
        path.write_bytes(form(table))
        assert [row.fields for row in rows_of(path)] == table.to_pylist()


def test_values_are_as_json_has_them(tmp_path):
    table = pa.table(
        {
            "when": pa.array([datetime.datetime(2024, 5, 1, 12, 30)]),
            "day": pa.array([datetime.date(2024, 5, 1)]),
            "money": pa.array([decimal.Decimal("1.50")]),
            "hole": pa.array([float("nan")]),
            "text": pa.array([b"caf\xc3\xa9"], pa.binary()),
            "messages": pa.array([[{"role": "user", "content": "a"}]]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "kind": pa.array(["x"]).dictionary_encode(),
            "span": pa.array([datetime.timedelta(seconds=90)]),
        }
    )
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(table))
    [row] = rows_of(path)
    assert row.fields == {
        "when": "2024-05-01T12:30:00",
        "day": "2024-05-01",
        "money": "1.50",
        "hole": None,
        "text": "café",
        "messages": [{"role": "user", "content": "a"}],
        "map": [["k", 1]],
        "kind": "x",
        "span": "0:01:30",
    }


def test_one_bad_value_costs_its_row(tmp_path, monkeypatch):
    table = pa.table(
        {
            "text": pa.array([b"a", b"\xff\xd8 picture", b"c", b"d", b"e" * 300], pa.binary()),
            "n": pa.array([1.0, 2.0, float("inf"), 4.0, 5.0]),
        }
    )
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(table))
    monkeypatch.setattr(columnar, "MAX_ROW_BYTES", 200)
    monkeypatch.setattr("fettle.data.containers.opening.MAX_ROW_BYTES", 200)
    found = rows_of(path)
    assert [row.line for row in found if isinstance(row, RawRow)] == [1, 4]
    faults = {row.fault.line: row.fault.problem for row in found if isinstance(row, RefusedRow)}
    assert faults[2] == "text: it holds 10 bytes that are no text"
    assert faults[3] == "n: the number is infinite"
    assert "longer than" in faults[5]


def test_text_that_is_none_costs_its_row(tmp_path):
    bad = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.array([0, 1, 2, 3], pa.int32()).buffers()[1], pa.py_buffer(b"a\xffc")]
    )
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(pa.table({"text": bad, "label": ["x", "y", "z"]})))
    found = rows_of(path)
    assert [type(row) for row in found] == [RawRow, RefusedRow, RawRow]
    # An Arrow file that says so of itself is not what its schema says, and nothing of it is believed.
    path.write_bytes(as_arrow(pa.table({"text": bad})))
    with pytest.raises(RequestError, match="damaged"):
        rows_of(path)


def test_offsets_that_lead_elsewhere_are_refused(tmp_path):
    table = pa.table({"text": ["abcd", "efgh"]})
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 4, 8))
    data = as_arrow(table)
    assert data.count(offsets) == 1
    path = tmp_path / "a.arrow"
    path.write_bytes(data.replace(offsets, b"".join(n.to_bytes(4, "little") for n in (0, 4, 900_000))))
    with pytest.raises(RequestError, match="damaged"):
        rows_of(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_off_file_is_an_error(tmp_path, form, share):
    data = FORMS[form](pa.table({"text": [f"text number {n}" for n in range(2_000)]}))
    path = tmp_path / "a.parquet"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RequestError) as caught:
        rows_of(path)
    assert caught.value.where == str(path)
    with pytest.raises(RequestError):
        import_files([path], {}, None)


def test_columns_of_one_name_and_groups_without_bound_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_bytes(as_arrow(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])))
    with pytest.raises(RequestError, match="more than once"):
        rows_of(path)
    path.write_bytes(as_parquet(pa.table({"text": ["a" * 1_000]})))
    monkeypatch.setattr(columnar, "MAX_GROUP_BYTES", 500)
    with pytest.raises(RequestError, match="row group"):
        rows_of(path)


def test_refused_rows_are_quarantined_as_json_lines(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(pa.table({"text": ["a", "", "c"], "label": ["x", "y", None]})))
    imported = import_files([path], {}, None)
    files = imported.quarantine_files()
    assert files["a.jsonl"] == b'{"text":"","label":"y"}\n{"text":"c","label":null}\n'
