"""The rules of export forms: each is broken by some row, told in words, and never by a sound one."""

import pytest
from export_kit import ANSWER, ASK, CALL, HEARD, SAMPLES, TOOL, row_of

from fettle.data.exports.exporting import check_rows
from fettle.data.exports.form import ExportOptions
from fettle.data.exports.table import FORMS
from fettle.data.records import (
    Conversation,
    GradedPrompt,
    JudgedAnswer,
    JudgedSteps,
    LabelledText,
    Message,
    MultiLabelledText,
    PlainText,
    Preference,
    ScoredText,
    Span,
    TaggedText,
    TextPair,
    ToolCall,
)

SYSTEM = Message("system", "Be brief.")


def say(role, content="Well.", weight=1.0, **more):
    return Message(role, content, weight, **more)


def calling(*calls, role="assistant", content=""):
    return Message(role, content, tool_calls=calls)


# Turns that break one rule or another, wherever they stand.
BAD_TURNS = {
    "nothing at all": (),
    "an empty turn": (say("user", "  "), ANSWER),
    "an unknown role": (say("function"), ANSWER),
    "a later system turn": (ASK, SYSTEM, ANSWER),
    "two users": (ASK, ASK, ANSWER),
    "the assistant first": (ANSWER, ASK, ANSWER),
    "the user last": (ASK, ANSWER, ASK),
    "the assistant last": (ASK, ANSWER, ASK, ANSWER),
    "no user": (SYSTEM, ANSWER),
    "a half weight": (ASK, say("assistant", weight=0.5)),
    "a weight on a user": (say("user", weight=0.0), ANSWER),
    "nothing learned": (ASK, say("assistant", weight=0.0)),
    "a name": (say("user", name="Ada"), ANSWER),
    "a call": (ASK, CALL, HEARD, ANSWER),
    "a call by the user": (calling(ToolCall("now", "{}"), role="user"), HEARD, ANSWER),
    "arguments that are no object": (ASK, calling(ToolCall("now", "[1]")), HEARD, ANSWER),
    "a call without a name": (ASK, calling(ToolCall("", "{}")), HEARD, ANSWER),
    "an answer to no call": (ASK, say("tool"), ANSWER),
    "a call without an answer": (ASK, CALL, ASK, ANSWER),
    "two calls of one id": (ASK, calling(ToolCall("a", "{}", "x"), ToolCall("b", "{}", "x")), ANSWER),
    "two calls at once": (ASK, calling(ToolCall("a", "{}"), ToolCall("b", "{}")), say("tool"), say("tool"), ANSWER),
    "words and a call": (ASK, calling(ToolCall("now", "{}"), content="Wait."), say("tool"), ANSWER),
    "a picture": (say("user", "See <image>"), ANSWER),
    "a system turn": (SYSTEM, ASK, ANSWER),
}
PROMPTS = [
    turns[:-1] if name not in ("nothing at all", "the user last") else turns for name, turns in BAD_TURNS.items()
]
BAD_TOOLS = [("{}",), ("x",), ('{"type": "function", "function": {"name": ""}}',), (TOOL,)]
GOOD, BAD = (ANSWER,), (say("assistant", "No."),)

