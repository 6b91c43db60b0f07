"""Dialects: what is no example is refused by name, and what is one is kept to the character."""

import pytest

from fettle.data.dialects import TIERS, Chat, Labelled, Plain, PromptCompletion, dialects
from fettle.data.records import BadRecord, Conversation, LabelledText, Message, PlainText, answer_text, input_text

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def test_a_conversation_is_read_turn_by_turn():
    turns = [
        {"role": "developer", "content": " Be kind.\n"},
        USER,
        {**ASSISTANT, "weight": 0},
        USER,
        {**ASSISTANT, "weight": 1.0},
    ]
    record = Chat().parse({"messages": turns})
    assert record == Conversation(
        (
            Message("system", " Be kind.\n"),
            Message("user", "Hi"),
            Message("assistant", "Hello", 0.0),
            Message("user", "Hi"),
            Message("assistant", "Hello", 1.0),
        )
    )
    assert input_text(record) == "system:  Be kind.\n\nuser: Hi\nassistant: Hello\nuser: Hi"
    assert answer_text(record) == "assistant: Hello"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ("Hi", "messages is a string"),
        ({"role": "user"}, "messages is an object"),
        ([], "messages is empty"),
        (["Hi"], "turn 1 is a string"),
        ([USER], "the conversation ends with a user turn"),
        ([USER, ASSISTANT, USER], "the conversation ends with a user turn"),
        ([{"role": "system", "content": "x"}], "the conversation ends with a system turn"),
        ([ASSISTANT], "turn 1 is an assistant turn where a user turn belongs"),
        ([USER, USER, ASSISTANT], "turn 2 is a user turn where an assistant turn belongs"),
        ([USER, ASSISTANT, {"role": "system", "content": "x"}], "turn 3 is a system turn where a user turn belongs"),
        ([{"role": "system", "content": "x"}] * 2 + [USER, ASSISTANT], "turn 2 is a system turn"),
        ([USER, {**ASSISTANT, "weight": 0}], "every assistant turn has weight 0"),
        ([USER, {**ASSISTANT, "weight": 0.5}], "turn 2 has the weight 0.5"),
        ([USER, {**ASSISTANT, "weight": True}], "turn 2 has the weight True"),
        ([USER, {**ASSISTANT, "weight": None}], "turn 2 has the weight None"),
        ([{**USER, "weight": 1}, ASSISTANT], "turn 1 is a user turn with a weight"),
        ([USER, {"role": "tool", "content": "x"}], "turn 2 has the role 'tool'"),
        ([USER, {"role": ["assistant"], "content": "x"}], "turn 2 has the role"),
        ([USER, {"content": "x"}], "turn 2 has no role"),
        ([USER, {"role": "assistant"}], "turn 2 has no content"),
        ([USER, {"role": "assistant", "content": None}], "the content of turn 2 is empty"),
        ([USER, {"role": "assistant", "content": " \n"}], "the content of turn 2 is empty"),
        ([USER, {"role": "assistant", "content": ["x"]}], "the content of turn 2 is a list"),
        ([{**USER, "name": "Ann"}, ASSISTANT], "turn 1 has the unknown key 'name'"),
        ([USER, {"role": "assistant", "contents": "x"}], "turn 2 has the unknown key 'contents'"),
    ],
)
def test_what_is_no_conversation_is_refused_by_its_turn(messages, problem):
    with pytest.raises(BadRecord) as caught:
        Chat().parse({"messages": messages})
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


def test_a_prompt_with_system_and_context():
    read = PromptCompletion().parse
    assert read({"prompt": "Q", "completion": " A"}) == Conversation((Message("user", "Q"), Message("assistant", " A")))
    assert read({"prompt": "Q", "completion": "A", "context": "C", "system": "S"}).messages[:2] == (
        Message("system", "S"),
        Message("user", "Q\n\nC"),
    )
    assert len(read({"prompt": "Q", "completion": "A", "context": "", "system": None}).messages) == 2
    with pytest.raises(BadRecord, match="context is a number"):
        read({"prompt": "Q", "completion": "A", "context": 5})
    with pytest.raises(BadRecord, match="completion is empty"):
        read({"prompt": "Q", "completion": "  "})


@pytest.mark.parametrize(("label", "read"), [(3, "3"), (0, "0"), (True, "true"), (False, "false"), (" a b ", "a b")])
def test_labels_become_strings(label, read):
    assert Labelled().parse({"text": " x ", "label": label}) == LabelledText(" x ", read)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"text": "x", "label": ""}, "label is empty"),
        ({"text": "x", "label": None}, "label is empty"),
        ({"text": "x", "label": 1.5}, "label is a number"),
        ({"text": "x", "label": ["a"]}, "label is a list"),
        ({"text": "x"}, "there is no label"),
        ({"label": "x"}, "there is no text"),
        ({"text": "\n", "label": "x"}, "text is empty"),
        ({"text": 5, "label": "x"}, "text is a number"),
    ],
)
def test_what_is_no_labelled_text_is_refused(fields, problem):
    with pytest.raises(BadRecord, match=problem):
        Labelled().parse(fields)


def test_plain_text_is_kept_to_the_character():
    assert Plain().parse({"text": "\ta\r\nb "}) == PlainText("\ta\r\nb ")


def test_every_dialect_claims_its_own_fields_and_no_fewer():
    for dialect in dialects():
        assert dialect.matches(dialect.required)
        assert all(not dialect.matches(set(dialect.required) - {name}) for name in dialect.required)
    assert len({dialect.name for dialect in dialects()}) == sum(map(len, TIERS))
    assert {dialect.task for dialect in dialects("classify")} == {"classify"}
