"""Duplicates and leaks worded as findings: who is named, how, and what mends it."""

import random

import msgspec
import numpy as np
import pytest

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Row
from fettle.data.splits.split import Shares, shared_inputs, split_rows
from fettle.quality.checks import duplicates
from fettle.quality.checks.duplicates import (
    exact_duplicates,
    leaks,
    leaks_between,
    near_duplicates,
    semantic_duplicates,
)
from fettle.quality.finding import Given

GIVEN = Given(task="classify")
PARCEL = "Where is my parcel with the order number 4471?"
CARD = "My card was charged twice for one single order."


def row(text, label="x", part=""):
    return Row(LabelledText(text, label), "a.csv", 1, {}, part)


def chat(user, system="", answer="Yes.", part=""):
    turns = [Message("user", user), Message("assistant", answer)]
    return Row(Conversation((*([Message("system", system)] if system else []), *turns)), "a.jsonl", 1, {}, part)


def embed(texts):
    """Vectors that say which of a few words stand in a text: close where the words are the same ones."""
    words = ("parcel", "card", "refund", "password")
    meaning = {"package": "parcel", "shipment": "parcel"}
    vectors = np.array(
        [[float(w in [meaning.get(t, t) for t in text.split()]) for w in words] for text in texts], np.float32
    )
    vectors = np.hstack([vectors, np.full((len(texts), 1), 0.01, np.float32)])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_equal_records_of_one_part_are_one_finding_with_all_rows():
    rows = [row("a"), row("b"), row("a"), row("a", "y"), row("b"), row("a"), row("a", part="test"), row("A")]
    found = list(exact_duplicates(rows, GIVEN))
    assert [each.members for each in found] == [(0, 2, 5), (1, 4)]
    assert {(each.kind, each.severity) for each in found} == {("exact-duplicate", "warning")}
    assert found[0].problem == "3 rows are the same record"
    assert found[0].mend == "fettle data clean {version} deduplicate=exact"


def test_no_part_and_train_are_one_part():
    assert [each.members for each in exact_duplicates([row("a"), row("a", part="train")], GIVEN)] == [(0, 1)]
    assert not list(leaks([row("a"), row("a", part="train")], GIVEN))


def test_a_near_cluster_is_one_finding_with_all_its_members_and_their_jaccard():
    rows = [row(PARCEL), row(CARD), row(f"{PARCEL}!"), row(PARCEL.upper()), row(PARCEL), row(f"{CARD}."), row("Hello")]
    first, second = near_duplicates(rows, GIVEN)
    assert (first.members, second.members) == ((0, 2, 3, 4), (1, 5))
    assert (first.kind, first.severity) == ("near-duplicate", "warning")
    assert first.evidence == {"num_pairs": 3, "pairs": [[0, 2, 0.9767], [0, 3, 1.0], [0, 4, 1.0]]}
    assert first.problem == "4 inputs are nearly the same: 0.98 to 1.00 of their shingles are shared"
    assert first.mend == "fettle data clean {version} deduplicate=near"


def test_equal_records_alone_are_no_near_duplicate_but_equal_inputs_with_two_answers_are():
    assert not list(near_duplicates([row(PARCEL), row(PARCEL)], GIVEN))
    (found,) = near_duplicates([row(PARCEL, "delivery"), row(PARCEL, "complaint")], GIVEN)
    assert found.members == (0, 1)
    assert found.problem.endswith("; they have 2 different answers")


def test_near_inputs_of_different_parts_are_a_leak_and_no_duplicate():
    rows = [row(PARCEL), row(f"{PARCEL}!", part="test"), row(f"{PARCEL}?", part="test")]
    assert [each.members for each in near_duplicates(rows, GIVEN)] == [(1, 2)]
    (found,) = leaks(rows, GIVEN)
    assert found.members == (1, 2, 0)


def test_a_long_shared_system_turn_makes_no_rows_alike():
    system = "You are a helpful assistant of a shop. " * 20
    rows = [chat("Where is my parcel?", system), chat("I lost my card.", system), chat("where is my  parcel?", system)]
    assert [each.members for each in near_duplicates(rows, GIVEN)] == [(0, 2)]
    sides = [chat("Where is my parcel?", system), chat("I lost my card.", system, part="test")]
    assert not list(leaks(sides, GIVEN))


