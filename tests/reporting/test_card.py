"""The card says what the manifest and the report hold, and nothing more."""

from __future__ import annotations

import copy

import pytest

from fettle.reporting.card import model_card

MANIFEST = {
    "name": "blue-heron",
    "task": "classify",
    "kind": "adapter",
    "labels": ["refund", "status"],
    "base": {
        "name": "tiny",
        "kind": "folder",
        "random_seed": None,
        "fingerprint": {"weights": "f" * 64},
        "lineage": [],
    },
    "plan": {
        "settings": {
            "seed": 7,
            "goal": {"words": "", "metric": "", "least_gain": None},
            "training": {"learning_rate": 0.002, "rows_per_step": 16},
        },
        "machine": {"layout": "packed", "dtype": "float32", "threads": 3, "device": "cpu"},
    },
    "data": {
        "version": "tickets#1a2b3c4d",
        "content_hash": "c" * 64,
        "rows_learned": 101,
        "rows_validation": 11,
        "rows_test": 23,
        "rows_lost": 5,
        "rows_cut": 2,
    },
    "template_sha256": "d" * 64,
    "training": {
        "steps": 42,
        "kept_step": 35,
        "seconds": 61.2,
        "learned_tokens": 9876,
        "peak_memory_bytes": 3 * 2**30,
    },
}
REPORT = {
    "n": 23,
    "data": "tickets@test#1a2b3c4d",
    "systems": {
        "base": {"accuracy": {"value": 0.25, "interval": [0.1, 0.4]}, "loss": {"value": 2.5, "interval": [2.25, 2.75]}},
        "tuned": {
            "accuracy": {"value": 0.875, "interval": [0.7, 0.95]},
            "loss": {"value": 0.5, "interval": [0.4, 0.6]},
        },
    },
    "notes": ["2 of 23 rows have a label that was never learned; they count as wrong"],
}


def changed(**parts: object) -> dict:
    manifest = copy.deepcopy(MANIFEST)
    for key, value in parts.items():
        *tables, leaf = key.split("__")
        table = manifest
        for name in tables:
            table = table[name]
        table[leaf] = value
    return manifest


def test_every_figure_of_the_manifest_is_there() -> None:
    card = model_card(MANIFEST, "e" * 64, None)

    for text in ("blue-heron", "tiny", "tickets#1a2b3c4d", "c" * 64, "d" * 64, "e" * 64, "f" * 64, "9876", "42 ", "35"):
        assert text in card
    assert "101 rows learned, 11 for watching, 23 kept for the test" in card
    assert "5 rows lost, 2 cut" in card
    assert "2 labels: refund, status." in card
    assert "3.0 GiB" in card
    assert "seed 7" in card
    assert "an adapter for" in card


def test_without_a_report_it_claims_no_score() -> None:
    card = model_card(MANIFEST, "e" * 64, None)

    assert "Not measured yet" in card
    assert "|" not in card


def test_scores_stand_as_a_table_with_their_intervals() -> None:
    lines = model_card(MANIFEST, "e" * 64, REPORT).splitlines()
    table = [line for line in lines if line.startswith("|")]

    assert table == [
        "| 23 rows of `tickets@test#1a2b3c4d` | base | tuned |",
        "|---|---|---|",
        "| accuracy | 0.250 (0.100 to 0.400) | 0.875 (0.700 to 0.950) |",
        "| loss | 2.500 (2.250 to 2.750) | 0.500 (0.400 to 0.600) |",
    ]
    assert any("never learned" in line for line in lines)
    assert not any("Not measured yet" in line for line in lines)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"kind": "full"}, "all weights, tuned from"),
        ({"kind": "full", "base__kind": "new"}, "trained from scratch, with `tickets#1a2b3c4d`"),
        ({"plan__settings__training__tokens_per_step": 8192}, "about 8192 tokens a step"),
        ({"base__random_seed": 5}, "drawn with seed 5"),
        ({"base__lineage": ["abc", "def"]}, "Tuned before as: abc, def."),
        ({"plan__settings__goal": {"words": "sort mail", "metric": "", "least_gain": None}}, "- sort mail"),
        (
            {"plan__settings__goal": {"words": "", "metric": "accuracy", "least_gain": 0.2}},
            "Judged by accuracy, by at least 0.2; fixed before training.",
        ),
        ({"plan__settings__goal": {"words": "", "metric": "loss", "least_gain": None}}, "Judged by loss; fixed"),
        ({"labels": [f"l{number}" for number in range(50)]}, "50 labels: l0, "),
    ],
)
def test_what_changes_in_the_manifest_changes_in_the_card(parts: dict, text: str) -> None:
    assert text not in model_card(MANIFEST, "e" * 64, None)
    assert text in model_card(changed(**parts), "e" * 64, None)


def test_no_goal_is_said() -> None:
    assert "None was stated before training." in model_card(MANIFEST, "e" * 64, None)


def test_limits_are_always_there() -> None:
    for report in (None, REPORT):
        assert "## Limits" in model_card(MANIFEST, "e" * 64, report)
