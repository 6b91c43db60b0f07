"""Runs whose answers a head reads, or that may answer with none of their labels: from files to files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import LABELS, intents, never_stop, plan_of, stop_after, store_rows

from fettle.app.evaluating import asker_for, evaluate
from fettle.app.listing import get_bundle
from fettle.app.running import resume_run, start_run
from fettle.app.using import load, load_base, predict_file
from fettle.cli.main import main
from fettle.data.records import NONE_OF_THESE, LabelledText, MultiLabelledText, Row
from fettle.errors import RequestError
from fettle.storage.workspace import Workspace, open_workspace

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

FEW = ("training.max_steps=6", "training.rows_per_step=8", "training.evaluate_every_steps=3")
STEEP = ("training.learning_rate=2e-2", "training.max_steps=12")


def run(*words: str) -> None:
    assert main(list(words)) == 0, words


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def home(one_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the command line."""
    monkeypatch.setenv("FETTLE_HOME", str(tmp_path / "home"))
    return open_workspace()


def test_several_labels_from_a_file_to_a_file(home: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    rows = [
        {"text": row["text"], "labels": json.dumps([row["label"], *(["odd"] if number % 2 else [])])}
        for number, row in enumerate(intents())
    ]
    with (tmp_path / "in.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "labels"])
        writer.writeheader()
        writer.writerows(rows)

    run("data", "import", str(tmp_path / "in.csv"), "--name", "topics", "--task", "classify")
    run("data", "split", "topics")
    run("train", "classify-head", "data=topics", f"base={tiny_base}", "--name", "first", *FEW)
    run("evaluate", "first")
    run("predict", "first", str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.csv"))

    assert get_bundle(home, "first").manifest["method"] == "several"
    answered = read_csv(tmp_path / "out.csv")
    names = [*LABELS, "odd"]
    assert list(answered[0]) == ["text", "labels", "answer", *(f"p({label})" for label in sorted(names))]
    assert len(answered) == len(rows)
    for row in answered:
        assert json.loads(row["answer"]) == [label for label in sorted(names) if float(row[f"p({label})"]) >= 0.5]


def test_scores_of_two_texts_from_a_file_to_a_file(home: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    rows = [
        {"left": row["text"], "right": other["text"], "near": 2.5 * (number % 4) - 3.5}
        for number, (row, other) in enumerate(zip(intents(), intents()[4:], strict=False))
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    maps = ("--map", "left=sentence1", "--map", "right=sentence2", "--map", "near=score")
    run("data", "import", str(tmp_path / "in.jsonl"), "--name", "near", "--task", "score", *maps)
    run("data", "split", "near")
    run("train", "score", "data=near", f"base={tiny_base}", "--name", "first", *FEW)
    run("evaluate", "first")
    asked = tmp_path / "asked.csv"
    asked.write_text("one,two\nwhere is my parcel,when will it arrive\nhello,\n")

    run("predict", "first", str(asked), "--out", str(tmp_path / "out.csv"), "--map", "one=text", "--map", "two=other")
    run("predict", "first", str(asked), "--out", str(tmp_path / "alone.csv"), "--map", "one=text")

    model = load("first", home)
    pairs = [("where is my parcel", "when will it arrive"), ("hello", "")]
    both, alone = read_csv(tmp_path / "out.csv"), read_csv(tmp_path / "alone.csv")
    assert list(both[0]) == ["one", "two", "answer"]
    assert [row["answer"] for row in both] == [answer.text for answer in model.predict(pairs)]
    assert [row["answer"] for row in alone] == [answer.text for answer in model.predict([one for one, _ in pairs])]
    assert both[0]["answer"] != alone[0]["answer"]
    assert both[1]["answer"] == alone[1]["answer"]
    assert -10 < float(both[0]["answer"]) < 13
    survey = asker_for(get_bundle(home, "first")).survey
    assert survey.spread == pytest.approx(2.8, rel=0.2)


def test_a_bundle_that_reads_one_text_refuses_two(workspace: Workspace, tiny_base: Path, tmp_path: Path) -> None:
    start_run(workspace, plan_of("classify-head", "intents", tiny_base), "first")
    with pytest.raises(RequestError, match="one text at a time"):
        load("first", workspace).predict([("a", "b")])
    (tmp_path / "in.csv").write_text("text,note\na,b\n")
    words = ("predict", "first", str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.csv"), "--map", "note=other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FETTLE_HOME", str(workspace.root))
        assert main(list(words)) == 2


@pytest.mark.parametrize("recipe", ["classify-head", "classify"])
def test_temperatures_are_kept_are_the_same_when_gone_on_with_and_change_no_answer(
    workspace: Workspace, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    plan = plan_of(recipe, "intents", tiny_base, *STEEP)
    start_run(workspace, plan, "whole")
    stop_after(monkeypatch, 3)
    assert start_run(workspace, plan, "torn").ending == "paused"
    never_stop(monkeypatch)
    resume_run(workspace, "torn")

    whole, torn = get_bundle(workspace, "whole"), get_bundle(workspace, "torn")
    temperature = whole.manifest["temperature"]
    assert temperature == torn.manifest["temperature"] != 1.0
    assert f"divided by {temperature:.3f}" in (whole.path / "README.md").read_text()
    texts = [row["text"] for row in intents()[:12]]
    model = load("whole", workspace)
    answers = model.predict(texts)
    model._model.temperature = 1.0
    for cold, plain in zip(answers, model.predict(texts), strict=True):
        assert cold.text == plain.text
        shares = {label: share**temperature for label, share in cold.probabilities.items()}
        for label, share in shares.items():
            assert share / sum(shares.values()) == pytest.approx(plain.probabilities[label], rel=1e-3, abs=1e-5)
    assert load_base("whole", workspace)._model.temperature == 1.0


@pytest.mark.parametrize("recipe", ["classify-head", "classify"])
def test_texts_that_belong_to_no_label_are_told_apart(
    workspace: Workspace, tiny_base: Path, tmp_path: Path, recipe: str
) -> None:
    """Where no row to learn from is labelled so, it is no class: only an answer that is not likely enough."""
    plan = plan_of(recipe, "intents", tiny_base, "decoding.least_probability=0.95")
    start_run(workspace, plan, "first")
    rows = [Row(LabelledText(row["text"], row["label"]), "f", line) for line, row in enumerate(intents()[:9], 1)]
    outside = [Row(LabelledText(f"how tall is tower {line}?", NONE_OF_THESE), "g", line) for line in range(1, 5)]
    store_rows(workspace, "elsewhere", "classify", [*rows, *outside])

    report = evaluate(workspace, "first", "elsewhere")

    answers = load("first", workspace).predict([row.record.text for row in (*rows, *outside)])
    assert [answer.text for answer in answers] == [one.answer for one in report.outcomes["tuned"]]
    for answer in answers:
        likeliest = max(answer.probabilities, key=answer.probabilities.__getitem__)
        is_sure = answer.probabilities[likeliest] >= 0.95
        assert answer.text == (likeliest if is_sure else NONE_OF_THESE)
        assert set(answer.probabilities) == set(LABELS)
    assert NONE_OF_THESE in [answer.text for answer in answers]
    told = sum(answer.text == NONE_OF_THESE for answer in answers[len(rows) :]) / len(outside)
    assert report.scores["tuned"]["out_of_scope_recall"]["value"] == pytest.approx(told)
    assert "in_scope_accuracy" in report.scores["base"]
    assert all(one.weight == 0 for one in report.outcomes["tuned"][len(rows) :])
    assert not any("never learned" in note for note in report.notes)
    assert told > 0
    assert in_files(workspace, tmp_path, answers[len(rows)].text) == ""


def in_files(workspace: Workspace, folder: Path, answer: str) -> str:
    """The probability of an answer that is no label, as a table has it."""
    (folder / "in.csv").write_text("text\nhow tall is tower 1?\nwhere is my parcel, order 0\n")
    predict_file(workspace, "first", folder / "in.csv", folder / "out.csv")
    first = read_csv(folder / "out.csv")[0]
    assert first["answer"] == answer
    return first.get("probability", "")


def test_a_label_for_none_of_these_is_learned_where_rows_to_learn_from_have_it(
    workspace: Workspace, tiny_base: Path
) -> None:
    rows = [
        Row(LabelledText(row["text"], row["label"] if line % 4 else NONE_OF_THESE), "f", line, part="train")
        for line, row in enumerate(intents(), 1)
    ]
    for name, parts in (("learned", ("train", "validation")), ("only-watched", ("validation",))):
        kept = [row for row in rows if row.record.label != NONE_OF_THESE or "train" in parts]
        watched = [
            Row(
                LabelledText(f"{row['text']}?", NONE_OF_THESE if line % 2 else row["label"]),
                "g",
                line,
                {},
                "validation",
            )
            for line, row in enumerate(intents()[:10], 1)
        ]
        store_rows(workspace, name, "classify", [*kept, *watched])
        start_run(workspace, plan_of("classify-head", name, tiny_base), name)
        assert (NONE_OF_THESE in get_bundle(workspace, name).labels) == ("train" in parts)


def test_labels_that_were_never_learned_are_told_among_several_too(workspace: Workspace, tiny_base: Path) -> None:
    rows = [
        Row(MultiLabelledText(row["text"], (row["label"],)), "f", line, part="train" if line % 5 else "validation")
        for line, row in enumerate(intents(), 1)
    ]
    store_rows(workspace, "topics", "classify", rows)
    start_run(workspace, plan_of("classify-head", "topics", tiny_base), "first")
    others = [
        Row(MultiLabelledText("thanks a lot", ("praise",) if line % 2 else ("refund", "thanks")), "g", line)
        for line in (1, 2)
    ]
    store_rows(workspace, "elsewhere", "classify", [*others, Row(MultiLabelledText("hello", ()), "g", 3)])

    report = evaluate(workspace, "first", "elsewhere")

    assert any("2 of 3 rows have a label that was never learned" in note for note in report.notes)
    assert [one.expected for one in report.outcomes["tuned"]] == ['["praise"]', '["refund", "thanks"]', "[]"]
    assert report.scores["tuned"]["exact_match"]["value"] <= 1 / 3