def test_the_same_words_under_another_system_turn_are_another_input():
    asked = "The weather is fine today and nobody stays at home."
    french, german = "Translate into French, please.", "Write a poem about these German words."
    assert not list(near_duplicates([chat(asked, french), chat(asked, german)], GIVEN))
    assert not list(leaks([chat(asked, french), chat(asked, german, part="test")], GIVEN))
    assert not list(near_duplicates([chat(asked, french, part="validation"), chat(asked, german)], GIVEN))
    given = Given(task="chat", embed=embed)
    assert not list(leaks([chat("my parcel", french), chat("a package", german, part="test")], given))
    assert len(list(near_duplicates([chat(asked, french), chat(asked, french + "!", "No.")], GIVEN))) == 1


def test_inputs_of_nothing_are_neither_duplicates_nor_leaks():
    rows = [row(""), row(" \n", "y"), row("", "y", "test"), chat("", part="validation"), chat(" \n", "Be kind.", "No.")]
    rows += [Row(Conversation((Message("assistant", "Hello."),)), "a", 1, {}, part) for part in ("train", "test")]
    assert not list(near_duplicates(rows, GIVEN)) and not list(leaks(rows, GIVEN))
    assert not list(near_duplicates([], GIVEN)) and not list(exact_duplicates([], GIVEN)) and not list(leaks([], GIVEN))


def test_a_leak_names_the_held_out_rows_first_then_the_training_rows():
    rows = [
        row(PARCEL),
        row(CARD, part="validation"),
        row(f"  {PARCEL.lower()} ", "y", "test"),
        row(f"{CARD}!", part="train"),
        row(PARCEL, part="validation"),
        row("nothing like any other row", part="test"),
    ]
    first, second = leaks(rows, GIVEN)
    assert first.members == (2, 4, 0) and first.evidence["num_held_out"] == 2
    assert first.evidence["how"] == ["same"] and first.evidence["drop"] == [0, 4]
    assert first.problem == "2 held-out rows and 1 row of train have the same input"
    assert second.members == (1, 3) and second.evidence["how"] == ["near"] and second.evidence["drop"] == [3]
    assert second.problem.startswith("1 held-out row and 1 row of train have nearly the same input (0.98 or more")
    assert {(each.kind, each.severity, each.mend) for each in (first, second)} == {
        ("leak", "error", "fettle data clean {version} drop=leak")
    }


def test_a_leak_of_test_into_validation_drops_the_validation_row():
    (found,) = leaks([row(CARD, part="validation"), row(CARD, part="test")], GIVEN)
    assert found.members == (1, 0) and found.evidence["drop"] == [0] and found.evidence["num_held_out"] == 1
    assert "of validation" in found.problem


def test_dropping_what_a_leak_says_leaves_no_leak():
    draw = random.Random(2)
    words = [
        "parcel",
        "card",
        "order",
        "refund",
        "please",
        "money",
        "arrive",
        "cancel",
        "account",
        "the",
        "where",
        "is",
    ]
    texts = [" ".join(draw.choices(words, k=9)) for _ in range(150)]
    rows = [
        row(f"{draw.choice(texts)}{draw.choice('!?.')}", part=draw.choice(("", "validation", "test")))
        for _ in range(400)
    ]
    found = list(leaks(rows, GIVEN))
    assert found
    dropped = {place for each in found for place in each.evidence["drop"]}
    left = [each for place, each in enumerate(rows) if place not in dropped]
    assert not list(leaks(left, GIVEN))
    assert {each.part for each in left} >= {"test"}
    assert all(rows[place].part != "test" for place in dropped)


def test_every_shared_input_is_named_by_a_leak():
    draw = random.Random(6)
    rows = [
        row(draw.choice("abcdefghijklmn") * draw.randint(1, 6), part=draw.choice(("train", "test"))) for _ in range(200)
    ]
    sides = [[each for each in rows if each.part == part] for part in ("train", "test")]
    shared = {pair[0].input_key for pair in shared_inputs(*sides)}
    found = list(leaks(rows, GIVEN))
    named = {rows[place].input_key for each in found for place in each.members}
    assert shared <= named
    for place, each in enumerate(rows):
        if each.input_key in shared:
            assert any(place in leak.members for leak in found)


def test_one_input_key_is_the_same_input_however_it_is_cut_into_turns():
    ours = chat("hi there friend", "Be kind.", part="test")
    theirs = row("system: be kind. user: hi there friend")
    assert ours.input_key == theirs.input_key
    (found,) = leaks([ours, theirs], GIVEN)
    assert found.members == (0, 1) and found.evidence["how"] == ["same"]


def test_a_split_by_input_leaks_nothing_that_is_the_same():
    rows = split_rows([row(f"question {n % 300} of {n % 300} {chr(97 + n % 26) * 9}") for n in range(900)], Shares())
    assert not [each for each in leaks(rows, GIVEN) if "same" in each.evidence["how"]]


