"""The nouns of the data room: records, and the rows that carry them.

A record is one example as its task sees it. A row is a record with the place it came from. Nothing here knows of
tokens or models.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import NamedTuple, TypeAlias

import msgspec

from fettle.errors import RequestError

ROLES = ("system", "user", "assistant", "tool")


class BadRecord(RequestError):
    """What makes no record: the bytes or the fields of one row. It becomes the fault of that row and stops no file."""


LEARNED = 1.0
"""The weight of a turn that is learned: this very number, since what is as by default is not written down, and one
conversation must be written down in one way only."""

NONE_OF_THESE = "none of these"
"""The label of a text that belongs to no other label of its set."""


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An assistant's wish to have a tool run. `arguments` is a JSON object as text; `id` is what the answer names."""

    name: str
    arguments: str
    id: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn. `weight` says how much an assistant turn is learned: 1 learned, 0 only read.

    An assistant turn that calls tools may have no content; a tool turn answers the call that `tool_call_id` names.
    """

    role: str
    content: str
    weight: float = LEARNED
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Conversation(msgspec.Struct, frozen=True, omit_defaults=True, tag="conversation"):
    """Turns in order, an optional system turn first; the task `chat`. `tools` are JSON objects as text."""

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()


class LabelledText(msgspec.Struct, frozen=True, tag="labelled"):
    """A text and the one label it should get; the task `classify`."""

    text: str
    label: str


class MultiLabelledText(msgspec.Struct, frozen=True, tag="labels"):
    """A text and all the labels it should get, none among them; the task `classify`."""

    text: str
    labels: tuple[str, ...]


class Span(msgspec.Struct, frozen=True):
    """Characters `start` to just before `end` of a text are a `label`."""

    start: int
    end: int
    label: str


class TaggedText(msgspec.Struct, frozen=True, tag="tagged"):
    """A text and the spans to be found in it, in order of `start`; the task `tag`."""

    text: str
    spans: tuple[Span, ...]


class ScoredText(msgspec.Struct, frozen=True, omit_defaults=True, tag="scored"):
    """A text, or two that are compared, and a number; the task `score`."""

    text: str
    score: float
    other: str = ""


class TextPair(msgspec.Struct, frozen=True, omit_defaults=True, tag="pair"):
    """A text and one that belongs to it, `others` that do not, or a `score` of how near the two are; `embed`."""

    text: str
    match: str
    others: tuple[str, ...] = ()
    score: float | None = None


class Preference(msgspec.Struct, frozen=True, omit_defaults=True, tag="preference"):
    """A conversation that awaits an answer, a better and a worse one; the task `prefer`."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    tools: tuple[str, ...] = ()


class JudgedAnswer(msgspec.Struct, frozen=True, omit_defaults=True, tag="judged"):
    """A conversation, one answer to it, and whether that is a good one; the task `prefer`."""

    prompt: tuple[Message, ...]
    answer: tuple[Message, ...]
    is_good: bool


class JudgedSteps(msgspec.Struct, frozen=True, tag="steps"):
    """A conversation, the steps of one answer, and for each whether it is right; the task `prefer`."""

    prompt: tuple[Message, ...]
    steps: tuple[str, ...]
    are_right: tuple[bool, ...]


class GradedPrompt(msgspec.Struct, frozen=True, omit_defaults=True, tag="graded"):
    """A conversation that ends with the user, and what a grader needs to judge answers; the task `reinforce`.

    `reference` is one JSON object as text: every key of the row but the turns and the tools.
    """

    messages: tuple[Message, ...]
    reference: str = "{}"
    tools: tuple[str, ...] = ()


class PlainText(msgspec.Struct, frozen=True, tag="text"):
    """A document; the task `text`."""

    text: str


Record: TypeAlias = (
    Conversation
    | LabelledText
    | MultiLabelledText
    | TaggedText
    | ScoredText
    | TextPair
    | Preference
    | JudgedAnswer
    | JudgedSteps
    | GradedPrompt
    | PlainText
)

TASK_OF_RECORD: dict[type[msgspec.Struct], str] = {
    Conversation: "chat",
    LabelledText: "classify",
    MultiLabelledText: "classify",
    TaggedText: "tag",
    ScoredText: "score",
    TextPair: "embed",
    Preference: "prefer",
    JudgedAnswer: "prefer",
    JudgedSteps: "prefer",
    GradedPrompt: "reinforce",
    PlainText: "text",
}


_encoder = msgspec.json.Encoder()


class Row(msgspec.Struct, frozen=True):
    """A record, where it came from (`line` counts from 1), and the columns that no part of the record took."""

    record: Record
    file: str
    line: int
    fields: dict[str, str] = {}
    part: str = ""

    @property
    def content_digest(self) -> bytes:
        """SHA-256 over the record alone: two rows with one digest say the same thing."""
        return hashlib.sha256(_encoder.encode(self.record)).digest()

    @property
    def content_key(self) -> str:
        """The content digest as text."""
        return self.content_digest.hex()

    @property
    def squeezed_input(self) -> str:
        """What a model would be given, case, spacing and Unicode form aside."""
        return normalised(input_text(self.record))

    @property
    def input_key(self) -> str:
        """SHA-256 over the normalised input.

        Splits and leak checks use this key, so one question never stands on both sides with two answers.
        """
        return hashlib.sha256(self.squeezed_input.encode("utf-8", "surrogatepass")).hexdigest()


