"""chat: conversations whose assistant turns are learned. Answers are written; loss, chrF and ROUGE-L score them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fettle.data.records import Conversation, Message, Record, ToolCall
from fettle.generation.answer import Answer
from fettle.generation.decoding import complete
from fettle.models.load import OpenModel
from fettle.models.tokenizer import ModelTokenizer
from fettle.tasks.task import Method, Task, Terms, no_survey
from fettle.tasks.words import next_token, room_for_prompt, word_reader
from fettle.tokens.config import PromptSettings
from fettle.tokens.example import Example
from fettle.tokens.template import encode_prompt, encode_turns, learned_turns
from fettle.tokens.tools import Call, Turn


class ChatEncoder:
    """Conversations through the model's own template; a system message of the settings where a row has none."""

    def __init__(self, tokenizer: ModelTokenizer, prompt: PromptSettings) -> None:
        self._tokenizer = tokenizer
        self._system = prompt.system

    def turns(self, record: Record) -> list[Turn]:
        """The conversation as the template takes it."""
        if not isinstance(record, Conversation):
            raise TypeError(f"chat takes conversations, not {type(record).__name__}")
        name_of = {call.id: call.name for message in record.messages for call in message.tool_calls}
        turns = [_turn(message, name_of) for message in record.messages]
        if self._system and (not turns or turns[0].role != "system"):
            turns.insert(0, Turn("system", self._system))
        return turns

    def examples(self, record: Record, source: str) -> list[Example]:
        return encode_turns(self._tokenizer, self.turns(record), source, tools_of(record))

    def prompt(self, record: Record) -> list[int]:
        """Everything before the last learned turn of the assistant, or all of it where none is learned."""
        turns = self.turns(record)
        return encode_prompt(self._tokenizer, turns[: _last_learned(turns)], tools_of(record))

    def expected(self, record: Record) -> str:
        """What the assistant says in its last learned turn; calls of tools as the model would write them."""
        turns = self.turns(record)
        place = _last_learned(turns)
        if place == len(turns):
            return ""
        if not turns[place].calls:
            return turns[place].content
        learned = learned_turns(self._tokenizer, turns[: place + 1], tools_of(record))[-1]
        return self._tokenizer.decode(learned.answer).strip()


def tools_of(record: Record) -> tuple[str, ...]:
    """The tools that a conversation may call, each as JSON."""
    return record.tools if isinstance(record, Conversation) else ()


def _turn(message: Message, name_of: Mapping[str, str]) -> Turn:
    """A turn as a template takes it; a tool that gives no name has that of the call which it answers."""
    calls = tuple(Call(call.name, call.arguments) for call in message.tool_calls)
    name = message.name or (name_of.get(message.tool_call_id, "") if message.role == "tool" else "")
    return Turn(message.role, message.content, message.weight, calls, name)


def _cannot_learn(record: Record) -> str:
    return "" if isinstance(record, Conversation) else f"it is no conversation ({type(record).__name__})"


class ChatAnswerer:
    """Written answers."""

    def __init__(self, terms: Terms) -> None:
        self._encoder = ChatEncoder(terms.tokenizer, terms.prompt)
        self._room = room_for_prompt(terms)
        self._tokenizer = terms.tokenizer
        self._decoding = terms.decoding
        self._dtype = terms.dtype

    def answers(
        self, model: OpenModel, records: Sequence[Record], progress: Callable[[int], None] | None = None
    ) -> list[Answer]:
        prompts = [self._encoder.prompt(record)[-self._room :] for record in records]
        written = complete(model, prompts, self._decoding, dtype=self._dtype, progress=progress)
        return [Answer(self._tokenizer.decode(one.ids).strip(), {}, one.is_complete) for one in written]


def _last_learned(turns: Sequence[Turn]) -> int:
    learned = [place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.weight > 0]
    return learned[-1] if learned else len(turns)


def _question(text: str) -> Record:
    return Conversation((Message("user", text),))


_WITH_A_TOOL = Conversation(
    (
        Message("user", "where is 7?"),
        Message("assistant", "", tool_calls=(ToolCall("status", '{"number": 7}', "a"),)),
        Message("tool", "Packed.", tool_call_id="a"),
        Message("assistant", "It is packed."),
    ),
    ('{"name": "status", "parameters": {"number": "integer"}}',),
)
_SAMPLES = tuple(
    Conversation((Message("user", asked), Message("assistant", said)))
    for asked, said in (
        ("hello", "Hello!"),
        ("where is it?", "On its way."),
        ("when?", "On Monday."),
        ("thanks", "You are welcome."),
        ("is it open?", "Until six."),
        ("who are you?", "The shop."),
        ("bye", "Goodbye."),
    )
)
WRITTEN = Method(
    "written",
    "causal",
    ("loss", "perplexity", "chrf", "rouge_l"),
    encoder=lambda terms: ChatEncoder(terms.tokenizer, terms.prompt),
    objective=next_token,
    reader=word_reader,
    answerer=ChatAnswerer,
    prompt=lambda terms, record: ChatEncoder(terms.tokenizer, terms.prompt).prompt(record),
    samples=(*_SAMPLES, _WITH_A_TOOL),
)
TASK = Task("chat", (WRITTEN,), no_survey, _question, cannot_learn=_cannot_learn)
