"""Dialects: what is no example is refused by name, and what is one is kept to the character."""

import json

import pytest

from fettle.data.dialects.chat import ASSISTANT_TEXT, CHAT, GRADED_CHAT, SHAREGPT
from fettle.data.dialects.labelled import CHAT_TARGETS, LABELLED, MULTI_LABELLED, TEXT_TARGETS
from fettle.data.dialects.prompts import ALPACA, GRADED_PROMPT, PROMPT_COMPLETION
from fettle.data.dialects.table import DIALECTS, TIERS, dialects
from fettle.data.dialects.texts import PAIR, PAIR_SCORE, SCORED, SCORED_PAIR, TEXT
from fettle.data.records import (
    TASK_OF_RECORD,
    BadRecord,
    Conversation,
    GradedPrompt,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    ScoredText,
    TextPair,
    ToolCall,
    answer_text,
    input_text,
)

USER, ASSISTANT = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def test_a_conversation_is_read_turn_by_turn():
    turns = [
        {"role": "developer", "content": " Be kind.\n"},
        USER,
        {**ASSISTANT, "weight": 0},
        USER,
        {**ASSISTANT, "weight": 1.0},
    ]
    record = CHAT.parse({"messages": turns})
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
        ([USER, {"role": "tool", "content": "x"}], "turn 2 is a tool turn where an assistant turn belongs"),
        ([USER, {"role": "human", "content": "x"}], "turn 2 has the role 'human'"),
        ([USER, {"role": ["assistant"], "content": "x"}], "turn 2 has the role"),
        ([USER, {"content": "x"}], "turn 2 has no role"),
        ([USER, {"role": "assistant"}], "turn 2 has no content"),
        ([USER, {"role": "assistant", "content": None}], "the content of turn 2 is empty"),
        ([USER, {"role": "assistant", "content": " \n"}], "the content of turn 2 is empty"),
        ([USER, {"role": "assistant", "content": ["x"]}], "the content of turn 2 is a list"),
        ([{**USER, "nmae": "Ann"}, ASSISTANT], "turn 1 has the unknown key 'nmae'"),
        ([{**USER, "name": 5}, ASSISTANT], "the name of turn 1 is a number"),
        ([USER, {"role": "assistant", "contents": "x"}], "turn 2 has the unknown key 'contents'"),
    ],
)
def test_what_is_no_conversation_is_refused_by_its_turn(messages, problem):
    with pytest.raises(BadRecord) as caught:
        CHAT.parse({"messages": messages})
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


def test_a_prompt_with_system_and_context():
    read = PROMPT_COMPLETION.parse
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
    assert LABELLED.parse({"text": " x ", "label": label}) == LabelledText(" x ", read)


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
        LABELLED.parse(fields)


def test_plain_text_is_kept_to_the_character():
    assert TEXT.parse({"text": "\ta\r\nb "}) == PlainText("\ta\r\nb ")


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"role": "tool", "content": "2", "tool_call_id": "c1"}
ADD = {"type": "function", "function": {"name": "add", "parameters": {}}}


def test_calls_and_their_answers_are_read():
    turns = [{**USER, "name": "Ann"}, CALLING, TOOL, ASSISTANT]
    record = CHAT.parse({"messages": turns, "tools": [ADD], "parallel_tool_calls": True})
    assert record == Conversation(
        (
            Message("user", "Hi", name="Ann"),
            Message("assistant", "", tool_calls=(ToolCall("add", '{"a": 1}', "c1"),)),
            Message("tool", "2", tool_call_id="c1"),
            Message("assistant", "Hello"),
        ),
        ('{"type": "function", "function": {"name": "add", "parameters": {}}}',),
    )


