"""Splits by group, by label, by time and into folds: nobody straddles, and the order of the rows moves nobody."""

import math
import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.records import JudgedAnswer, LabelledText, Message, PlainText, Row
from fettle.data.splits.groups import folds, groups_of, joined, label_of
from fettle.data.splits.split import PARTS, Shares, SplitSettings, split, split_rows
from fettle.errors import RequestError, UnknownName

SHARES = Shares(0.4, 0.3, 0.3)
WAYS = {
    "hash": SplitSettings(SHARES),
    "group": SplitSettings(SHARES, group_by="who"),
    "stratify": SplitSettings(SHARES, group_by="who", stratify=True),
    "time": SplitSettings(SHARES, group_by="who", by_time="at"),
}
quick = settings(deadline=None, max_examples=80)


def row(text, label="x", part="", line=1, **fields):
    return Row(LabelledText(text, label), "a.csv", line, {name: str(value) for name, value in fields.items()}, part)


@st.composite
def clustered(draw, parts=("",)):
    """Rows with a customer each, some without, and a cluster each, some in none."""
    num = draw(st.integers(1, 25))
    one = st.tuples(
        st.integers(0, 12), st.sampled_from("xyz"), st.sampled_from(["", "ada", "bob", "cy", "di"]), st.integers(0, 9)
    )
    drawn = draw(st.lists(one, min_size=num, max_size=num))
    rows = [
        row(f"q{text}", label, draw(st.sampled_from(parts)), line=line, who=who, at=at)
        for line, (text, label, who, at) in enumerate(drawn, start=1)
    ]
    rows[0] = row("q", "x", line=1, who="eve", at=3)
    return rows, draw(st.lists(st.integers(-1, 4), min_size=num, max_size=num))


def ties(rows, clusters, by):
    """Every pair of places that must stand on one side, straight from the definition."""
    for i in range(len(rows)):
        for j in range(i):
            same_value = by and rows[i].fields["who"] and rows[i].fields["who"] == rows[j].fields["who"]
            if rows[i].input_key == rows[j].input_key or same_value or (clusters[i] == clusters[j] >= 0):
                yield i, j


@pytest.mark.parametrize("way", WAYS)
@given(drawn=clustered())
@quick
def test_nobody_straddles_and_everybody_has_a_part(way, drawn):
    rows, clusters = drawn
    found = split(rows, WAYS[way], clusters)
    assert all(found.rows[i].part == found.rows[j].part for i, j in ties(rows, clusters, WAYS[way].group_by))
    assert [each.record for each in found.rows] == [each.record for each in rows]
    assert Counter(each.part for each in found.rows) == Counter(found.num_rows)
    assert set(found.num_rows) == set(PARTS)
    assert not found.conflicts


@pytest.mark.parametrize("way", WAYS)
@given(drawn=clustered(parts=("", "", "test", "train", "validation")), order=st.randoms(use_true_random=False))
@quick
def test_the_order_of_the_rows_moves_nobody(way, drawn, order):
    rows, clusters = drawn
    places = list(range(len(rows)))
    order.shuffle(places)
    straight = split(rows, WAYS[way], clusters)
    shuffled = split([rows[place] for place in places], WAYS[way], [clusters[place] for place in places])
    assert shuffled.rows == [straight.rows[place] for place in places]
    assert len(shuffled.conflicts) == len(straight.conflicts)


@pytest.mark.parametrize("way", ["hash", "group"])
@given(drawn=clustered(), more=clustered())
@quick
def test_new_rows_move_no_old_ones_where_no_clusters_merge(way, drawn, more):
    rows, clusters = drawn
    new, new_clusters = more
    if way == "hash":
        new = [row(f"new {each.record.text}", each.record.label, **each.fields) for each in new]
    else:  # further rows of known customers and of new ones; only the customer ties them to what was there
        new = [row(f"new {each.record.text} {each.fields['who']}", each.record.label, **each.fields) for each in new]
    apart = [each + 10 if each >= 0 else -1 for each in new_clusters] if way == "hash" else [-1] * len(new)
    before = split(rows, WAYS[way], clusters)
    after = split([*new, *rows], WAYS[way], [*apart, *clusters])
    assert after.rows[len(new) :] == before.rows


