"""The table of tasks, and what every task owes the rooms below."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest
from tasks_kit import make_terms

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Record, Row, ScoredText, TextPair
from fettle.errors import RequestError, UnknownName
from fettle.evaluation.scorer import find_metric
from fettle.models.load import OpenModel, open_model
from fettle.tasks import table
from fettle.tasks.table import open_task, task_names

RECORDS: dict[str, Record] = {
    "chat": Conversation((Message("user", "where is it?"), Message("assistant", "on its way"))),
    "classify": LabelledText("where is it?", "order status"),
    "embed": TextPair("where is it?", "on its way"),
    "score": ScoredText("a fine kettle", 4.5),
    "text": PlainText("the parcel is on its way"),
}


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Iterator[OpenModel]:
    return open_model(tiny_base)


def test_every_task_is_known_by_its_own_name() -> None:
    assert set(RECORDS) < set(task_names())
    assert [open_task(name).name for name in task_names()] == task_names()


def test_an_unknown_task_names_its_neighbours() -> None:
    with pytest.raises(UnknownName, match="classify"):
        open_task("clasify")


def test_a_plugged_in_task_stands_beside_the_built_in_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("echo", "fettle.tasks.chat.task:TASK", table.ENTRY_POINT_GROUP)

    def points(**wanted: str) -> list[importlib.metadata.EntryPoint]:
        matching = (
            point if wanted == {"group": point.group, **({"name": point.name} if "name" in wanted else {})} else None
        )
        return [matching] if matching else []

    monkeypatch.setattr(table, "entry_points", points)
    assert "echo" in task_names()
    assert open_task("echo") is open_task("chat")


WRITING = ["chat", "classify", "text"]


@pytest.mark.parametrize("name", WRITING)
def test_what_is_learned_begins_with_what_is_asked(model: OpenModel, name: str) -> None:
    task = open_task(name)
    method = task.method("")
    labels = task.survey([Row(RECORDS[name], "f", 1)]).labels
    terms = make_terms(model, labels, system="be kind")
    encoder = method.encoder(terms)
    (found,) = encoder.examples(RECORDS[name], "f:1")
    assert found.source == "f:1"
    assert found.is_stop_learned
    assert (method.prompt is None) == (name == "text")
    if method.prompt is not None:
        prompt = method.prompt(terms, RECORDS[name])
        answer = found.reads.token.tolist()
        assert found.ids.tolist()[: len(prompt)] == prompt
        assert found.reads.at.tolist()[0] == len(prompt) - 1
        assert model.tokenizer.decode(answer) == encoder.expected(RECORDS[name])
        assert answer[-1] in model.tokenizer.stop_ids
        assert "system\nbe kind<|im_end|>" in model.tokenizer.decode(prompt, with_control=True)


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method.name) for name in WRITING for method in open_task(name).methods if method.network != "masked"],
)
def test_a_record_of_another_task_is_our_own_mistake(model: OpenModel, name: str, method: str) -> None:
    encoder = open_task(name).method(method).encoder(make_terms(model, ("no", "yes")))
    for other, record in RECORDS.items():
        if other != name:
            with pytest.raises(TypeError):
                encoder.examples(record, "f:1")


@pytest.mark.parametrize("name", WRITING)
def test_a_question_can_be_asked(model: OpenModel, name: str) -> None:
    task = open_task(name)
    labels = ("no", "yes") if name == "classify" else ()
    method = task.method("")
    terms = make_terms(model, labels)
    answerer = method.answerer(terms)
    assert (answerer is not None) == (method.prompt is not None) == (name != "text")
    if answerer is not None and method.prompt is not None:
        question = task.question("is it on its way?")
        assert "is it on its way?" in model.tokenizer.decode(method.prompt(terms, question))
        told: list[int] = []
        answers = answerer.answers(model, [question, task.question("why?")], told.append)
        assert len(answers) == sum(told) == 2
        assert answers[0].text in labels or not labels
    assert method.main_metric == method.metrics[0]


def test_an_unknown_method_names_those_there_are() -> None:
    with pytest.raises(RequestError, match="head"):
        open_task("classify").method("heads")


@pytest.mark.parametrize("name", task_names())
def test_every_metric_that_a_method_names_is_known(name: str) -> None:
    for method in open_task(name).methods:
        assert [find_metric(metric).name for metric in method.metrics] == list(method.metrics)
        assert set(method.looked_at) <= set(method.metrics)
