"""Records for the tests of exports: strategies for every kind, sound or not, and a sound sample of each."""

from __future__ import annotations

from hypothesis import strategies as st

from fettle.data.exports.form import Form
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
    Row,
    ScoredText,
    Span,
    TaggedText,
    TextPair,
    ToolCall,
)

TOOL = '{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}'
ASK, ANSWER = Message("user", "Where is my parcel?"), Message("assistant", "On its way.")
CALL = Message("assistant", "", tool_calls=(ToolCall("now", '{"zone": "UTC"}', "call_1"),))
HEARD = Message("tool", "noon", tool_call_id="call_1", name="now")

SAMPLES = {
    "conversation": Conversation((ASK, ANSWER)),
    "labelled": LabelledText("Where is my parcel?", "delivery"),
    "labels": MultiLabelledText("Where is my parcel?", ("delivery", "angry")),
    "tagged": TaggedText("Ada lives in New York", (Span(0, 3, "PER"), Span(13, 21, "LOC"))),
    "scored": ScoredText("A car drives.", 4.2, "A vehicle moves."),
    "pair": TextPair("A car drives.", "A vehicle moves.", ("A cat sleeps.",)),
    "preference": Preference((ASK,), (ANSWER,), (Message("assistant", "No idea."),)),
    "judged": JudgedAnswer((ASK,), (ANSWER,), True),
    "steps": JudgedSteps((Message("user", "2 + 3 * 4?"),), ("3 * 4 is 12.", "2 + 12 is 15."), (True, False)),
    "graded": GradedPrompt((Message("user", "2 + 2?"),), '{"reference_answer": "4"}'),
    "text": PlainText("A document of one line."),
}

# Short and from few letters, so that special characters, formulas and equal texts are met often.
texts = st.one_of(
    st.sampled_from(
        ["", " ", "a", "=1+1", "@x", '"a", b\n', "a\r\nb", "\x00", "\u2028", "<image>", "New York", "_x000D_"]
    ),
    st.text(max_size=12),
    st.text(st.characters(categories=["Cs", "Cc", "L", "Z"]), max_size=4),
)
words = st.sampled_from(["user", "assistant", "system", "tool", "function", ""])
arguments = st.one_of(st.sampled_from(['{"a": 1}', "{}", "[]", "{", '{"a": NaN}', '{"a": 1, "a": 2}']), texts)
calls = st.builds(ToolCall, texts, arguments, st.sampled_from(["", "c1", "c2"]))
weights = st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.5, float("nan"), float("inf")])
turns = st.builds(
    Message,
    words,
    texts,
    weights,
    st.sampled_from(["", "", "Ada"]),
    st.lists(calls, max_size=2).map(tuple),
    st.sampled_from(["", "c1", "c9"]),
)


@st.composite
def likely_turns(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns that many forms take: a system turn perhaps, user and assistant by turns, a call now and then."""
    said = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
    made = [Message("system", draw(said))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        made.append(Message("user", draw(said)))
        if draw(st.integers(0, 3)) == 0:
            made += [CALL, HEARD]
        made.append(Message("assistant", draw(said), draw(st.sampled_from([1.0, 1.0, 0.0]))))
    return tuple(made)


any_turns = st.one_of(likely_turns(), st.lists(turns, max_size=4).map(tuple))
prompts = st.one_of(likely_turns().map(lambda turns: turns[:-1]), any_turns)
answers = st.one_of(likely_turns().map(lambda turns: turns[-1:]), any_turns)
tools = st.lists(st.sampled_from([TOOL, "{}", "x", '{"type": "function"}']), max_size=2).map(tuple)
spans = st.lists(st.builds(Span, st.integers(-1, 12), st.integers(-1, 12), texts), max_size=3).map(tuple)
numbers = st.floats()

records = st.one_of(
    st.builds(Conversation, any_turns, tools),
    st.builds(LabelledText, texts, texts),
    st.builds(MultiLabelledText, texts, st.lists(texts, max_size=3).map(tuple)),
    st.builds(TaggedText, texts, spans),
    st.builds(ScoredText, texts, numbers, texts),
    st.builds(TextPair, texts, texts, st.lists(texts, max_size=2).map(tuple), st.none() | numbers),
    st.builds(Preference, prompts, answers, answers, tools),
    st.builds(JudgedAnswer, prompts, answers, st.booleans()),
    st.builds(
        JudgedSteps, prompts, st.lists(texts, max_size=3).map(tuple), st.lists(st.booleans(), max_size=3).map(tuple)
    ),
    st.builds(GradedPrompt, prompts, st.sampled_from(["{}", '{"answer": 4}', '{"messages": 1}', "[]", "{"]), tools),
    st.builds(PlainText, texts),
)
fields = st.dictionaries(
    st.one_of(st.sampled_from(["text", "part", "id", "label", " id", ""]), texts), texts, max_size=2
)
few_fields = st.dictionaries(st.sampled_from(["id", "note"]), st.sampled_from(["1", "=1"]), max_size=2)
parts = st.sampled_from(["", "", "train", "validation", "test", "elsewhere"])
files, lines = st.sampled_from(["a.jsonl", "b.csv"]), st.integers(1, 99)
rows = st.builds(Row, records, files, lines, fields, parts)

# Records of one kind that most forms of their kind take, so that files come to be written too.
said = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
turn_pairs = st.builds(lambda asked, answer: (Message("user", asked), Message("assistant", answer)), said, said)
LIKELY = {
    "conversation": st.one_of(turn_pairs, likely_turns()).map(Conversation),
    "labelled": st.builds(LabelledText, said, said),
    "labels": st.builds(MultiLabelledText, said, st.lists(said, max_size=3).map(tuple)),
    "tagged": st.builds(lambda word: TaggedText(f"{word} ran", (Span(0, len(word), "PER"),)), said),
    "scored": st.builds(ScoredText, said, st.floats(-9, 9), st.just("") | said),
    "pair": st.builds(TextPair, said, said, st.lists(said, max_size=2).map(tuple)),
    "preference": st.builds(
        lambda pair, worse: Preference(pair[:1], pair[1:], (Message("assistant", worse),)), turn_pairs, said
    ),
    "judged": st.builds(lambda pair, is_good: JudgedAnswer(pair[:1], pair[1:], is_good), turn_pairs, st.booleans()),
    "steps": st.builds(lambda pair, step: JudgedSteps(pair[:1], (step,), (True,)), turn_pairs, said),
    "graded": turn_pairs.map(lambda pair: GradedPrompt(pair[:1], '{"answer": 4}')),
    "text": st.builds(PlainText, said),
}


def row_lists(form: Form, most: int) -> st.SearchStrategy[list[Row]]:
    """Rows of any kinds, or mostly sound ones of a kind that the form takes."""
    kinds = [kind.__struct_config__.tag for kind in form.rules]
    likely = st.sampled_from(kinds).flatmap(
        lambda kind: st.lists(
            st.one_of(*[st.builds(Row, LIKELY[kind], files, lines, few_fields, parts)] * 4, rows), max_size=most
        )
    )
    return st.one_of(st.lists(rows, max_size=most), likely, likely)


def row_of(record: object, line: int = 1, part: str = "", **fields: str) -> Row:
    """A row of a file that does not matter."""
    return Row(record, "rows.jsonl", line, fields, part)