def normalised(text: str) -> str:
    """A text with case, spacing and Unicode form aside: what is compared wherever texts count as the same.

    >>> normalised(" Where  IS\\tmy ﬁle? ")
    'where is my file?'
    """
    if text.isascii():
        # Printable ASCII has one kind of blank; most texts have it once at a time, and nothing is to be normalised.
        if "  " not in text and text.isprintable():
            return text.strip(" ").lower()
    else:
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def says_nothing(text: str) -> bool:
    """Whether nobody says anything in an input: its lines are empty, or name who would speak.

    >>> says_nothing("user:\\n"), says_nothing("user: hello")
    (True, False)
    """
    return _NOTHING.issuperset(map(str.strip, text.split("\n")))


_NOTHING = frozenset(["", *(f"{role}:" for role in ROLES)])


def input_text(record: Record) -> str:
    """What a model is given before its first learned answer.

    >>> input_text(LabelledText("where is it", "order_status"))
    'where is it'
    """
    match record:
        case Conversation(messages):
            return _lines(messages[: _first_learned(messages)])
        case Preference(prompt) | JudgedAnswer(prompt) | JudgedSteps(prompt) | GradedPrompt(prompt):
            return _lines(prompt)
        case ScoredText(text, _, other):
            return f"{text}\n{other}" if other else text
    return record.text


def answer_text(record: Record) -> str:
    """What a model should say to `input_text`: the label, or all from the first learned turn on.

    Trap: plain text has no answer, and a text may have many matches, so neither ever contradicts another.

    >>> answer_text(LabelledText("where is it", "order_status"))
    'order_status'
    >>> answer_text(TaggedText("Ada in Rome", (Span(0, 3, "PERSON"), Span(7, 11, "PLACE"))))
    'Ada: PERSON, Rome: PLACE'
    """
    match record:
        case LabelledText(_, label):
            return label
        case MultiLabelledText(_, labels):
            return ", ".join(labels)
        case TaggedText(text, spans):
            return ", ".join(f"{text[span.start : span.end]}: {span.label}" for span in spans)
        case ScoredText(_, score):
            return f"{score:g}"
        case Conversation(messages):
            return _lines(messages[_first_learned(messages) :])
        case Preference(_, chosen):
            return _lines(chosen)
        case JudgedAnswer(_, answer):
            return _lines(answer)
        case JudgedSteps(_, steps):
            return "\n".join(steps)
        case GradedPrompt(_, reference):
            return reference
    return ""


class NamedText(NamedTuple):
    """A text of a record. `name` is `text`, `label` or `turn 2 (user)`; `is_answer`: a model should learn to say it."""

    name: str
    text: str
    is_answer: bool = False


def named_texts(record: Record) -> list[NamedText]:
    """All that people wrote in a record, each text with its name, labels among them.

    >>> [named.name for named in named_texts(LabelledText("where is it", "order_status"))]
    ['text', 'label']
    """
    match record:
        case LabelledText(text, label):
            return [NamedText("text", text), NamedText("label", label, True)]
        case MultiLabelledText(text, labels):
            return [NamedText("text", text), *(NamedText("label", label, True) for label in labels)]
        case ScoredText(text, _, other):
            return [NamedText("text", text), *([NamedText("other", other)] if other else [])]
        case TextPair(text, match, others):
            return [NamedText("text", text), NamedText("match", match), *(NamedText("other", each) for each in others)]
        case PlainText(text):
            return [NamedText("text", text, True)]
        case TaggedText(text):
            return [NamedText("text", text)]
        case JudgedSteps(prompt, steps):
            numbered = enumerate(steps, start=1)
            return [*_turns("turn", prompt), *(NamedText(f"step {number}", step, True) for number, step in numbered)]
        case Preference(prompt, chosen, rejected):
            better = [named._replace(is_answer=True) for named in _turns("chosen", chosen)]
            return [*_turns("turn", prompt), *better, *_turns("rejected", rejected)]
        case JudgedAnswer(prompt, answer, is_good):
            said = [named._replace(is_answer=is_good) for named in _turns("answer", answer)]
            return [*_turns("turn", prompt), *said]
    return _turns("turn", record.messages)


def labels_of(record: Record) -> tuple[str, ...]:
    """The labels that a record names, of itself or of its spans, in order; a label that it names twice is there twice.

    >>> labels_of(TaggedText("Ada in Rome", (Span(0, 3, "PERSON"), Span(7, 11, "PLACE"))))
    ('PERSON', 'PLACE')
    """
    match record:
        case LabelledText(_, label):
            return (label,)
        case MultiLabelledText(_, labels):
            return labels
        case TaggedText(_, spans):
            return tuple(span.label for span in spans)
    return ()


def answer_hash(record: Record) -> int:
    """A number that answers of one wording share, in this process: quicker than to write a conversation out."""
    if isinstance(record, Conversation):
        return hash(record.messages[_first_learned(record.messages) :])
    return hash(answer_text(record))


def texts_of(record: Record) -> list[str]:
    """All that people wrote in a record: what a vocabulary is learned from.

    >>> texts_of(LabelledText("where is it", "order_status"))
    ['where is it', 'order_status']
    """
    return [named.text for named in named_texts(record)]


def _turns(name: str, messages: tuple[Message, ...]) -> list[NamedText]:
    return [
        NamedText(f"{name} {number} ({turn.role})", _said(turn), turn.role == "assistant" and turn.weight > 0)
        for number, turn in enumerate(messages, start=1)
    ]


def _first_learned(messages: tuple[Message, ...]) -> int:
    for place, turn in enumerate(messages):
        if turn.role == "assistant" and turn.weight > 0:
            return place
    return len(messages)


def _lines(messages: tuple[Message, ...]) -> str:
    return "\n".join([f"{turn.role}: {_said(turn)}" for turn in messages])


def _said(turn: Message) -> str:
    """What a turn says, the tools that it calls too."""
    called = [f"{call.name}({call.arguments})" for call in turn.tool_calls]
    return " ".join([turn.content, *called]) if called else turn.content
