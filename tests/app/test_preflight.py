"""The preflight counts every row, shows what is learned, and refuses what is unsound."""

# ruff: noqa: F811 (a fixture is imported, and then asked for by its name)

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import pytest
from app_fixtures import one_core, workspace  # noqa: F401
from app_kit import LABELS, intents, plan_of, store_rows

from fettle.app.planning import resolve_plan
from fettle.app.preflight import inspect, show_tokens
from fettle.app.preparing.rows import prepare
from fettle.app.workshop.versions import load_rows
from fettle.data.records import Conversation, LabelledText, Message, PlainText, Row, Span, TaggedText
from fettle.errors import RequestError, UnsoundPlan
from fettle.storage.workspace import Workspace


def look(workspace: Workspace, *words: str) -> tuple[object, object]:
    plan = plan_of(*words)
    prepared = prepare(workspace, plan.settings)
    return prepared, inspect(prepared, plan.settings)


def rows_in_all(preflight: object) -> int:
    return sum(preflight.rows.values()) + sum(preflight.lost.values())


@pytest.mark.parametrize("recipe_and_data", [("classify", "intents"), ("chat", "replies"), ("adapt", "notes")])
@pytest.mark.parametrize("more", [(), ("prompt.max_length=55",), ("prompt.max_length=55", "prompt.too_long=drop")])
def test_every_row_is_learned_held_out_tested_or_lost(
    workspace: Workspace, tiny_base: Path, recipe_and_data: tuple[str, str], more: tuple[str, ...]
) -> None:
    _, preflight = look(workspace, *recipe_and_data, tiny_base, *more)
    version, rows = load_rows(workspace, recipe_and_data[1])

    assert rows_in_all(preflight) == len(rows) == version.num_rows
    assert all(count > 0 for count in preflight.lost.values())


def test_rows_lost_from_any_part_are_counted(workspace: Workspace, tiny_base: Path) -> None:
    silent = Conversation((Message("user", "hello"), Message("assistant", "hi", 0.0)))
    spoken = [Conversation((Message("user", f"hello {n}"), Message("assistant", "hi"))) for n in range(6)]
    parts = ["train", "train", "train", "validation", "validation", "test"]
    rows = [Row(record, "f", line, part=part) for line, (record, part) in enumerate(zip(spoken, parts, strict=True), 1)]
    for number, part in enumerate(("train", "train", "validation")):
        record = Conversation((Message("user", f"silent {number}"), silent.messages[1]))
        rows.append(Row(record, "f", 10 + number, part=part))
    store_rows(workspace, "mixed", "chat", rows)

    _, preflight = look(workspace, "chat", "mixed", tiny_base)

    assert preflight.rows == {"learned": 3, "validation": 2, "test": 1}
    assert preflight.lost == {"nothing in it is learned": 3}
    assert rows_in_all(preflight) == len(rows)


def test_token_counts_are_those_of_the_examples(workspace: Workspace, tiny_base: Path) -> None:
    prepared, preflight = look(workspace, "chat", "replies", tiny_base)
    examples = [example for row in prepared.learned for example in row]

    assert preflight.num_tokens == sum(len(example.ids) for example in examples)
    assert preflight.num_learned == sum(int((example.reads.weight > 0).sum()) for example in examples)
    assert preflight.longest == max(len(example.ids) for example in examples)
    assert preflight.share_with_stop == 1.0
    assert preflight.has_own_template
    assert preflight.as_json()["tokens"] == preflight.num_tokens


