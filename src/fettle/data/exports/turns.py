"""Turns: how those of a record are read, and how other tools write them (OpenAI's messages, ShareGPT, Alpaca).

What a shape cannot say is refused by a rule before anything is written in it; nothing is refused here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from fettle.data.containers.json_lines import decode_object
from fettle.data.records import (
    BadRecord,
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    Message,
    Preference,
    Record,
)

Turns = tuple[Message, ...]


def prompt_of(record: Record) -> Turns:
    """The turns that an answer follows, or all turns of a conversation."""
    match record:
        case Conversation(messages) | GradedPrompt(messages):
            return messages
        case Preference(prompt) | JudgedAnswer(prompt) | JudgedSteps(prompt):
            return prompt
    return ()


def answers_of(record: Record) -> dict[str, Turns]:
    """The answers that stand beside a prompt, each under the name that people know it by."""
    match record:
        case Preference(_, chosen, rejected):
            return {"the better answer": chosen, "the worse answer": rejected}
        case JudgedAnswer(_, answer):
            return {"the answer": answer}
    return {}


def tools_of(record: Record) -> tuple[str, ...]:
    """The tools that a record offers, as JSON texts."""
    return record.tools if isinstance(record, Conversation | Preference | GradedPrompt) else ()


def paths_of(record: Record) -> list[Turns]:
    """Every way in which the turns can be read to the end: one for each answer."""
    prompt, answers = prompt_of(record), answers_of(record)
    return [prompt + answer for answer in answers.values()] if answers else [prompt]


def numbered(record: Record) -> Iterator[tuple[str, Message]]:
    """Every turn once, with its place in words."""
    for number, turn in enumerate(prompt_of(record), start=1):
        yield f"turn {number}", turn
    for name, answer in answers_of(record).items():
        for number, turn in enumerate(answer, start=1):
            yield f"turn {number} of {name}", turn


def without_system(turns: Turns) -> tuple[str, Turns]:
    """The text of the leading system turn, empty where there is none, and the turns after it.

    >>> without_system((Message("system", "Be brief."), Message("user", "Hi")))[0]
    'Be brief.'
    """
    return (turns[0].content, turns[1:]) if turns and turns[0].role == "system" else ("", turns)


def parsed_object(text: str) -> dict[str, object] | None:
    """One JSON object, read strictly; None where the text is anything else.

    >>> parsed_object('{"a": 1}'), parsed_object("[]"), parsed_object('{"a": NaN}')
    ({'a': 1}, None, None)
    """
    try:
        return decode_object(text)
    except BadRecord:
        return None


def with_call_ids(turns: Turns, is_renamed: bool = False) -> Turns:
    """The turns with an id on every call, and on every tool turn the id of the call that it answers.

    A call without one is numbered, and a tool turn that names none answers the first call that waits. With
    `is_renamed` every id is numbered, nine letters and digits each, which is what Mistral takes.

    >>> from fettle.data.records import ToolCall
    >>> turns = (Message("assistant", "", tool_calls=(ToolCall("now", "{}"),)), Message("tool", "noon"))
    >>> [(turn.tool_calls[0].id if turn.tool_calls else turn.tool_call_id) for turn in with_call_ids(turns)]
    ['call00001', 'call00001']
    """
    if not any(turn.tool_calls or turn.role == "tool" for turn in turns):
        return turns
    taken = set() if is_renamed else {call.id for turn in turns for call in turn.tool_calls}
    free = (name for number in itertools.count(1) if (name := f"call{number:05d}") not in taken)
    new_ids: dict[str, str] = {}
    waiting: list[str] = []
    made: list[Message] = []
    for turn in turns:
        if turn.role == "tool":
            first = waiting[0] if waiting else ""
            answered = new_ids.get(turn.tool_call_id, turn.tool_call_id) if turn.tool_call_id else first
            waiting = [name for name in waiting if name != answered]
            made.append(msgspec.structs.replace(turn, tool_call_id=answered))
            continue
        waiting = [next(free) if is_renamed or not call.id else call.id for call in turn.tool_calls]
        new_ids.update((call.id, name) for call, name in zip(turn.tool_calls, waiting, strict=True) if call.id)
        calls = (msgspec.structs.replace(call, id=name) for call, name in zip(turn.tool_calls, waiting, strict=True))
        made.append(msgspec.structs.replace(turn, tool_calls=tuple(calls)))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """How a form writes OpenAI's messages.

    `omits_empty`: a turn that only calls tools has no content at all. `parses_arguments`: arguments are an object, not
    its text. `renames_calls`: every call gets a new id of nine letters and digits. `says_weights`: an assistant turn
    has its weight even where it is 1.
    """

    omits_empty: bool = False
    parses_arguments: bool = False
    renames_calls: bool = False
    says_weights: bool = False


def messages(turns: Turns, style: MessageStyle = MessageStyle()) -> list[dict[str, object]]:
    """The turns as OpenAI's messages. A weight is written where it is not 1, as the whole number that services ask for.

    >>> messages((Message("user", "Hi"), Message("assistant", "Hello", 0.0)))[1]
    {'role': 'assistant', 'content': 'Hello', 'weight': 0}
    """
    return [_message(turn, style) for turn in with_call_ids(turns, style.renames_calls)]


def _message(turn: Message, style: MessageStyle) -> dict[str, object]:
    made: dict[str, object] = {"role": turn.role}
    if turn.content or not (turn.tool_calls and style.omits_empty):
        made["content"] = turn.content
    if turn.name:
        made["name"] = turn.name
    if turn.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": parsed_object(call.arguments) if style.parses_arguments else call.arguments,
                },
            }
            for call in turn.tool_calls
        ]
    if turn.role == "tool":
        made["tool_call_id"] = turn.tool_call_id
    if turn.weight != 1 or (style.says_weights and turn.role == "assistant"):
        made["weight"] = int(turn.weight) if turn.weight in (0, 1) else turn.weight
    return made


def tools(texts: Sequence[str]) -> dict[str, object]:
    """The key `tools` with the tools as functions; nothing where there are none."""
    return {"tools": [as_function(text) for text in texts]} if texts else {}


def as_function(text: str) -> dict[str, object] | None:
    """A tool as OpenAI writes it; one that is only the function's own object is put into its place.

    >>> as_function('{"name": "now"}')
    {'type': 'function', 'function': {'name': 'now'}}
    """
    tool = parsed_object(text)
    if tool and isinstance(tool.get("name"), str) and not {"type", "function"} & set(tool):
        return {"type": "function", "function": tool}
    return tool


def sharegpt_turns(turns: Turns) -> list[dict[str, str]]:
    """The turns as ShareGPT's, the system turn left to its own key. A call is the JSON of its name and arguments.

    >>> sharegpt_turns((Message("user", "Hi"), Message("assistant", "Hello")))
    [{'from': 'human', 'value': 'Hi'}, {'from': 'gpt', 'value': 'Hello'}]
    """
    names = {"user": "human", "assistant": "gpt", "tool": "observation"}
    return [
        {"from": "function_call", "value": called(turn)[0]}
        if turn.tool_calls
        else {"from": names.get(turn.role, turn.role), "value": turn.content}
        for turn in turns
    ]


def called(turn: Message) -> list[str]:
    """The calls of a turn, each as the JSON of its name and its arguments, which is how ShareGPT and ms-swift write it.

    >>> from fettle.data.records import ToolCall
    >>> called(Message("assistant", "", tool_calls=(ToolCall("add", '{"a": 1}'),)))
    ['{"name": "add", "arguments": {"a": 1}}']
    """
    return [
        json.dumps({"name": call.name, "arguments": parsed_object(call.arguments)}, ensure_ascii=False)
        for call in turn.tool_calls
    ]


def alpaca_fields(prompt: Turns) -> dict[str, object]:
    """Instruction, input, system and history of a prompt that ends with the user; `input` is always empty.

    Every row has all four, since readers that look at some rows to learn the columns would overlook a rare one.

    >>> alpaca_fields((Message("user", "a"), Message("assistant", "b"), Message("user", "c")))
    {'instruction': 'c', 'input': '', 'system': '', 'history': [['a', 'b']]}
    """
    system, turns = without_system(prompt)
    earlier = [turn.content for turn in turns[:-1]]
    history = [list(pair) for pair in zip(earlier[::2], earlier[1::2], strict=True)]
    return {"instruction": turns[-1].content, "input": "", "system": system, "history": history}


def system_and_prompt(turns: Turns) -> dict[str, object]:
    """The keys `system`, where there is one, and `prompt` of a prompt of one user turn."""
    system, asked = without_system(turns)
    return {**({"system": system} if system else {}), "prompt": asked[0].content}
