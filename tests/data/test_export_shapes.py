"""What a row looks like in each form, and that import reads it back as it was."""

import json
import re

import pyarrow.parquet as pq
import pytest
from export_kit import ANSWER, ASK, CALL, HEARD, SAMPLES, TOOL, row_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_kit import import_files

from fettle.data.containers.opening import take_sample
from fettle.data.containers.table import candidates
from fettle.data.exports.exporting import export_rows
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

SYSTEM, MORE, LAST = Message("system", "Be brief."), Message("user", "When?"), Message("assistant", "At noon.", 0.0)
WORSE = (Message("assistant", "No idea."),)
TOOLED = Conversation((ASK, CALL, HEARD, ANSWER), (TOOL,))
ASKED = {"role": "user", "content": "Where is my parcel?"}
ANSWERED = {"role": "assistant", "content": "On its way."}
WORSE_TURN = {"role": "assistant", "content": "No idea."}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}],
}
CALLED_ANEW = [{**CALLED["tool_calls"][0], "id": "call00001"}]
CALLED_AS_OBJECT = [
    {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}},
]
HEARD_TURN = {"role": "tool", "content": "noon", "name": "now", "tool_call_id": "call_1"}

SHAPES = [
    ("openai-chat", Conversation((SYSTEM, ASK, LAST, MORE, ANSWER)), {
        "messages": [
            {"role": "system", "content": "Be brief."},
            ASKED,
            {"role": "assistant", "content": "At noon.", "weight": 0},
            {"role": "user", "content": "When?"},
            ANSWERED,
        ]
    }),
    ("openai-chat", TOOLED, {"messages": [ASKED, CALLED, HEARD_TURN, ANSWERED], "tools": [json.loads(TOOL)]}),
    ("together", TOOLED, {
        "messages": [ASKED, {**CALLED, "content": ""}, HEARD_TURN, ANSWERED],
        "tools": [json.loads(TOOL)],
    }),
    ("mistral", TOOLED, {
        "messages": [
            ASKED,
            {"role": "assistant", "tool_calls": CALLED_ANEW},
            {**HEARD_TURN, "tool_call_id": "call00001"},
            ANSWERED,
        ],
        "tools": [json.loads(TOOL)],
    }),
    ("openai-preference", SAMPLES["preference"], {
        "input": {"messages": [ASKED]},
        "preferred_output": [ANSWERED],
        "non_preferred_output": [WORSE_TURN],
    }),
    ("azure", Preference((ASK,), (CALL, HEARD, ANSWER), WORSE, (TOOL,)), {
        "input": {"messages": [ASKED], "tools": [json.loads(TOOL)]},
        "preferred_output": [CALLED, HEARD_TURN, ANSWERED],
        "non_preferred_output": [WORSE_TURN],
    }),
    ("openai-reinforcement", GradedPrompt((ASK,), '{"reference_answer": "4", "level": 2}', (TOOL,)), {
        "messages": [ASKED],
        "tools": [json.loads(TOOL)],
        "reference_answer": "4",
        "level": 2,
    }),
    ("together", SAMPLES["text"], {"text": "A document of one line."}),
    ("mistral-classifier", SAMPLES["labelled"], {"text": "Where is my parcel?", "labels": {"label": "delivery"}}),
    ("mistral-classifier", SAMPLES["labels"], {
        "text": "Where is my parcel?",
        "labels": {"label": ["delivery", "angry"]},
    }),
    ("openpipe", SAMPLES["conversation"], {"messages": [ASKED, ANSWERED]}),
    ("openpipe", SAMPLES["preference"], {"messages": [ASKED, ANSWERED], "rejected_message": WORSE_TURN}),
    ("oci", SAMPLES["conversation"], {"prompt": "Where is my parcel?", "completion": "On its way."}),
    ("mlx", SAMPLES["text"], {"text": "A document of one line."}),
    ("alpaca", Conversation((SYSTEM, ASK, ANSWER, MORE, ANSWER)), {
        "instruction": "When?",
        "input": "",
        "system": "Be brief.",
        "history": [["Where is my parcel?", "On its way."]],
        "output": "On its way.",
    }),
    ("alpaca", SAMPLES["preference"], {
        "instruction": "Where is my parcel?",
        "input": "",
        "system": "",
        "history": [],
        "chosen": "On its way.",
        "rejected": "No idea.",
    }),
    ("alpaca", SAMPLES["judged"], {
        "instruction": "Where is my parcel?",
        "input": "",
        "system": "",
        "history": [],
        "output": "On its way.",
        "kto_tag": True,
    }),
    ("sharegpt", Conversation((SYSTEM, ASK, CALL, HEARD, ANSWER), (TOOL,)), {
        "conversations": [
            {"from": "human", "value": "Where is my parcel?"},
            {"from": "function_call", "value": '{"name": "now", "arguments": {"zone": "UTC"}}'},
            {"from": "observation", "value": "noon"},
            {"from": "gpt", "value": "On its way."},
        ],
        "system": "Be brief.",
        "tools": json.dumps([json.loads(TOOL)]),
    }),
    ("sharegpt", SAMPLES["preference"], {
        "conversations": [{"from": "human", "value": "Where is my parcel?"}],
        "chosen": {"from": "gpt", "value": "On its way."},
        "rejected": {"from": "gpt", "value": "No idea."},
    }),
    ("sharegpt", SAMPLES["judged"], {
        "conversations": [
            {"from": "human", "value": "Where is my parcel?"},
            {"from": "gpt", "value": "On its way."},
        ],
        "kto_tag": True,
    }),
    ("trl", TOOLED, {
        "messages": [
            ASKED,
            {"role": "assistant", "content": "", "tool_calls": CALLED_AS_OBJECT},
            HEARD_TURN,
            ANSWERED,
        ],
        "tools": [json.loads(TOOL)],
    }),
    ("trl", SAMPLES["preference"], {"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [WORSE_TURN]}),
    ("trl", SAMPLES["judged"], {"prompt": [ASKED], "completion": [ANSWERED], "label": True}),
    ("trl", SAMPLES["steps"], {
        "prompt": "2 + 3 * 4?",
        "completions": ["3 * 4 is 12.", "2 + 12 is 15."],
        "labels": [True, False],
    }),
    ("trl", SAMPLES["graded"], {"prompt": [{"role": "user", "content": "2 + 2?"}], "reference_answer": "4"}),
    ("kto", SAMPLES["judged"], {"prompt": "Where is my parcel?", "completion": "On its way.", "label": True}),
    ("ms-swift", TOOLED, {
        "messages": [
            ASKED,
            {"role": "tool_call", "content": '{"name": "now", "arguments": {"zone": "UTC"}}'},
            {"role": "tool_response", "content": "noon"},
            ANSWERED,
        ],
        "tools": json.dumps([json.loads(TOOL)]),
    }),
    ("ms-swift", SAMPLES["preference"], {"messages": [ASKED, ANSWERED], "rejected_response": "No idea."}),
    ("ms-swift", SAMPLES["judged"], {"messages": [ASKED, ANSWERED], "label": True}),
    ("ms-swift", SAMPLES["graded"], {"messages": [{"role": "user", "content": "2 + 2?"}], "reference_answer": "4"}),
    ("ms-swift", SAMPLES["text"], {"messages": [{"role": "assistant", "content": "A document of one line."}]}),
    ("spans", SAMPLES["tagged"], {
        "text": "Ada lives in New York",
        "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 21, "label": "LOC"}],
    }),
]  # fmt: skip


def only_file(done):
    assert done.num_refused == 0, done.faults
    (file,) = done.files
    return file.path


@pytest.mark.parametrize(("name", "record", "shape"), SHAPES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_shape_of_a_row(tmp_path, name, record, shape):
    path = only_file(export_rows([row_of(record)], FORMS[name], tmp_path / "out"))
    assert json.loads(path.read_text("utf-8")) == shape


def test_together_never_has_the_columns_of_two_formats(tmp_path):
    formats = ({"messages", "tools"}, {"input", "preferred_output", "non_preferred_output"}, {"text"})
    for number, record in enumerate((TOOLED, SAMPLES["preference"], SAMPLES["text"])):
        path = only_file(export_rows([row_of(record, id="1")], FORMS["together"], tmp_path / f"{number}.jsonl"))
        assert set(json.loads(path.read_text())) == formats[number]


def test_a_bare_tool_is_wrapped_as_a_function(tmp_path):
    bare = '{"name": "now", "parameters": {}}'
    for name in ("openai-chat", "trl"):
        path = only_file(
            export_rows([row_of(Conversation((ASK, ANSWER), (bare,)))], FORMS[name], tmp_path / f"{name}.jsonl")
        )
        assert json.loads(path.read_text())["tools"] == [{"type": "function", "function": json.loads(bare)}]


def test_openpipe_says_the_side(tmp_path):
    rows = [row_of(SAMPLES["conversation"], part=part) for part in ("train", "test", "")]
    path = only_file(export_rows(rows, FORMS["openpipe"], tmp_path / "out.jsonl"))
    assert [json.loads(line).get("split") for line in path.read_text().splitlines()] == ["TRAIN", "TEST", None]


def test_the_target_of_a_classifier_has_the_name_that_is_asked_for(tmp_path):
    options = ExportOptions(label_name="intent")
    path = only_file(
        export_rows([row_of(SAMPLES["labelled"])], FORMS["mistral-classifier"], tmp_path / "a.jsonl", options)
    )
    assert json.loads(path.read_text())["labels"] == {"intent": "delivery"}


def test_calls_without_ids_are_paired_in_their_order(tmp_path):
    turns = (
        ASK,
        Message(
            "assistant", "", tool_calls=(ToolCall("a", "{}"), ToolCall("b", "{}"), ToolCall("c", "{}", "call00001"))
        ),
        Message("tool", "1"),
        Message("tool", "3", tool_call_id="call00001"),
        Message("tool", "2"),
        ANSWER,
    )
    for name, ids in (("openai-chat", [2, 1, 3]), ("mistral", [1, 3, 2])):
        path = only_file(export_rows([row_of(Conversation(turns))], FORMS[name], tmp_path / f"{name}.jsonl"))
        heard = [turn["tool_call_id"] for turn in json.loads(path.read_text())["messages"] if turn["role"] == "tool"]
        assert heard == [f"call{number:05d}" for number in ids]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (ExportOptions(), "Ada B-PER\nlives O\nin O\nNew B-LOC\nYork I-LOC\n"),
        (ExportOptions(tags="BILOU"), "Ada U-PER\nlives O\nin O\nNew B-LOC\nYork L-LOC\n"),
    ],
)
def test_words_and_their_tags(tmp_path, options, lines):
    path = only_file(export_rows([row_of(SAMPLES["tagged"])] * 2, FORMS["conll"], tmp_path / "a.conll", options))
    assert path.read_text() == lines + "\n" + lines


def test_words_are_cut_at_marks_and_spans(tmp_path):
    record = TaggedText("Ada's in  Rome.", (Span(0, 3, "PER"), Span(10, 12, "X"), Span(12, 14, "Y")))
    path = only_file(
        export_rows([row_of(record)], FORMS["conll"], tmp_path / "a.conll", ExportOptions(splits_words=True))
    )
    assert path.read_text().split("\n")[:-1] == ["Ada B-PER", "' O", "s O", "in O", "Ro B-X", "me B-Y", ". O"]


def test_neighbours_of_one_label_stay_two(tmp_path):
    record = TaggedText("Ada Bea", (Span(0, 3, "PER"), Span(4, 7, "PER")))
    path = only_file(export_rows([row_of(record)], FORMS["conll"], tmp_path / "a.conll"))
    assert path.read_text() == "Ada B-PER\nBea B-PER\n"


def test_lists_stand_in_a_cell_as_json_and_numbers_as_they_are(tmp_path):
    for record, header, cells in (
        (SAMPLES["labels"], "text,labels", 'Where is my parcel?,"[""delivery"", ""angry""]"'),
        (SAMPLES["scored"], "sentence1,sentence2,score", "A car drives.,A vehicle moves.,4.2"),
        (ScoredText("a", 0.1 + 0.2), "text,score", "a,0.30000000000000004"),
        (SAMPLES["pair"], "anchor,positive,negative", 'A car drives.,A vehicle moves.,"[""A cat sleeps.""]"'),
        (SAMPLES["judged"], "prompt,completion,label", "Where is my parcel?,On its way.,true"),
        (SAMPLES["graded"], "prompt,reference", '2 + 2?,"{""reference_answer"": ""4""}"'),
    ):
        path = only_file(export_rows([row_of(record)], FORMS["csv"], tmp_path / f"{header}.csv"))
        assert path.read_text().splitlines() == [header, cells]


def test_columns_come_in_one_order_whatever_row_brings_them(tmp_path):
    rows = [
        row_of(SAMPLES["conversation"], note="x"),
        row_of(Conversation((SYSTEM, ASK, ANSWER)), part="test", id="7"),
    ]
    path = only_file(export_rows(rows, FORMS["tsv"], tmp_path / "a.tsv"))
    assert path.read_text().splitlines() == [
        "system\tprompt\tcompletion\tpart\tnote\tid",
        "\tWhere is my parcel?\tOn its way.\t\tx\t",
        "Be brief.\tWhere is my parcel?\tOn its way.\ttest\t\t7",
    ]


def test_parquet_has_lists_as_lists(tmp_path):
    rows = [row_of(TOOLED, part="test", id="7"), row_of(Conversation((ASK, LAST)))]
    table = pq.read_table(only_file(export_rows(rows, FORMS["parquet"], tmp_path / "a.parquet"))).to_pylist()
    assert table[0]["messages"][1]["tool_calls"] == CALLED["tool_calls"]
    assert (table[0]["tools"], table[0]["part"], table[0]["id"]) == ([TOOL], "test", "7")
    assert table[1]["messages"][1] == {
        "role": "assistant", "content": "At noon.", "weight": 0.0,
        "name": None, "tool_calls": None, "tool_call_id": None,
    }  # fmt: skip
    for kind, sample in SAMPLES.items():
        (row,) = pq.read_table(
            only_file(export_rows([row_of(sample)], FORMS["parquet"], tmp_path / f"{kind}.parquet"))
        ).to_pylist()
        assert all(value is not None for value in row.values())


@pytest.mark.parametrize(
    ("record", "text", "answer"),
    [
        (SAMPLES["labelled"], "Where is my parcel?", "delivery"),
        (SAMPLES["pair"], "A car drives.", "A vehicle moves."),
        (
            SAMPLES["preference"],
            "user: Where is my parcel?",
            "better: assistant: On its way.\n\nworse: assistant: No idea.",
        ),
        (JudgedAnswer((ASK,), (ANSWER,), False), "user: Where is my parcel?", "bad: assistant: On its way."),
        (JudgedSteps((ASK,), ("a", "b"), (True,)), "user: Where is my parcel?", "right: a\nnot judged: b"),
    ],
)
def test_people_review_a_text_and_its_answer(tmp_path, record, text, answer):
    rows = [row_of(record, line=9, part="test"), row_of(SAMPLES["scored"])]
    for suffix in (".csv", ".xlsx"):
        path = tmp_path / f"review{suffix}"
        assert export_rows(rows, FORMS["review"], path).num_refused == 0
        cells = first_cells(path)
        assert cells == {
            "file": "rows.jsonl", "line": "9", "part": "test", "text": text, "answer": answer,
            "verdict": "", "new_label": "",
        }  # fmt: skip


def first_cells(path):
    """The cells of the first row, as a container reads them."""
    (container, _), *_ = candidates(take_sample(path))
    return next(container.read(path)).fields


# What import reads today, by form: the kinds of record that come back as they were. A dialect that learns to read a
# form adds its kinds here.
READS_BACK = {
    "openai-chat": ("conversation",),
    "azure": ("conversation",),
    "together": ("conversation", "text"),
    "fireworks": ("conversation",),
    "mistral": ("conversation",),
    "predibase": ("conversation",),
    "openpipe": ("conversation",),
    "mlx": ("conversation", "text"),
    "oci": ("single",),
    "prompt-completion": ("single",),
    "alpaca": ("with_system",),
    "trl": ("conversation", "text"),
    "text": ("document",),
    "csv": ("with_system", "labelled", "text"),
    "tsv": ("with_system", "labelled", "text"),
    "xlsx": ("with_system", "labelled", "text"),
}
COME_BACK = [(name, kind) for name, kinds in READS_BACK.items() for kind in kinds]

# What the readers of files take for something else is left out: control characters, which make a small file binary,
# and Excel's errors. A line of a document begins with a dash: brackets may be taken for JSON, and words for labels.
said = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), min_size=1, max_size=30
).filter(lambda text: text.strip() and not text.startswith("#") and not re.search("<(image|video|audio)>", text))
blocks = st.lists(said.map(lambda text: " ".join(["—", *text.split()])), min_size=1, max_size=3).map("\n".join)


