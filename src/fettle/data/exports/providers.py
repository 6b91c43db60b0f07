"""The forms of hosted services, and the rules that each service states for its files.

Every rule and limit names its source. What services only advise (some hundreds of preferences, a system turn) is no
rule here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fettle.data.exports.form import ExportOptions, Form, Kind, Limits, Rule
from fettle.data.exports.rules import (
    EVERYWHERE,
    alternation,
    assistant_answers,
    chat_rules,
    different_answers,
    ends_with,
    no_names,
    no_tools,
    no_weights,
    one_turn_answers,
    one_turn_prompt,
    prompt_awaits_answer,
    some_turns,
    sound_reference,
    speaks,
    weights_of_0_or_1,
)
from fettle.data.exports.texts import some_label, some_text
from fettle.data.exports.turns import MessageStyle, messages, parsed_object, tools, without_system
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    LabelledText,
    MultiLabelledText,
    PlainText,
    Preference,
    Row,
)

OPENAI = "OpenAI, guides to supervised, preference and reinforcement fine-tuning; cookbook, Chat_finetuning_data_prep"
AZURE = "Azure OpenAI, pages on fine-tuning, preference and reinforcement fine-tuning"
TOGETHER = "Together, page on data preparation; together-python, utils/files.py"
FIREWORKS = "Fireworks, pages on supervised, preference and reinforcement fine-tuning"
MISTRAL = "mistral-finetune, finetune/data/tokenize.py, whose checks the service shares"
CLASSIFIER = "Mistral, page on the classifier factory"
PREDIBASE = "Predibase, page on datasets"
OPENPIPE = "OpenPipe, pages on datasets and preferences"
GRADED = "Azure OpenAI, page on reinforcement fine-tuning, whose shape the others share"
OCI = "Oracle, generative AI service, page on training data"

_OPENAI_STYLE = MessageStyle(omits_empty=True)
_MISTRAL_STYLE = MessageStyle(omits_empty=True, renames_calls=True)
_PLAIN_STYLE = MessageStyle()


def _chat(row: Row, style: MessageStyle) -> dict[str, object]:
    record = row.record
    assert isinstance(record, Conversation)
    return {"messages": messages(record.messages, style), **tools(record.tools)}


def _preference(row: Row, style: MessageStyle) -> dict[str, object]:
    record = row.record
    assert isinstance(record, Preference)
    # Ids are given over the whole path, so that an answer to a call of the prompt finds it.
    num_asked = len(record.prompt)
    return {
        "input": {"messages": messages(record.prompt, style), **tools(record.tools)},
        "preferred_output": messages(record.prompt + record.chosen, style)[num_asked:],
        "non_preferred_output": messages(record.prompt + record.rejected, style)[num_asked:],
    }


def _graded(row: Row, style: MessageStyle) -> dict[str, object]:
    record = row.record
    assert isinstance(record, GradedPrompt)
    return {
        "messages": messages(record.messages, style),
        **tools(record.tools),
        **(parsed_object(record.reference) or {}),
    }


def _by_kind(row: Row, style: MessageStyle) -> dict[str, object]:
    match row.record:
        case Preference():
            return _preference(row, style)
        case GradedPrompt():
            return _graded(row, style)
        case PlainText(text):
            return {"text": text}
    return _chat(row, style)


def write_openai(row: Row, options: ExportOptions) -> dict[str, object]:
    """A row of OpenAI's, by its kind."""
    return _by_kind(row, _OPENAI_STYLE)


def write_messages(row: Row, options: ExportOptions) -> dict[str, object]:
    """The same shapes for services whose checkers want a content on every turn."""
    return _by_kind(row, _PLAIN_STYLE)


def write_mistral(row: Row, options: ExportOptions) -> dict[str, object]:
    """Messages whose calls have ids of nine letters and digits."""
    return _by_kind(row, _MISTRAL_STYLE)


def write_classifier(row: Row, options: ExportOptions) -> dict[str, object]:
    """A text and its labels under the name of the target: one as a string, several as a list."""
    record = row.record
    assert isinstance(record, LabelledText | MultiLabelledText)
    value: object = record.label if isinstance(record, LabelledText) else list(record.labels)
    return {"text": record.text, "labels": {options.label_name: value}}


def write_openpipe(row: Row, options: ExportOptions) -> dict[str, object]:
    """Messages, the worse answer beside them where there is one, and the side of the split."""
    record = row.record
    made: dict[str, object]
    if isinstance(record, Preference):
        made = {
            "messages": messages(record.prompt + record.chosen, _OPENAI_STYLE),
            "rejected_message": messages(record.prompt + record.rejected, _OPENAI_STYLE)[-1],
            **tools(record.tools),
        }
    else:
        made = _chat(row, _OPENAI_STYLE)
    return {**made, "split": "TEST" if row.part == "test" else "TRAIN"} if row.part else made


def write_prompt_completion(row: Row, options: ExportOptions) -> dict[str, object]:
    """One prompt and its completion."""
    record = row.record
    assert isinstance(record, Conversation)
    turns = without_system(record.messages)[1]
    return {"prompt": turns[0].content, "completion": turns[1].content}


