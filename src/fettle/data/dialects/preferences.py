"""A better and a worse answer to one prompt, as six formats write it.

A prompt ends with the turn that awaits an answer; an answer is turns of the assistant, and of tools between them. Two
answers that say the same are refused: nothing can be preferred.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fettle.data.dialects.chat import TURN_EXTRAS, read_said, read_said_turns
from fettle.data.dialects.prompts import ASKED, check_answer, read_answer, read_prompt
from fettle.data.dialects.protocol import Dialect, Fields, kind, present, refuse_media, shown, text_of, unpacked
from fettle.data.dialects.turns import check_order, read_tools, read_turns
from fettle.data.records import BadRecord, Message, Preference, Record

_REJECTED = "rejected_message"
_HUMAN = "\n\nHuman:"
_SPELT_ROLE = re.compile(r"\n\n(Human|Assistant):")
_SPELT = {"Human": "user", "Assistant": "assistant"}


def _parse_openai(fields: Fields) -> Record:
    """OpenAI's three columns; `input` holds the turns and the tools.

    >>> answer = lambda text: [{"role": "assistant", "content": text}]
    >>> row = {"input": {"messages": [{"role": "user", "content": "Hi"}]}}
    >>> row |= {"preferred_output": answer("Hello"), "non_preferred_output": answer("What?")}
    >>> OPENAI_PREFERENCE.parse(row).chosen[0].content
    'Hello'
    """
    given = unpacked(present(fields, "input"))
    if not isinstance(given, dict):
        raise BadRecord(f"input is {kind(given)}", expected='an object: {"messages": [...], "tools": [...]}')
    refuse_media(given)
    prompt = read_turns(present(given, "messages"))
    chosen, rejected = read_answer(fields, "preferred_output"), read_answer(fields, "non_preferred_output")
    return _preference(prompt, chosen, rejected, read_tools(given.get("tools")))


def _parse_prompted(fields: Fields) -> Record:
    """TRL's columns. Without a prompt, or with answers that begin with it, it is what both answers begin with.

    >>> PREFERENCE.parse({"prompt": "2+2?", "chosen": "4", "rejected": "5"}).prompt[0].content
    '2+2?'
    >>> PREFERENCE.parse({"chosen": "Sky? It is blue.", "rejected": "Sky? It is red."}).prompt[0].content
    'Sky? It is'
    """
    refuse_media(fields)
    tools = read_tools(fields.get("tools"))
    chosen, rejected = fields.get("chosen"), fields.get("rejected")
    has_prompt = fields.get("prompt") not in (None, "", [])
    if isinstance(chosen, list) and isinstance(rejected, list):
        whole = read_turns(chosen, "chosen"), read_turns(rejected, "rejected")
        if not has_prompt or whole[0][0].role in ("system", "user"):
            return _implicit(*whole, fields.get("prompt") if has_prompt else None, tools)
    elif not has_prompt:
        better, worse = text_of(fields, "chosen"), text_of(fields, "rejected")
        if better.startswith(_HUMAN) and worse.startswith(_HUMAN):
            return _implicit(_spelt_turns(better), _spelt_turns(worse), None, tools)
        prompt, better, worse = _parted(better, worse)
        return _preference(
            (Message("user", prompt),), (Message("assistant", better),), (Message("assistant", worse),), tools
        )
    return _preference(
        read_prompt(fields, "prompt"), read_answer(fields, "chosen"), read_answer(fields, "rejected"), tools
    )


def _parse_alpaca(fields: Fields) -> Record:
    """Alpaca's columns with two outputs.

    >>> ALPACA_PREFERENCE.parse({"instruction": "Add", "chosen": "4", "rejected": "5"}).chosen[0].content
    '4'
    """
    prompt = read_prompt(fields, "instruction", "input")
    return _preference(prompt, read_answer(fields, "chosen"), read_answer(fields, "rejected"))


def _parse_chat(fields: Fields) -> Record:
    """OpenPipe's and ms-swift's columns: a conversation whose last answer is the better one, and a worse one.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    >>> CHAT_PREFERENCE.parse({"messages": turns, "rejected_message": "What?"}).rejected[0].content
    'What?'
    """
    refuse_media(fields)
    messages = read_turns(present(fields, "messages"))
    check_order(messages, ends="answer")
    tools = read_tools(fields.get("tools"))
    return _preference(messages[:-1], messages[-1:], read_answer(fields, _REJECTED), tools)


def _parse_said(fields: Fields) -> Record:
    """ShareGPT's columns: what was said before, and two turns that could follow.

    >>> said = {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "gpt", "value": "What?"}
    >>> row = {"conversations": [said[0]], "chosen": said[1], "rejected": said[2]}
    >>> SHAREGPT_PREFERENCE.parse(row).rejected[0].content
    'What?'
    """
    refuse_media(fields)
    tools = read_tools(fields.get("tools"))
    return _preference(read_said(fields), _said_answer(fields, "chosen"), _said_answer(fields, "rejected"), tools)


def _said_answer(fields: Fields, field: str) -> tuple[Message, ...]:
    value = present(fields, field)
    if not isinstance(value, list | dict):
        return read_answer(fields, field)
    messages = read_said_turns(value if isinstance(value, list) else [value], field)
    check_answer(messages, field)
    return messages


def _preference(
    prompt: tuple[Message, ...],
    chosen: tuple[Message, ...],
    rejected: tuple[Message, ...],
    tools: tuple[str, ...] = (),
) -> Preference:
    check_order(prompt, ends="prompt")
    for field, answer in (("chosen", chosen), ("rejected", rejected)):
        check_answer(answer, field)
        check_order((*prompt, *answer), ends="answer")
    if _says(chosen) == _says(rejected):
        raise BadRecord(
            "the better and the worse answer are the same",
            expected="two answers of which one is better",
            attempt="leave the row out",
        )
    return Preference(prompt, chosen, rejected, tools)


def _says(messages: Sequence[Message]) -> list[object]:
    """What turns say, however much they are learned."""
    return [(turn.role, turn.content, turn.name, turn.tool_calls) for turn in messages]


def _implicit(
    chosen: tuple[Message, ...], rejected: tuple[Message, ...], prompt: object, tools: tuple[str, ...]
) -> Preference:
    """Part two whole conversations where they part ways, before the last turn at the latest."""
    num_common = 0
    for better, worse in zip(chosen, rejected, strict=False):
        if better != worse:
            break
        num_common += 1
    # Of two that are the same to the end, the last turn is the answer, so that the fault is told as what it is.
    num_common = min(num_common, len(chosen) - 1, len(rejected) - 1)
    while num_common and chosen[num_common - 1].role == "assistant":
        num_common -= 1
    if not num_common:
        raise BadRecord(
            "chosen and rejected have no beginning in common, and there is no prompt",
            expected="a prompt, or two conversations that begin alike",
            attempt="write what was asked as prompt",
        )
    common = chosen[:num_common]
    if isinstance(prompt, str) and prompt not in [turn.content for turn in common if turn.role == "user"]:
        raise BadRecord(
            f"chosen does not begin with the prompt {shown(prompt)}",
            expected="answers alone, or conversations that begin with the prompt",
            attempt="drop one of the two: --map prompt=-",
        )
    if isinstance(prompt, list) and _says(read_turns(prompt, "prompt")) != _says(common):
        raise BadRecord(
            "chosen does not begin with the turns of the prompt",
            expected="answers alone, or conversations that begin with the prompt",
            attempt="drop one of the two: --map prompt=-",
        )
    return _preference(common, chosen[num_common:], rejected[num_common:], tools)


def _spelt_turns(text: str) -> tuple[Message, ...]:
    """The turns of a conversation that is spelt out in one string, as the first published preferences were.

    >>> [turn.content for turn in _spelt_turns("\\n\\nHuman: Hi\\n\\nAssistant: Hello")]
    ['Hi', 'Hello']
    """
    pieces = _SPELT_ROLE.split(text)[1:]
    turns = [(_SPELT[role], said.strip()) for role, said in zip(pieces[::2], pieces[1::2], strict=True)]
    for number, (_, said) in enumerate(turns, start=1):
        if not said:
            raise BadRecord(f"the content of turn {number} is empty", expected="some text", attempt="leave the row out")
    return tuple(Message(role, said) for role, said in turns)


def _parted(chosen: str, rejected: str) -> tuple[str, str, str]:
    """The words that two texts begin with alike, and what is left of each; no word is cut in two.

    >>> _parted("Sky? It is blue.", "Sky? It is black.")
    ('Sky? It is', 'blue.', 'black.')
    """
    differing = (place for place, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other)
    length = next(differing, min(len(chosen), len(rejected)))
    while length and not chosen[length - 1].isspace():
        length -= 1
    prompt, better, worse = chosen[:length].rstrip(), chosen[length:].lstrip(), rejected[length:].lstrip()
    if not (prompt and better and worse):
        same = chosen == rejected
        raise BadRecord(
            "chosen and rejected are the same" if same else "chosen and rejected do not begin with one prompt",
            expected="two answers to one prompt",
            attempt="leave the row out" if same else "write what was asked as prompt",
        )
    return prompt, better, worse


def _is_worse(fields: Fields) -> bool:
    return isinstance(fields.get(_REJECTED), str | list | dict)


def _is_spoken(fields: Fields) -> bool | None:
    return isinstance(fields.get("conversations"), list) or None


OPENAI_PREFERENCE = Dialect(
    name="openai_preference",
    task="prefer",
    evidence="preferred_output is better than non_preferred_output",
    parse=_parse_openai,
    required=("input", "preferred_output", "non_preferred_output"),
)
PREFERENCE = Dialect(
    name="preference",
    task="prefer",
    evidence="chosen is better than rejected",
    parse=_parse_prompted,
    required=("chosen", "rejected"),
    optional=("prompt", "tools", *ASKED),
)
ALPACA_PREFERENCE = Dialect(
    name="alpaca_preference",
    task="prefer",
    evidence="chosen answers instruction better than rejected",
    parse=_parse_alpaca,
    required=("instruction", "chosen", "rejected"),
    optional=("input", *ASKED),
)
CHAT_PREFERENCE = Dialect(
    name="chat_preference",
    task="prefer",
    evidence="messages ends with a better answer than rejected_message",
    parse=_parse_chat,
    required=("messages", _REJECTED),
    optional=TURN_EXTRAS,
    suits=_is_worse,
)
SHAREGPT_PREFERENCE = Dialect(
    name="sharegpt_preference",
    task="prefer",
    evidence="chosen ends conversations better than rejected",
    parse=_parse_said,
    required=("conversations", "chosen", "rejected"),
    optional=("system", *TURN_EXTRAS),
    suits=_is_spoken,
)
