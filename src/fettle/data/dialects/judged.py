"""Answers that were judged one by one: good or bad as a whole (KTO in its dialects), or step by step."""

from __future__ import annotations

from fettle.data.dialects.chat import TURN_EXTRAS, read_said
from fettle.data.dialects.prompts import ASKED, read_answer, read_prompt
from fettle.data.dialects.protocol import Dialect, Fields, kind, list_of, present, refuse_media, shown
from fettle.data.dialects.turns import check_order, read_turns
from fettle.data.records import BadRecord, JudgedAnswer, JudgedSteps, Message, Record

_VERDICTS = {"true": True, "false": False, "1": True, "0": False}


def _parse_completion(fields: Fields) -> Record:
    """TRL's columns: a prompt, a completion, and whether it is good.

    >>> JUDGED.parse({"prompt": "2+2?", "completion": "5", "label": False}).is_good
    False
    """
    prompt, answer = read_prompt(fields, "prompt", "context"), read_answer(fields, "completion")
    return _judged((*prompt, *answer), len(prompt), fields)


def _parse_alpaca(fields: Fields) -> Record:
    """Alpaca's columns and whether the output is good."""
    prompt, answer = read_prompt(fields, "instruction", "input"), read_answer(fields, "output")
    return _judged((*prompt, *answer), len(prompt), fields)


def _parse_chat(fields: Fields) -> Record:
    """Turns of which the last is judged.

    >>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Go away"}]
    >>> JUDGED_CHAT.parse({"messages": turns, "label": "False"}).answer[0].content
    'Go away'
    """
    refuse_media(fields)
    messages = read_turns(present(fields, "messages"))
    return _judged(messages, len(messages) - 1, fields)


def _parse_said(fields: Fields) -> Record:
    """ShareGPT's turns of which the last is judged."""
    refuse_media(fields)
    messages = read_said(fields)
    return _judged(messages, len(messages) - 1, fields)


def _judged(messages: tuple[Message, ...], num_prompt: int, fields: Fields) -> JudgedAnswer:
    check_order(messages, ends="answer")
    value = present(fields, "label")
    verdict = _verdict(value)
    if verdict is None:
        said = "empty" if value is None or (isinstance(value, str) and not value.strip()) else shown(value)
        raise BadRecord(
            f"label is {said}",
            expected="true where the answer is good, false where it is not",
            attempt="mend it, or leave the row out",
        )
    return JudgedAnswer(messages[:num_prompt], messages[num_prompt:], verdict)


def _verdict(value: object) -> bool | None:
    """True or false, as JSON, as a word in a table, or as 1 and 0.

    >>> _verdict("TRUE"), _verdict(0), _verdict("good")
    (True, False, None)
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return bool(value) if value in (0, 1) else None
    return _VERDICTS.get(value.strip().lower()) if isinstance(value, str) else None


def _is_judged(fields: Fields) -> bool:
    return _verdict(fields.get("label")) is not None


def _parse_steps(fields: Fields) -> Record:
    """A prompt, the steps of one answer, and for each whether it is right.

    >>> STEPS.parse({"prompt": "2+2+2?", "completions": ["2+2=4", "4+2=7"], "labels": [True, False]}).are_right
    (True, False)
    """
    prompt = read_prompt(fields, "prompt")
    steps = list_of(fields, "completions", "strings, one a step")
    labels = list_of(fields, "labels", "true or false, one a step")
    if not steps:
        raise BadRecord("completions is empty", expected="at least one step", attempt="leave the row out")
    if len(steps) != len(labels):
        raise BadRecord(f"there are {len(steps)} steps and {len(labels)} labels", expected="one label for each step")
    said: list[str] = []
    verdicts: list[bool] = []
    for number, (step, label) in enumerate(zip(steps, labels, strict=True), start=1):
        if not isinstance(step, str) or not step.strip():
            what = "empty" if step is None or isinstance(step, str) else kind(step)
            raise BadRecord(f"step {number} is {what}", expected="some text")
        verdict = _verdict(label)
        if verdict is None:
            raise BadRecord(f"the label of step {number} is {shown(label)}", expected="true or false")
        said.append(step)
        verdicts.append(verdict)
    return JudgedSteps(prompt, tuple(said), tuple(verdicts))


JUDGED = Dialect(
    name="judged",
    task="prefer",
    evidence="label says whether completion is good",
    parse=_parse_completion,
    required=("prompt", "completion", "label"),
    optional=("context", *ASKED),
    suits=_is_judged,
)
JUDGED_ALPACA = Dialect(
    name="judged_alpaca",
    task="prefer",
    evidence="label says whether output is good",
    parse=_parse_alpaca,
    required=("instruction", "output", "label"),
    optional=("input", *ASKED),
    suits=_is_judged,
)
JUDGED_CHAT = Dialect(
    name="judged_chat",
    task="prefer",
    evidence="label says whether the last answer of messages is good",
    parse=_parse_chat,
    required=("messages", "label"),
    optional=TURN_EXTRAS,
    suits=_is_judged,
)
JUDGED_SHAREGPT = Dialect(
    name="judged_sharegpt",
    task="prefer",
    evidence="label says whether the last turn of conversations is good",
    parse=_parse_said,
    required=("conversations", "label"),
    optional=("system", *TURN_EXTRAS),
    suits=_is_judged,
)
STEPS = Dialect(
    name="steps",
    task="prefer",
    evidence="labels says which of the steps in completions are right",
    parse=_parse_steps,
    required=("prompt", "completions", "labels"),
    optional=ASKED,
)
