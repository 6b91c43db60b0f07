"""Contradictions: one question in other words is found, another question is not, and copies cost no square."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.quality.whole.contradictions import contradictions, restated_pairs
from fettle.quality.whole.slips import is_slip

QUESTION = "Where is my new card? It should be here by now."


@pytest.mark.parametrize(
    "restated",
    [
        QUESTION.upper(),
        "  where is my  new card?\nit should be here by now",
        "Where is my new card!! It should be here, by now…",
        "Hello, where is my new card? It should be here by now, please.",
        "Where is my new crad? It should be here by now.",
        "Where is my newcard? It should be here by now.",
        "Ｗhere is my new card? It should be here by now.",
    ],
)
def test_a_restated_question_with_another_answer_is_a_contradiction(restated):
    inputs = [QUESTION, "What do you charge for a transfer?", restated]
    found = contradictions(inputs, ["arrival", "fee", "lost"], restated_pairs(inputs))
    assert [each.members for each in found] == [(0, 2)]
    assert found[0].answers == ("arrival", "lost")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Please send 100 euros to my savings account today", "Please send 900 euros to my savings account today"),
        ("my card is working in every shop that I go to", "my card is not working in every shop that I go to"),
        ("I can pay by card in every single shop in town", "I can't pay by card in every single shop in town"),
        ("where is my card", "where is my cash"),
    ],
)
def test_other_numbers_denials_and_short_other_nouns_are_other_questions(one, other):
    assert not contradictions(
        [one, other], ["a", "b"], [(0, 1)] if "cash" not in other else restated_pairs([one, other])
    )


def test_the_same_answer_said_otherwise_contradicts_nothing():
    long = "A transfer takes two working days and then it shows up in your account."
    assert not contradictions([QUESTION] * 2, ["Lost.", "  lost "])
    assert not contradictions([QUESTION] * 2, [long, long.replace("and then", "and")])
    assert contradictions([QUESTION] * 2, [long, long.replace("two", "2")])
    assert contradictions([QUESTION] * 2, [long.replace("two", "3"), long.replace("two", "2")])
    assert not contradictions([QUESTION] * 2, ["", "lost"])
    assert not contradictions(["", ""], ["a", "b"])


def test_copies_are_one_group_and_their_pairs_are_not_counted_out():
    inputs = [QUESTION] * 3_000 + [QUESTION.replace("card", "crad")]
    assert restated_pairs(inputs) == [(0, 3_000)]
    found = contradictions(inputs, ["a", "b"] + ["a"] * 2_998 + ["a"], restated_pairs(inputs))
    assert [len(each.members) for each in found] == [3_000, 2]
    assert found[1].members == (1, 3_000)


@given(st.text("abcd", min_size=5, max_size=12), st.integers(0, 11), st.sampled_from("abcdx"))
@settings(deadline=None, max_examples=200)
def test_one_letter_lost_added_or_changed_is_a_slip(text, at, letter):
    at = min(at, len(text) - 1)
    for changed in (text[:at] + letter + text[at:], text[:at] + letter + text[at + 1 :]):
        assert is_slip(text, changed) == is_slip(changed, text) == (text != changed)
    assert not is_slip(text, letter * 2 + "yz" + text)


def test_a_slip_is_one_letter_no_more_and_never_a_digit():
    assert is_slip("delivery", "dleivery")
    assert not is_slip("delivery", "delviyer")
    assert not is_slip("class_1", "class_2")
    assert not is_slip("a", "b")
