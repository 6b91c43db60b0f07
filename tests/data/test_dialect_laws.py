"""Laws over every dialect: what one writes it reads, and whatever stands in a row gives a record or a fault."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.dialects.table import DIALECTS, dialects
from fettle.data.dialects.turns import check_order, read_conversation, read_turns
from fettle.data.records import (
    TASK_OF_RECORD,
    BadRecord,
    Conversation,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Preference,
    Record,
    ScoredText,
    TextPair,
    ToolCall,
)

SAID = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
LABEL = st.sampled_from(["a", "b c", "ü"])
KEYS = st.sampled_from(
    [
        "role",
        "content",
        "from",
        "value",
        "weight",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "type",
        "text",
        "messages",
        "start",
        "end",
        "label",
        "human",
        "assistant",
        "function_call",
        "tool_call_id",
        "x",
    ]
)
WORDS = st.sampled_from(
    ["user", "assistant", "system", "tool", "human", "gpt", "function_call", "text", "{}", "c1", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_row_is_a_record_or_a_fault(dialect, data):
    names = [*dialect.required, *dialect.optional, "another"]
    whole = st.fixed_dictionaries(dict.fromkeys(names, JSON))
    fields = data.draw(st.dictionaries(st.sampled_from(names), JSON) | whole)
    assert dialect.suits(fields) in (True, False, None)
    record = outcome(dialect.parse, fields)
    if isinstance(record, BadRecord):
        assert record.problem
        assert record.expected
        assert len(str(record)) < 1_000
    else:
        assert TASK_OF_RECORD[type(record)] == dialect.task
        assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def outcome(read, *given_to):
    """What is read, or the fault."""
    try:
        return read(*given_to)
    except BadRecord as fault:
        return fault


@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
def test_a_very_deep_or_long_value_is_a_fault_like_any_other(dialect):
    deep: object = "x"
    for _ in range(3_000):
        deep = [deep]
    for value in (
        deep,
        {"x": deep},
        ["x"] * 3_000,
        "x" * 300_000,
        10**5_000,
        [{"role": "user", "content": "x" * 99}] * 99,
    ):
        fault = outcome(dialect.parse, dict.fromkeys((*dialect.required, *dialect.optional), value))
        assert not isinstance(fault, BadRecord) or len(str(fault)) < 1_000


TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "assistant", "system", "developer"]), "content": SAID},
        optional={"weight": st.sampled_from([0, 1, 1.0, True, None]), "name": st.sampled_from(["Ann", None])},
    ),
    max_size=5,
)


@given(TURNS)
@settings(max_examples=300)
def test_the_short_way_of_reading_turns_is_the_long_way(turns):
    def long_way():
        messages = read_turns(turns)
        check_order(messages)
        return messages

    short, long = outcome(read_conversation, turns), outcome(long_way)
    assert str(short) == str(long) if isinstance(long, BadRecord) else short == long


@st.composite
def exchanges(draw):
    """Sound turns that end with the assistant, with calls and their answers among them."""
    messages = [Message("system", draw(SAID))] if draw(st.booleans()) else []
    for exchange in range(draw(st.integers(1, 3))):
        messages.append(Message("user", draw(SAID), name=draw(st.sampled_from(["", "Ann"]))))
        if draw(st.booleans()):
            calls = tuple(ToolCall("f", draw(st.sampled_from(["{}", '{"a": 1}'])), f"{exchange}-{n}") for n in range(2))
            messages.append(Message("assistant", draw(st.sampled_from(["", "one moment"])), tool_calls=calls))
            messages += [Message("tool", draw(SAID), tool_call_id=call.id) for call in calls]
        messages.append(Message("assistant", draw(SAID), draw(st.sampled_from([0.0, 1.0]))))
    return (*messages[:-1], Message("assistant", draw(SAID)))


def written(messages):
    """Turns in OpenAI's words."""
    turns = []
    for turn in messages:
        row = {"role": turn.role, "content": turn.content}
        if turn.role == "assistant" and turn.weight != 1:
            row["weight"] = int(turn.weight)
        if turn.tool_calls:
            row["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in turn.tool_calls
            ]
        row |= {key: value for key in ("name", "tool_call_id") if (value := getattr(turn, key))}
        turns.append(row)
    return turns


def told(messages):
    """Turns as ShareGPT writes them, calls aside."""
    who = {"system": "system", "user": "human", "assistant": "gpt"}
    return [{"from": who[turn.role], "value": turn.content} for turn in messages]


@given(exchanges(), SAID, st.booleans())
def test_what_is_written_is_read(messages, worse, is_good):
    *prompt, better = messages
    rejected = (Message("assistant", worse + "!"),)
    tools = ('{"name": "f"}',)
    turns = written(messages)
    listed = [json.loads(tool) for tool in tools]
    expected = Preference(tuple(prompt), (better,), rejected)
    for name, fields, record in (
        ("chat", {"messages": turns, "tools": listed}, Conversation(messages, tools)),
        ("sharegpt", {"conversations": turns}, Conversation(messages)),
        ("prompt_completion", {"prompt": turns[:-1], "completion": turns[-1:]}, Conversation(messages)),
        ("judged_chat", {"messages": turns, "label": is_good}, JudgedAnswer(tuple(prompt), (better,), is_good)),
        ("judged", {"prompt": turns[:-1], "completion": better.content, "label": is_good}, None),
        ("chat_preference", {"messages": turns, "rejected_message": written(rejected)[0]}, expected),
        ("preference", {"prompt": turns[:-1], "chosen": turns[-1:], "rejected": written(rejected)}, expected),
        ("steps", {"prompt": turns[:-1], "completions": ["a"], "labels": [is_good]}, None),
    ):
        parsed = DIALECTS[name].parse(json.loads(json.dumps(fields)))
        if name == "judged":
            record = JudgedAnswer(tuple(prompt), (better,), is_good)
        elif name == "steps":
            record = JudgedSteps(tuple(prompt), ("a",), (is_good,))
        elif better.content == worse + "!":
            continue
        assert parsed == record
    plain = tuple(Message(turn.role, turn.content) for turn in messages if turn.role != "tool" and not turn.tool_calls)
    assert DIALECTS["sharegpt"].parse({"conversations": told(plain)}) == Conversation(plain)


@given(SAID, SAID, st.lists(LABEL, max_size=3, unique=True), st.floats(-9, 9))
def test_what_is_written_of_texts_is_read(text, other, labels, score):
    for name, fields, record in (
        ("text", {"text": text}, PlainText(text)),
        ("labelled", {"text": text, "label": "a"}, LabelledText(text, "a")),
        ("multi_labelled", {"text": text, "labels": labels}, MultiLabelledText(text, tuple(labels))),
        ("scored", {"text": text, "score": score}, ScoredText(text, score)),
        ("scored", {"text": text, "score": repr(score)}, ScoredText(text, score)),
        ("scored_pair", {"sentence1": text, "sentence2": other, "score": score}, ScoredText(text, score, other)),
        ("pair", {"anchor": text, "positive": other, "negative": [text]}, TextPair(text, other, (text,))),
        ("pair_score", {"anchor": text, "positive": other, "score": score}, TextPair(text, other, score=score)),
    ):
        assert DIALECTS[name].parse(fields) == record
