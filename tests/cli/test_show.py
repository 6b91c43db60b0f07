"""What people are shown: tables of scores and settings, rows token by token, faults."""

import re

import pytest

from fettle.app.planning import resolve_plan
from fettle.app.preflight import ShownToken
from fettle.cli.show import show_faults, show_scores, show_settings, show_tokens
from fettle.errors import Fault

REPORT = {
    "bundle": "blue-heron",
    "task": "classify",
    "data": "tickets@test#1a2b",
    "n": 120,
    "systems": {
        "base": {
            "accuracy": {"value": 0.25, "interval": [0.17, 0.33]},
            "loss": {"value": 2.5, "interval": [2.25, 2.75]},
            "perplexity": {"value": 1234.5, "interval": [1000.0, 1500.0]},
        },
        "tuned": {
            "accuracy": {"value": 0.875, "interval": [0.81, 0.93]},
            "loss": {"value": 0.5, "interval": [0.4, 0.6]},
            "perplexity": {"value": 1.75, "interval": [1.5, 2.0]},
        },
    },
    "paired": [
        {"metric": "accuracy", "a": "tuned", "b": "base", "difference": 0.625, "interval": [0.5, 0.7], "p": 0.0},
        {"metric": "loss", "a": "tuned", "b": "base", "difference": -2.0, "interval": [-2.3, -1.7], "p": 0.0123},
    ],
    "goal": {"words": "sort", "metric": "accuracy", "least_gain": 0.1},
    "notes": ["3 of the 120 rows [were] cut"],
}


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """A terminal so wide that nothing is folded."""
    monkeypatch.setattr("fettle.cli.show.OUT._width", 200)
    monkeypatch.setattr("fettle.cli.show.OUT._height", 50)


def test_a_report_is_a_table_of_metrics_and_systems(capsys):
    show_scores(REPORT)
    out = capsys.readouterr().out
    assert "120 held-out rows of tickets@test#1a2b" in out
    rows = {line.split()[1]: line for line in out.splitlines() if line.startswith("│")}
    assert "0.250 [0.170, 0.330]" in rows["accuracy"]
    assert "0.875 [0.810, 0.930]" in rows["accuracy"]
    assert "+0.625 [+0.500, +0.700]" in rows["accuracy"]
    assert "<0.001" in rows["accuracy"]
    assert "-2.000 [-2.300, -1.700]" in rows["loss"]
    assert "0.012" in rows["loss"]
    assert "1,234 [1,000, 1,500]" in rows["perplexity"]
    assert "note: 3 of the 120 rows [were] cut" in out


def test_every_column_has_its_head(capsys):
    show_scores(REPORT)
    head = next(line for line in capsys.readouterr().out.splitlines() if "metric" in line)
    assert re.findall(r"metric|base(?! )|tuned - base|tuned|\bp\b|base", head) == [
        "metric",
        "base",
        "tuned",
        "tuned - base",
        "p",
    ]


def test_tokens_that_are_learned_stand_in_brackets_and_no_others(capsys):
    tokens = [
        ShownToken("<|im_start|>", False, False),
        ShownToken("where is [it]", False, False),
        ShownToken("\n", False, False),
        ShownToken("on", True, False),
        ShownToken(" its way", True, False),
        ShownToken("<|im_end|>", True, True),
        ShownToken("\n", False, False),
        ShownToken("soon", True, False),
    ]
    show_tokens("tickets.csv:2", tokens)
    head, _, shown = capsys.readouterr().out.partition("\n")
    assert head == "tickets.csv:2 (8 tokens, 4 learned)"
    assert re.findall(r"⟦([^⟧]*)⟧", shown) == ["on its way<|im_end|>", "soon"]
    assert re.sub(r"[⟦⟧⏎\n]", "", shown) == "<|im_start|>where is [it]on its way<|im_end|>soon"


def test_a_long_row_is_shown_without_its_middle(capsys):
    tokens = [ShownToken(f"{place} ", place > 290, False) for place in range(300)]
    show_tokens("a", tokens)
    shown = capsys.readouterr().out
    assert "119  … 60 tokens … 180 " in shown
    assert "⟦291 292" in shown
    show_tokens("a", tokens[:240])
    assert "…" not in capsys.readouterr().out


@pytest.mark.parametrize("is_learned", [True, False])
def test_a_row_that_is_learned_whole_or_not_at_all(capsys, is_learned):
    show_tokens("a", [ShownToken("x", is_learned, False), ShownToken("y", is_learned, False)])
    shown = capsys.readouterr().out.splitlines()[1]
    assert shown == ("⟦xy⟧" if is_learned else "xy")


def test_faults_are_told_in_full_up_to_ten(capsys):
    faults = [Fault("a.csv", line, "no [text]", "a text", "mend it") for line in range(1, 13)]
    show_faults(faults)
    out = capsys.readouterr().out
    assert out.count("no [text]") == 10
    assert "a.csv:10: no [text]\n  expected  a text\n  try       mend it\n" in out
    assert "a.csv:11" not in out
    assert out.endswith("and 2 more\n")


def test_no_fault_is_no_word(capsys):
    show_faults([])
    assert capsys.readouterr().out == ""


def test_settings_are_shown_with_their_origin(capsys):
    settings = resolve_plan("classify", ["data=tickets", "goal.words=[sort]"]).explained()
    show_settings(settings, everything=False)
    out = capsys.readouterr().out
    assert re.search(r"data\s+tickets\s+command line\s+Dataset to learn from", out)
    assert re.search(r"training\.watch\s+metric\s+recipe classify", out)
    assert "[sort]" in out
    assert "adapter.rank" not in out
    hidden = sum(setting.origin == "default" for setting in settings)
    assert f"{hidden} settings stand at their defaults; --all shows them" in out
    show_settings(settings, everything=True)
    out = capsys.readouterr().out
    assert all(setting.key in out for setting in settings)
