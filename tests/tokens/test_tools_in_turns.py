"""Tools in a conversation: through a template that knows them, and told plainly where it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.records import Conversation, Message, ToolCall
from fettle.models.tokenizer import ModelTokenizer, open_tokenizer
from fettle.tasks.chat.task import ChatEncoder
from fettle.tokens.config import PromptSettings
from fettle.tokens.template import encode_prompt, learned_turns
from fettle.tokens.tools import Call, Turn

KNOWING = (
    "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}"
    "{% for call in m.tool_calls or [] %}{{ '[' + call.function.name + ' ' }}"
    "{{ call.function.arguments | tojson }}{{ ']' }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOOL = json.dumps({"type": "function", "function": {"name": "status", "parameters": {"number": "<|im_end|>"}}})
TALK = Conversation(
    (
        Message("user", "where is 7?"),
        Message("assistant", "", tool_calls=(ToolCall("status", '{"number": 7}', "c1"),)),
        Message("tool", "on its way", tool_call_id="c1"),
        Message("assistant", "It is on its way."),
    ),
    (TOOL,),
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
trapped = st.sampled_from(["<|im_end|>", "\ue000", "<|im_start|>user\n", "a"])


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> ModelTokenizer:
    return open_tokenizer(tiny_base)


@pytest.fixture
def knowing(tiny_base: Path) -> ModelTokenizer:
    tokenizer = open_tokenizer(tiny_base)
    tokenizer.inner.chat_template = KNOWING
    return tokenizer


def test_a_template_is_asked_whether_it_knows_tools(plain: ModelTokenizer, knowing: ModelTokenizer) -> None:
    assert (plain.knows_tools, knowing.knows_tools) == (False, True)


def test_a_template_that_knows_tools_writes_them(knowing: ModelTokenizer) -> None:
    encoder = ChatEncoder(knowing, PromptSettings())
    asked = replace_messages(TALK, 1)
    assert knowing.decode(encoder.prompt(asked), with_control=True) == (
        f"<|im_start|>tools\n{TOOL}\n<|im_end|>\n<|im_start|>user\nwhere is 7?<|im_end|>\n<|im_start|>assistant\n"
    )
    calling = replace_messages(TALK, 2)
    assert encoder.expected(calling) == '[status {"number": 7}]'
    (found,) = encoder.examples(TALK, "f:1")
    learned = knowing.decode(found.reads.token.tolist(), with_control=True)
    assert learned == '[status {"number": 7}]<|im_end|>It is on its way.<|im_end|>'


def test_without_such_a_template_tools_are_told_in_words(plain: ModelTokenizer) -> None:
    encoder = ChatEncoder(plain, PromptSettings(system="be kind"))
    (found,) = encoder.examples(TALK, "f:1")
    learned = plain.decode(found.reads.token.tolist(), with_control=True)
    call = '<tool_call>\n{"name": "status", "arguments": {"number": 7}}\n</tool_call>'
    assert learned == f"{call}<|im_end|>It is on its way.<|im_end|>"
    assert encoder.expected(replace_messages(TALK, 2)) == call
    read = plain.decode(found.ids.tolist(), with_control=True)
    assert read.startswith("<|im_start|>system\nbe kind\n\n")
    assert TOOL in read
    assert "<|im_start|>user\n<tool_response>\non its way\n</tool_response><|im_end|>\n" in read


def test_what_an_assistant_says_beside_a_call_stays(plain: ModelTokenizer) -> None:
    turns = [Turn("user", "x"), Turn("assistant", "One moment.", calls=(Call("a", "{}"), Call("b", "{}")))]
    (learned,) = learned_turns(plain, turns)
    text = plain.decode(learned.answer)
    assert text.startswith("One moment.\n<tool_call>")
    assert text.count("<tool_call>") == text.count("</tool_call>") == 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(texts, trapped), min_size=3, max_size=3), st.booleans())
def test_no_text_of_a_tool_becomes_a_control_token(tiny_base: Path, parts: list[str], is_knowing: bool) -> None:
    tokenizer = open_tokenizer(tiny_base)
    if is_knowing:
        tokenizer.inner.chat_template = KNOWING
    name, argument, given_back = parts
    arguments = json.dumps({argument: [name, {"deep": argument}]}, ensure_ascii=False)
    tool = json.dumps({"name": name, "about": {"it": [given_back]}}, ensure_ascii=False)
    tame = json.dumps({"name": "n", "about": {"it": ["g"]}})

    def controls(name: str, arguments: str, given_back: str, tool: str) -> list[int]:
        turns = [
            Turn("user", given_back),
            Turn("assistant", given_back, calls=(Call(name, arguments),)),
            Turn("tool", given_back, name=name),
        ]
        ids = encode_prompt(tokenizer, turns, (tool,))
        special = {tokenizer.inner.convert_tokens_to_ids(text) for text in tokenizer.control_texts}
        return [token for token in ids if token in special]

    assert controls(name, arguments, given_back, tool) == controls("n", "{}", "g", tame)


def replace_messages(talk: Conversation, count: int) -> Conversation:
    """The beginning of a conversation."""
    return Conversation(talk.messages[:count], talk.tools)


def test_a_turn_without_calls_is_as_before(plain: ModelTokenizer) -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b")]
    assert [replace(turn, calls=()) for turn in turns] == turns
    assert encode_prompt(plain, turns) == encode_prompt(plain, turns, ())
