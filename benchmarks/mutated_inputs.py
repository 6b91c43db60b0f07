"""Sound files of every form, spoilt at random, through the import: an answer each time, and no row lost.

    python -m benchmarks.mutated_inputs --cases 100000 --seed 1

Each case takes a sound file, changes some of its bytes, now and then its name, and imports it. An import ends with rows
that add up (`rows_read == rows + refused`) or with an error of the family. Anything else is printed with its seed.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from fettle.data.intake.importing import Reading
from fettle.data.intake.quarantine import Quarantine, Refusal
from fettle.data.intake.sources import find_files
from fettle.errors import FettleError

SLOW_SECONDS = 10.0
WORDS = ("where is my parcel", "refund, please", 'he said "so"', "naïve café", "two\nlines", "x", "日本", "= 1 + 1")
TOKENS = (
    *(b'"', b"'", b",", b"\t", b";", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"\\",
        b"\\u",
        b"\\ud83d",
        b"NaN",
        b"1e999",
        b"9" * 5_000,
        b"[" * 200,
        b'{"a":' * 80,
    ),
    *(
        b"<",
        b">",
        b"&",
        b"&lol;",
        b"<!--",
        b"]]>",
        b"<!ENTITY a 'b'>",
        b"<script>",
        b"<div>" * 1_200,
        b"```",
        b"# ",
        b"---",
    ),
    *(
        b"O",
        b"B-X",
        b"-DOCSTART-",
        b"__label__",
        b"PK\x03\x04",
        b"PAR1",
        b"\x1f\x8b\x08",
        b"ARROW1",
        b"\xff\xff\xff\xff",
    ),
)
RENAMES = (
    "a.txt",
    "a.jsonl",
    "a.csv",
    "a.json",
    "a.xml",
    "a.html",
    "a.md",
    "a.conll",
    "a.xlsx",
    "a",
    "a.zip",
    "a.tsv.gz",
)


@dataclass
class Outcomes:
    """What came of the cases, by the form of the file; and what should not have happened."""

    by_form: Counter[str] = field(default_factory=Counter)
    unhandled: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


def sound_files() -> dict[str, bytes]:
    """A small sound file of every form, by its name."""
    labelled = [{"text": word, "label": "ab"[number % 2]} for number, word in enumerate(WORDS)]
    turns = [{"role": "user", "content": "a: b"}, {"role": "assistant", "content": 'say "c"'}]
    chats = [{"messages": turns, "source": word} for word in WORDS]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chats).encode()
    table = "text,label\n" + "".join(
        f'"{row["text"].replace(chr(34), chr(34) * 2)}",{row["label"]}\n' for row in labelled
    )
    files = {
        "chats.jsonl": lines,
        "rows.json": json.dumps(labelled, indent=1).encode(),
        "line.json": json.dumps(labelled).encode(),
        "rows.csv": table.encode(),
        "rows.tsv": b"text\tlabel\r\na b\tx\r\nc d\ty\r\ne\tx\r\n",
        "labels.txt": b"pos good film\nneg bad film\npos fine\nneg poor one\npos great\nneg no\n",
        "prose.txt": "One block\nof lines.\n\nAnd another, with naïve words.\n\nThree.".encode(),
        "page.md": b"# One\n\ntext\n\n```\n# code\n```\n\n## Two\n\nmore\n\nThree\n-----\n\nend\n",
        "page.html": b"<html><head><title>t</title></head><body><h1>a</h1><p>b<b>c</b><ul><li>d</ul><script>e</script>",
        "pairs.xml": b'<?xml version="1.0"?><d n="1">'
        + b"".join(
            b"<p i='%d'><question>why %d?</question><answer>so &amp; so</answer></p>\n" % (n, n) for n in range(4)
        )
        + b"</d>",
        "tags.conll": b"-DOCSTART- O\n\n# one\nEU B-ORG\nrejects O\n\nRome B-LOC\nfell O\n. O\n",
        "book.xlsx": _workbook(labelled),
        "rows.parquet": _columns(labelled, _parquet),
        "rows.arrow": _columns(labelled, _arrow),
    }
    files |= {
        "chats.jsonl.gz": gzip.compress(lines, mtime=0),
        "chats.jsonl.bz2": bz2.compress(lines),
        "chats.jsonl.xz": lzma.compress(lines),
        "chats.jsonl.zst": pa.Codec("zstd").compress(lines, asbytes=True),
        "all.zip": _zip({"in/rows.csv": table.encode(), "in/more.csv": table.encode()}),
        "all.tar": _tar({"in/rows.csv": table.encode(), "in/more.csv": table.encode()}),
        "all.tar.gz": gzip.compress(_tar({"in/rows.csv": table.encode()}), mtime=0),
    }
    return files


def _workbook(rows: list[dict[str, str]]) -> bytes:
    book = openpyxl.Workbook()
    for cells in (["text", "label"], *(list(row.values()) for row in rows)):
        book.active.append(["'" + cell if cell.startswith("=") else cell for cell in cells])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _columns(rows: list[dict[str, str]], write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    sink = io.BytesIO()
    write(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def _parquet(table: pa.Table, sink: io.BytesIO) -> None:
    pq.write_table(table, sink)


def _arrow(table: pa.Table, sink: io.BytesIO) -> None:
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _zip(entries: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return sink.getvalue()


def _tar(entries: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return sink.getvalue()


def mutated(rng: random.Random, files: dict[str, bytes]) -> tuple[str, str, bytes]:
    """The form that a case began with, and the name and the bytes that became of it."""
    form = rng.choice(sorted(files))
    data = bytearray(files[form])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 1, 2, 5, 20, 200)), max(1, len(data) // 2))
        match rng.randrange(7):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at : at + 1] = bytes([data[at] ^ (1 << rng.randrange(8))]) if at < len(data) else b"\0"
            case 2:
                del data[at : at + length]
            case 3:
                other = rng.randrange(len(data) + 1)
                data[at:at] = data[other : other + length]
            case 4:
                del data[at:]
            case 5:
                stranger = files[rng.choice(sorted(files))]
                start = rng.randrange(len(stranger))
                data[at:at] = stranger[start : start + length]
            case _:
                data[at:at] = rng.choice(TOKENS)
    name = rng.choice(RENAMES) if rng.random() < 0.1 else form
    return form, name, bytes(data)


def outcome_of(path: Path) -> str:
    """Import one file: `rows`, `some refused` or `an error`. What breaks the law is an AssertionError."""
    try:
        reading = Reading(find_files([path]).files, {}, None)
        refused: list[Refusal] = []
        with tempfile.TemporaryDirectory() as folder, Quarantine(Path(folder), reading.form_of) as quarantine:
            for refusal in _rows_and_refusals(reading, refused):
                quarantine.add(refusal)
    except FettleError as error:
        return "an error" if error.problem else "an error that says nothing"
    assert reading.rows_refused == len(refused)
    assert all(refusal.fault.line > 0 and refusal.fault.problem for refusal in refused)
    return "some refused" if refused else "rows"


def _rows_and_refusals(reading: Reading, refused: list[Refusal]) -> list[Refusal]:
    num_rows = sum(1 for _ in reading.rows(refused.append))
    assert reading.rows_read == num_rows + len(refused)
    return refused


def run(num_cases: int, seed: int, folder: Path) -> Outcomes:
    """The cases from `seed` on, each with a seed of its own, so that any can be run again alone."""
    outcomes = Outcomes()
    files = sound_files()
    for case in range(seed, seed + num_cases):
        form, name, data = mutated(random.Random(case), files)
        path = folder / name
        path.write_bytes(data)
        began = time.process_time()
        try:
            outcome = outcome_of(path)
        except Exception:
            # Whatever is no error of the family is what is looked for.
            outcome = "unhandled"
            outcomes.unhandled.append(f"seed {case} ({form} as {name}):\n{traceback.format_exc()}")
        if time.process_time() - began > SLOW_SECONDS:
            outcomes.slow.append(f"seed {case} ({form} as {name}): {time.process_time() - began:.1f} s")
        outcomes.by_form[f"{form}: {outcome}"] += 1
        path.unlink()
    return outcomes


def main() -> int:
    """Run the cases and print what came of them; the exit code says whether all was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run(chosen.cases, chosen.seed, Path(folder))
    for key, count in sorted(outcomes.by_form.items()):
        print(f"{count:8,}  {key}")
    print(f"{len(outcomes.unhandled)} unhandled, {len(outcomes.slow)} slower than {SLOW_SECONDS:g} s")
    print("\n".join([*outcomes.slow, *outcomes.unhandled[:20]]))
    return 1 if outcomes.unhandled or outcomes.slow else 0


if __name__ == "__main__":
    sys.exit(main())
