"""Conversations as lists of turns: OpenAI's `messages`, and ShareGPT's `conversations` with all its renamed tags."""

from __future__ import annotations

from collections.abc import Iterator

from fettle.data.dialects.protocol import (
    MEDIA,
    Dialect,
    Fields,
    json_text,
    kind,
    present,
    refuse_media,
    shown,
    text_of,
    unpacked,
)
from fettle.data.dialects.turns import (
    CALLING_ROLES,
    MESSAGE_KEYS,
    ROLE_ALIASES,
    check_order,
    each_turn,
    join_calls,
    read_conversation,
    read_message,
    read_tools,
    read_turns,
)
from fettle.data.records import ROLES, BadRecord, Conversation, GradedPrompt, Message, PlainText, Record

SPEAKERS = {
    **dict.fromkeys(("user", "human", "customer", "client"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "agent"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "observation", "function", "tool_response", "function_response"), "tool"),
    **dict.fromkeys(("function_call", "tool_call", "tool_calls"), "function_call"),
}
"""Who speaks, as files of conversations call them, in small letters."""

_PLAINLY = {speaker: role for speaker, role in SPEAKERS.items() if role != "function_call"}
_ROLE_TAGS = ("from", "role", "speaker")
_CONTENT_TAGS = ("value", "content", "text", "utterance")
_PAIR_TAGS = (("human", "assistant"), ("user", "assistant"), ("human", "gpt"))
TURN_EXTRAS = ("tools", "parallel_tool_calls", *MEDIA)
"""What may stand beside turns. Whether calls may be made side by side changes nothing here, so it is taken and left."""


def _parse_chat(fields: Fields) -> Record:
    """Turns in OpenAI's words.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> CHAT.parse({"messages": turns}).messages[1].content
    'Hello'
    """
    messages = read_conversation(present(fields, "messages"))
    if len(fields) == 1:
        return Conversation(messages)
    refuse_media(fields)
    return Conversation(messages, read_tools(fields.get("tools")))


def _has_roles(fields: Fields) -> bool | None:
    first = _first_turn(fields.get("messages"))
    if first is None:
        return None
    role = first.get("role")
    is_renamed = isinstance(role, str) and role in SPEAKERS and role not in (*ROLES, *ROLE_ALIASES, *CALLING_ROLES)
    return "from" not in first and not is_renamed


def _parse_said(fields: Fields) -> Record:
    """Turns as ShareGPT and its many children write them.

    >>> said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    >>> [turn.role for turn in SHAREGPT.parse({"conversations": said, "system": "Be kind."}).messages]
    ['system', 'user', 'assistant']
    """
    messages = read_said(fields)
    check_order(messages)
    refuse_media(fields)
    return Conversation(messages, read_tools(fields.get("tools")))


def read_said(fields: Fields, field: str = "conversations") -> tuple[Message, ...]:
    """The turns of `conversations`, whatever their order, behind the `system` text where there is one."""
    value = present(fields, field)
    messages = _plainly_said(value) or read_said_turns(value, field)
    system = fields.get("system")
    if system is None or (isinstance(system, str) and not system.strip()):
        return messages
    told = Message("system", text_of(fields, "system"))
    if messages[0].role == "system" and messages[0] != told:
        raise BadRecord(
            "the row has two system texts: a column and the first turn",
            expected="one system text",
            attempt="join them, or drop the column: --map system=-",
        )
    return (told, *messages[messages[0].role == "system" :])


def _plainly_said(turns: object) -> tuple[Message, ...] | None:
    """The turns, where each is nothing but `from` and `value`; everything else is left to `read_said_turns`."""
    if not isinstance(turns, list):
        return None
    messages: list[Message] = []
    for turn in turns:
        if not isinstance(turn, dict) or len(turn) != 2:
            return None
        speaker, said = turn.get("from"), turn.get("value")
        role = _PLAINLY.get(speaker) if isinstance(speaker, str) else None
        if role is None or not isinstance(said, str) or not said or said.isspace():
            return None
        messages.append(Message(role, said))
    return tuple(messages)


def read_said_turns(value: object, field: str) -> tuple[Message, ...]:
    """Turns with tags of any of the known names.

    >>> said = [{"speaker": "Human", "text": "Hi"}, {"from": "tool_call", "value": '{"name": "f", "arguments": {}}'}]
    >>> [turn.role for turn in read_said_turns(said, "conversations")]
    ['user', 'assistant']
    """
    return tuple(read_message(turn, place) for turn, place in join_calls(_retold(value, field)))


