"""Rules of turns: what services and trainers ask of conversations, told turn by turn.

Each function makes one rule for the form and the source that ask for it. A rule looks at a record and knows nothing of
the row, the file or the other rules; where a record has no turns it finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from fettle.data.exports.form import Problem, Rule
from fettle.data.exports.turns import (
    Turns,
    answers_of,
    as_function,
    numbered,
    parsed_object,
    paths_of,
    prompt_of,
    tools_of,
    with_call_ids,
    without_system,
)
from fettle.data.records import ROLES, Conversation, GradedPrompt, Preference, Record

NO_PLACE = "the form has no place for it"
EVERYWHERE = "asked of all turns: templates and trainers take nothing else"
"""The source of what no service need state, so that none is quoted for what it does not say."""

MEDIA_MARKS = ("<image>", "<video>", "<audio>")


def some_turns(source: str) -> Rule:
    """Prompts, conversations and answers are never empty, and every turn says something or calls a tool."""

    def find(record: Record) -> Iterator[Problem]:
        if not prompt_of(record):
            yield "there are no turns", "add them, or leave the row out"
        for name, answer in answers_of(record).items():
            if not answer:
                yield f"{name} has no turns", "add them, or leave the row out"
        for place, turn in numbered(record):
            if not turn.content.strip() and not turn.tool_calls and turn.role != "tool":
                yield f"{place} says nothing", "fill it in, or leave the row out"

    return Rule("turns that each say something", source, find)


def roles(source: str, *known: str) -> Rule:
    """Every turn is by one of `known`, and an answer is by the assistant and the tools that it calls."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.role not in known:
                yield f"{place} has the role {turn.role!r}", f"write it as one of: {', '.join(known)}"
        for name, answer in answers_of(record).items():
            if any(turn.role in ("system", "user") for turn in answer):
                yield f"{name} has turns that the assistant did not write", "leave the answer alone in it"

    return Rule(f"turns by {', '.join(known)}", source, find)


def leading_system(source: str) -> Rule:
    """At most one system turn, and that one first."""

    def find(record: Record) -> Iterator[Problem]:
        for number, turn in enumerate(prompt_of(record)[1:], start=2):
            if turn.role == "system":
                yield f"turn {number} is a system turn", "join it to the first turn"

    return Rule("one system turn at most, before all others", source, find)


def alternation(source: str) -> Rule:
    """User and assistant by turns, a user first; tools speak after a call, and the assistant after them."""

    def find(record: Record) -> Iterator[Problem]:
        for path in paths_of(record):
            misplaced = _first_misplaced(path)
            if misplaced:
                number, role, wanted = misplaced
                yield f"turn {number} is by the {role} where the {wanted} should speak", "join turns of one role"
                return

    return Rule("user and assistant by turns, the user first", source, find)


def _first_misplaced(path: Turns) -> tuple[int, str, str] | None:
    wanted: tuple[str, ...] = ("user",)
    first_number = 2 if path and path[0].role == "system" else 1
    for number, turn in enumerate(without_system(path)[1], start=first_number):
        if turn.role not in wanted:
            return number, turn.role, wanted[0]
        if turn.role == "user":
            wanted = ("assistant",)
        elif turn.role == "tool":
            wanted = ("assistant", "tool")
        else:
            wanted = ("tool",) if turn.tool_calls else ("user",)
    return None


def ends_with(source: str, role: str) -> Rule:
    """The last turn is by `role`: the answer that is learned, or the user that a model is to answer."""

    def find(record: Record) -> Iterator[Problem]:
        for path in paths_of(record):
            if path and path[-1].role != role:
                yield f"the last turn is by the {path[-1].role}", f"end it with the {role}, or leave the row out"
                return

    return Rule(f"the {role} to speak last", source, find)


def prompt_awaits_answer(source: str) -> Rule:
    """A prompt does not end with the assistant, whose turn comes next."""

    def find(record: Record) -> Iterator[Problem]:
        prompt = prompt_of(record)
        if prompt and prompt[-1].role == "assistant":
            yield "the prompt ends with the assistant", "move its last turn into the answers"

    return Rule("a prompt that ends before the assistant speaks", source, find)