def test_shown_tokens_spell_the_row_and_mark_what_is_learned(workspace: Workspace, tiny_base: Path) -> None:
    prepared, preflight = look(workspace, "chat", "replies", tiny_base)

    for (source, shown), example in zip(preflight.shown, prepared.learned[0] + prepared.learned[1], strict=False):
        assert source == example.source
        assert sum(token.is_learned for token in shown) == example.num_learned
        text = "".join(token.text for token in shown)
        learned = "".join(token.text for token in shown if token.is_learned)
        answers = re.findall(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", text, flags=re.DOTALL)
        assert learned == "".join(answers)
        assert [token.text for token in shown if token.is_stop and token.is_learned] == ["<|im_end|>"] * len(answers)


def test_cut_rows_lose_their_stop_token_and_are_counted(workspace: Workspace, tiny_base: Path) -> None:
    prepared, whole = look(workspace, "chat", "replies", tiny_base)
    lengths = sorted(max(example.num_tokens for example in row) for row in prepared.learned)
    limit = lengths[len(lengths) // 2]

    _, cut = look(workspace, "chat", "replies", tiny_base, f"prompt.max_length={limit}")

    assert whole.num_cut == 0
    assert cut.num_cut == sum(length > limit for length in lengths) > 0
    assert cut.share_with_stop < 1
    assert cut.longest == whole.longest
    assert any("stop token is not learned" in warning for warning in cut.warnings)
    assert not any("stop token" in warning for warning in whole.warnings)
    shown = show_tokens(prepared.learned[0][0], prepared.tokenizer)
    assert any(token.is_stop and token.is_learned for token in shown)


def test_nothing_learned_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    rows = [
        Row(Conversation((Message("user", f"q {line}"), Message("assistant", "a", 0.0))), "f", line)
        for line in range(1, 9)
    ]
    store_rows(workspace, "silent", "chat", rows)

    with pytest.raises(UnsoundPlan, match="nothing would be learned"):
        look(workspace, "chat", "silent", tiny_base)


@pytest.mark.parametrize("more", [("prompt.max_length=3",), ("prompt.max_length=3", "prompt.too_long=drop")])
def test_a_length_that_leaves_no_answer_is_refused(
    workspace: Workspace, tiny_base: Path, more: tuple[str, ...]
) -> None:
    with pytest.raises(UnsoundPlan, match="nothing would be learned") as caught:
        look(workspace, "classify", "intents", tiny_base, *more)
    assert "3 tokens" in caught.value.attempt


def test_a_stop_token_that_is_never_learned_is_refused(workspace: Workspace, tiny_base: Path) -> None:
    rows = [Row(LabelledText(f"order {number}", "refund"), "f", number, part="train") for number in range(1, 9)]
    store_rows(workspace, "alike", "classify", rows)
    prepared, _ = look(workspace, "classify", "alike", tiny_base)
    [length] = {example.num_tokens for row in prepared.learned for example in row}

    with pytest.raises(UnsoundPlan, match="stop token would never be learned") as caught:
        look(workspace, "classify", "alike", tiny_base, f"prompt.max_length={length - 1}")
    assert str(length - 1) in caught.value.attempt


def test_a_base_whose_template_never_ends_an_answer_is_refused(
    workspace: Workspace, tiny_base: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "endless")
    (base / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )

    with pytest.raises(UnsoundPlan, match="stop token"):
        look(workspace, "classify", "intents", base)


@pytest.mark.parametrize("part", ["train", "validation", ""])
def test_test_rows_among_the_others_are_refused(workspace: Workspace, tiny_base: Path, part: str) -> None:
    rows = [
        Row(LabelledText(row["text"], row["label"]), "f", line, part="test" if line % 5 == 0 else "train")
        for line, row in enumerate(intents(), 1)
    ]
    twin = next(row for row in rows if row.part == "test")
    # Another answer, another case: still the same question.
    copy = LabelledText(twin.record.text.upper() + " ", "delivery")
    store_rows(workspace, "sound", "classify", rows)
    store_rows(workspace, "leaky", "classify", [*rows, Row(copy, "g", 77, part=part)])

    look(workspace, "classify", "sound", tiny_base)
    with pytest.raises(UnsoundPlan, match="1 rows of the test") as caught:
        look(workspace, "classify", "leaky", tiny_base)
    assert "g:77" in caught.value.where


def test_test_rows_are_never_learned_or_watched(workspace: Workspace, tiny_base: Path) -> None:
    prepared, _ = look(workspace, "classify", "intents", tiny_base)
    _, rows = load_rows(workspace, "intents")
    tested = {f"{row.file}:{row.line}" for row in rows if row.part == "test"}
    learned = {example.source for row in prepared.learned for example in row}
    watched = {f"{row.file}:{row.line}" for row, _ in prepared.held_out}

    assert tested
    assert not tested & (learned | watched)
    assert not learned & watched
    assert len(tested | learned | watched) == len(rows)


def test_without_parts_a_tenth_is_held_out_by_hash(workspace: Workspace, tiny_base: Path) -> None:
    rows = [Row(PlainText(f"note {number} of many"), "f", number) for number in range(1, 301)]
    store_rows(workspace, "whole", "text", rows)

    _, first = look(workspace, "adapt", "whole", tiny_base)
    store_rows(workspace, "shuffled", "text", rows[::-1])
    prepared, second = look(workspace, "adapt", "shuffled", tiny_base)

    assert first.rows["test"] == 0
    assert 0.05 < first.rows["validation"] / 300 < 0.15
    assert second.rows == first.rows
    assert any("no test rows" in warning for warning in first.warnings)
    assert {row.part for row, _ in prepared.held_out} == {""}


@pytest.mark.parametrize(
    ("words", "num_steps", "look_every"),
    [
        (("training.max_steps=0", "training.epochs=2"), 12, 2),
        (("training.max_steps=0", "training.epochs=0.5"), 3, 2),
        (("training.max_steps=0", "training.epochs=0.01"), 1, 2),
        (("training.max_steps=5",), 5, 2),
        (("training.max_steps=50", "training.epochs=1"), 6, 2),
        (("training.evaluate_every_steps=0",), 6, 6),
    ],
)
def test_steps_follow_from_rows_and_epochs(
    workspace: Workspace, tiny_base: Path, words: tuple[str, ...], num_steps: int, look_every: int
) -> None:
    rows = [
        Row(LabelledText(row["text"], row["label"]), "f", line, part="validation" if line > 44 else "train")
        for line, row in enumerate(intents(), 1)
    ]
    store_rows(workspace, "steps", "classify", rows)  # 44 rows, 8 a step: 6 steps an epoch

    _, preflight = look(workspace, "classify", "steps", tiny_base, *words)

    assert (preflight.machine.num_steps, preflight.machine.look_every_steps) == (num_steps, look_every)
    assert preflight.machine.layout == "tree"


def test_padded_is_taken_when_asked_for(workspace: Workspace, tiny_base: Path) -> None:
    _, preflight = look(workspace, "classify", "intents", tiny_base, "training.layout=padded")

    assert preflight.machine.layout == "padded"
    assert preflight.machine.layout_reason == "asked for"


def test_rows_of_another_task_are_refused(workspace: Workspace, tiny_base: Path) -> None:
    with pytest.raises(RequestError, match="holds rows for chat"):
        look(workspace, "classify", "replies", tiny_base)


def test_labels_are_those_of_the_rows_that_are_learned_or_watched(workspace: Workspace, tiny_base: Path) -> None:
    version, rows = load_rows(workspace, "intents")
    strange = [
        msgspec.structs.replace(row, record=LabelledText(row.record.text, "never-seen")) if row.part == "test" else row
        for row in rows
    ]
    store_rows(workspace, "strange", version.task, strange)

    prepared, preflight = look(workspace, "classify", "strange", tiny_base)

    assert prepared.labels == preflight.labels == LABELS


def test_long_documents_lose_no_token(workspace: Workspace, tiny_base: Path) -> None:
    """The base reads 512 tokens; a longer document becomes windows of that, and every token of it is learned once."""
    text = "where is my parcel " * 400
    rows = [Row(PlainText(f"{number} {text}"), "f", number, part="train") for number in range(1, 4)]
    rows += [Row(PlainText("short"), "f", 9, part="validation")]
    store_rows(workspace, "long", "text", rows)

    prepared, preflight = look(workspace, "adapt", "long", tiny_base)

    wanted = sum(len(prepared.tokenizer.encode_plain(row.record.text)) + 1 for row in rows[:3])
    assert preflight.num_learned == wanted
    assert preflight.num_cut == 0


def test_the_data_of_one_part_is_that_part_alone(workspace: Workspace, tiny_base: Path) -> None:
    _, whole = look(workspace, "classify", "intents", tiny_base)
    _, train = look(workspace, "classify", "intents@train", tiny_base)

    assert train.rows["learned"] + train.rows["validation"] == whole.rows["learned"]
    assert train.rows["test"] == 0


def test_rows_that_the_task_cannot_learn_stop_the_plan(workspace, tiny_base):
    sound, nested = ((Span(0, 3, "PERSON"),), (Span(0, 3, "PERSON"), Span(2, 5, "PLACE")))
    rows = [Row(TaggedText("Ada in Rome", spans), "f", line) for line, spans in enumerate((sound, nested), start=1)]
    store_rows(workspace, "mixed", "tag", rows)
    with pytest.raises(UnsoundPlan) as caught:
        prepare(workspace, resolve_plan("tag", ["data=mixed", f"base={tiny_base}"]).settings)
    assert "1 of 2 rows cannot be learned: PERSON from 0 to 3 and PLACE from 2 to 5 overlap" in caught.value.problem
    assert [fault.line for fault in caught.value.faults] == [2]
