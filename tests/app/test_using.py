"""Rows answered, files answered, conversations, exports: through the functions that people call."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from app_fixtures import Shop, one_core, shop  # noqa: F401
from app_kit import LABELS
from openpyxl import Workbook, load_workbook
from transformers import AutoModelForCausalLM, AutoTokenizer

from fettle.app.listing import get_bundle
from fettle.app.opening import open_tuned
from fettle.app.using import Conversation, export, load, load_base, predict_file
from fettle.artifacts.bundle import read_bundle, unpack_bundle
from fettle.errors import RequestError
from fettle.generation.config import DecodingSettings
from fettle.models.forward import only_reading
from fettle.models.load import open_model

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

ASKED = ["where is my parcel", "send the money back", "=1+1", "Ünïcödé 你好", "the card was charged twice", "x"]


@pytest.mark.parametrize("name", ["full", "lora"])
def test_probabilities_are_shares_of_the_closed_set(shop: Shop, name: str) -> None:
    for model in (load(name, shop.workspace), load_base(name, shop.workspace)):
        answers = model.predict(ASKED)
        assert len(answers) == len(ASKED)
        for answer in answers:
            assert tuple(answer.probabilities) == LABELS
            assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-9)
            assert answer.text == max(answer.probabilities, key=answer.probabilities.__getitem__)
            assert all(share >= 0 for share in answer.probabilities.values())


def test_answers_do_not_depend_on_their_neighbours(shop: Shop) -> None:
    model = load("lora", shop.workspace)
    together = model.predict(ASKED)

    for text, answer in zip(ASKED, together, strict=True):
        [alone] = model.predict(iter([text]))
        assert alone.text == answer.text
        for label in LABELS:
            assert alone.probabilities[label] == pytest.approx(answer.probabilities[label], rel=1e-4)
    assert [answer.text for answer in model.predict(ASKED[::-1])] == [answer.text for answer in together[::-1]]
    assert model.predict([]) == []


def test_progress_counts_every_row(shop: Shop) -> None:
    seen: list[int] = []
    load("lora", shop.workspace).predict(ASKED, seen.append)

    assert sum(seen) == len(ASKED)


def wanted(shop: Shop, texts: list[str]) -> list[str]:
    return [answer.text for answer in load("lora", shop.workspace).predict(texts)]


def test_csv_to_csv(shop: Shop, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    with source.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "answer"])
        writer.writerows([[number, text, "mine"] for number, text in enumerate(ASKED)])

    result = predict_file(shop.workspace, "lora", source, tmp_path / "out.csv")

    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "id",
        "text",
        "answer",
        "fettle answer",
        "probability",
        *(f"p({label})" for label in LABELS),
    ]
    assert [row["id"] for row in rows] == [str(number) for number in range(len(ASKED))]
    assert [row["text"] for row in rows] == ASKED
    assert {row["answer"] for row in rows} == {"mine"}
    assert [row["fettle answer"] for row in rows] == wanted(shop, ASKED)
    for row in rows:
        shares = [float(row[f"p({label})"]) for label in LABELS]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(shares)
    assert (result.num_rows, result.refused) == (len(ASKED), [])


def test_xlsx_to_xlsx_and_text_stays_text(shop: Shop, tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["text", "note", "count"])
    hostile = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "=1+1"]
    for number, text in enumerate(hostile):
        book.active.append(["x", "y", number])
        for column, value in ((1, text), (2, f"={text}")):
            cell = book.active.cell(number + 2, column)
            cell.value = value
            cell.data_type = "s"
    book.save(tmp_path / "in.xlsx")

    predict_file(shop.workspace, "lora", tmp_path / "in.xlsx", tmp_path / "out.xlsx")

    sheet = load_workbook(tmp_path / "out.xlsx").active
    header = [cell.value for cell in sheet[1]]
    assert header[:4] == ["text", "note", "count", "answer"]
    rows = list(sheet.iter_rows(min_row=2))
    assert [row[0].value for row in rows] == hostile
    assert [row[1].value for row in rows] == [f"={text}" for text in hostile]
    assert all(cell.data_type != "f" for row in rows for cell in row)
    assert [row[3].value for row in rows] == wanted(shop, hostile)
    assert all(isinstance(row[4].value, float) for row in rows)


def test_json_lines_keep_every_column_and_the_order(shop: Shop, tmp_path: Path) -> None:
    rows = [
        {"text": text, "id": number, "deep": {"a": [1, None]}, f"only-{number}": "x"}
        for number, text in enumerate(ASKED)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    predict_file(shop.workspace, "lora", tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for row, after in zip(rows, written, strict=True):
        assert {name: after[name] for name in row} == row
        assert after.keys() - row.keys() == {"answer", "probability", *(f"p({label})" for label in LABELS)}
    assert [row["answer"] for row in written] == wanted(shop, ASKED)


def test_another_column_is_read_when_it_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("Betreff,x\n" + "".join(f"{text},1\n" for text in ASKED))

    with pytest.raises(RequestError, match="not clear"):
        predict_file(shop.workspace, "lora", tmp_path / "in.csv", tmp_path / "out.csv")
    predict_file(shop.workspace, "lora", tmp_path / "in.csv", tmp_path / "out.csv", {"Betreff": "text"})

    with (tmp_path / "out.csv").open(newline="") as stream:
        assert [row["answer"] for row in csv.DictReader(stream)] == wanted(shop, ASKED)


def test_what_cannot_be_written_is_refused_before_any_work(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nhello\n")

    for out in (tmp_path / "out.pdf", tmp_path / "out", tmp_path / "none" / "out.csv"):
        with pytest.raises(RequestError):
            predict_file(shop.workspace, "no-such-bundle", tmp_path / "in.csv", out)
        assert not out.exists()


def test_written_answers_in_a_file_say_how_many_were_cut_off(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n" + "".join(f"{text}\n" for text in ASKED))

    result = predict_file(shop.workspace, "talk", tmp_path / "in.csv", tmp_path / "out.jsonl")

    answers = load("talk", shop.workspace).predict(ASKED)
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in written] == [answer.text for answer in answers]
    assert result.num_cut_off == sum(not answer.is_complete for answer in answers)
    assert "probability" not in written[0]


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_pieces_of_a_conversation_join_to_the_answer(shop: Shop, temperature: float) -> None:
    """Random weights write bytes that are no characters; the pieces still join to what was said."""
    bundle = get_bundle(shop.workspace, "talk")
    model = open_tuned(shop.workspace, bundle)
    for length in range(1, 25):
        conversation = Conversation(model, DecodingSettings(max_new_tokens=length, temperature=temperature), "be kind")
        pieces: list[str] = []
        answer = conversation.say("where is my parcel", pieces.append)

        assert "".join(pieces).strip() == answer
        assert [turn.role for turn in conversation.turns] == ["system", "user", "assistant"]
        assert conversation.turns[-1].content == answer


def test_a_conversation_goes_on_and_ends_at_the_context(shop: Shop) -> None:
    conversation = load("talk", shop.workspace).chat()
    first = conversation.say("hello")
    assert conversation.say("and now?") == conversation.turns[-1].content
    assert conversation.turns[1].content == first
    assert len(conversation.turns) == 4

    with pytest.raises(RequestError, match="longer than the model's context"):
        conversation.say("x " * 600)
    assert len(conversation.turns) == 4


@pytest.mark.parametrize("name", ["full", "lora", "talk"])
def test_an_exported_folder_gives_the_logits_of_the_bundle_in_plain_transformers(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    parity = export(shop.workspace, name, "hf", tmp_path / "out")
    bundle = open_tuned(shop.workspace, get_bundle(shop.workspace, name))
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")

    assert parity is not None
    assert parity.relative_difference <= 1e-5
    assert parity.same_answers == parity.num_prompts > 0
    assert tokenizer.chat_template == bundle.tokenizer.template
    ids = torch.tensor([tokenizer(ASKED[0])["input_ids"]])
    with only_reading(bundle.network), torch.no_grad():
        ours, theirs = bundle.network(input_ids=ids).logits, network(input_ids=ids).logits
        assert float((ours - theirs).abs().max() / ours.abs().max()) <= 1e-5
        base = open_model(shop.base).network(input_ids=ids).logits
        assert float((ours - base).abs().max() / ours.abs().max()) > 1e-3
    with pytest.raises(RequestError, match="something at that place"):
        export(shop.workspace, name, "hf", tmp_path / "out")


def test_an_exported_file_is_the_bundle(shop: Shop, tmp_path: Path) -> None:
    assert export(shop.workspace, "lora", "file", tmp_path / "lora.fettle") is None

    unpacked = unpack_bundle(tmp_path / "lora.fettle", tmp_path / "unpacked")
    assert unpacked.identity == read_bundle(shop.workspace.bundles / "lora").identity


def test_unknown_exports_name_those_there_are(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        export(shop.workspace, "lora", "gguf", tmp_path / "out")
    assert "hf" in caught.value.expected


def test_a_question_over_the_length_keeps_its_end(shop: Shop) -> None:
    """The end of a prompt opens the answer; without it the model would not be asked at all."""
    long = "x " * 600
    one, other, longer = load("lora", shop.workspace).predict(
        [f"{long}where is my parcel", f"{long}send the money back", f"x {long}where is my parcel"]
    )

    assert one.probabilities != other.probabilities
    assert one.probabilities == pytest.approx(longer.probabilities, rel=1e-4)
