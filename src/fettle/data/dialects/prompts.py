"""A question and its answer in columns of their own: prompt and completion, and Alpaca's instruction and output.

One rule joins what is asked with what it is asked about, whatever the columns are called: a blank line between.
"""

from __future__ import annotations

from fettle.data.dialects.protocol import (
    MEDIA,
    Dialect,
    Fields,
    json_text,
    kind,
    optional_text,
    refuse_media,
    text_of,
    unpacked,
)
from fettle.data.dialects.turns import check_order, read_tools, read_turns
from fettle.data.records import BadRecord, Conversation, GradedPrompt, Message, Record

ASKED = ("system", "history", *MEDIA)
"""What may stand beside a question in any of these dialects."""

_GRADED_EXTRAS = ("tools", *ASKED)


def _parse_prompt(fields: Fields) -> Record:
    """Make a conversation of what is asked and answered; an empty system or context is as good as none.

    >>> [turn.role for turn in PROMPT_COMPLETION.parse({"prompt": "2+2?", "completion": "4"}).messages]
    ['user', 'assistant']
    """
    prompt = read_prompt(fields, "prompt", "context")
    answer = read_answer(fields, "completion")
    if len(prompt) > 1 or len(answer) > 1:
        check_order((*prompt, *answer))
    if len(fields) == 2:
        return Conversation((*prompt, *answer))
    return Conversation((*prompt, *answer), read_tools(fields.get("tools")))


def _parse_alpaca(fields: Fields) -> Record:
    """Alpaca's columns. The answers in `history` are learned like the last one, as where the format comes from.

    >>> row = {"instruction": "Add", "input": "2 and 2", "output": "4", "history": [["Hi", "Hello"]]}
    >>> [turn.content for turn in ALPACA.parse(row).messages]
    ['Hi', 'Hello', 'Add\\n\\n2 and 2', '4']
    """
    return Conversation((*read_prompt(fields, "instruction", "input"), *read_answer(fields, "output")))


def _parse_graded(fields: Fields) -> Record:
    """TRL's rows for reinforcement: a prompt, and whatever its grader needs.

    >>> GRADED_PROMPT.parse({"prompt": "2+2?", "answer": 4}).reference
    '{"answer": 4}'
    """
    refuse_media(fields)
    taken = ("prompt", *_GRADED_EXTRAS)
    asked = {name: value for name, value in fields.items() if name in taken}
    messages = read_prompt(asked, "prompt")
    if messages[-1].role != "user":
        raise BadRecord(f"the prompt ends with a {messages[-1].role} turn", expected="the user to speak last")
    kept = {name: value for name, value in fields.items() if name not in taken}
    return GradedPrompt(messages, json_text(kept, "what stands beside the prompt"), read_tools(fields.get("tools")))


def _is_turns(fields: Fields) -> bool:
    return isinstance(fields.get("prompt"), list) and any(name not in ("prompt", *_GRADED_EXTRAS) for name in fields)


def read_prompt(fields: Fields, asked: str, beside: str = "") -> tuple[Message, ...]:
    """The turns up to the answer: system and history where there are any, then what is asked, or a list of turns.

    `beside` names the field that goes with the question, a blank line after it.
    """
    prompt = fields.get(asked)
    refuse_media(fields)
    if isinstance(prompt, list):
        for field in ("system", "history", beside):
            if fields.get(field):
                raise BadRecord(
                    f"{asked} is a list of turns, and there is a {field} beside it",
                    expected="turns alone, or a text with its system, history and context",
                    attempt=f"write {field} as one of the turns",
                )
        messages = read_turns(prompt, asked)
        check_order(messages, ends="prompt")
        return messages
    question = text_of(fields, asked)
    if beside and (context := optional_text(fields, beside)):
        question = f"{question}\n\n{context}"
    system = optional_text(fields, "system")
    told = (Message("system", system),) if system else ()
    return (*told, *_history(fields.get("history")), Message("user", question))


def read_answer(fields: Fields, field: str) -> tuple[Message, ...]:
    """What the assistant says: a text, one turn, or turns among which may be those of tools.

    >>> read_answer({"chosen": {"role": "assistant", "content": "Yes."}}, "chosen")[0].content
    'Yes.'
    """
    value = fields.get(field)
    if isinstance(value, str) and value and not value.isspace():
        return (Message("assistant", value),)
    if not isinstance(value, list | dict):
        return (Message("assistant", text_of(fields, field)),)
    messages = read_turns(value if isinstance(value, list) else [value], field)
    check_answer(messages, field)
    return messages


def check_answer(messages: tuple[Message, ...], field: str) -> None:
    """Hold an answer to the turns of the assistant and of the tools that it calls."""
    for number, message in enumerate(messages, start=1):
        if message.role not in ("assistant", "tool"):
            raise BadRecord(
                f"turn {number} of {field} is a {message.role} turn",
                expected="turns of the assistant, and of tools that it calls",
                attempt="put what comes before the answer into the prompt",
            )


def _history(written: object) -> tuple[Message, ...]:
    """Earlier exchanges, `[["question", "answer"], ...]`."""
    value = unpacked(written)
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise BadRecord(f"history is {kind(value)}", expected='a list: [["question", "answer"], ...]')
    messages: list[Message] = []
    for number, exchange in enumerate(value, start=1):
        if not isinstance(exchange, list) or len(exchange) != 2:
            said = f"a list of {len(exchange)}" if isinstance(exchange, list) else kind(exchange)
            raise BadRecord(f"exchange {number} of history is {said}", expected='["question", "answer"]')
        for role, field, text in (("user", "question", exchange[0]), ("assistant", "answer", exchange[1])):
            if not isinstance(text, str) or not text.strip():
                what = "empty" if text is None or isinstance(text, str) else kind(text)
                raise BadRecord(f"the {field} of exchange {number} of history is {what}", expected="some text")
            messages.append(Message(role, text))
    return tuple(messages)


PROMPT_COMPLETION = Dialect(
    name="prompt_completion",
    task="chat",
    evidence="prompt and completion make one turn each",
    parse=_parse_prompt,
    required=("prompt", "completion"),
    optional=("context", "tools", *ASKED),
)
ALPACA = Dialect(
    name="alpaca",
    task="chat",
    evidence="instruction is what is asked, output what is answered",
    parse=_parse_alpaca,
    required=("instruction", "output"),
    optional=("input", *ASKED),
)
GRADED_PROMPT = Dialect(
    name="graded_prompt",
    task="reinforce",
    evidence="prompt awaits an answer, and what else a row says is for a grader",
    parse=_parse_graded,
    required=("prompt",),
    optional=_GRADED_EXTRAS,
    suits=_is_turns,
    takes_rest=True,
)
