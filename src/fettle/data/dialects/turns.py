"""Turns: reading each one from JSON, and holding their order to what chat templates take.

The order: a system turn perhaps, then user and assistant by turns; after an assistant turn that calls tools one tool
turn for each call, then the assistant again. What the turns are for (to learn, to compare, to grade) is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from fettle.data.dialects.protocol import json_text, kind, shown, unpacked
from fettle.data.records import LEARNED, ROLES, BadRecord, Message, ToolCall
from fettle.errors import near_misses

MESSAGE_KEYS = ("role", "content", "weight", "name", "tool_calls", "tool_call_id", "function_call")
ROLE_ALIASES = {"developer": "system", "function": "tool", "tool_response": "tool"}
CALLING_ROLES = ("function_call", "tool_call")
"""Roles of turns that are nothing but a call, in JSON; several in a row are calls side by side."""

_EXAMPLE = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'
_CALL = '{"id": "c1", "type": "function", "function": {"name": "...", "arguments": "{...}"}}'
_OTHER = {"user": "assistant", "assistant": "user"}


def read_conversation(value: object, field: str = "messages") -> tuple[Message, ...]:
    """Turns that end with the assistant, at least one of them to be learned.

    >>> read_conversation([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}])[1].content
    'Ho'
    """
    plain = _plain_conversation(value)
    if plain is not None:
        return plain
    messages = read_turns(value, field)
    check_order(messages)
    return messages


def read_turns(value: object, field: str = "messages") -> tuple[Message, ...]:
    """Turns one by one, whatever their order."""
    return tuple(read_message(turn, place) for turn, place in join_calls(each_turn(value, field)))


def join_calls(turns: Iterable[tuple[object, str]]) -> Iterator[tuple[object, str]]:
    """Turns where those that are nothing but a call become turns of the assistant; calls in a row become one turn.

    >>> call = {"role": "tool_call", "content": '{"name": "add", "arguments": {}}'}
    >>> [(len(turn["tool_calls"]), place) for turn, place in join_calls([(call, "turn 2"), (call, "turn 3")])]
    [(2, 'turn 2')]
    """
    calls: list[object] = []
    first_place = ""
    for turn, place in turns:
        if isinstance(turn, dict) and turn.get("role") in CALLING_ROLES:
            first_place = first_place or place
            calls += _said_calls(turn.get("content"), place)
            continue
        if calls:
            yield {"role": "assistant", "tool_calls": calls}, first_place
            calls, first_place = [], ""
        yield turn, place
    if calls:
        yield {"role": "assistant", "tool_calls": calls}, first_place


def _said_calls(value: object, place: str) -> list[object]:
    said = unpacked(value)
    listed = said if isinstance(said, list) else [said]
    if isinstance(said, str) or said is None or not listed:
        problem = (
            f"{place} calls a function in words that are no JSON: {shown(value)}"
            if said
            else f"{place} calls no function"
        )
        raise BadRecord(problem, expected='{"name": "...", "arguments": {...}}', attempt="mend it, or remove the turn")
    return listed


def each_turn(value: object, field: str) -> Iterator[tuple[object, str]]:
    """The elements of a list of turns, each with its place in words."""
    turns = unpacked(value)
    if not isinstance(turns, list):
        raise BadRecord(f"{field} is {kind(turns)}", expected=f"a list of turns: {_EXAMPLE}")
    if not turns:
        raise BadRecord(f"{field} is empty", expected=f"at least two turns: {_EXAMPLE}")
    of_field = "" if field in ("messages", "conversations") else f" of {field}"
    for number, turn in enumerate(turns, start=1):
        yield turn, f"turn {number}{of_field}"


def _plain_conversation(turns: object) -> tuple[Message, ...] | None:
    """The turns, where they are nothing but text in the right order: nearly all rows of nearly all files.

    Law: what is read here `read_message` and `check_order` read alike; everything else is left to them.
    """
    if not isinstance(turns, list):
        return None
    messages: list[Message] = []
    expected, is_learned = "user", False
    for turn in turns:
        if not isinstance(turn, dict):
            return None
        role, content = turn.get("role"), turn.get("content")
        if not isinstance(content, str) or not content or content.isspace():
            return None
        weight = LEARNED
        if len(turn) != 2:
            given = turn.get("weight")
            if len(turn) != 3 or role != "assistant" or type(given) is not int or given not in (0, 1):
                return None
            weight = LEARNED if given else 0.0
        if role == expected:
            is_learned = is_learned or (role == "assistant" and weight > 0)
            expected = _OTHER[expected]
        elif role != "system" or messages:
            return None
        messages.append(Message(role, content, weight))
    return tuple(messages) if is_learned and expected == "user" else None


def read_message(turn: object, place: str) -> Message:
    """One turn in OpenAI's words. A key that is null is as good as none, `weight` aside.

    >>> read_message({"role": "developer", "content": "Be kind.", "name": None}, "turn 1").role
    'system'
    """
    if not isinstance(turn, dict):
        raise BadRecord(f"{place} is {kind(turn)}", expected='an object: {"role": "user", "content": "..."}')
    for key, value in turn.items():
        if key not in MESSAGE_KEYS and value is not None:
            raise BadRecord(
                f"{place} has the unknown key {shown(key)}",
                expected="role and content; name, tool_calls, tool_call_id; weight on an assistant turn",
                attempt=f"remove it, or write it as one of: {near_misses(str(key), MESSAGE_KEYS)}",
            )
    role = _role(turn, place)
    calls = _calls(turn, role, place)
    return Message(
        role,
        _content(turn, place, may_be_empty=bool(calls) or role == "tool"),
        _weight(turn, role, place),
        _word(turn, "name", place),
        calls,
        _answered_id(turn, role, place),
    )


def _role(turn: Mapping[str, object], place: str) -> str:
    written = turn.get("role")
    role = ROLE_ALIASES.get(written, written) if isinstance(written, str) else None
    if role not in ROLES:
        said = f"the role {shown(written)}" if "role" in turn else "no role"
        raise BadRecord(f"{place} has {said}", expected=f"one of: {', '.join(ROLES)}")
    return role


def _content(turn: Mapping[str, object], place: str, *, may_be_empty: bool) -> str:
    content = turn.get("content")
    if isinstance(content, list):
        content = _joined(content, place)
    if isinstance(content, str) and (may_be_empty or content.strip()):
        return content
    if content is None and may_be_empty:
        return ""
    said = "empty" if content is None or isinstance(content, str) else kind(content)
    said = f"the content of {place} is {said}" if "content" in turn else f"{place} has no content"
    raise BadRecord(said, expected="some text", attempt="fill it in, or remove the turn")


def _joined(parts: Sequence[object], place: str) -> str:
    """The text parts of a content, one below the other; any other part is refused."""
    texts: list[str] = []
    for number, part in enumerate(parts, start=1):
        part_type = part.get("type") if isinstance(part, dict) else None
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str) and part_type in ("text", "input_text", "output_text"):
            texts.append(text)
        elif isinstance(part_type, str) and not part_type.endswith("text"):
            raise BadRecord(
                f"part {number} of {place} is {shown(part_type)}, which is no text",
                expected="text parts only, since models of text are tuned",
                attempt="leave the row out, or say in words what the part holds",
            )
        else:
            raise BadRecord(
                f"the content of {place} is a list whose part {number} is no text part",
                expected='a string, or parts: [{"type": "text", "text": "..."}]',
                attempt="write the content as one string",
            )
    return "\n".join(texts)


def _weight(turn: Mapping[str, object], role: str, place: str) -> float:
    if "weight" not in turn or (turn["weight"] is None and role != "assistant"):
        return LEARNED
    weight = turn["weight"]
    if isinstance(weight, bool) or weight not in (0, 1):
        raise BadRecord(f"{place} has the weight {shown(weight)}", expected="1 (learned) or 0 (only read)")
    if role != "assistant":
        raise BadRecord(
            f"{place} is {_article(role)} turn with a weight",
            expected="a weight on assistant turns only, since no other turn is learned",
            attempt="remove the weight",
        )
    return LEARNED if weight == 1 else 0.0


def _word(turn: Mapping[str, object], key: str, place: str) -> str:
    value = turn.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    raise BadRecord(f"the {key} of {place} is {kind(value)}", expected="a string", attempt=f"remove the {key}")


def _answered_id(turn: Mapping[str, object], role: str, place: str) -> str:
    answered = _word(turn, "tool_call_id", place)
    if answered and role != "tool":
        raise BadRecord(
            f"{place} is {_article(role)} turn with a tool_call_id",
            expected="a tool_call_id on tool turns only, to name the call that they answer",
            attempt="remove it, or give the turn the role tool",
        )
    return answered


def _calls(turn: Mapping[str, object], role: str, place: str) -> tuple[ToolCall, ...]:
    """The calls of a turn, in the new form or the old; empty lists and null are as good as none."""
    several, single = turn.get("tool_calls"), turn.get("function_call")
    if several is None and single is None:
        return ()
    if several is not None and single is not None:
        raise BadRecord(f"{place} has both tool_calls and function_call", expected="tool_calls only")
    if several is not None and not isinstance(several, list):
        raise BadRecord(f"the tool_calls of {place} are {kind(several)}", expected=f"a list: [{_CALL}]")
    listed = several if isinstance(several, list) else [single]
    if listed and role != "assistant":
        raise BadRecord(
            f"{place} is {_article(role)} turn that calls tools",
            expected="calls on assistant turns only",
            attempt="remove them, or give the turn the role assistant",
        )
    calls = tuple(read_call(call, f"call {number} of {place}") for number, call in enumerate(listed, start=1))
    named = [call.id for call in calls if call.id]
    if len(set(named)) != len(named):
        raise BadRecord(f"two calls of {place} have one id", expected="an id of its own for each call")
    return calls


def read_call(value: object, place: str) -> ToolCall:
    """One call: a name, and arguments that are a JSON object, as text or as it is.

    >>> read_call({"name": "add", "arguments": {"a": 1}}, "call 1").arguments
    '{"a": 1}'
    """
    if not isinstance(value, dict):
        raise BadRecord(f"{place} is {kind(value)}", expected=f"an object: {_CALL}")
    if value.get("type") not in (None, "function"):
        raise BadRecord(f"{place} is of the type {shown(value['type'])}", expected="function, the only type known")
    inner = value.get("function", value)
    if not isinstance(inner, dict):
        raise BadRecord(f"the function of {place} is {kind(inner)}", expected=f"an object: {_CALL}")
    name = inner.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadRecord(f"{place} names no function", expected=f"a name: {_CALL}")
    return ToolCall(name, _arguments(inner.get("arguments"), place), _word(value, "id", place))


def _arguments(value: object, place: str) -> str:
    if isinstance(value, dict):
        return json_text(value, f"the arguments of {place}")
    if isinstance(value, str):
        try:
            msgspec.json.decode(value, type=dict)
        except (ValueError, RecursionError) as error:
            raise BadRecord(
                f"the arguments of {place} are no JSON object: {shown(value)}",
                expected='an object as text: "{\\"city\\": \\"Rome\\"}"',
                attempt="mend them, or write {} where there are none",
            ) from error
        return value
    said = "missing" if value is None else kind(value)
    raise BadRecord(f"the arguments of {place} are {said}", expected="a JSON object", attempt='write "{}" for none')


def read_tools(value: object, field: str = "tools") -> tuple[str, ...]:
    """The tools that a conversation may use, each one JSON object as text: a list, or a list written as a string.

    >>> read_tools('[{"name": "add"}]')
    ('{"name": "add"}',)
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    tools = _decoded(value, field)
    if not isinstance(tools, list):
        raise BadRecord(f"{field} is {kind(tools)}", expected='a list: [{"type": "function", "function": {...}}]')
    return tuple(_tool(_decoded(tool, f"tool {number}"), number) for number, tool in enumerate(tools, start=1))


