"""What holds for every operation and every kind of record."""

import msgspec
import pytest
from cleaning_kit import DETECTORS, GIVEN, row_lists
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.cleaning.steps import clean, make_operations, parse_steps, read_words
from fettle.cleaning.table import OPERATIONS
from fettle.data.records import LabelledText, Row
from fettle.data.splits.groups import label_of
from fettle.quality.finding import Given

WORDS = [
    "repair",
    *(f"strip={what}" for what in ("hidden", "html", "markdown", "urls", "emoji")),
    *(f"redact={how}" for how in ("mask", "hash", "replace", "drop")),
    *(f"deduplicate={kind}" for kind in ("exact", "near", "semantic")),
    "drop=short",
    'keep=text contains "a" or words < 4',
    "drop-where=label = 'refund' or turns > 2",
    "length=2..6",
    "sample=4",
    *(f"balance={how}" for how in ("down", "up", "weights")),
    "labels=merge",
]
FROM_TOML = [
    '[[steps]]\noperation = "deduplicate"\nkind = "near"\nkeep = "newest(date)"\nthreshold = 0.4',
    '[[steps]]\noperation = "deduplicate"\nkind = "exact"\nkeep = "last"',
    '[[steps]]\noperation = "labels"\nmap = {refund = "other", other = "Refund"}',
    '[[steps]]\noperation = "redact"\nhow = "hash"\nkinds = ["email"]\nsalt = "s"',
]
STEPS = {word: read_words([word]) for word in WORDS} | {text[:99]: parse_steps(text, "f") for text in FROM_TOML}
WEIGHS_ROWS = "balance=weights"
HAS_ONE_LABEL = {word for word in WORDS if word.startswith("balance")}


def test_every_operation_is_under_the_laws_here_or_in_its_own_test():
    assert {step.operation for steps in STEPS.values() for step in steps} | {"mine", "relabel"} == set(OPERATIONS)


def hold_to_the_laws(rows, operation, may_write_fields=False):
    done = operation(rows, GIVEN)
    by_place = {}
    for change in done.changes:
        if change.action != "added":
            assert change.place not in by_place, "one row, one change"
            by_place[change.place] = change.action
        assert change.reason
    assert list(by_place) == sorted(by_place)
    num_added = done.num("added")
    assert len(done.rows) == len(done.origins) == len(rows) - done.num("dropped") + num_added
    kept = list(zip(done.origins, done.rows, strict=True))[: len(done.rows) - num_added]
    assert [place for place, _ in kept] == [place for place in range(len(rows)) if by_place.get(place) != "dropped"]
    for place, row in kept:
        before = rows[place]
        assert (row.file, row.line, row.part) == (before.file, before.line, before.part)
        assert row.fields == before.fields or may_write_fields
        assert type(row.record) is type(before.record)
        assert (row != before) == (by_place.get(place) in ("changed", "relabelled"))
    added = list(zip(done.origins, done.rows, strict=True))[len(kept) :]
    assert [rows[place] for place, _ in added] == [row for _, row in added]
    assert [place for place, _ in added] == [change.place for change in done.changes if change.action == "added"]
    assert operation(rows, GIVEN) == done
    again = operation(done.rows, GIVEN)
    assert again.rows == done.rows
    assert {change.action for change in again.changes} <= {"left"}
    msgspec.json.encode(done.rows)
    return done


@pytest.mark.parametrize("name", STEPS)
@given(rows=row_lists())
@settings(deadline=None, max_examples=40)
def test_the_laws_hold(name, rows):
    if name in HAS_ONE_LABEL and not any(map(label_of, rows)):
        return
    hold_to_the_laws(rows, make_operations(STEPS[name], DETECTORS)[0], may_write_fields=name == WEIGHS_ROWS)


@pytest.mark.parametrize("name", [name for name in STEPS if name not in HAS_ONE_LABEL])
def test_of_no_rows_come_no_rows(name):
    done = make_operations(STEPS[name], DETECTORS)[0]([], GIVEN)
    assert (done.rows, done.origins, done.changes) == ((), (), ())


@given(rows=row_lists(), names=st.lists(st.sampled_from(sorted(set(STEPS) - HAS_ONE_LABEL)), max_size=4))
@settings(deadline=None, max_examples=60)
def test_steps_are_their_operations_one_after_the_other(rows, names):
    steps = [step for name in names for step in STEPS[name]]
    done = clean(rows, steps, GIVEN, DETECTORS)
    by_hand = tuple(rows)
    for operation in make_operations(steps, DETECTORS):
        by_hand = operation(by_hand, GIVEN).rows
    assert done.rows == by_hand
    assert len(done.rows) == len(rows) - done.num("dropped") + done.num("added")
    gone = {change.place for change in done.changes if change.action == "dropped"}
    assert done.origins == tuple(place for place in range(len(rows)) if place not in gone)
    for place, row in zip(done.origins, done.rows, strict=True):
        assert (row.file, row.line) == (rows[place].file, rows[place].line)
        assert row == rows[place] or any(change.place == place for change in done.changes)
    assert {change.step for change in done.changes} <= {step.word for step in steps}
    assert sum(done.counts().values()) == len(done.changes)


def test_later_steps_name_the_places_of_the_rows_that_came_in():
    texts = [("a", "x"), ("b b b", "x"), (" c c c ", "y"), ("d d d", "x")]
    rows = [Row(LabelledText(text, label), "f", line) for line, (text, label) in enumerate(texts, start=1)]
    words = ["length=2..", "repair", "balance=up", "drop-where=label = 'y'"]
    told = []
    done = clean(rows, read_words(words), Given("classify", progress=told.append), DETECTORS)
    assert [(each.place, each.action, each.step) for each in done.changes] == [
        (0, "dropped", words[0]),
        (2, "changed", words[1]),
        (2, "added", words[2]),
        (2, "dropped", words[3]),
        (2, "dropped", words[3]),
    ]
    assert done.origins == (1, 3)
    assert told == words