def test_two_calls_side_by_side_are_answered_in_any_order():
    both = {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    answers = [{**TOOL, "tool_call_id": "c2"}, TOOL]
    assert len(CHAT.parse({"messages": [USER, both, *answers, ASSISTANT]}).messages) == 5
    with pytest.raises(BadRecord, match="turn 4 is an assistant turn where a tool turn belongs"):
        CHAT.parse({"messages": [USER, both, TOOL, ASSISTANT]})
    with pytest.raises(BadRecord, match="turn 4 answers 'c1'"):
        CHAT.parse({"messages": [USER, both, TOOL, TOOL, ASSISTANT]})


def test_a_conversation_may_end_with_a_call():
    assert CHAT.parse({"messages": [USER, CALLING]}).messages[1].tool_calls[0].name == "add"


def test_the_old_form_of_a_call():
    old = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}}
    answer = {"role": "function", "name": "add", "content": "2"}
    assert CHAT.parse({"messages": [USER, old, answer, ASSISTANT]}).messages[1:3] == (
        Message("assistant", "", tool_calls=(ToolCall("add", "{}"),)),
        Message("tool", "2", name="add"),
    )


def test_null_keys_are_none_as_columns_of_tables_hold_them():
    turns = [{**USER, "tool_calls": None, "name": None, "refusal": None, "weight": None}, ASSISTANT]
    assert CHAT.parse({"messages": turns, "tools": None}) == CHAT.parse({"messages": [USER, ASSISTANT]})


def test_turns_that_are_only_a_call_are_joined_into_one():
    said = [{"role": "tool_call", "content": f'{{"name": "{name}", "arguments": {{}}}}'} for name in ("add", "now")]
    heard = [{"role": "tool_response", "content": "2"}] * 2
    record = CHAT.parse({"messages": [USER, *said, *heard, ASSISTANT]})
    assert [turn.role for turn in record.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert record.messages[1].tool_calls == (ToolCall("add", "{}"), ToolCall("now", "{}"))
    with pytest.raises(BadRecord, match="turn 2 calls a function in words that are no JSON"):
        CHAT.parse({"messages": [USER, {"role": "tool_call", "content": "add()"}]})


def test_lists_that_a_table_holds_in_a_cell_are_lists():
    turns = json.dumps([USER, ASSISTANT])
    assert CHAT.parse({"messages": turns}) == CHAT.parse({"messages": [USER, ASSISTANT]})
    assert MULTI_LABELLED.parse({"text": "x", "labels": '["a"]'}) == MultiLabelledText("x", ("a",))
    assert PAIR.parse({"anchor": "x", "positive": "y", "negative": '["z"]'}).others == ("z",)
    assert PROMPT_COMPLETION.parse({"prompt": "[1, 2]", "completion": "[2, 1]"}).messages[0].content == "[1, 2]"
    with pytest.raises(BadRecord, match="messages is a string"):
        CHAT.parse({"messages": "[{"})


def test_parts_of_text_are_joined_and_pictures_are_refused():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert CHAT.parse({"messages": [{"role": "user", "content": parts}, ASSISTANT]}).messages[0].content == "one\ntwo"
    seen = [*parts, {"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(BadRecord, match="part 3 of turn 1 is 'image_url', which is no text"):
        CHAT.parse({"messages": [{"role": "user", "content": seen}, ASSISTANT]})
    for dialect, fields in (
        (CHAT, {"messages": [USER, ASSISTANT]}),
        (ALPACA, {"instruction": "<image>what?", "output": "a cat"}),
        (SHAREGPT, {"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a cat"}]}),
    ):
        with pytest.raises(BadRecord, match="the row holds 1 image"):
            dialect.parse({**fields, "images": ["cat.png"]})
        assert dialect.parse({**fields, "images": []})


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        ([USER, {**CALLING, "tool_calls": "add"}], "the tool_calls of turn 2 are a string"),
        ([USER, {**CALLING, "tool_calls": [5]}], "call 1 of turn 2 is a number"),
        ([USER, {**CALLING, "tool_calls": [{"function": {}}]}], "call 1 of turn 2 names no function"),
        ([USER, {**CALLING, "tool_calls": [{"function": 5}]}], "the function of call 1 of turn 2 is a number"),
        ([USER, {**CALLING, "tool_calls": [{"type": "code"}]}], "call 1 of turn 2 is of the type 'code'"),
        ([USER, {**CALLING, "tool_calls": [CALL, CALL]}], "two calls of turn 2 have one id"),
        ([USER, {**CALLING, "function_call": {"name": "a"}}], "turn 2 has both tool_calls and function_call"),
        ([{**USER, "tool_calls": [CALL]}, ASSISTANT], "turn 1 is a user turn that calls tools"),
        ([{**USER, "tool_call_id": "c1"}, ASSISTANT], "turn 1 is a user turn with a tool_call_id"),
        ([USER, CALLING, USER, ASSISTANT], "turn 3 is a user turn where a tool turn belongs"),
        ([USER, CALLING, {**TOOL, "tool_call_id": "c9"}, ASSISTANT], "turn 3 answers 'c9'"),
        ([USER, CALLING, {"role": "tool", "content": "2"}, ASSISTANT], "turn 3 does not say which call it answers"),
        ([USER, CALLING, TOOL, USER, ASSISTANT], "turn 4 is a user turn where an assistant turn belongs"),
        ([USER, CALLING, TOOL], "the conversation ends with a tool turn"),
    ],
)
def test_faults_of_calls_are_named_by_their_turn(turns, problem):
    with pytest.raises(BadRecord) as caught:
        CHAT.parse({"messages": turns})
    assert caught.value.problem.startswith(problem)
    assert caught.value.expected