@st.composite
def conversations(draw, weights=(1.0,)):
    """What the dialect of messages reads: a system turn perhaps, then user and assistant by turns."""
    turns = [Message("system", draw(said))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        turns += [Message("user", draw(said)), Message("assistant", draw(said), draw(st.sampled_from(weights)))]
    return Conversation((*turns, Message("user", draw(said)), Message("assistant", draw(said))))


singles = st.builds(
    lambda asked, answer: Conversation((Message("user", asked), Message("assistant", answer))), said, said
)
READABLE = {
    "conversation": conversations(),
    "single": singles,
    "with_system": st.one_of(
        singles,
        st.builds(lambda system, turns: Conversation((Message("system", system), *turns.messages)), said, singles),
    ),
    "labelled": st.builds(LabelledText, said, said.map(str.strip)),
    "text": st.builds(PlainText, said),
    "document": st.builds(PlainText, blocks),
}
TASKS = {"labelled": "classify", "text": "text", "document": "text"}


def import_back(paths, task):
    """The rows that import makes of files, each with the columns that no part of the record took."""
    return [(row.record, row.fields) for row in import_files(paths, {}, task).rows]


@pytest.mark.parametrize(("name", "kind"), COME_BACK)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_import_undoes_export(tmp_path_factory, name, kind, data):
    form = FORMS[name]
    records = data.draw(st.lists(READABLE[kind], min_size=1, max_size=4))
    folder = tmp_path_factory.mktemp("out")
    for suffix in form.suffixes if not form.is_folder else ("",):
        done = export_rows([row_of(record, line=n) for n, record in enumerate(records, 1)], form, folder / f"a{suffix}")
        refused = {fault.line for fault in done.faults if fault.line}
        kept = [record for line, record in enumerate(records, start=1) if line not in refused]
        if name not in ("xlsx", "text"):
            assert not refused, done.faults
        if kept:
            back = import_back([file.path for file in done.files], TASKS.get(kind, "chat"))
            assert [record for record, _ in back] == kept


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=st.lists(conversations((0.0, 1.0)), min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["openai-chat", "azure", "together", "fireworks", "mistral"])
def test_weights_come_back(tmp_path_factory, name, records):
    path = tmp_path_factory.mktemp("out") / "a.jsonl"
    assert export_rows(map(row_of, records), FORMS[name], path).num_refused == 0
    assert [record for record, _ in import_back([path], "chat")] == records


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx"])
def test_columns_and_parts_come_back_with_their_rows(tmp_path, suffix):
    rows = [
        row_of(LabelledText("a, b", "x"), id="0042", note="=1"),
        row_of(LabelledText("c", "y"), part="test", id="7"),
    ]
    path = tmp_path / f"a{suffix}"
    export_rows(rows, FORMS[suffix[1:]], path)
    assert import_back([path], "classify") == [
        (LabelledText("a, b", "x"), {"id": "0042", "note": "=1", "part": ""}),
        (LabelledText("c", "y"), {"id": "7", "note": "", "part": "test"}),
    ]


def test_multi_labels_may_be_none(tmp_path):
    path = only_file(export_rows([row_of(MultiLabelledText("a", ()))], FORMS["csv"], tmp_path / "a.csv"))
    assert path.read_text() == "text,labels\na,[]\n"
    path = only_file(export_rows([row_of(TextPair("a", "b", (), 0.0))], FORMS["csv"], tmp_path / "b.csv"))
    assert path.read_text() == "anchor,positive,score\na,b,0.0\n"
