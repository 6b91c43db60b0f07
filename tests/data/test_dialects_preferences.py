"""Preferences and judgements in all their formats: one record each, and what is no choice is refused."""

import pytest

from fettle.data.dialects.judged import JUDGED, JUDGED_ALPACA, JUDGED_CHAT, JUDGED_SHAREGPT, STEPS
from fettle.data.dialects.preferences import (
    ALPACA_PREFERENCE,
    CHAT_PREFERENCE,
    OPENAI_PREFERENCE,
    PREFERENCE,
    SHAREGPT_PREFERENCE,
)
from fettle.data.records import BadRecord, JudgedAnswer, JudgedSteps, Message, Preference

USER = {"role": "user", "content": "Q"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in "GB")
ASKED = (Message("user", "Q"),)
WANTED = Preference(ASKED, (Message("assistant", "G"),), (Message("assistant", "B"),))
SAID = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "G"}, {"from": "gpt", "value": "B"}]


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (
            OPENAI_PREFERENCE,
            {"input": {"messages": [USER], "tools": []}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
        ),
        (PREFERENCE, {"prompt": "Q", "chosen": "G", "rejected": "B"}),
        (PREFERENCE, {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}),
        (PREFERENCE, {"prompt": "Q", "chosen": GOOD, "rejected": [BAD]}),
        (PREFERENCE, {"chosen": [USER, GOOD], "rejected": [USER, BAD]}),
        (PREFERENCE, {"prompt": "Q", "chosen": [USER, GOOD], "rejected": [USER, BAD]}),
        (PREFERENCE, {"prompt": [USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]}),
        (PREFERENCE, {"prompt": None, "chosen": "Q G", "rejected": "Q B"}),
        (PREFERENCE, {"chosen": "\n\nHuman: Q\n\nAssistant: G", "rejected": "\n\nHuman: Q\n\nAssistant: B"}),
        (ALPACA_PREFERENCE, {"instruction": "Q", "input": "", "chosen": "G", "rejected": "B"}),
        (CHAT_PREFERENCE, {"messages": [USER, GOOD], "rejected_message": BAD}),
        (CHAT_PREFERENCE, {"messages": [USER, GOOD], "rejected_message": "B"}),
        (CHAT_PREFERENCE, {"messages": [USER, {**GOOD, "weight": 1}], "rejected_message": [BAD]}),
        (SHAREGPT_PREFERENCE, {"conversations": SAID[:1], "chosen": SAID[1], "rejected": SAID[2]}),
        (SHAREGPT_PREFERENCE, {"conversations": SAID[:1], "chosen": "G", "rejected": [BAD]}),
    ],
)
def test_every_format_of_a_preference_makes_one_record(dialect, fields):
    assert dialect.parse(fields) == WANTED


def test_tools_and_system_texts_are_part_of_a_preference():
    tool = '{"name": "add"}'
    given = {"messages": [{"role": "developer", "content": "S"}, USER], "tools": [{"name": "add"}]}
    record = OPENAI_PREFERENCE.parse({"input": given, "preferred_output": [GOOD], "non_preferred_output": [BAD]})
    assert (record.prompt[0], record.tools) == (Message("system", "S"), (tool,))
    row = {"instruction": "Q", "system": "S", "history": [["q", "a"]], "chosen": "G", "rejected": "B"}
    assert [turn.content for turn in ALPACA_PREFERENCE.parse(row).prompt] == ["S", "q", "a", "Q"]


def test_the_common_beginning_ends_with_the_question():
    # Both answers begin alike, and no word is cut in two.
    record = PREFERENCE.parse({"chosen": "Sky? It is blue.", "rejected": "Sky? It is black."})
    assert (record.prompt[0].content, record.chosen[0].content) == ("Sky? It is", "blue.")
    turns = [USER, GOOD, {"role": "user", "content": "And?"}]
    record = PREFERENCE.parse({"chosen": [*turns, GOOD], "rejected": [*turns, BAD]})
    assert [turn.content for turn in record.prompt] == ["Q", "G", "And?"]
    with pytest.raises(BadRecord, match="turn 2 of rejected is a user turn"):
        PREFERENCE.parse({"chosen": [USER, GOOD], "rejected": [USER, BAD, USER, BAD]})


