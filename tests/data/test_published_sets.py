"""Published sets come in with at most a map, as docs/formats.md says."""

import os
from pathlib import Path

import pytest
from import_kit import import_files

SHARED = Path(os.environ.get("FETTLE_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
TATQA = {
    "questions[0].question": "prompt",
    "questions[0].answer[]": "completion",
    "paragraphs[].text": "context",
}


@pytest.mark.parametrize(
    ("name", "column_map", "task", "came"),
    [
        ("alpaca_demo/alpaca_en_demo.json", {}, None, ("alpaca", 999, 0)),
        ("alpaca_demo/dpo_en_demo.json", {}, None, ("sharegpt_preference", 300, 0)),
        ("alpaca_demo/kto_en_demo.json", {}, None, ("judged_chat", 300, 0)),
        ("alpaca_demo/glaive_toolcall_en_demo.json", {}, None, ("sharegpt", 300, 0)),
        ("gsm8k/train.jsonl", {}, "embed", ("pair", 7_473, 0)),
        ("roleplay/roleplay-simple-deduped-roleplay-instruct.json", {}, None, ("alpaca", 1_923, 0)),
        ("schema_guided_dialogue/dev/dialogues_002.json", {}, None, ("sharegpt", 128, 0)),
        (
            "scitldr/SciTLDR-A/dev.jsonl",
            {"source[]": "prompt", "target[0]": "completion"},
            None,
            ("prompt_completion", 619, 0),
        ),
        ("tatqa/tatqa_dataset_dev.json", TATQA, None, ("prompt_completion", 271, 7)),
        (
            "mts_dialog/MTS-Dialog-ValidationSet.csv",
            {"dialogue": "text", "section_header": "label"},
            None,
            ("labelled", 100, 0),
        ),
        (
            "crows_pairs/crows_pairs_anonymized.csv",
            {"sent_more": "text", "bias_type": "label"},
            None,
            ("labelled", 1_508, 0),
        ),
    ],
)
def test_a_published_set_comes_in(name, column_map, task, came):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the published file {name} is not under {SHARED}")
    imported = import_files([path], column_map, task)
    dialect = imported.recognised[0][1].dialect.name
    assert (dialect, len(imported.rows), len(imported.refused)) == came


def test_calls_of_a_published_set_are_calls():
    path = SHARED / "alpaca_demo/glaive_toolcall_en_demo.json"
    if not path.is_file():
        pytest.skip(f"the published file is not under {SHARED}")
    turns = [turn for row in import_files([path], {}, None).rows for turn in row.record.messages]
    assert sum(len(turn.tool_calls) for turn in turns) == 211 == sum(turn.role == "tool" for turn in turns)