@given(drawn=clustered(parts=("", "", "test", "train", "validation")))
@quick
def test_parts_that_were_given_are_kept_and_torn_groups_are_named(drawn):
    rows, clusters = drawn
    for settings_ in WAYS.values():
        found = split(rows, settings_, clusters)
        torn = {place for conflict in found.conflicts for place in conflict.places}
        for before, after in zip(rows, found.rows, strict=True):
            assert after.part == before.part or not before.part
        for i, j in ties(rows, clusters, settings_.group_by):
            assert found.rows[i].part == found.rows[j].part or {i, j} <= torn
        for conflict in found.conflicts:
            assert len({rows[place].part for place in conflict.places} - {""}) > 1
            assert conflict.parts == tuple(found.rows[place].part for place in conflict.places)


@given(drawn=clustered(parts=("", "test", "train")))
@quick
def test_without_groups_it_is_the_split_by_hash(drawn):
    rows, _ = drawn
    assert split(rows, SplitSettings(SHARES)).rows == split_rows(rows, SHARES)


def test_large_groups_are_not_drawn_to_one_side():
    # Were a group sent where its first member by place goes, groups of ten would nearly all be tested.
    rows = [row(f"q{n}", who=n // 10) for n in range(20_000)]
    for settings_, clusters in ((WAYS["group"], ()), (WAYS["hash"], [n // 10 for n in range(20_000)])):
        found = split(rows, settings_, clusters)
        assert found.num_groups == 2_000
        assert found.num_rows_of_largest_group == 10
        for part, share in zip(PARTS, (0.4, 0.3, 0.3), strict=True):
            sigma = 10 * math.sqrt(2_000 * share * (1 - share))
            assert abs(found.num_rows[part] - 20_000 * share) <= 3 * sigma


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.sampled_from([(0.8, 0.1, 0.1), (0.4, 0.3, 0.3)]))
@quick
def test_each_label_is_shared_out_to_within_a_row(sizes, shares):
    rows = [row(f"{label}-{n}", f"label {label}") for label, size in enumerate(sizes) for n in range(size)]
    found = split(rows, SplitSettings(Shares(*shares), stratify=True)).rows
    counts = Counter((each.record.label, each.part) for each in found)
    for label, size in enumerate(sizes):
        held = [counts[f"label {label}", part] for part in PARTS]
        assert held[0] >= 1
        for num, share in zip(held, shares, strict=True):
            assert abs(num - share * size) < 1 or (size * shares[0] < 1 and num <= 1)


def test_stratified_shares_hold_over_all_labels_too():
    # 77 labels of 5 rows: were each label's rest sent to one side, that side would have all of them.
    rows = [row(f"{label}-{n}", f"label {label}") for label in range(77) for n in range(5)]
    found = split(rows, SplitSettings(Shares(0.8, 0.1, 0.1), stratify=True)).num_rows
    assert found == {"train": 308, "validation": 39, "test": 38} or found == {
        "train": 308,
        "validation": 38,
        "test": 39,
    }


@pytest.mark.parametrize(("num_labels", "size", "most_off"), [(3, 7, 4), (20, 4, 4), (77, 3, 4)])
def test_labels_that_stand_together_in_groups_are_shared_out_too(num_labels, size, most_off):
    drawn = random.Random(0)
    rows = [row(f"q{n}", f"label {drawn.randrange(num_labels)}", who=n // size) for n in range(4_000)]
    found = split(rows, SplitSettings(Shares(0.7, 0.15, 0.15), group_by="who", stratify=True)).rows
    counts = Counter((each.record.label, each.part) for each in found)
    for label, total in Counter(each.record.label for each in rows).items():
        assert counts[label, "train"] >= 1
        for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
            assert abs(counts[label, part] - share * total) <= most_off


def test_a_label_of_one_row_trains():
    rows = [*(row(f"q{n}", "common") for n in range(50)), row("alone", "rare")]
    for shares in (Shares(0.1, 0.4, 0.5), Shares()):
        assert split(rows, SplitSettings(shares, stratify=True)).rows[-1].part == "train"
    none = split(rows, SplitSettings(Shares(0.0, 0.5, 0.5), stratify=True))
    assert none.num_rows["train"] == 0


def test_labels_of_judged_answers_are_good_and_bad():
    turns = (Message("user", "q"),)
    assert label_of(Row(JudgedAnswer(turns, turns, True), "f", 1)) == "good"
    with pytest.raises(RequestError, match="no row has a label"):
        split([Row(PlainText("a"), "f", 1)], SplitSettings(stratify=True))
    with pytest.raises(RequestError, match="by label or by time"):
        SplitSettings(stratify=True, by_time="at")


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.0, 0.5), (0.7, 0.3, 0)]),
)
@quick
def test_the_oldest_train_and_the_newest_test(moments, shares):
    rows = [row(f"q{n}", at=moment) for n, moment in enumerate(moments)]
    found = split(rows, SplitSettings(Shares(*shares), by_time="at"))
    times = {part: [float(each.fields["at"]) for each in found.rows if each.part == part] for part in PARTS}
    filled = [times[part] for part in PARTS if times[part]]
    assert all(max(older) < min(newer) for older, newer in pairwise(filled))
    assert all(not times[part] for part, share in zip(PARTS, shares, strict=True) if share == 0)
    largest_tie = max(Counter(moments).values())
    for part, share in zip(PARTS, shares, strict=True):
        assert abs(found.num_rows[part] - share * len(rows)) <= largest_tie + 1


def test_a_group_is_as_new_as_its_newest_row():
    rows = [row(f"q{n}", at=n, who="ada" if n in (0, 9) else "") for n in range(10)]
    found = split(rows, SplitSettings(Shares(0.6, 0.2, 0.2), group_by="who", by_time="at"))
    assert [each.part for each in found.rows] == ["test", *["train"] * 6, *["validation"] * 2, "test"]


def test_time_is_read_as_dates_or_as_numbers():
    days = ["2024-01-31", "2024-01-31T01:30:00+02:00", "2024-02-01 08:00", "2023-12-31"]
    found = split([row(day, at=day) for day in days], SplitSettings(Shares(0.5, 0.25, 0.25), by_time="at"))
    assert [each.part for each in found.rows] == ["validation", "train", "test", "train"]
    numbers = split([row(f"q{n}", at=n) for n in (9, 10, 100)], SplitSettings(Shares(0.4, 0.3, 0.3), by_time="at"))
    assert [each.part for each in numbers.rows] == ["train", "validation", "test"]


def test_every_unreadable_time_is_a_fault_of_its_line():
    rows = [row("a", line=4, at="2024-01-31"), row("b", line=5, at="soon"), row("c", line=6), row("d", line=7, at="12")]
    with pytest.raises(RequestError) as caught:
        split(rows, SplitSettings(by_time="at"))
    assert [(fault.line, fault.problem) for fault in caught.value.faults] == [
        (5, "at is 'soon'"),
        (6, "there is no at"),
        (7, "at is '12'"),
    ]


def test_a_misspelt_field_names_its_neighbours():
    rows = [row("a", customer="ada", at="2024")]
    with pytest.raises(UnknownName) as caught:
        split(rows, SplitSettings(group_by="costumer"))
    assert caught.value.attempt == "customer"
    with pytest.raises(UnknownName, match="no row has a field 'when'"):
        split(rows, SplitSettings(by_time="when"))
    with pytest.raises(ValueError, match="2 clusters for 1 rows"):
        split(rows, SplitSettings(), [1, 2])


@given(drawn=clustered(), num_folds=st.integers(2, 4), order=st.randoms(use_true_random=False))
@quick
def test_folds_hold_out_every_row_once_and_groups_whole(drawn, num_folds, order):
    rows, clusters = drawn
    groups = groups_of(rows, "who", clusters)
    if num_folds > max(2, len(groups)):
        return
    found = folds(rows, num_folds, groups)
    assert sorted(place for fold in found for place in fold) == list(range(len(rows)))
    fold_of = {place: number for number, fold in enumerate(found) for place in fold}
    assert all(fold_of[i] == fold_of[j] for i, j in ties(rows, clusters, "who"))
    places = list(range(len(rows)))
    order.shuffle(places)
    shuffled = folds(
        [rows[place] for place in places],
        num_folds,
        groups_of([rows[place] for place in places], "who", [clusters[place] for place in places]),
    )
    assert [sorted(places[place] for place in fold) for fold in shuffled] == found


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(2, 5))
@quick
def test_folds_share_out_each_label(sizes, num_folds):
    rows = [row(f"{label}-{n}", str(label)) for label, size in enumerate(sizes) for n in range(size)]
    if num_folds > len(rows):
        return
    counts = defaultdict(list)
    for fold in folds(rows, num_folds):
        held = Counter(rows[place].record.label for place in fold)
        for label in range(len(sizes)):
            counts[label].append(held[str(label)])
    assert all(max(held) - min(held) <= 1 for held in counts.values())


def test_folds_that_cannot_be():
    for num_folds in (1, 4):
        with pytest.raises(RequestError, match="folds of 3 groups"):
            folds([row(f"q{n}") for n in range(3)], num_folds)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
@quick
def test_what_is_joined_has_one_head(pairs):
    heads = joined(10, pairs)
    assert all(heads[one] == heads[other] for one, other in pairs)
    assert all(heads[head] == head <= place for place, head in enumerate(heads))
    assert len(set(heads)) >= 10 - len(pairs)