def speaks(source: str, role: str) -> Rule:
    """At least one turn is by `role`."""

    def find(record: Record) -> Iterator[Problem]:
        if not any(turn.role == role for path in paths_of(record) for turn in path):
            yield f"there is no {role} turn", "add one, or leave the row out"

    return Rule(f"at least one {role} turn", source, find)


def weights_of_0_or_1(source: str) -> Rule:
    """A weight is 0 or 1, stands on assistant turns only, and leaves something to learn."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.weight not in (0, 1):
                yield f"{place} has the weight {turn.weight:g}", "round it to 0 or 1"
            elif turn.weight != 1 and turn.role != "assistant":
                yield f"{place} is a {turn.role} turn with a weight", "remove the weight"
        spoken = [turn for turn in prompt_of(record) if turn.role == "assistant"]
        if isinstance(record, Conversation) and spoken and not any(turn.weight > 0 for turn in spoken):
            yield "no turn is learned", "remove the weight of the turn to learn"

    return Rule("weights of 0 or 1 on assistant turns, one of them 1", source, find)


def no_weights(source: str = NO_PLACE) -> Rule:
    """Every turn counts alike."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.weight != 1:
                yield f"{place} has the weight {turn.weight:g}", "export it as openai-chat, or leave the row out"

    return Rule("no turn with a weight but 1", source, find)


