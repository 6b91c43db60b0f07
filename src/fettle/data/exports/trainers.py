"""The forms of training libraries and of the file formats that they made common.

Where a library learns every answer alike, a weight of 0 is refused: written without it, the answer would be learned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from fettle.data.exports.form import ExportOptions, Form, Kind, Limits, Problem, Rule
from fettle.data.exports.providers import prompt_completion_rules, write_prompt_completion
from fettle.data.exports.rules import (
    EVERYWHERE,
    alternation,
    chat_rules,
    different_answers,
    ends_with,
    leading_system,
    no_media_marks,
    no_names,
    no_tools,
    no_weights,
    one_turn_answers,
    one_turn_prompt,
    prompt_awaits_answer,
    roles,
    some_turns,
    sound_reference,
    turn_rules,
)
from fettle.data.exports.texts import some_text
from fettle.data.exports.turns import (
    MessageStyle,
    Turns,
    alpaca_fields,
    called,
    messages,
    numbered,
    parsed_object,
    sharegpt_turns,
    tools,
    tools_of,
    without_system,
)
from fettle.data.records import (
    ROLES,
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    PlainText,
    Preference,
    Record,
    Row,
)

LLAMA_FACTORY = "LLaMA-Factory, data/README.md"
TRL = "TRL, page on dataset formats"
SWIFT = "ms-swift, page on custom datasets"
MLX = "mlx-lm, LORA.md"
COMPLETIONS = "OpenAI's legacy completions; Together, mlx-lm and TRL take the same"

_TRL_STYLE = MessageStyle(parses_arguments=True)
_SWIFT_KEYS = ("messages", "tools", "rejected_response", "label", "images", "videos", "audios", "objects")


def judged_steps(source: str) -> Rule:
    """There are steps, each says something, and each has its judgement."""

    def find(record: Record) -> Iterator[Problem]:
        if not isinstance(record, JudgedSteps):
            return
        if not record.steps or any(not step.strip() for step in record.steps):
            yield "a step is empty, or there are none", "fill it in, or leave the row out"
        if len(record.steps) != len(record.are_right):
            yield f"{len(record.steps)} steps have {len(record.are_right)} judgements", "judge each step once"

    return Rule("steps with one judgement each", source, find)


def calls_alone(source: str, most_calls: int = 0) -> Rule:
    """A turn that calls a tool says nothing else, since the call is all of its text; at most `most_calls`, 0 is any."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.tool_calls and turn.content:
                yield f"{place} speaks and calls a tool at once", "make two turns of it, or export it as openai-chat"
            if most_calls and len(turn.tool_calls) > most_calls:
                yield f"{place} calls {len(turn.tool_calls)} tools at once", "export it as openai-chat"

    return Rule("calls in turns of their own" + (", one at a time" if most_calls == 1 else ""), source, find)


def write_trl(row: Row, options: ExportOptions) -> dict[str, object]:
    """A row in TRL's conversational shape of its kind; judged steps and plain texts have only the standard one."""
    match row.record:
        case PlainText(text):
            return {"text": text}
        case Preference(prompt, chosen, rejected, offered):
            return {
                **_asked(prompt),
                "chosen": _after(prompt, chosen),
                "rejected": _after(prompt, rejected),
                **tools(offered),
            }
        case JudgedAnswer(prompt, answer, is_good):
            return {**_asked(prompt), "completion": _after(prompt, answer), "label": is_good}
        case JudgedSteps(prompt, steps, are_right):
            return {"prompt": prompt[-1].content, "completions": list(steps), "labels": list(are_right)}
        case GradedPrompt(prompt, reference, offered):
            return {**_asked(prompt), **tools(offered), **(parsed_object(reference) or {})}
        case Conversation(turns, offered):
            return {"messages": messages(turns, _TRL_STYLE), **tools(offered)}
    raise TypeError(type(row.record))


def _asked(prompt: Turns) -> dict[str, object]:
    return {"prompt": messages(prompt, _TRL_STYLE)}


def _after(prompt: Turns, answer: Turns) -> list[dict[str, object]]:
    return messages(prompt + answer, _TRL_STYLE)[len(prompt) :]


def write_kto(row: Row, options: ExportOptions) -> dict[str, object]:
    """Prompt and completion as strings, and whether the completion is good."""
    record = row.record
    assert isinstance(record, JudgedAnswer)
    return {"prompt": record.prompt[-1].content, "completion": record.answer[0].content, "label": record.is_good}


