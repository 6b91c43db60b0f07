"""Recognition: what a file is, which column is what, and why; never a guess between two."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fettle.data.containers.table import CONTAINERS
from fettle.data.dialects.table import dialects
from fettle.data.intake.columns import words_for
from fettle.data.intake.paths import parse_path
from fettle.data.intake.recognise import recognise
from fettle.data.records import BadRecord
from fettle.errors import RequestError


def csv(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_guess_comes_with_its_evidence(tmp_path):
    path = csv(tmp_path, "text,category\na,x\nb,y\nc,x\n")
    found = recognise(path, {}, None)
    assert found.why == ("CSV with a header (text, category); category is read as label: 2 distinct values in 3 rows")
    assert found.columns == {"text": "text", "label": "category"}


@pytest.mark.parametrize(
    ("columns", "dialect", "read"),
    [
        (["messages", "text", "label"], "chat", {"messages": "messages"}),
        (["Question", "ANSWER"], "prompt_completion", {"prompt": "Question", "completion": "ANSWER"}),
        (["instruction", "input", "output"], "alpaca", {"input": "input", "instruction": "instruction"}),
        (["instruction", "input", "response"], "alpaca", {"output": "response"}),
        (["input", "output"], "prompt_completion", {"prompt": "input", "completion": "output"}),
        (["text", "label", "question", "answer"], "labelled", {"text": "text", "label": "label"}),
        (["label", "labels", "review"], "labelled", {"label": "label", "text": "review"}),
        (["text", "source"], "text", {"text": "text"}),
        (["sentence", "target", "id"], "labelled", {"text": "sentence", "label": "target"}),
    ],
)
def test_columns_say_what_is_what(tmp_path, columns, dialect, read):
    rows = [",".join(columns), *(",".join(f"{n}{column}" for column in columns) for n in range(4))]
    found = recognise(csv(tmp_path, "\n".join(rows)), {}, None)
    assert found.dialect.name == dialect
    assert read.items() <= dict(found.columns).items()


@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
def test_every_synonym_means_one_field_of_a_dialect(dialect):
    # `input` alone is a prompt, and beside another prompt its context; nothing else may mean two things.
    words = [word for name in (*dialect.required, *dialect.optional) for word in words_for(dialect, name)]
    assert {word for word in words if words.count(word) > 1} <= {"input"}


def test_between_two_columns_nothing_is_guessed(tmp_path):
    path = csv(tmp_path, "text,category,intent\na,x,y\n")
    with pytest.raises(RequestError) as caught:
        recognise(path, {})
    assert caught.value.problem == "category and intent could each be the label"
    assert caught.value.attempt == "--map category=label or --map intent=label"
    assert recognise(path, {"intent": "label"}).columns["label"] == "intent"
    assert recognise(path, {"intent": "-"}).columns["label"] == "category"


def test_a_map_goes_before_names_and_drops(tmp_path):
    path = csv(tmp_path, "text,label,topic,id\na,x,t,1\nb,y,t,2\n")
    found = recognise(path, {"topic": "label", "id": "-"})
    row = {"text": "a", "label": "x", "topic": "t", "id": "1"}
    assert found.fields_of(row) == {"text": "a", "label": "t"}
    assert found.rest_of(row) == {"label": "x"}


@pytest.mark.parametrize(
    ("column_map", "problem", "expected"),
    [
        ({"categry": "label"}, "there is no column 'categry'", "one of: category"),
        ({"category": "lable"}, "there is no field 'lable'", "label"),
        ({"category": "label", "text": "label"}, "both mapped to label", "one column"),
    ],
)
def test_a_misspelt_map_names_its_neighbours(tmp_path, column_map, problem, expected):
    path = csv(tmp_path, "text,category\na,x\n")
    with pytest.raises(RequestError) as caught:
        recognise(path, column_map)
    assert problem in caught.value.problem
    assert expected in caught.value.expected


def test_when_nothing_fits_the_columns_and_a_map_are_named(tmp_path):
    path = csv(tmp_path, "id,subject,queue\n1,long words of a customer,a\n2,more words of another,b\n3,yet more,a\n")
    with pytest.raises(RequestError) as caught:
        recognise(path, {})
    assert "id, subject, queue" in caught.value.problem
    assert caught.value.attempt == "--map subject=text --map queue=label"
    mapping = dict(pair.split("=") for pair in caught.value.attempt.split() if "=" in pair)
    assert recognise(path, mapping).dialect.name == "labelled"


def test_a_file_without_a_header_is_told_so(tmp_path):
    path = csv(tmp_path, "A man is dancing.,5.0\nA child rides.,4.75\n")
    with pytest.raises(RequestError) as caught:
        recognise(path, {})
    assert "add a first line" in caught.value.attempt


def test_a_task_restricts_the_dialects(tmp_path):
    path = csv(tmp_path, "text,label\na,x\nb,y\n")
    assert recognise(path, {}, "text").dialect.name == "text"
    assert recognise(path, {}, "classify").dialect.name == "labelled"
    with pytest.raises(RequestError, match="do not say"):
        recognise(path, {}, "chat")
    with pytest.raises(RequestError, match="no task 'clasify'"):
        recognise(path, {}, "clasify")


def test_one_misspelt_row_does_not_decide(tmp_path):
    rows = [{"messages": []}, *({"text": f"t{n}", "label": "x"} for n in range(5)), {"text": "a", "intent": "x"}]
    path = csv(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    found = recognise(path, {})
    assert found.dialect.name == "labelled"
    assert found.columns == {"text": "text", "label": "label"}


def test_lines_with_tabs_but_no_header_are_label_lines(tmp_path):
    path = csv(tmp_path, "ham\tsee you, soon\nspam\twin now\nham\tok\nham\tyes\n", "sms.txt")
    found = recognise(path, {})
    assert (found.container.name, found.dialect.name) == ("label_lines", "labelled")
    assert "2 distinct values in 4 rows" in found.why


def test_prose_with_commas_is_prose(tmp_path):
    found = recognise(csv(tmp_path, "Dear Ann, hello\nIt is cold, here\n\nYours, Bob", "letter.txt"), {})
    assert (found.container.name, found.dialect.name) == ("plain_text", "text")


def test_objects_with_unknown_keys_are_no_prose(tmp_path):
    with pytest.raises(RequestError, match="do not say what is what: subject, queue"):
        recognise(csv(tmp_path, '{"subject": "a b", "queue": "c"}\n' * 4, "a.txt"), {})


def test_a_header_alone_and_rows_that_cannot_be_read(tmp_path):
    with pytest.raises(RequestError, match="no rows"):
        recognise(csv(tmp_path, "text,label\n"), {})
    with pytest.raises(RequestError, match="none of its 2 rows") as caught:
        recognise(csv(tmp_path, '{"text": \n{"text"\n', "a.jsonl"), {})
    assert [fault.line for fault in caught.value.faults] == [1, 2]


def test_the_first_rows_are_said_to_be_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr("fettle.data.intake.recognise.SAMPLE_ROWS", 10)
    assert "in the first 10 rows" in recognise(csv(tmp_path, "text,label\n" + "a,x\n" * 11), {}).why
    assert "in 10 rows" in recognise(csv(tmp_path, "text,label\n" + "a,x\n" * 10), {}).why


def test_no_container_or_dialect_is_called_like_another():
    names = [*CONTAINERS, *(dialect.name for dialect in dialects())]
    assert len(names) == len(set(names))


TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SAID = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
WORSE = {"role": "assistant", "content": "What?"}
SPAN = {"start": 0, "end": 2, "label": "GREETING"}


def lines(folder: Path, *rows: dict) -> Path:
    return csv(folder, "\n".join(map(json.dumps, rows)), "a.jsonl")


@pytest.mark.parametrize(
    ("row", "dialect"),
    [
        ({"messages": TURNS, "label": "greeting"}, "chat"),
        ({"messages": TURNS, "label": True}, "judged_chat"),
        ({"messages": TURNS, "kto_tag": "false"}, "judged_chat"),
        ({"messages": TURNS, "labels": {"tone": "kind"}}, "chat_targets"),
        ({"messages": TURNS, "labels": ["a"]}, "chat"),
        ({"messages": TURNS[:1], "answer": "4"}, "graded_chat"),
        ({"messages": TURNS[:1]}, "chat"),
        ({"prompt": TURNS[:1], "solution": "4"}, "graded_prompt"),
        ({"messages": json.dumps(TURNS)}, "chat"),
        ({"text": "a", "labels": '["b"]'}, "multi_labelled"),
        ({"messages": TURNS[1:]}, "assistant_text"),
        ({"messages": SAID}, "sharegpt"),
        ({"messages": TURNS, "rejected_response": "What?"}, "chat_preference"),
        ({"messages": TURNS, "prompt": "Hi", "chosen": TURNS, "rejected": [TURNS[0], WORSE]}, "preference"),
        ({"conversation": [{"human": "Hi", "assistant": "Hello"}]}, "sharegpt"),
        ({"conversations": SAID[:1], "chosen": SAID[1], "rejected": WORSE}, "sharegpt_preference"),
        ({"conversations": SAID, "kto_tag": True}, "judged_sharegpt"),
        ({"instruction": "a", "input": "", "chosen": "b", "rejected": "c"}, "alpaca_preference"),
        ({"instruction": "a", "input": "", "output": "b", "kto_tag": True}, "judged_alpaca"),
        ({"chosen": "b c", "rejected": "b d"}, "preference"),
        ({"prompt": "a", "completion": "b", "label": False}, "judged"),
        ({"prompt": "a", "completion": "b", "label": "greeting"}, "prompt_completion"),
        ({"prompt": "a", "completion": "b", "category": True}, "prompt_completion"),
        ({"prompt": "a", "completions": ["b"], "labels": [True]}, "steps"),
        ({"input": {"messages": TURNS[:1]}, "preferred_output": [], "non_preferred_output": []}, "openai_preference"),
        ({"query": "a", "response": "b"}, "prompt_completion"),
        ({"query": "a", "document": "b"}, "pair"),
        ({"anchor": "a", "positive": "b", "negatives": ["c"]}, "pair"),
        ({"anchor": "a", "positive": "b", "score": 1}, "pair_score"),
        ({"sentence1": "a", "sentence2": "b"}, "pair"),
        ({"sentence1": "a", "sentence2": "b", "score": "3.8"}, "scored_pair"),
        ({"text": "a", "score": 3.8}, "scored"),
        ({"text": "a", "label": "b", "score": 3.8}, "labelled"),
        ({"text": "a", "labels": ["b"]}, "multi_labelled"),
        ({"text": "a", "labels": "b"}, "labelled"),
        ({"text": "a", "tags": ["b"]}, "multi_labelled"),
        ({"text": "a", "labels": {"tone": ["b"]}}, "text_targets"),
        ({"text": "Hi", "entities": [SPAN]}, "span_tagged"),
        ({"text": "Hi", "label": [[0, 2, "GREETING"]]}, "span_tagged"),
        ({"text": "Hi", "label": [[0, 2, "GREETING"]], "entities": [SPAN], "id": 1}, "span_tagged"),
        ({"tokens": ["Hi"], "ner_tags": ["O"]}, "token_tagged"),
        ({"tokens": ["Hi"], "ner_tags": [0]}, "token_tagged"),
        ({"text": "a", "title": "b"}, "text"),
        ({"text": "a", "label": {"b": 1}}, "labelled"),
    ],
)
def test_values_tell_dialects_of_the_same_columns_apart(tmp_path, row, dialect):
    column_map = {"label": "-"} if "entities" in row and "label" in row else {}
    found = recognise(lines(tmp_path, row, row, row), column_map)
    assert found.dialect.name == dialect
    assert found.why.count(";") >= 1


def test_pairs_with_a_label_are_neither_pairs_nor_scores(tmp_path):
    with pytest.raises(RequestError, match="do not say what is what"):
        recognise(lines(tmp_path, {"premise": "a", "sentence1": "a", "sentence2": "b", "label": 0}), {})


@pytest.mark.parametrize(
    ("row", "task", "dialect"),
    [
        ({"sentence1": "a", "sentence2": "b", "score": 1}, "embed", "pair_score"),
        ({"question": "a", "answer": "b"}, "embed", "pair"),
        ({"text": "Hi", "label": "x", "entities": [SPAN]}, "tag", "span_tagged"),
        ({"text": "Hi", "label": "x", "score": 1}, "score", "scored"),
        ({"text": "Hi", "label": "x", "score": 1}, "text", "text"),
        ({"messages": TURNS, "label": True}, "chat", "chat"),
        ({"messages": TURNS, "label": "maybe"}, "prefer", "judged_chat"),
        ({"messages": TURNS[:1]}, "reinforce", "graded_chat"),
        ({"prompt": "a", "answer": 4}, "reinforce", "graded_prompt"),
    ],
)
def test_a_task_decides_between_neighbours(tmp_path, row, task, dialect):
    assert recognise(lines(tmp_path, row), {}, task).dialect.name == dialect


def test_the_rows_of_a_minority_format_are_refused_by_what_they_are(tmp_path):
    chat = {"messages": TURNS, "id": 1}
    found = recognise(lines(tmp_path, chat, chat, chat, {"prompt": "a", "completion": "b"}), {})
    assert found.dialect.name == "chat"
    assert found.fields_of(chat) == {"messages": TURNS}
    for other, said in (
        ({"prompt": "a", "completion": "b"}, "prompt and completion make one turn each"),
        ({"question": "a", "answer": "b"}, "prompt and completion make one turn each"),
        ({"text": "a", "label": "b"}, "every text has a label"),
        ({"messages": TURNS, "label": False}, "label says whether the last answer of messages is good"),
        ({"messages": TURNS, "rejected_message": WORSE}, "messages ends with a better answer"),
        ({"text": "a"}, None),
        ({"massages": TURNS}, None),
    ):
        with pytest.raises(BadRecord) as caught:
            found.fields_of(other)
        assert caught.value.problem.startswith("the row is of another format" if said else "there is no messages")
        assert (said or "") in caught.value.problem
    assert found.fields_of({"messages": TURNS, "label": "greeting"})


def test_a_graded_prompt_takes_every_column(tmp_path):
    row = {"messages": TURNS[:1], "answer": 4, "note": "x"}
    found = recognise(lines(tmp_path, row), {"note": "-"})
    assert found.fields_of(row) == {"messages": TURNS[:1], "answer": 4}
    assert found.rest_of(row) == {}


NESTED = {"ticket": {"body": "It broke", "kind": {"name": "damage"}}, "tags": "a; b;", "turns": [{"text": "Hi"}]}


@pytest.mark.parametrize(
    ("column_map", "fields"),
    [
        ({"ticket.body": "text", "ticket.kind.name": "label"}, {"text": "It broke", "label": "damage"}),
        ({"turns[0].text": "text", "tags": "label"}, {"text": "Hi", "label": "a; b;"}),
        ({"turns[-1].text": "prompt", "ticket.body": "completion"}, {"prompt": "Hi", "completion": "It broke"}),
        ({"turns[].text": "text", "tags[;]": "labels"}, {"text": "Hi", "labels": ["a", "b"]}),
    ],
)
def test_a_map_may_lead_into_a_row(tmp_path, column_map, fields):
    found = recognise(lines(tmp_path, NESTED, NESTED), column_map)
    assert found.fields_of(NESTED) == fields
    rest = {column: value for column, value in NESTED.items() if column not in column_map}
    assert found.rest_of(NESTED) == rest


def test_a_column_that_looks_like_a_path_is_a_column(tmp_path):
    path = csv(tmp_path, "ticket.body,kind[0]\na,x\nb,y\n")
    found = recognise(path, {"ticket.body": "text", "kind[0]": "label"})
    assert found.fields_of({"ticket.body": "a", "kind[0]": "x"}) == {"text": "a", "label": "x"}


@pytest.mark.parametrize(
    ("written", "problem", "attempt"),
    [
        ("ticket.bdy", "ticket.bdy leads nowhere in 1 rows", "--map ticket.body=text"),
        ("ticket.kind.nmae", "ticket.kind.nmae leads nowhere", "--map ticket.kind.name=text"),
        ("turns[0].txt", "turns[0].txt leads nowhere", "--map turns[0].text=text"),
        ("turns[].txt", "turns[].txt leads nowhere", "--map turns[].text=text"),
        ("turns[7].text", "turns[7].text leads nowhere", ""),
        ("tickt.body", "there is no column 'tickt'", "--map ticket.body=text"),
        ("ticket..body", "there is no column 'ticket..body'", "--map ticket=text"),
    ],
)
def test_a_misspelt_path_names_its_neighbours(tmp_path, written, problem, attempt):
    path = lines(tmp_path, NESTED)
    with pytest.raises(RequestError) as caught:
        recognise(path, {written: "text"})
    assert caught.value.problem.startswith(problem)
    assert caught.value.attempt.startswith(attempt)
    assert caught.value.expected


def test_a_path_that_one_row_lacks_is_the_fault_of_that_row(tmp_path):
    found = recognise(lines(tmp_path, NESTED), {"ticket.body": "text", "tags": "label"})
    with pytest.raises(BadRecord) as caught:
        found.fields_of({"ticket": {"bdoy": "x"}, "tags": "a"})
    assert caught.value.problem == "there is no ticket.body"
    assert "ticket.bdoy" in caught.value.attempt


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.recursive(
            st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b"]), inner)
        ),
    )
)
def test_a_path_finds_what_stands_there_or_nothing(row):
    for written in ("a.b", "a[0].b", "a[].b", "a[][]", "a[;]", "a[-1]", "b.a.b"):
        path = parse_path(written)
        found = path.find(row)
        place, near = path.neighbours([row])
        assert written.startswith(place)
        assert all(name.startswith(place) for name in near)
        if isinstance(row.get("a"), dict) and "b" in row["a"] and written == "a.b":
            assert found == row["a"]["b"]
