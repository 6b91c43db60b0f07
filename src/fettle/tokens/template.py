"""Conversations become examples: every learned turn exactly as a server would render it.

For each learned turn the prompt is rendered as it would be when the model is asked (with the opening of an answer),
and the answer is what the template writes after that, up to and with the stop token. Turns whose prompts continue one
another become one example; a template that rewrites earlier turns costs sharing, never correctness.

Text inside a message is never a control token: where a message contains the text of one, that text is spelt out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fettle.errors import RequestError
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.tools import Turn, said_plainly

_OPEN, _CLOSE = "\ue000", "\ue001"


class Tokenizer(Protocol):
    """What encoding needs of a model's tokenizer."""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""
        ...

    @property
    def control_texts(self) -> tuple[str, ...]:
        """Texts that the tokenizer would read as special tokens."""
        ...

    @property
    def knows_tools(self) -> bool:
        """Whether the model's template writes tools and calls of tools."""
        ...

    def render(
        self, messages: Sequence[Mapping[str, object]], with_answer_opening: bool, tools: Sequence[object] = ()
    ) -> str:
        """The conversation as the model's template writes it."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of a rendered text; special tokens in it count as such."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a user's text; what looks like a special token stays text."""
        ...


@dataclass(frozen=True, slots=True)
class LearnedTurn:
    """The ids a server would send, and the ids the model should answer with (the stop token last, if there is one)."""

    prompt: list[int]
    answer: list[int]
    weight: float
    is_stop_learned: bool


def encode_prompt(tokenizer: Tokenizer, turns: Sequence[Turn], tools: Sequence[str] = ()) -> list[int]:
    """Ids of a conversation that awaits an answer: what a server sends to the model. `tools` are JSON, one a text."""
    return _encode(tokenizer, *_render(tokenizer, turns, tools, with_answer_opening=True))


def learned_turns(tokenizer: Tokenizer, turns: Sequence[Turn], tools: Sequence[str] = ()) -> list[LearnedTurn]:
    """Every turn of the assistant that has a weight, with the prompt that a server would have rendered for it."""
    if not tokenizer.stop_ids:
        raise RequestError(
            "the model names no token to stop at",
            expected="eos_token in tokenizer_config.json, or eos_token_id in generation_config.json",
            attempt="a base that writes",
        )
    found = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant" or turn.weight <= 0:
            continue
        prompt_text, spelt = _render(tokenizer, turns[:index], tools, with_answer_opening=True)
        whole_text, spelt_whole = _render(tokenizer, turns[: index + 1], tools, with_answer_opening=False)
        if not whole_text.startswith(prompt_text):
            raise RequestError(
                "the chat template renders an answer differently from the prompt that asks for it",
                expected="the prompt to be a beginning of the whole conversation",
                attempt="a base whose template keeps its beginnings",
            )
        answer = _encode(tokenizer, whole_text[len(prompt_text) :], spelt_whole)
        stop = next((place for place, token in enumerate(answer) if token in tokenizer.stop_ids), None)
        learned = answer if stop is None else answer[: stop + 1]
        prompt = _encode(tokenizer, prompt_text, spelt)
        found.append(LearnedTurn(prompt, learned, turn.weight, stop is not None))
    return found


def encode_turns(
    tokenizer: Tokenizer, turns: Sequence[Turn], source: str = "", tools: Sequence[str] = ()
) -> list[Example]:
    """One example a conversation where each prompt continues the last answer, else as many as it takes."""
    examples: list[Example] = []
    ids: list[int] = []
    at: list[int] = []
    token: list[int] = []
    weight: list[float] = []
    is_stop_learned = True

    def finish() -> None:
        if at:
            examples.append(_example(ids, TokenReads.of(at, token, weight), source, is_stop_learned))

    for learned in learned_turns(tokenizer, turns, tools):
        if learned.prompt[: len(ids)] != ids:
            finish()
            ids, at, token, weight, is_stop_learned = [], [], [], [], True
        start = len(learned.prompt)
        ids = learned.prompt + learned.answer
        at += range(start - 1, start - 1 + len(learned.answer))
        token += learned.answer
        weight += [learned.weight] * len(learned.answer)
        is_stop_learned = is_stop_learned and learned.is_stop_learned
    finish()
    return examples