def _decoded(value: object, said: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{said} is a string that is no JSON: {shown(value)}", expected="a list of tools") from error


def _tool(tool: object, number: int) -> str:
    inner = tool.get("function", tool) if isinstance(tool, dict) else None
    if not isinstance(inner, dict):
        raise BadRecord(f"tool {number} is {kind(tool)}", expected="an object with name and parameters")
    name = inner.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadRecord(f"tool {number} has no name", expected='{"function": {"name": "...", "parameters": {...}}}')
    return json_text(tool, f"tool {number}")


def check_order(messages: Sequence[Message], ends: Literal["learned", "answer", "prompt"] = "learned") -> None:
    """Hold turns to the order that chat templates take.

    They end with an assistant turn of which at least one is `learned`, with an `answer`, or, as a `prompt`, with a turn
    that awaits one. Trap: many templates refuse a conversation that the assistant opens, so it is refused here.
    """
    first = 1 if messages and messages[0].role == "system" else 0
    expected, open_ids, num_open = "user", set[str](), 0
    for number, message in enumerate(messages[first:], start=first + 1):
        if message.role != expected:
            raise _out_of_order(number, message.role, expected)
        if message.role == "user":
            expected = "assistant"
        elif message.role == "assistant":
            open_ids = {call.id for call in message.tool_calls if call.id}
            num_open = len(message.tool_calls)
            expected = "tool" if num_open else "user"
        else:
            _check_answers(number, message, open_ids)
            open_ids.discard(message.tool_call_id)
            num_open -= 1
            expected = "tool" if num_open else "assistant"
    last = messages[-1].role if len(messages) > first else "system"
    if ends == "prompt":
        if expected != "assistant":
            raise BadRecord(
                f"the prompt ends with {_article(last)} turn" + (", and calls are open" if expected == "tool" else ""),
                expected="the user, or a tool that was called, to speak last, since an answer follows",
                attempt="remove the turns after it",
            )
    elif last != "assistant":
        raise BadRecord(
            f"the conversation ends with a {last} turn",
            expected="the assistant to speak last, since only its turns are learned",
            attempt="add the answer, or remove the last turn",
        )
    if ends == "learned" and not any(turn.role == "assistant" and turn.weight > 0 for turn in messages):
        raise BadRecord(
            "every assistant turn has weight 0",
            expected="at least one assistant turn that is learned",
            attempt="remove the weight of the turn to learn",
        )


def _out_of_order(number: int, role: str, expected: str) -> BadRecord:
    problem = f"turn {number} is {_article(role)} turn where {_article(expected)} turn belongs"
    if role == "tool":
        return BadRecord(
            problem,
            expected="a tool turn only after an assistant turn that calls it: one answer to each call",
            attempt="write the call into the turn before, or remove the turn",
        )
    if expected == "tool":
        return BadRecord(
            problem,
            expected="an answer to each call of the turns before, then the assistant",
            attempt="add what the tool answered, or remove the call",
        )
    return BadRecord(
        problem,
        expected="one system turn at most, then user and assistant by turns",
        attempt="join turns of one role, or remove the turn",
    )


def _check_answers(number: int, message: Message, open_ids: set[str]) -> None:
    answered = message.tool_call_id
    if answered == "" and not open_ids:
        return
    if answered not in open_ids:
        said = f"answers {shown(answered)}" if answered else "does not say which call it answers"
        raise BadRecord(
            f"turn {number} {said}",
            expected=f"the id of an open call: {', '.join(sorted(map(shown, open_ids))[:3]) or 'these have none'}",
            attempt="let tool_call_id be the id of the call",
        )


def _article(role: str) -> str:
    return f"an {role}" if role == "assistant" else f"a {role}"
