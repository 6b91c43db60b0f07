"""The table of tasks, and what every task owes the rooms below."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fettle.data.records import Conversation, LabelledText, Message, PlainText, Record, Row
from fettle.errors import UnknownName
from fettle.generation.config import DecodingSettings
from fettle.models.load import OpenModel, open_model
from fettle.tasks import table
from fettle.tasks.table import open_task, task_names
from fettle.tokens.config import PromptSettings

RECORDS: dict[str, Record] = {
    "chat": Conversation((Message("user", "where is it?"), Message("assistant", "on its way"))),
    "classify": LabelledText("where is it?", "order status"),
    "text": PlainText("the parcel is on its way"),
}


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Iterator[OpenModel]:
    return open_model(tiny_base)


def test_every_task_is_known_by_its_own_name() -> None:
    assert task_names() == sorted(RECORDS)
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


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_what_is_learned_begins_with_what_is_asked(model: OpenModel, name: str) -> None:
    task = open_task(name)
    labels = task.labels([Row(RECORDS[name], "f", 1)])
    encoder = task.encoder(model.tokenizer, PromptSettings(system="be kind"), labels)
    (found,) = encoder.examples(RECORDS[name], "f:1")
    prompt = encoder.prompt(RECORDS[name])
    assert found.source == "f:1"
    assert found.ids.tolist()[: len(prompt)] == prompt
    assert found.is_stop_learned
    answer = found.reads.token.tolist()
    if prompt:
        assert found.reads.at.tolist()[0] == len(prompt) - 1
        assert model.tokenizer.decode(answer) == encoder.expected(RECORDS[name])
        assert answer[-1] in model.tokenizer.stop_ids
        assert "system\nbe kind<|im_end|>" in model.tokenizer.decode(prompt, with_control=True)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_of_another_task_is_our_own_mistake(model: OpenModel, name: str) -> None:
    encoder = open_task(name).encoder(model.tokenizer, PromptSettings(), ())
    for other, record in RECORDS.items():
        if other != name:
            with pytest.raises(TypeError):
                encoder.examples(record, "f:1")


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_question_can_be_asked(model: OpenModel, name: str) -> None:
    task = open_task(name)
    labels = ("no", "yes") if name == "classify" else ()
    encoder = task.encoder(model.tokenizer, PromptSettings(), labels)
    prompt = encoder.prompt(task.question("is it on its way?"))
    answerer = task.answerer(model.tokenizer, DecodingSettings(max_new_tokens=3), labels, torch.float32)
    assert bool(prompt) == (answerer is not None) == (name != "text")
    if answerer is not None:
        assert "is it on its way?" in model.tokenizer.decode(prompt)
        told: list[int] = []
        answers = answerer.answers(model, [prompt, prompt[:-1]], told.append)
        assert len(answers) == sum(told) == 2
        assert answers[0].text in labels or not labels
    assert task.main_metric == task.metrics[0]