@pytest.mark.parametrize(
    ("dialect", "fields", "problem"),
    [
        (PREFERENCE, {"prompt": "Q", "chosen": "G", "rejected": "G"}, "the better and the worse answer are the same"),
        (PREFERENCE, {"chosen": [USER, GOOD], "rejected": [USER, GOOD]}, "the better and the worse answer are"),
        (PREFERENCE, {"chosen": "Q G", "rejected": "Q G"}, "the better and the worse answer are the same"),
        (PREFERENCE, {"chosen": "G", "rejected": "G"}, "chosen and rejected are the same"),
        (PREFERENCE, {"chosen": "G", "rejected": "B"}, "chosen and rejected do not begin with one prompt"),
        (PREFERENCE, {"chosen": [GOOD], "rejected": [BAD]}, "chosen and rejected have no beginning in common"),
        (PREFERENCE, {"prompt": "X", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "chosen does not begin with"),
        (PREFERENCE, {"prompt": "Q", "chosen": 5, "rejected": "B"}, "chosen is a number"),
        (PREFERENCE, {"prompt": "Q", "chosen": "G", "rejected": ""}, "rejected is empty"),
        (PREFERENCE, {"prompt": [USER, GOOD], "chosen": "G", "rejected": "B"}, "the prompt ends with an assistant"),
        (PREFERENCE, {"chosen": "\n\nHuman: Q\n\nAssistant:", "rejected": "\n\nHuman: Q"}, "the content of turn 2"),
        (CHAT_PREFERENCE, {"messages": [USER], "rejected_message": BAD}, "the conversation ends with a user turn"),
        (CHAT_PREFERENCE, {"messages": [USER, {**GOOD, "weight": 0}], "rejected_message": GOOD}, "the better and"),
        (OPENAI_PREFERENCE, {"input": [], "preferred_output": [GOOD], "non_preferred_output": [BAD]}, "input is a li"),
        (SHAREGPT_PREFERENCE, {"conversations": SAID[:2], "chosen": SAID[1], "rejected": SAID[2]}, "the prompt ends"),
        (SHAREGPT_PREFERENCE, {"conversations": SAID[:1], "chosen": SAID[0], "rejected": SAID[2]}, "turn 1 of chosen"),
        (JUDGED, {"prompt": "Q", "completion": "G", "label": "good"}, "label is 'good'"),
        (JUDGED, {"prompt": "Q", "completion": "G", "label": 2}, "label is 2"),
        (JUDGED, {"prompt": "Q", "completion": "G", "label": None}, "label is empty"),
        (JUDGED_CHAT, {"messages": [USER], "label": True}, "the conversation ends with a user turn"),
        (STEPS, {"prompt": "Q", "completions": [], "labels": []}, "completions is empty"),
        (STEPS, {"prompt": "Q", "completions": ["a"], "labels": []}, "there are 1 steps and 0 labels"),
        (STEPS, {"prompt": "Q", "completions": ["a", " "], "labels": [True, True]}, "step 2 is empty"),
        (STEPS, {"prompt": "Q", "completions": ["a"], "labels": ["right"]}, "the label of step 1 is 'right'"),
        (STEPS, {"prompt": "Q", "completions": "a", "labels": [True]}, "completions is a string"),
    ],
)
def test_what_is_no_choice_is_refused(dialect, fields, problem):
    with pytest.raises(BadRecord) as caught:
        dialect.parse(fields)
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (JUDGED, {"prompt": "Q", "completion": "B"}),
        (JUDGED, {"prompt": [USER], "completion": [BAD]}),
        (JUDGED_CHAT, {"messages": [USER, BAD]}),
        (JUDGED_SHAREGPT, {"conversations": [SAID[0], SAID[2]]}),
        (JUDGED_ALPACA, {"instruction": "Q", "output": "B"}),
    ],
)
@pytest.mark.parametrize("label", [False, "False", "false", 0, "0"])
def test_every_format_of_a_judgement_makes_one_record(dialect, fields, label):
    assert dialect.parse({**fields, "label": label}) == JudgedAnswer(ASKED, (Message("assistant", "B"),), False)
    assert dialect.parse({**fields, "label": True}).is_good


def test_steps_are_judged_one_by_one():
    row = {"prompt": "Q", "completions": ["a", "b"], "labels": [True, False]}
    assert STEPS.parse(row) == JudgedSteps(ASKED, ("a", "b"), (True, False))
    assert STEPS.parse({**row, "prompt": [USER]}) == STEPS.parse(row)