def _retold(value: object, field: str) -> Iterator[tuple[object, str]]:
    """Turns in OpenAI's words; keys that are no tags are passed over, as dumps have many."""
    for turn, place in each_turn(value, field):
        if not isinstance(turn, dict):
            raise BadRecord(f"{place} is {kind(turn)}", expected='an object: {"from": "human", "value": "..."}')
        if pair := _pair_tags(turn):
            yield {"role": "user", "content": turn[pair[0]]}, place
            yield {"role": "assistant", "content": turn[pair[1]]}, place
            continue
        role_tag = next((tag for tag in _ROLE_TAGS if tag in turn), None)
        content_tag = next((tag for tag in _CONTENT_TAGS if tag in turn), None)
        if role_tag is None:
            raise BadRecord(f"{place} does not say who speaks", expected=f"one of the keys {', '.join(_ROLE_TAGS)}")
        told = {key: turn[key] for key in MESSAGE_KEYS if turn.get(key) is not None}
        if content_tag is not None:
            told["content"] = turn[content_tag]
        yield {**told, "role": _speaker(turn[role_tag], role_tag, place)}, place


def _speaker(written: object, tag: str, place: str) -> str:
    role = SPEAKERS.get(written.strip().lower()) if isinstance(written, str) else None
    if role is None:
        raise BadRecord(
            f"{place} is said by {shown(written)}",
            expected=f"one of: {', '.join(SPEAKERS)}",
            attempt="rename the speaker, or leave the row out",
        )
    # Published dialogues of two speakers, USER and SYSTEM, mean the machine that answers.
    return "assistant" if tag == "speaker" and role == "system" else role


def _pair_tags(turn: object) -> tuple[str, str] | None:
    """The keys of an exchange that is written as one object, `{"human": ..., "assistant": ...}`."""
    if not isinstance(turn, dict) or len(turn) < 2:
        return None
    return next((pair for pair in _PAIR_TAGS if pair[0] in turn and pair[1] in turn), None)


def _has_speakers(fields: Fields) -> bool:
    first = _first_turn(fields.get("conversations"))
    if first is None:
        return False
    return _pair_tags(first) is not None or any(
        isinstance(first.get(tag), str) and str(first[tag]).strip().lower() in SPEAKERS for tag in _ROLE_TAGS
    )


def _parse_graded(fields: Fields) -> Record:
    """OpenAI's rows for reinforcement: turns that await an answer, and whatever its grader needs.

    >>> GRADED_CHAT.parse({"messages": [{"role": "user", "content": "2+2?"}], "reference_answer": 4}).reference
    '{"reference_answer": 4}'
    """
    messages = read_turns(present(fields, "messages"))
    check_order(messages, ends="prompt")
    if messages[-1].role != "user":
        raise BadRecord(f"the prompt ends with a {messages[-1].role} turn", expected="the user to speak last")
    refuse_media(fields)
    kept = {key: value for key, value in fields.items() if key != "messages" and key not in TURN_EXTRAS}
    reference = json_text(kept, "what stands beside the turns")
    return GradedPrompt(messages, reference, read_tools(fields.get("tools")))


def _awaits_grading(fields: Fields) -> bool:
    turns = unpacked(fields.get("messages"))
    last = turns[-1] if isinstance(turns, list) and turns else None
    others = any(key != "messages" and key not in TURN_EXTRAS for key in fields)
    return isinstance(last, dict) and last.get("role") == "user" and others


def _parse_assistant_text(fields: Fields) -> Record:
    """A document that is written as the one turn of an assistant nobody asked.

    >>> ASSISTANT_TEXT.parse({"messages": [{"role": "assistant", "content": "Once."}]})
    PlainText(text='Once.')
    """
    messages = read_turns(present(fields, "messages"))
    if len(messages) != 1 or messages[0].role != "assistant" or not messages[0].content:
        raise BadRecord("the row is a conversation", expected="one assistant turn alone, which is a document")
    return PlainText(messages[0].content)


def _first_turn(turns: object) -> dict[str, object] | None:
    turns = unpacked(turns)
    first = turns[0] if isinstance(turns, list) and turns else None
    return first if isinstance(first, dict) else None


def _stands_alone(fields: Fields) -> bool:
    turns = unpacked(fields.get("messages"))
    first = _first_turn(turns)
    return first is not None and isinstance(turns, list) and len(turns) == 1 and first.get("role") == "assistant"


CHAT = Dialect(
    name="chat",
    task="chat",
    evidence="messages holds the turns of a conversation",
    parse=_parse_chat,
    required=("messages",),
    optional=TURN_EXTRAS,
    suits=_has_roles,
)
SHAREGPT = Dialect(
    name="sharegpt",
    task="chat",
    evidence="conversations holds who said what",
    parse=_parse_said,
    required=("conversations",),
    optional=("system", *TURN_EXTRAS),
    suits=_has_speakers,
)
GRADED_CHAT = Dialect(
    name="graded_chat",
    task="reinforce",
    evidence="messages ends with the user, and what else a row says is for a grader",
    parse=_parse_graded,
    required=("messages",),
    optional=TURN_EXTRAS,
    suits=_awaits_grading,
    takes_rest=True,
)
ASSISTANT_TEXT = Dialect(
    name="assistant_text",
    task="text",
    evidence="messages holds one assistant turn, which is a document",
    parse=_parse_assistant_text,
    required=("messages",),
    suits=_stands_alone,
)