def encode_document(tokenizer: Tokenizer, text: str, end_id: int, source: str = "") -> Example:
    """Plain text, every token learned from the one before it, with the end-of-text token at both ends."""
    ids = [*encode_beginning(tokenizer, text, end_id), end_id]
    reads = TokenReads.of(list(range(len(ids) - 1)), ids[1:], [1.0] * (len(ids) - 1))
    return _example(ids, reads, source, is_stop_learned=True)


def encode_beginning(tokenizer: Tokenizer, text: str, end_id: int) -> list[int]:
    """Plain text that is to go on, as the beginning of a document."""
    return [end_id, *tokenizer.encode_plain(text)]


def continue_prompt(prompt: list[int], answer: list[int], source: str = "") -> Example:
    """A prompt and one possible answer, every token of it read with weight 1."""
    start = len(prompt)
    reads = TokenReads.of(list(range(start - 1, start - 1 + len(answer))), answer, [1.0] * len(answer))
    return _example(prompt + answer, reads, source, is_stop_learned=True)


def _example(ids: list[int], reads: TokenReads, source: str, is_stop_learned: bool) -> Example:
    """Drop the tokens after the last read: nothing looks at them, so they would be computed for nothing."""
    last = int(reads.at.max()) + 1
    return Example(np.asarray(ids[:last], np.int64), reads, source, is_stop_learned)


def _render(
    tokenizer: Tokenizer, turns: Sequence[Turn], tools: Sequence[str], with_answer_opening: bool
) -> tuple[str, dict[str, str]]:
    """Render with every control text that people or tools wrote put behind a mark that no template can split.

    A text may hold the opening of a mark itself; it is put behind a mark before all others.
    """
    spelt: dict[str, str] = {}
    if not tokenizer.knows_tools:
        turns, tools = said_plainly(turns, tools), ()
    messages = []
    for turn in turns:
        message: dict[str, object] = {"role": turn.role, "content": turn.content}
        if turn.calls:
            message["tool_calls"] = [call.as_json() for call in turn.calls]
        if turn.name:
            message["name"] = turn.name
        messages.append({key: _marked(value, tokenizer, spelt) for key, value in message.items()})
    if not tools:
        return tokenizer.render(messages, with_answer_opening), spelt
    told = [_marked(json.loads(tool), tokenizer, spelt) for tool in tools]
    return tokenizer.render(messages, with_answer_opening, told), spelt


def _marked(value: Any, tokenizer: Tokenizer, spelt: dict[str, str]) -> Any:
    """A value of JSON with its control texts behind marks, at any depth."""
    match value:
        case str():
            for place, text in enumerate((_OPEN, *tokenizer.control_texts)):
                if text in value:
                    mark = f"{_OPEN}{place}{_CLOSE}"
                    spelt[mark] = text
                    value = value.replace(text, mark)
            return value
        case dict():
            return {_marked(key, tokenizer, spelt): _marked(inner, tokenizer, spelt) for key, inner in value.items()}
        case list():
            return [_marked(inner, tokenizer, spelt) for inner in value]
    return value


def _encode(tokenizer: Tokenizer, text: str, spelt: Mapping[str, str]) -> list[int]:
    if not spelt:
        return tokenizer.encode(text)
    ids: list[int] = []
    for piece in re.split("(" + "|".join(map(re.escape, spelt)) + ")", text):
        if piece in spelt:
            ids += tokenizer.encode_plain(spelt[piece])
        elif piece:
            ids += tokenizer.encode(piece)
    return ids