@pytest.mark.parametrize("arguments", ["", "5", "[1]", '{"a": NaN}', '{"a": 1', '{"a":' * 5_000, None, 5, [1]])
def test_arguments_are_one_json_object(arguments):
    turns = [USER, {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": arguments}}]}]
    with pytest.raises(BadRecord, match="the arguments of call 1 of turn 2"):
        CHAT.parse({"messages": turns})


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        (5, "tools is a number"),
        ("add", "tools is a string that is no JSON"),
        ({"name": "add"}, "tools is an object"),
        ([5], "tool 1 is a number"),
        ([ADD, {"parameters": {}}], "tool 2 has no name"),
    ],
)
def test_tools_are_objects_with_a_name(tools, problem):
    with pytest.raises(BadRecord, match=problem):
        CHAT.parse({"messages": [USER, ASSISTANT], "tools": tools})
    assert CHAT.parse({"messages": [USER, ASSISTANT], "tools": '["{\\"name\\": \\"add\\"}"]'}).tools == (
        '{"name": "add"}',
    )


SAID = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]


@pytest.mark.parametrize(
    "said",
    [
        SAID,
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        [{"from": "User", "value": "Hi", "id": 1}, {"from": "ChatGPT", "value": "Hello", "markdown": ""}],
        [{"from": "user", "text": "Hi"}, {"from": "bot", "text": "Hello"}],
        [{"speaker": "USER", "utterance": "Hi", "frames": []}, {"speaker": "SYSTEM", "utterance": "Hello"}],
        [{"human": "Hi", "assistant": "Hello"}],
    ],
)
def test_renamed_tags_say_the_same(said):
    assert SHAREGPT.parse({"conversations": said}) == CHAT.parse({"messages": [USER, ASSISTANT]})


def test_calls_of_sharegpt_and_its_system_text():
    called = {
        "from": "function_call",
        "value": '[{"name": "add", "arguments": {"a": 1}}, {"name": "now", "arguments": {}}]',
    }
    seen = {"from": "observation", "value": "2"}
    row = {"conversations": [SAID[0], called, seen, seen, SAID[1]], "system": "Be kind.", "tools": '[{"name": "add"}]'}
    record = SHAREGPT.parse(row)
    assert [turn.role for turn in record.messages] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert [call.name for call in record.messages[2].tool_calls] == ["add", "now"]
    assert record.tools == ('{"name": "add"}',)
    told = {"from": "system", "value": "Be kind."}
    assert SHAREGPT.parse({"conversations": [told, *SAID], "system": "Be kind."}).messages[0].content == "Be kind."


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"conversations": SAID[::-1]}, "turn 1 is an assistant turn where a user turn belongs"),
        ({"conversations": [{"from": "alien", "value": "Hi"}]}, "turn 1 is said by 'alien'"),
        ({"conversations": [{"value": "Hi"}]}, "turn 1 does not say who speaks"),
        ({"conversations": [{"from": "human"}]}, "turn 1 has no content"),
        ({"conversations": [{"human": "Hi", "assistant": ""}]}, "the content of turn 1 is empty"),
        ({"conversations": [SAID[0], {"from": "function_call", "value": "add()"}]}, "turn 2 calls a function in words"),
        ({"conversations": [SAID[0], {"from": "function_call", "value": "[]"}]}, "turn 2 calls no function"),
        ({"conversations": [{"from": "system", "value": "x"}, *SAID], "system": "y"}, "the row has two system texts"),
        ({"conversations": [SAID[0]]}, "the conversation ends with a user turn"),
    ],
)
def test_what_nobody_said_is_refused(fields, problem):
    with pytest.raises(BadRecord) as caught:
        SHAREGPT.parse(fields)
    assert caught.value.problem.startswith(problem)