def no_names(source: str = NO_PLACE) -> Rule:
    """No speaker has a name; a tool's name is said by the call that it answers."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.name and turn.role != "tool":
                yield f"{place} names its speaker {turn.name!r}", "move the name into the text"

    return Rule("turns without names", source, find)


def no_tools(source: str = NO_PLACE) -> Rule:
    """No tool is offered, called or heard."""

    def find(record: Record) -> Iterator[Problem]:
        if tools_of(record):
            yield "it offers tools", "export it as openai-chat, or leave the row out"
        for place, turn in numbered(record):
            if turn.role == "tool" or turn.tool_calls or turn.tool_call_id:
                yield f"{place} calls a tool or answers as one", "export it as openai-chat, or leave the row out"

    return Rule("turns without tools", source, find)


def sound_calls(source: str) -> Rule:
    """Calls are by the assistant, have a JSON object as arguments, and each is answered once before others speak.

    Calls at the very end wait for their answers, which is what a model is taught there.
    """

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            if turn.tool_calls and turn.role != "assistant":
                yield f"{place} calls a tool and is by the {turn.role}", "make it an assistant turn"
            for call in turn.tool_calls:
                if parsed_object(call.arguments) is None:
                    yield f"{place} calls {call.name} with what is no JSON object", 'write the arguments as {"a": 1}'
                if not call.name.strip():
                    yield f"{place} calls a tool without a name", "name the tool"
        for path in paths_of(record):
            yield from _unmatched(path)

    return Rule("calls with JSON arguments, each answered by its id", source, find)


def _unmatched(path: Turns) -> Iterator[Problem]:
    waiting: list[str] = []
    for number, turn in enumerate(with_call_ids(path), start=1):
        if turn.role == "tool":
            if turn.tool_call_id not in waiting:
                yield f"turn {number} answers no call", "name the call in tool_call_id, or remove the turn"
            else:
                waiting.remove(turn.tool_call_id)
            continue
        if waiting:
            yield f"turn {number} comes before every call is answered", "add the tools' answers"
            return
        waiting = [call.id for call in turn.tool_calls]
        if len(set(waiting)) < len(waiting):
            yield f"turn {number} gives two calls one id", "give each call an id of its own"
            return


def function_tools(source: str) -> Rule:
    """Each tool is written as `{"type": "function", "function": {"name": ...}}`."""

    def find(record: Record) -> Iterator[Problem]:
        for number, text in enumerate(tools_of(record), start=1):
            tool = as_function(text)
            function = tool.get("function") if tool else None
            if not tool or tool.get("type") != "function" or not isinstance(function, dict):
                yield f"tool {number} is not written as a function", "wrap it in a function"
            elif not isinstance(function.get("name"), str) or not function["name"]:
                yield f"tool {number} has no name", "name it"

    return Rule('tools as {"type": "function", "function": {"name": "..."}}', source, find)


def one_turn_answers(source: str, may_call_tools: bool = False) -> Rule:
    """Each answer is one assistant turn, and of two answers one is not the other."""

    def find(record: Record) -> Iterator[Problem]:
        for name, answer in answers_of(record).items():
            if len(answer) != 1 or answer[0].role != "assistant":
                yield f"{name} is {_count(len(answer))}", "keep one assistant turn in each answer"
            elif answer[0].tool_calls and not may_call_tools:
                yield f"{name} calls tools", "leave the row out"

    return Rule("answers of one assistant turn", source, find)


def assistant_answers(source: str) -> Rule:
    """Each answer has at least one assistant turn."""

    def find(record: Record) -> Iterator[Problem]:
        for name, answer in answers_of(record).items():
            if answer and not any(turn.role == "assistant" for turn in answer):
                yield f"{name} has no assistant turn", "add one, or leave the row out"

    return Rule("at least one assistant turn in each answer", source, find)


def different_answers(source: str) -> Rule:
    """The better answer is not the worse one."""

    def find(record: Record) -> Iterator[Problem]:
        if isinstance(record, Preference) and record.chosen == record.rejected:
            yield "both answers are the same", "leave the row out"

    return Rule("two answers that differ", source, find)


def one_turn_prompt(source: str, may_have_system: bool = True) -> Rule:
    """What stands before the answer is one user turn, after a system turn where that may be."""

    def find(record: Record) -> Iterator[Problem]:
        turns = prompt_of(record)
        if isinstance(record, Conversation):
            if len(turns) < 2 or turns[-1].role != "assistant":
                yield "the conversation does not end with an answer", "add the answer, or leave the row out"
                return
            turns = turns[:-1]
        system, asked = without_system(turns)
        if system and not may_have_system:
            yield "there is a system turn", "move it into the user turn, or choose another form"
        if [turn.role for turn in asked] != ["user"]:
            yield f"the prompt is {_count(len(asked))}", "choose a form with turns, or leave the row out"

    wanted = "one user turn, a system turn perhaps before it" if may_have_system else "one user turn and no system turn"
    return Rule(f"{wanted}, and the answer", source, find)


def no_media_marks(source: str) -> Rule:
    """No text says `<image>` and the like, which the reader would replace by a picture that is not there."""

    def find(record: Record) -> Iterator[Problem]:
        for place, turn in numbered(record):
            for mark in MEDIA_MARKS:
                if mark in turn.content:
                    yield f"{place} says {mark}, and there is no medium to put there", f"write {mark} otherwise"

    return Rule("as many media as places for them: none", source, find)


def sound_reference(source: str, reserved: tuple[str, ...]) -> Rule:
    """What the grader needs is one JSON object, and none of its keys is one that the form reserves."""

    def find(record: Record) -> Iterator[Problem]:
        if not isinstance(record, GradedPrompt):
            return
        reference = parsed_object(record.reference)
        if reference is None:
            yield "what the grader needs is no JSON object", 'write it as {"reference_answer": "..."}'
        for key in reserved:
            if reference and key in reference:
                yield f"the grader's key {key!r} is reserved", "rename it"

    return Rule(f"a JSON object without the keys {', '.join(reserved)}", source, find)


def turn_rules(source: str) -> tuple[Rule, ...]:
    """What every form of turns by OpenAI's pattern asks of them: known roles, one system turn, sound calls."""
    return (some_turns(source), roles(source, *ROLES), leading_system(EVERYWHERE), sound_calls(EVERYWHERE))


def chat_rules(source: str) -> tuple[Rule, ...]:
    """The same for records that offer tools, which are to be written as functions."""
    return (*turn_rules(source), function_tools(source))


def _count(num_turns: int) -> str:
    return "one turn of another role" if num_turns == 1 else f"{num_turns} turns" if num_turns else "no turn"
