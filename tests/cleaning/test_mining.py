"""Mining: what is given is wrong, as near as can be, below the match by the margin, and out of rows that train."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from cleaning_kit import DETECTORS, GIVEN, row_lists, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from test_operation_laws import hold_to_the_laws

from fettle.cleaning.config import MineSettings
from fettle.cleaning.operations.mine import Mine
from fettle.cleaning.steps import make_operations, read_words
from fettle.data.records import PlainText, Row, TextPair, normalised
from fettle.errors import RequestError
from fettle.quality.finding import Given

PAIRS = row_lists(st.builds(TextPair, texts, texts, st.lists(texts, max_size=2).map(tuple)))
WORDS = ["mine=1", "mine=3"]


def trains(row: Row) -> bool:
    return row.part in ("", "train")


@pytest.mark.parametrize("by", ["words", "model"])
@given(rows=PAIRS, num=st.integers(1, 4), margin=st.sampled_from([0.0, 0.05, 0.5]))
@settings(deadline=None, max_examples=60)
def test_the_laws_hold_and_what_is_given_is_the_best_below_the_match(by, rows, num, margin):
    if not any(map(trains, rows)):
        return
    done = hold_to_the_laws(rows, Mine(MineSettings(num_others=num, by=by, margin=margin)))
    matches = list(dict.fromkeys(row.record.match for row in rows if trains(row)))
    for before, after in zip(rows, done.rows, strict=True):
        assert msgspec.structs.replace(after.record, others=before.record.others) == before.record
        old, new = before.record.others, after.record.others
        assert new[: len(old)] == old
        if not trains(before):
            assert new == old
            continue
        query = normalised(before.record.text)
        right = {normalised(row.record.match) for row in rows if trains(row) and normalised(row.record.text) == query}
        given_now = [normalised(text) for text in new[len(old) :]]
        assert not right.intersection(given_now) and query not in given_now
        assert len({*map(normalised, old), *given_now}) == len({*map(normalised, old)}) + len(given_now)
        assert set(new[len(old) :]) <= set(matches)
        assert len(new) <= max(num, len(old))


def test_a_model_gives_the_nearest_below_the_margin_and_words_those_that_share_words():
    vectors = {"q": [1, 0], "m": [1, 0.2], "too near": [1, 0.21], "near": [1, 0.7], "far": [0, 1], "q2": [-1, 0]}

    def embed(several):
        rows = np.asarray([vectors[text] for text in several], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    pairs = [("q", "m"), ("q2", "far"), ("q2", "near"), ("q2", "too near")]
    rows = [Row(TextPair(*pair), "f", line) for line, pair in enumerate(pairs, start=1)]
    done = Mine(MineSettings(num_others=2))(rows, Given("embed", embed=embed))
    assert done.rows[0].record.others == ("near", "far")
    assert done.changes[0].reason == "2 wrong matches"
    done = Mine(MineSettings(num_others=1, margin=0.0))(rows, Given("embed", embed=embed))
    assert done.rows[0].record.others == ("too near",)

    pairs = [("blue mug please", "a blue mug"), ("a lamp", "the red lamp"), ("tea", "a blue pot")]
    rows = [Row(TextPair(*pair), "f", line) for line, pair in enumerate(pairs, start=1)]
    done = Mine(MineSettings(num_others=1))(rows, Given("embed"))
    assert [row.record.others for row in done.rows] == [("a blue pot",), ("a blue mug",), ()]
    assert [change.action for change in done.changes] == ["changed", "changed", "left"]


def test_what_cannot_be_mined_is_refused():
    held_out = [Row(TextPair("a", "b"), "f", 1, part="test"), Row(TextPair("a", "b", score=0.5), "f", 2)]
    for rows in (held_out, [Row(PlainText("a"), "f", 1)]):
        with pytest.raises(RequestError, match="no row that trains is a pair"):
            Mine(MineSettings(num_others=1))(rows, GIVEN)
    with pytest.raises(RequestError, match="needs a model"):
        Mine(MineSettings(num_others=1, by="model"))([Row(TextPair("a", "b"), "f", 1)], Given("embed"))


@pytest.mark.parametrize("word", WORDS)
def test_it_is_asked_for_by_a_word(word):
    [operation] = make_operations(read_words([word]), DETECTORS)
    assert operation.settings.num_others == int(word[-1])
    assert operation([], GIVEN).rows == ()