def test_prompts_of_turns_and_alpacas_history():
    whole = CHAT.parse({"messages": [USER, ASSISTANT]})
    assert PROMPT_COMPLETION.parse({"prompt": [USER], "completion": [ASSISTANT]}) == whole
    assert PROMPT_COMPLETION.parse({"prompt": "Hi", "completion": ASSISTANT}) == whole
    row = {"instruction": "Add", "input": "2, 2", "output": "4", "system": "S", "history": [["Hi", "Hello"]]}
    record = ALPACA.parse(row)
    assert [turn.content for turn in record.messages] == ["S", "Hi", "Hello", "Add\n\n2, 2", "4"]
    assert all(turn.weight == 1 for turn in record.messages)
    assert ALPACA.parse({**row, "history": []}) == ALPACA.parse({**row, "history": None})


@pytest.mark.parametrize(
    ("dialect", "fields", "problem"),
    [
        (PROMPT_COMPLETION, {"prompt": [USER, ASSISTANT], "completion": "x"}, "the prompt ends with an assistant turn"),
        (PROMPT_COMPLETION, {"prompt": [USER], "completion": [USER]}, "turn 1 of completion is a user turn"),
        (PROMPT_COMPLETION, {"prompt": [USER], "completion": "x", "system": "y"}, "prompt is a list of turns, and"),
        (ALPACA, {"instruction": "", "output": "x"}, "instruction is empty"),
        (ALPACA, {"instruction": "x", "output": "x", "history": "y"}, "history is a string"),
        (ALPACA, {"instruction": "x", "output": "x", "history": [["y"]]}, "exchange 1 of history is a list of 1"),
        (ALPACA, {"instruction": "x", "output": "x", "history": [["y", ""]]}, "the answer of exchange 1 of history"),
    ],
)
def test_what_asks_or_answers_nothing_is_refused(dialect, fields, problem):
    with pytest.raises(BadRecord) as caught:
        dialect.parse(fields)
    assert caught.value.problem.startswith(problem)


def test_a_graded_prompt_keeps_what_its_grader_needs():
    row = {"messages": [USER], "reference_answer": {"n": 4}, "topic": "sums", "tools": [ADD["function"]]}
    record = GRADED_CHAT.parse(row)
    assert record == GradedPrompt(
        (Message("user", "Hi"),),
        '{"reference_answer": {"n": 4}, "topic": "sums"}',
        ('{"name": "add", "parameters": {}}',),
    )
    for turns, problem in (([USER, ASSISTANT], "ends with an assistant turn"), ([USER, CALLING, TOOL], "a tool turn")):
        with pytest.raises(BadRecord, match=problem):
            GRADED_CHAT.parse({**row, "messages": turns})


def test_a_graded_prompt_may_be_a_text():
    row = {"prompt": "Hi", "answer": 4, "system": "Be kind."}
    asked = (Message("system", "Be kind."), Message("user", "Hi"))
    assert GRADED_PROMPT.parse(row) == GradedPrompt(asked, '{"answer": 4}')
    assert GRADED_PROMPT.parse({"prompt": [USER], "answer": 4}).messages == asked[1:]
    with pytest.raises(BadRecord, match="ends with an assistant turn"):
        GRADED_PROMPT.parse({"prompt": [USER, ASSISTANT]})