def write_alpaca(row: Row, options: ExportOptions) -> dict[str, object]:
    """Instruction and output, with the turns before them as history."""
    match row.record:
        case Preference(prompt, chosen, rejected):
            return {**alpaca_fields(prompt), "chosen": chosen[0].content, "rejected": rejected[0].content}
        case JudgedAnswer(prompt, answer, is_good):
            return {**alpaca_fields(prompt), "output": answer[0].content, "kto_tag": is_good}
        case Conversation(turns):
            return {**alpaca_fields(turns[:-1]), "output": turns[-1].content}
    raise TypeError(type(row.record))


def write_sharegpt(row: Row, options: ExportOptions) -> dict[str, object]:
    """Turns as from and value, the system turn and the tools beside them."""
    record = row.record
    match record:
        case Preference(turns, chosen, rejected):
            more: dict[str, object] = {"chosen": sharegpt_turns(chosen)[0], "rejected": sharegpt_turns(rejected)[0]}
        case JudgedAnswer(prompt, answer, is_good):
            turns, more = prompt + answer, {"kto_tag": is_good}
        case Conversation(turns):
            more = {}
        case _:
            raise TypeError(type(record))
    system, spoken = without_system(turns)
    made: dict[str, object] = {"conversations": sharegpt_turns(spoken), **more}
    if system:
        made["system"] = system
    return {**made, **_tools_text(record)}


def write_swift(row: Row, options: ExportOptions) -> dict[str, object]:
    """Messages with calls and their answers as turns, and what the kind adds to them."""
    record = row.record
    match record:
        case PlainText(text):
            return {"messages": [{"role": "assistant", "content": text}]}
        case Preference(prompt, chosen, rejected):
            made: dict[str, object] = {
                "messages": _swift_messages(prompt + chosen),
                "rejected_response": rejected[0].content,
            }
        case JudgedAnswer(prompt, answer, is_good):
            made = {"messages": _swift_messages(prompt + answer), "label": is_good}
        case GradedPrompt(turns, reference):
            made = {"messages": _swift_messages(turns), **(parsed_object(reference) or {})}
        case Conversation(turns):
            made = {"messages": _swift_messages(turns)}
        case _:
            raise TypeError(type(record))
    return {**made, **_tools_text(record)}


def _swift_messages(turns: Turns) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    for turn in turns:
        if turn.tool_calls:
            made += [{"role": "tool_call", "content": text} for text in called(turn)]
        else:
            made.append({"role": "tool_response" if turn.role == "tool" else turn.role, "content": turn.content})
    return made


def _tools_text(record: Record) -> dict[str, object]:
    offered = [parsed_object(text) for text in tools_of(record)]
    return {"tools": json.dumps(offered, ensure_ascii=False)} if offered else {}


def write_mlx(row: Row, options: ExportOptions) -> dict[str, object]:
    """Messages and tools, or a text."""
    match row.record:
        case PlainText(text):
            return {"text": text}
        case Conversation(turns, offered):
            return {"messages": messages(turns), **tools(offered)}
    raise TypeError(type(row.record))


def _alpaca_rules(source: str) -> Mapping[Kind, tuple[Rule, ...]]:
    pairs = (
        some_turns(source),
        roles(source, *ROLES),
        leading_system(EVERYWHERE),
        alternation(source),
        no_tools(),
        no_weights(source),
        no_names(),
        no_media_marks(source),
    )
    return {
        Conversation: (*pairs, ends_with(source, "assistant")),
        Preference: (*pairs, one_turn_answers(source), different_answers(EVERYWHERE)),
        JudgedAnswer: (*pairs, one_turn_answers(source)),
    }


def _sharegpt_rules(source: str) -> Mapping[Kind, tuple[Rule, ...]]:
    turns = (
        *turn_rules(source),
        alternation(source),
        calls_alone(source, most_calls=1),
        no_weights(source),
        no_names(),
        no_media_marks(source),
    )
    one_answer = one_turn_answers(source, may_call_tools=True)
    return {
        Conversation: (*turns, _object_tools(source), ends_with(source, "assistant")),
        Preference: (*turns, _object_tools(source), one_answer, different_answers(EVERYWHERE)),
        JudgedAnswer: (*turns, one_answer),
    }