POOL = {
    "conversation": [
        *(Conversation(turns) for turns in BAD_TURNS.values()),
        *(Conversation((ASK, ANSWER), tools) for tools in BAD_TOOLS),
    ],
    "preference": [
        *(Preference(prompt, GOOD, BAD) for prompt in PROMPTS),
        *(Preference((ASK,), GOOD, BAD, tools) for tools in BAD_TOOLS),
        Preference((ASK, ANSWER), GOOD, BAD),
        Preference((ASK,), GOOD, GOOD),
        Preference((ASK,), (), BAD),
        Preference((ASK,), GOOD, (ASK,)),
        Preference((ASK,), GOOD, (CALL,)),
        Preference((ASK,), (CALL, HEARD, ANSWER), BAD),
    ],
    "judged": [
        *(JudgedAnswer(prompt, GOOD, True) for prompt in PROMPTS),
        JudgedAnswer((ASK, ANSWER), GOOD, True),
        JudgedAnswer((ASK,), (), True),
        JudgedAnswer((ASK,), (CALL, HEARD), True),
    ],
    "steps": [
        *(JudgedSteps(prompt, ("a",), (True,)) for prompt in PROMPTS),
        JudgedSteps((ASK,), ("a", "b"), (True,)),
        JudgedSteps((ASK,), (), ()),
        JudgedSteps((ASK,), (" ",), (True,)),
    ],
    "graded": [
        *(GradedPrompt(prompt) for prompt in PROMPTS),
        *(GradedPrompt((ASK,), "{}", tools) for tools in BAD_TOOLS),
        GradedPrompt((ASK, ANSWER)),
        GradedPrompt((ASK,), "[]"),
        GradedPrompt((ASK,), '{"tools": 1}'),
        GradedPrompt((ASK, ASK)),
    ],
    "labelled": [LabelledText(" ", "a"), LabelledText("a", " ")],
    "labels": [MultiLabelledText("", ("a",)), MultiLabelledText("a", ("a", ""))],
    "tagged": [
        TaggedText("", ()),
        TaggedText("Ada", (Span(1, 9, "A"),)),
        TaggedText("Ada", (Span(0, 3, ""),)),
        TaggedText("Ada", (Span(0, 2, "A"), Span(1, 3, "B"))),
        TaggedText("Ada", (Span(0, 3, "A B"),)),
    ],
    "scored": [ScoredText("", 1.0)],
    "pair": [TextPair("", "a"), TextPair("a", ""), TextPair("a", "b", ("c",), 0.5), TextPair("a", "b", (" ",))],
    "text": [PlainText(" "), PlainText("a\n\nb"), PlainText("<video>")],
}
RULES = [
    pytest.param(form, kind, rule, id=f"{form.name}-{kind.__name__}-{rule.expected[:40]}")
    for form in FORMS.values()
    for kind, rules in form.rules.items()
    for rule in rules
]


@pytest.mark.parametrize(("form", "kind", "rule"), RULES)
def test_each_rule_is_broken_by_some_row_and_by_no_sound_one(form, kind, rule):
    tag = kind.__struct_config__.tag
    breaking = [record for record in POOL[tag] if list(rule.find(record))]
    assert breaking
    assert not list(rule.find(SAMPLES[tag]))
    assert rule.source
    assert all(problem and attempt for record in breaking for problem, attempt in rule.find(record))
    told = check_rows([row_of(breaking[0], line=5)], form)
    assert any(fault.line == 5 and fault.expected == f"{rule.expected} ({rule.source})" for fault in told)


def problems(name, record, **row):
    """What is said of one row by itself; too few rows aside."""
    return [fault.problem for fault in check_rows([row_of(record, **row)], FORMS[name]) if fault.line]


def broken_turns(name, record):
    turns = BAD_TURNS[record]
    return problems(name, Conversation(turns))