def test_one_assistant_turn_alone_is_a_document():
    assert ASSISTANT_TEXT.parse({"messages": [ASSISTANT]}) == PlainText("Hello")
    with pytest.raises(BadRecord, match="is a conversation"):
        ASSISTANT_TEXT.parse({"messages": [USER, ASSISTANT]})


def test_several_labels_and_targets():
    read = MULTI_LABELLED.parse
    assert read({"text": "x", "labels": [" a ", 5, True, "a"]}) == MultiLabelledText("x", ("a", "5", "true"))
    assert read({"text": "x", "labels": []}) == MultiLabelledText("x", ())
    targets = {"labels": {"tone": "kind", "topic": ["a", "b"], "none": []}}
    wanted = ("tone=kind", "topic=a", "topic=b")
    assert TEXT_TARGETS.parse({"text": "x", **targets}) == MultiLabelledText("x", wanted)
    assert CHAT_TARGETS.parse({"messages": [USER], **targets}) == MultiLabelledText("Hi", wanted)
    assert CHAT_TARGETS.parse({"messages": [USER, ASSISTANT], **targets}).text == "user: Hi\nassistant: Hello"


@pytest.mark.parametrize(
    ("dialect", "fields", "problem"),
    [
        (MULTI_LABELLED, {"text": "x", "labels": "a, b"}, "labels is a string"),
        (MULTI_LABELLED, {"text": "x", "labels": ["a", ""]}, "label 2 of labels is empty"),
        (MULTI_LABELLED, {"text": "x", "labels": [["a"]]}, "label 1 of labels is a list"),
        (TEXT_TARGETS, {"text": "x", "labels": ["a"]}, "labels is a list"),
        (TEXT_TARGETS, {"text": "x", "labels": {"tone": None}}, "tone is empty"),
        (TEXT_TARGETS, {"text": "x", "labels": {"tone": [{}]}}, "label 1 of the target tone is an object"),
        (SCORED, {"text": "x", "score": "good"}, "score is 'good'"),
        (SCORED, {"text": "x", "score": True}, "score is True"),
        (SCORED, {"text": "x", "score": "nan"}, "score is 'nan'"),
        (SCORED, {"text": "x", "score": "1_000"}, "score is '1_000'"),
        (SCORED, {"text": "x", "score": 10**400}, "score is a number"),
        (SCORED, {"text": "x", "score": " "}, "score is empty"),
        (SCORED_PAIR, {"sentence1": "x", "sentence2": "", "score": 1}, "sentence2 is empty"),
        (PAIR, {"anchor": "x", "positive": 5}, "positive is a number"),
        (PAIR, {"anchor": "x", "positive": "y", "negative": ["z", " "]}, "negative 2 is empty"),
    ],
)
def test_faults_of_labels_scores_and_pairs(dialect, fields, problem):
    with pytest.raises(BadRecord) as caught:
        dialect.parse(fields)
    assert caught.value.problem.startswith(problem)


def test_scores_and_pairs():
    assert SCORED.parse({"text": "x", "score": " 3.8 "}) == ScoredText("x", 3.8)
    assert SCORED_PAIR.parse({"sentence1": "x", "sentence2": "y", "score": 5}) == ScoredText("x", 5.0, "y")
    assert PAIR_SCORE.parse({"anchor": "x", "positive": "y", "score": 0.5}) == TextPair("x", "y", score=0.5)
    assert PAIR.parse({"anchor": "x", "positive": "y"}) == TextPair("x", "y")
    assert PAIR.parse({"anchor": "x", "positive": "y", "negative": "z"}) == TextPair("x", "y", ("z",))


def test_every_dialect_claims_its_own_fields_and_no_fewer():
    for dialect in dialects():
        assert dialect.matches(dialect.required)
        assert all(not dialect.matches(set(dialect.required) - {name}) for name in dialect.required)
    assert len({dialect.name for dialect in dialects()}) == sum(map(len, TIERS))
    assert {dialect.task for dialect in dialects("classify")} == {"classify"}
    assert len(DIALECTS) == len(dialects())
    assert {dialect.task for dialect in dialects()} == set(TASK_OF_RECORD.values())