def _swift_rules(source: str) -> Mapping[Kind, tuple[Rule, ...]]:
    turns = (*turn_rules(source), calls_alone(source), no_weights(), no_names(), no_media_marks(source))
    offered = (*turns, _object_tools(source))
    return {
        Conversation: (*offered, ends_with(EVERYWHERE, "assistant")),
        Preference: (*offered, one_turn_answers(source), different_answers(EVERYWHERE)),
        JudgedAnswer: (*turns, ends_with(EVERYWHERE, "assistant")),
        GradedPrompt: (*offered, sound_reference(source, _SWIFT_KEYS), prompt_awaits_answer(EVERYWHERE)),
        PlainText: (some_text(source), _no_media_text(source)),
    }


def _object_tools(source: str) -> Rule:
    def find(record: Record) -> Iterator[Problem]:
        for number, text in enumerate(tools_of(record), start=1):
            if parsed_object(text) is None:
                yield f"tool {number} is no JSON object", "mend it, or leave the row out"

    return Rule("tools as JSON objects", source, find)


def _no_media_text(source: str) -> Rule:
    def find(record: Record) -> Iterator[Problem]:
        if isinstance(record, PlainText) and any(mark in record.text for mark in ("<image>", "<video>", "<audio>")):
            yield "the text says <image>, <video> or <audio>, and there is none", "write it otherwise"

    return Rule("as many media as places for them: none", source, find)


def _trl_rules(source: str) -> Mapping[Kind, tuple[Rule, ...]]:
    turns = (*turn_rules(source), no_weights(source))
    offered = (*chat_rules(source), no_weights(source))
    single = one_turn_prompt(source, may_have_system=False)
    return {
        Conversation: (*offered, ends_with(EVERYWHERE, "assistant")),
        Preference: (*offered, prompt_awaits_answer(EVERYWHERE), different_answers(EVERYWHERE)),
        JudgedAnswer: (*turns, prompt_awaits_answer(EVERYWHERE)),
        JudgedSteps: (*turns, single, no_tools(), no_names(), judged_steps(source)),
        GradedPrompt: (*offered, prompt_awaits_answer(EVERYWHERE), sound_reference(source, ("prompt", "tools"))),
        PlainText: (some_text(source),),
    }


_EITHER = (".jsonl", ".json")

TRAINER_FORMS: tuple[Form, ...] = (
    Form(
        "mlx",
        "mlx-lm: a folder with train, valid and test.jsonl of messages or texts",
        write_mlx,
        {
            Conversation: (*chat_rules(MLX), ends_with(EVERYWHERE, "assistant"), no_weights(MLX)),
            PlainText: (some_text(MLX),),
        },
        limits=Limits(least_rows=1, needed_parts=("train", "validation"), source=MLX),
        is_folder=True,
        part_stems={"train": "train", "validation": "valid", "test": "test"},
    ),
    Form(
        "prompt-completion",
        "one prompt and its completion",
        write_prompt_completion,
        prompt_completion_rules(COMPLETIONS),
        suffixes=_EITHER,
    ),
    Form(
        "alpaca",
        "Alpaca: instruction, input and output (or chosen and rejected, or kto_tag), history, system",
        write_alpaca,
        _alpaca_rules(LLAMA_FACTORY),
        suffixes=_EITHER,
    ),
    Form(
        "sharegpt",
        "ShareGPT: conversations of from and value (and chosen, rejected, or kto_tag), system, tools",
        write_sharegpt,
        _sharegpt_rules(LLAMA_FACTORY),
        suffixes=_EITHER,
    ),
    Form("trl", "TRL: the shape that its trainers want of each kind", write_trl, _trl_rules(TRL), suffixes=_EITHER),
    Form(
        "kto",
        "unpaired preferences: prompt, completion and label",
        write_kto,
        {
            JudgedAnswer: (
                some_turns(TRL),
                one_turn_prompt(TRL, may_have_system=False),
                one_turn_answers(TRL),
                no_tools(),
                no_weights(),
                no_names(),
            )
        },
        suffixes=_EITHER,
    ),
    Form("ms-swift", "ms-swift: its messages, with what each kind adds", write_swift, _swift_rules(SWIFT), _EITHER),
)
