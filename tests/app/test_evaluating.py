"""A report's numbers follow from its rows, and a stored report is shown without any model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from app_fixtures import Shop, one_core, shop, workspace  # noqa: F401
from app_kit import plan_of, refuse_to, store_rows
from sklearn.metrics import f1_score

import fettle.app.evaluating as evaluating
import fettle.app.listing as listing
import fettle.app.opening as opening
from fettle.app.evaluating import evaluate
from fettle.app.listing import show_report
from fettle.app.running import start_run
from fettle.app.using import load
from fettle.app.workshop.versions import load_rows
from fettle.data.records import LabelledText, Row
from fettle.errors import RequestError, UnknownName
from fettle.evaluation.report import Outcome
from fettle.storage.workspace import Workspace

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)


def loss_of(outcomes: list[Outcome]) -> float:
    return sum(one.loss for one in outcomes) / sum(one.weight for one in outcomes)


@pytest.mark.parametrize("name", ["full", "lora"])
def test_numbers_are_those_of_the_rows(shop: Shop, name: str) -> None:
    report = evaluate(shop.workspace, name)
    _, rows = load_rows(shop.workspace, "intents@test")

    assert report.num_rows == len(rows)
    for system, outcomes in report.outcomes.items():
        assert [one.source for one in outcomes] == [f"{row.file}:{row.line}" for row in rows]
        assert [one.expected for one in outcomes] == [row.record.label for row in rows]
        expected, answers = [one.expected for one in outcomes], [one.answer for one in outcomes]
        scores = report.scores[system]
        hits = sum(want == got for want, got in zip(expected, answers, strict=True))
        assert scores["accuracy"]["value"] == pytest.approx(hits / len(rows), abs=1e-12)
        macro = f1_score(expected, answers, average="macro", zero_division=0)
        assert scores["macro_f1"]["value"] == pytest.approx(macro, abs=1e-9)
        assert scores["loss"]["value"] == pytest.approx(loss_of(outcomes), rel=1e-9)
        assert scores["perplexity"]["value"] == pytest.approx(math.exp(loss_of(outcomes)), rel=1e-9)
        for estimate in scores.values():
            assert estimate.keys() == {"value", "interval"}
            low, high = estimate["interval"]
            assert low <= estimate["value"] <= high
    for pair in report.paired:
        assert pair.keys() >= {"a", "b", "metric", "difference", "interval", "p"}
        assert (pair["a"], pair["b"]) == ("tuned", "base")
        gap = report.scores["tuned"][pair["metric"]]["value"] - report.scores["base"][pair["metric"]]["value"]
        assert pair["difference"] == pytest.approx(gap, rel=1e-6, abs=1e-9)
        assert 0 < pair["p"] <= 1
    assert [pair["metric"] for pair in report.paired] == ["accuracy", "macro_f1", "loss", "perplexity"]


def test_base_and_tuned_are_what_they_are_called(shop: Shop) -> None:
    report = evaluate(shop.workspace, "lora")
    _, rows = load_rows(shop.workspace, "intents@test")
    answers = load("lora", shop.workspace).predict([row.record.text for row in rows])

    assert [one.answer for one in report.outcomes["tuned"]] == [answer.text for answer in answers]
    for one, answer in zip(report.outcomes["tuned"], answers, strict=True):
        assert one.probability == pytest.approx(answer.probabilities[answer.text], rel=1e-5)
        assert one.expected_probability == pytest.approx(answer.probabilities[one.expected], rel=1e-5)
    assert any(one.expected_probability != one.probability for one in report.outcomes["base"])
    assert report.scores["tuned"]["loss"]["value"] < report.scores["base"]["loss"]["value"]


def test_written_answers_are_scored_and_those_cut_off_are_told(shop: Shop) -> None:
    report = evaluate(shop.workspace, "talk")

    assert report.scores["tuned"].keys() == {"loss", "perplexity", "chrf", "rouge_l"}
    for system, outcomes in report.outcomes.items():
        assert report.scores[system]["loss"]["value"] == pytest.approx(loss_of(outcomes), rel=1e-9)
        cut = sum(not one.is_complete for one in outcomes)
        told = [note for note in report.notes if note.startswith(f"{system}: {cut} of ")]
        assert bool(told) == bool(cut)


def test_a_stored_report_is_shown_without_a_model(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    report = evaluate(shop.workspace, "full")
    identity = listing.get_bundle(shop.workspace, "full").identity
    for module, name in ((opening, "open_model"), (evaluating, "open_base"), (evaluating, "open_tuned")):
        monkeypatch.setattr(module, name, refuse_to("open a model"))
    monkeypatch.setattr(evaluating, "load_rows", refuse_to("read rows"))

    assert show_report(shop.workspace, "full") == report
    assert report.bundle == identity, "reports lie outside the hash"
    card = (shop.workspace.bundles / "full" / "README.md").read_text()
    assert f"{report.scores['tuned']['accuracy']['value']:.3f}" in card
    assert "Not measured yet" not in card


def test_no_report_is_said(workspace: Workspace, tiny_base: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "new")

    with pytest.raises(UnknownName, match="no report yet"):
        show_report(workspace, "new")


def test_the_last_of_many_reports_of_one_second_is_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "now", lambda: "2031-01-01T00:00:00+00:00")
    for part in ("train", "validation", "test", "train", "test", "validation"):
        evaluate(shop.workspace, "full", f"intents@{part}")
        assert show_report(shop.workspace, "full").data == f"intents@{part}"
    before = len(listing.get_bundle(shop.workspace, "full").reports())
    evaluate(shop.workspace, "full")
    assert len(listing.get_bundle(shop.workspace, "full").reports()) == before + 1


def test_rows_that_were_learned_are_told(shop: Shop) -> None:
    learned = evaluate(shop.workspace, "full", "intents@train")
    count = learned.num_rows

    assert any(f"{count} of {count} rows stand among the rows that were learned" in note for note in learned.notes)
    assert not any("were learned" in note for note in evaluate(shop.workspace, "full", "intents@test").notes)


def test_labels_that_were_never_learned_count_as_wrong_and_are_told(workspace: Workspace, tiny_base: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents", tiny_base), "lora")
    rows = [
        Row(LabelledText(f"something else {line}", "praise" if line % 2 else "refund"), "f", line) for line in (1, 2, 3)
    ]
    store_rows(workspace, "elsewhere", "classify", rows)

    report = evaluate(workspace, "lora", "elsewhere")

    assert any("2 of 3 rows have a label that was never learned" in note for note in report.notes)
    assert report.scores["tuned"]["accuracy"]["value"] <= 1 / 3 + 1e-12
    assert all(math.isfinite(value) for value in (one.loss for one in report.outcomes["tuned"]))


def test_without_a_test_part_it_asks_for_one(workspace: Workspace, tiny_base: Path) -> None:
    start_run(workspace, plan_of("classify-lora", "intents@train", tiny_base), "lora")

    with pytest.raises(RequestError, match="without a test part"):
        evaluate(workspace, "lora")
    assert evaluate(workspace, "lora", "intents@test").num_rows > 0
    with pytest.raises(RequestError, match="holds rows for chat"):
        evaluate(workspace, "lora", "replies")


def test_the_report_as_a_document(shop: Shop) -> None:
    document = json.loads(json.dumps(evaluate(shop.workspace, "full").as_json(), allow_nan=False))

    assert document.keys() >= {"bundle", "task", "data", "n", "systems", "paired", "notes"}
    assert document["systems"].keys() == {"base", "tuned"}


def test_evaluating_again_gives_the_same_numbers(shop: Shop) -> None:
    first, second = (evaluate(shop.workspace, "full") for _ in range(2))

    assert (first.outcomes, first.scores, first.paired) == (second.outcomes, second.scores, second.paired)
