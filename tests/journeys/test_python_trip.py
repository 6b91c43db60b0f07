"""The whole trip through the Python face: examples in, a scored and exported model out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from journey_kit import ASKS, FEW, write_intents, write_replies
from transformers import AutoModelForCausalLM, AutoTokenizer

import fettle
from fettle.app.listing import show_report
from fettle.app.using import export, predict_file
from fettle.app.workshop.versions import load_rows
from fettle.storage.workspace import open_workspace


@pytest.fixture(autouse=True)
def _one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0})


@pytest.mark.parametrize("recipe", ["classify", "classify-lora"])
def test_from_examples_to_an_exported_classifier(tiny_base: Path, tmp_path: Path, recipe: str) -> None:
    imported = fettle.import_data(write_intents(tmp_path / "intents.jsonl"), name="intents")
    assert (imported.rows_read, imported.version.num_rows) == (61, 60)
    split = fettle.split_data("intents", validation=0.15, test=0.2, near_together=False)
    settings = [
        f"data={split.label}",
        f"base={tiny_base}",
        *FEW,
        "training.max_steps=120",
        "training.keep=last",
        "training.learning_rate=1e-2",
    ]

    preflight = fettle.plan(recipe, settings)
    assert sum(preflight.rows.values()) == 60
    assert preflight.labels == tuple(ASKS)
    run = fettle.train(recipe, settings, name="first")
    report = fettle.evaluate("first")
    answers = fettle.load("first").predict([f"{asks[0]}, order 3" for asks in ASKS.values()])
    workspace = open_workspace()
    rows = "where is my parcel order 3\nthe card was charged twice order 3\n"
    (tmp_path / "new.csv").write_text("text\n" + rows)
    result = predict_file(workspace, "first", tmp_path / "new.csv", tmp_path / "answered.csv")
    parity = export(workspace, "first", "hf", tmp_path / "elsewhere")

    assert run.ending == "done"
    assert report.num_rows == preflight.rows["test"]
    assert report.scores["tuned"]["loss"]["value"] < 0.5 * report.scores["base"]["loss"]["value"]
    assert report.scores["tuned"]["accuracy"]["value"] > 0.5  # a third by chance
    assert [answer.text for answer in answers] == list(ASKS)
    assert result.num_rows == 2
    assert [line.split(",")[1] for line in (tmp_path / "answered.csv").read_text().splitlines()] == [
        "answer",
        "delivery",
        "payment",
    ]
    assert parity.relative_difference <= 1e-5
    assert show_report(workspace, "first") == report
    # Elsewhere: plain transformers, and the answer that was learned.
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "elsewhere")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "elsewhere")
    messages = [{"role": "user", "content": "the card was charged twice, order 3"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        said = network.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(said, skip_special_tokens=True).strip() == "payment"


def test_from_examples_to_a_chat(tiny_base: Path, tmp_path: Path) -> None:
    fettle.import_data(write_replies(tmp_path / "replies.jsonl"), name="replies")
    fettle.split_data("replies")
    run = fettle.train(
        "chat",
        {
            "data": "replies",
            "base": str(tiny_base),
            "training.max_steps": 150,
            "training.keep": "last",
            "training.rows_per_step": 8,
            "training.learning_rate": 1e-2,
            "decoding.max_new_tokens": 24,
        },
    )

    _, rows = load_rows(open_workspace(), "replies@train")
    asked, wanted = (message.content for message in rows[0].record.messages)
    conversation = fettle.load(run.run).chat()
    pieces: list[str] = []
    answer = conversation.say(asked, pieces.append)

    assert answer == wanted
    assert "".join(pieces).strip() == answer
    assert fettle.evaluate(run.run).scores["tuned"].keys() == {"loss", "perplexity", "chrf", "rouge_l"}