def _chat_rules(source: str, *more: Rule) -> tuple[Rule, ...]:
    return (*chat_rules(source), speaks(source, "assistant"), weights_of_0_or_1(source), *more)


def _preference_rules(source: str, *more: Rule) -> tuple[Rule, ...]:
    shared = (prompt_awaits_answer(EVERYWHERE), different_answers(EVERYWHERE), no_weights())
    return (*chat_rules(source), *shared, *more)


def _graded_rules(source: str) -> tuple[Rule, ...]:
    reserved = sound_reference(source, ("messages", "tools"))
    return (*chat_rules(source), ends_with(GRADED, "user"), reserved, no_weights())


def prompt_completion_rules(source: str) -> Mapping[Kind, tuple[Rule, ...]]:
    """What every form of one prompt and one completion asks."""
    single = one_turn_prompt(source, may_have_system=False)
    return {Conversation: (some_turns(source), single, no_tools(), no_weights(), no_names())}


_OPENAI_LIMITS = Limits(least_rows=10, most_bytes=512_000_000, has_no_row_twice=True, source=OPENAI)
_GRADED_LIMITS = replace(_OPENAI_LIMITS, needed_parts=("train", "validation"), source=f"{OPENAI}; {GRADED}")

PROVIDER_FORMS: tuple[Form, ...] = (
    Form(
        "openai-chat",
        "OpenAI, supervised: messages, tools, weights",
        write_openai,
        {Conversation: _chat_rules(OPENAI)},
        limits=_OPENAI_LIMITS,
    ),
    Form(
        "openai-preference",
        "OpenAI, preferences (DPO): input, preferred and non-preferred output",
        write_openai,
        {Preference: _preference_rules(OPENAI, one_turn_answers(OPENAI))},
        limits=_OPENAI_LIMITS,
    ),
    Form(
        "openai-reinforcement",
        "OpenAI, reinforcement (RFT): messages and what the grader needs",
        write_openai,
        {GradedPrompt: _graded_rules(OPENAI)},
        limits=_GRADED_LIMITS,
    ),
    Form(
        "azure",
        "Azure OpenAI: OpenAI's three shapes under its own rules",
        write_openai,
        {
            Conversation: _chat_rules(AZURE, ends_with(AZURE, "assistant")),
            Preference: _preference_rules(AZURE, assistant_answers(AZURE)),
            GradedPrompt: _graded_rules(AZURE),
        },
        limits=replace(_OPENAI_LIMITS, source=f"{AZURE}; 512 MB and no row twice as at OpenAI"),
    ),
    Form(
        "together",
        "Together: messages, preferences or texts, one format a file",
        write_messages,
        {
            Conversation: _chat_rules(TOGETHER, alternation(TOGETHER)),
            Preference: _preference_rules(TOGETHER, alternation(TOGETHER), one_turn_answers(TOGETHER)),
            PlainText: (some_text(TOGETHER),),
        },
        limits=Limits(least_rows=1, most_bytes=50_100_000_000, source=TOGETHER),
    ),
    Form(
        "fireworks",
        "Fireworks: OpenAI's shapes, preferences of one turn",
        write_messages,
        {
            Conversation: _chat_rules(FIREWORKS),
            Preference: _preference_rules(FIREWORKS, one_turn_prompt(FIREWORKS), one_turn_answers(FIREWORKS)),
            GradedPrompt: _graded_rules(FIREWORKS),
        },
        limits=Limits(least_rows=3, most_rows=3_000_000, source=FIREWORKS),
    ),
    Form(
        "mistral",
        "Mistral: messages, calls with ids of nine characters",
        write_mistral,
        {Conversation: _chat_rules(MISTRAL, ends_with(MISTRAL, "assistant"))},
        limits=Limits(least_rows=1, source=MISTRAL),
    ),
    Form(
        "mistral-classifier",
        "Mistral's classifier: text and labels by target",
        write_classifier,
        {
            LabelledText: (some_text(CLASSIFIER), some_label(CLASSIFIER)),
            MultiLabelledText: (some_text(CLASSIFIER), some_label(CLASSIFIER)),
        },
        limits=Limits(least_rows=1, source=CLASSIFIER),
    ),
    Form(
        "predibase",
        "Predibase: messages with a user and an assistant",
        write_messages,
        {
            Conversation: (
                *chat_rules(PREDIBASE),
                speaks(PREDIBASE, "user"),
                speaks(PREDIBASE, "assistant"),
                no_weights(),
            )
        },
        limits=Limits(least_rows=1, source=PREDIBASE),
    ),
    Form(
        "openpipe",
        "OpenPipe: messages, rejected_message, split",
        write_openpipe,
        {
            Conversation: (*chat_rules(OPENPIPE), ends_with(OPENPIPE, "assistant"), no_weights()),
            Preference: _preference_rules(OPENPIPE, one_turn_answers(OPENPIPE, may_call_tools=True)),
        },
        limits=Limits(least_rows=1, source=OPENPIPE),
        says_part=True,
        known_parts=("train", "test"),
    ),
    Form(
        "oci",
        "Oracle OCI: prompt and completion",
        write_prompt_completion,
        prompt_completion_rules(OCI),
        limits=Limits(least_rows=32, source=OCI),
    ),
)