@pytest.mark.parametrize(
    ("name", "turns", "problem"),
    [
        ("openai-chat", "nothing at all", "there are no turns"),
        ("openai-chat", "an empty turn", "turn 1 says nothing"),
        ("openai-chat", "an unknown role", "turn 1 has the role 'function'"),
        ("openai-chat", "a later system turn", "turn 2 is a system turn"),
        ("openai-chat", "a half weight", "turn 2 has the weight 0.5"),
        ("openai-chat", "a weight on a user", "turn 1 is a user turn with a weight"),
        ("openai-chat", "nothing learned", "no turn is learned"),
        ("openai-chat", "arguments that are no object", "turn 2 calls now with what is no JSON object"),
        ("openai-chat", "an answer to no call", "turn 2 answers no call"),
        ("openai-chat", "a call without an answer", "turn 3 comes before every call is answered"),
        ("openai-chat", "two calls of one id", "turn 2 gives two calls one id"),
        ("azure", "the user last", "the last turn is by the user"),
        ("together", "two users", "turn 2 is by the user where the assistant should speak"),
        ("together", "the assistant first", "turn 1 is by the assistant where the user should speak"),
        ("mistral", "the user last", "the last turn is by the user"),
        ("predibase", "no user", "there is no user turn"),
        ("predibase", "nothing learned", "turn 2 has the weight 0"),
        ("openpipe", "the user last", "the last turn is by the user"),
        ("oci", "a system turn", "there is a system turn"),
        ("oci", "two users", "the prompt is 2 turns"),
        ("prompt-completion", "the assistant last", "the prompt is 3 turns"),
        ("prompt-completion", "a call", "turn 2 calls a tool or answers as one"),
        ("prompt-completion", "nothing learned", "turn 2 has the weight 0"),
        ("mlx", "nothing learned", "turn 2 has the weight 0"),
        ("alpaca", "a call", "turn 2 calls a tool or answers as one"),
        ("alpaca", "nothing learned", "turn 2 has the weight 0"),
        ("alpaca", "a name", "turn 1 names its speaker 'Ada'"),
        ("sharegpt", "two calls at once", "turn 2 calls 2 tools at once"),
        ("sharegpt", "words and a call", "turn 2 speaks and calls a tool at once"),
        ("sharegpt", "a picture", "turn 1 says <image>, and there is no medium to put there"),
        ("sharegpt", "two users", "turn 2 is by the user where the assistant should speak"),
        ("ms-swift", "words and a call", "turn 2 speaks and calls a tool at once"),
        ("ms-swift", "a picture", "turn 1 says <image>, and there is no medium to put there"),
        ("trl", "nothing learned", "turn 2 has the weight 0"),
        ("csv", "the assistant last", "the prompt is 3 turns"),
        ("xlsx", "a call", "turn 2 calls a tool or answers as one"),
    ],
)
def test_what_breaks_a_conversation_is_said(name, turns, problem):
    assert problem in broken_turns(name, turns)


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("openai-chat", "two users"),
        ("openai-chat", "a call"),
        ("openai-chat", "two calls at once"),
        ("openai-chat", "words and a call"),
        ("openai-chat", "a name"),
        ("openai-chat", "a system turn"),
        ("openai-chat", "the user last"),
        ("openai-chat", "a picture"),
        ("fireworks", "two users"),
        ("together", "a call"),
        ("sharegpt", "a call"),
        ("sharegpt", "a system turn"),
        ("ms-swift", "two calls at once"),
        ("alpaca", "the assistant last"),
        ("csv", "a system turn"),
        ("parquet", "a half weight"),
    ],
)
def test_what_a_form_can_say_is_not_refused(name, turns):
    assert not broken_turns(name, turns)