def test_leaks_between_two_versions_name_both_sides():
    ours = [row("nothing like it at all"), row(PARCEL), row(CARD), row(PARCEL, "y")]
    theirs = [row(f"{CARD}!"), row(PARCEL.lower(), part="test"), row("something else")]
    first, second = leaks_between(ours, theirs)
    assert (first.members, first.others, first.evidence["how"]) == ((1, 3), (1,), ["same"])
    assert (second.members, second.others, second.evidence["how"]) == ((2,), (0,), ["near"])
    assert second.evidence["pairs"] == [[2, 0, 0.9773, "near"]]
    assert first.problem == "2 rows and 1 row of the other version have the same input"
    assert not first.mend and not second.mend, "drop=leak looks at the parts of one version, and would find nothing"
    assert not leaks_between(ours, []) and not leaks_between([], theirs)


def test_meanings_are_compared_only_where_they_can_be():
    rows = [row("parcel lost"), row("my package is gone"), row("card declined"), row("shipment missing", part="test")]
    assert not list(semantic_duplicates(rows, GIVEN)) and not list(leaks(rows, GIVEN))
    given = Given(task="classify", embed=embed)
    (found,) = semantic_duplicates(rows[:3], given)
    assert (found.kind, found.severity, found.members) == ("semantic-duplicate", "note", (0, 1))
    assert found.mend == "fettle data clean {version} deduplicate=semantic"
    (leak,) = leaks(rows, given)
    assert leak.members == (3, 0, 1) and leak.evidence["how"] == ["meaning"]
    assert [each.others for each in leaks_between(rows[:2], rows[3:], embed)] == [(0,)]


def test_a_semantic_cluster_lists_copies_too_and_leaves_near_ones_to_their_own_check():
    rows = [row("parcel lost"), row("PARCEL  lost"), row("my package is gone"), row("card declined today here")]
    given = Given(task="classify", embed=embed)
    (found,) = semantic_duplicates(rows, given)
    assert found.members == (0, 1, 2)
    near = [row("my card was declined in the shop today"), row("my card was declined in the shop today!")]
    assert not list(semantic_duplicates(near, given)) and len(list(near_duplicates(near, given))) == 1


def test_too_many_meanings_are_told(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_MEANINGS_COMPARED", 8)
    rows = [row(f"{word} number {word}") for word in ("parcel", "card", "refund", "password", "apple", "pear")]
    given = Given(task="classify", embed=embed)
    found = list(semantic_duplicates(rows, given))
    assert "only the first 4" in found[0].problem and found[0].severity == "note"
    monkeypatch.setattr(duplicates, "MOST_MEANINGS_COMPARED", 6)
    parts = [msgspec.structs.replace(each, part="test" if n < 2 else "") for n, each in enumerate(rows)]
    assert any("too many" in each.problem for each in leaks(parts, given))


def test_evidence_holds_two_hundred_pairs_and_says_how_many_there_are():
    rows = [row(f"{PARCEL}{' ' * n}", str(n)) for n in range(500)] + [row(PARCEL, part="test")]
    (near,) = near_duplicates(rows, GIVEN)
    assert len(near.members) == 500 and len(near.evidence["pairs"]) == 200 and near.evidence["num_pairs"] == 499
    (leak,) = leaks(rows, GIVEN)
    assert len(leak.members) == 501 and len(leak.evidence["pairs"]) == 200 and leak.evidence["num_pairs"] == 500


def test_findings_are_plain_json_and_the_same_twice():
    rows = [row(PARCEL), row(f"{PARCEL}!"), row(PARCEL, part="test"), row(PARCEL), Row(PlainText(CARD), "b", 2)]
    for check in (exact_duplicates, near_duplicates, semantic_duplicates, leaks):
        given = Given(task="classify", embed=embed)
        once = list(check(rows, given))
        assert msgspec.json.encode(once) == msgspec.json.encode(list(check(rows, given)))
        assert all(type(place) is int for each in once for place in each.members)


@pytest.mark.parametrize("check", [near_duplicates, leaks])
def test_many_clusters_each_have_their_own_pairs(check):
    part = "test" if check is leaks else ""
    draw = random.Random(9)
    texts = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=50)) for _ in range(800)]
    rows = [row(text) for text in texts] + [row(f"{text}!", part=part) for text in texts]
    found = list(check(rows, GIVEN))
    assert len(found) == 800
    assert sorted(tuple(sorted(each.members)) for each in found) == [(n, n + 800) for n in range(800)]
    assert all(sorted(each.evidence["pairs"][0][:2]) == sorted(each.members) for each in found)
