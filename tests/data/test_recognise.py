"""Recognition: what a file is, which column is what, and why; never a guess between two."""

import json
from pathlib import Path

import pytest

from fettle.data.containers.table import CONTAINERS
from fettle.data.dialects import dialects
from fettle.data.recognise import SYNONYMS, recognise
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
        (["instruction", "input", "output"], "prompt_completion", {"context": "input", "prompt": "instruction"}),
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


def test_every_synonym_means_one_field():
    # `input` alone is a prompt, and beside another prompt its context; nothing else may mean two things.
    words = [word for words in SYNONYMS.values() for word in words]
    assert [word for word in set(words) if words.count(word) > 1] == ["input"]


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
    monkeypatch.setattr("fettle.data.recognise.SAMPLE_ROWS", 10)
    assert "in the first 10 rows" in recognise(csv(tmp_path, "text,label\n" + "a,x\n" * 11), {}).why
    assert "in 10 rows" in recognise(csv(tmp_path, "text,label\n" + "a,x\n" * 10), {}).why


def test_no_container_or_dialect_is_called_like_another():
    names = [*CONTAINERS, *(dialect.name for dialect in dialects())]
    assert len(names) == len(set(names))