@pytest.mark.parametrize(
    ("name", "record", "problem"),
    [
        ("openai-preference", Preference((ASK, ANSWER), GOOD, BAD), "the prompt ends with the assistant"),
        ("openai-preference", Preference((ASK,), GOOD, GOOD), "both answers are the same"),
        ("openai-preference", Preference((ASK,), GOOD * 2, BAD), "the better answer is 2 turns"),
        ("openai-preference", Preference((ASK,), GOOD, ()), "the worse answer is no turn"),
        ("openai-preference", Preference((ASK,), GOOD, (HEARD,)), "the worse answer is one turn of another role"),
        ("openai-preference", Preference((ASK,), GOOD, (CALL,)), "the worse answer calls tools"),
        ("azure", Preference((ASK,), GOOD, (HEARD,)), "the worse answer has no assistant turn"),
        ("together", Preference((ASK, ASK), GOOD, BAD), "turn 2 is by the user where the assistant should speak"),
        ("fireworks", Preference((ASK, ANSWER, ASK), GOOD, BAD), "the prompt is 3 turns"),
        ("kto", JudgedAnswer((SYSTEM, ASK), GOOD, True), "there is a system turn"),
        ("kto", JudgedAnswer((ASK, ANSWER, ASK), GOOD, True), "the prompt is 3 turns"),
        ("trl", JudgedSteps((ASK,), ("a", "b"), (True,)), "2 steps have 1 judgements"),
        ("openai-reinforcement", GradedPrompt((ASK, ANSWER)), "the last turn is by the assistant"),
        ("openai-reinforcement", GradedPrompt((ASK,), '{"tools": []}'), "the grader's key 'tools' is reserved"),
        ("openai-reinforcement", GradedPrompt((ASK,), "4"), "what the grader needs is no JSON object"),
        ("openai-chat", Conversation((ASK, ANSWER), ("{}",)), "tool 1 is not written as a function"),
        ("sharegpt", Conversation((ASK, ANSWER), ("[]",)), "tool 1 is no JSON object"),
        ("mistral-classifier", LabelledText("a", ""), "a label is empty"),
        ("spans", TaggedText("Ada", (Span(2, 9, "A"),)), "span 1 (2 to 9) does not lie in the 3 characters"),
        ("conll", TaggedText("Ada", (Span(0, 2, "A"), Span(1, 3, "B"))), "the spans 0-2 and 1-3 overlap"),
        ("conll", TaggedText("Ada", (Span(0, 3, "a b"),)), "the label 'a b' has a blank"),
        ("conll", TaggedText("Ada  Rome", ()), "the blanks between its words are not single ones"),
        ("conll", TaggedText("Ada\u00a0Rome", ()), "the blanks between its words are not single ones"),
        ("conll", TaggedText("in Rome.", (Span(3, 7, "LOC"),)), "the span 3-7 ends inside a word"),
        ("conll", TaggedText("-DOCSTART- x", ()), "it has no word, or the one that begins a document (-DOCSTART-)"),
        ("text", PlainText("a\n \nb"), "a blank line stands in the text or at its end"),
        ("text", PlainText("a\n"), "a blank line stands in the text or at its end"),
        ("text", PlainText("\ufeffa"), "the text begins with a byte order mark"),
        ("text", PlainText("a\0"), "the text holds a NUL"),
        ("csv", PlainText("a\0"), "text holds a NUL"),
        ("xlsx", PlainText("a\rb"), "text holds '\\r', which a workbook cannot"),
        ("xlsx", PlainText("a\ufffeb"), "text holds '\\ufffe', which a workbook cannot"),
        ("xlsx", PlainText("a_x000D_b"), "text holds '_x000D_', which a workbook cannot"),
        ("xlsx", PlainText("a" * 32_768), "text has more characters than a cell of a workbook holds"),
        ("xlsx", PlainText("😀" * 16_384), "text has more characters than a cell of a workbook holds"),
        ("jsonl", PlainText("\ud83d"), "it holds half a surrogate pair"),
        ("jsonl", ScoredText("a", float("nan")), "it holds a number that is none"),
        ("jsonl", TextPair("a", "b", (), float("inf")), "it holds a number that is none"),
        ("jsonl", Conversation((ASK, say("assistant", weight=float("inf")))), "it holds a number that is none"),
    ],
)
def test_what_breaks_another_record_is_said(name, record, problem):
    assert problem in problems(name, record)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("openai-preference", Preference((ASK, ANSWER, ASK), GOOD, BAD)),
        ("azure", Preference((ASK,), (CALL, HEARD, ANSWER), BAD)),
        ("openpipe", Preference((ASK,), GOOD, (CALL,))),
        ("kto", JudgedAnswer((ASK,), GOOD, False)),
        ("spans", TaggedText("Ada", (Span(0, 2, "A"), Span(1, 3, "a b")))),
        ("mistral-classifier", MultiLabelledText("a", ())),
        ("xlsx", PlainText("a" * 32_767)),
        ("xlsx", PlainText("a\n\tb 😀")),
        ("text", PlainText("a\r\n b")),
        ("jsonl", PlainText("")),
    ],
)
def test_the_edge_of_what_can_be_said_is_inside(name, record):
    assert not problems(name, record)


def test_openpipe_knows_two_sides():
    conversation = SAMPLES["conversation"]
    assert problems("openpipe", conversation, part="validation") == ["the form knows no part 'validation'"]
    assert not problems("openpipe", conversation, part="test")


@pytest.mark.parametrize("column", ["text", "label", " id", ""])
def test_a_column_of_a_row_does_not_take_the_place_of_another(column):
    row = row_of(SAMPLES["labelled"], **{column: "x"})
    for name in ("csv", "tsv", "xlsx", "parquet"):
        assert check_rows([row], FORMS[name])[0].problem == f"its column {column!r} cannot stand in the table"
    assert not check_rows([row_of(SAMPLES["labelled"], score="x", part_of="y")], FORMS["csv"])
    assert check_rows([row_of(ScoredText("a", 1.0), sentence2="x")], FORMS["csv"]), "another row may have a text there"


def test_words_can_be_split_where_the_blanks_may_be_lost():
    record = TaggedText("Ada, in  Rome.", (Span(0, 3, "PER"), Span(9, 13, "LOC")))
    split = ExportOptions(splits_words=True)
    assert not check_rows([row_of(record)], FORMS["conll"], split)
    assert check_rows([row_of(TaggedText("a  b", (Span(1, 3, "X"),)))], FORMS["conll"], split)[0].problem == (
        "the span 1-3 holds no word"
    )
