"""Laws that every metric of the table keeps, and the face that makes reports."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fettle.cli.show import LOWER_IS_BETTER
from fettle.data.records import NONE_OF_THESE
from fettle.errors import UnknownName
from fettle.evaluation import metric as making
from fettle.evaluation.report import Outcome, Report, decode_report, encode_report
from fettle.evaluation.scorer import find_metric, metric_names, score
from fettle.evaluation.statistics import Statistic

ALL = metric_names()
SPANS = ("entity_f1", "entity_f1_relaxed", "entity_precision", "entity_recall")
NUMBERS = ("mae", "pearson", "rmse", "spearman")
SETS = ("exact_match", "micro_f1")
STATISTICS = (*SPANS, "pearson", "spearman", "rmse", "macro_f1", "micro_f1", "calibration_error")


def answers(name: str, generator: np.random.Generator) -> tuple[str, str]:
    """An expected and an answered text of the kind that a metric reads, alike in most rows."""

    def text() -> str:
        if name in SPANS:
            return json.dumps([[int(at), int(at + 3), "x"] for at in generator.integers(0, 20, size=2)])
        if name in NUMBERS:
            return str(generator.integers(0, 9) / 2)
        if name in SETS:
            return json.dumps(sorted({f"l{at}" for at in generator.integers(0, 5, size=2)}))
        return str(generator.choice(["spam", "ham", "the cat sat", NONE_OF_THESE]))

    expected = text()
    return expected, expected if generator.random() < 0.6 else text()


def systems(name: str, num_rows: int) -> tuple[list[Outcome], list[Outcome]]:
    """What two systems did with the same rows."""
    generator = np.random.default_rng(17)
    made: tuple[list[Outcome], list[Outcome]] = ([], [])
    for place in range(num_rows):
        expected, _ = answers(name, generator)
        weight, num_bytes = float(generator.integers(1, 9)), int(generator.integers(1, 30))
        for rows in made:
            row = Outcome(
                f"rows.jsonl:{place}",
                expected,
                expected if generator.random() < 0.6 else answers(name, generator)[1],
                loss=weight * float(generator.exponential()),
                weight=weight,
                probability=float(generator.beta(5, 2)),
                num_bytes=num_bytes,
                rank=int(generator.integers(0, 14)),
                expected_probability=float(generator.beta(5, 2)),
                right=weight * ((3 * place + place // 5 * (rows is made[1])) % 8) / 8,
            )
            rows.append(row)
    return made


def repeated(rows: Sequence[Outcome], counts: NDArray[np.float64]) -> list[Outcome]:
    return [row for row, count in zip(rows, counts, strict=True) for _ in range(int(count))]


@pytest.mark.parametrize("name", ALL)
def test_the_value_alone_is_that_of_the_estimate_and_lies_in_its_interval(name: str) -> None:
    rows, _ = systems(name, 40)
    estimate = find_metric(name).estimate(rows)
    assert find_metric(name).value(rows) == pytest.approx(estimate.value, abs=1e-12)
    low, high = estimate.interval
    assert low < estimate.value < high


@pytest.mark.parametrize("name", ALL)
def test_a_comparison_is_the_difference_of_two_values_either_way(name: str) -> None:
    metric = find_metric(name)
    a, b = systems(name, 40)
    ahead, behind = metric.compare(a, b), metric.compare(b, a)
    assert ahead.value == pytest.approx(metric.value(a) - metric.value(b), abs=1e-12)
    assert behind.value == pytest.approx(-ahead.value, abs=1e-9)
    assert ahead.value != 0.0
    assert 0.0 < ahead.p == pytest.approx(behind.p, abs=1e-12)
    low, high = ahead.interval
    assert low < high
    if name != "perplexity":  # told around the second system's
        assert behind.interval == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_a_system_does_not_differ_from_itself(name: str) -> None:
    rows, _ = systems(name, 20)
    found = find_metric(name).compare(rows, rows)
    assert (found.value, found.p) == (0.0, 1.0)
    assert found.interval == (0.0, 0.0)


@pytest.mark.parametrize("name", ALL)
def test_neither_the_order_of_rows_nor_their_doubling_changes_a_value(name: str) -> None:
    metric = find_metric(name)
    rows, _ = systems(name, 30)
    assert metric.value(rows[::-1]) == pytest.approx(metric.value(rows), abs=1e-12)
    assert metric.value([*rows, *rows]) == pytest.approx(metric.value(rows), abs=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_systems_with_other_rows_are_not_compared(name: str) -> None:
    a, b = systems(name, 12)
    with pytest.raises(ValueError, match="pair up"):
        find_metric(name).compare(a, [*b, *b])


def captured(name: str, a: list[Outcome], b: list[Outcome], monkeypatch: pytest.MonkeyPatch) -> Statistic:
    """The statistic of both systems' rows that a comparison is made from."""
    monkeypatch.setattr(making, "compare_statistic", lambda _, statistic: statistic)
    return find_metric(name).compare(a, b)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_drawn_row_counts_as_often_as_it_is_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = find_metric(name).value
    a, b = systems(name, 15)
    statistic = captured(name, a, b, monkeypatch)
    generator = np.random.default_rng(1)
    # So few rows that whole labels are missing in some draws.
    counts_DR = (generator.integers(1, 4, size=(12, 15)) * (generator.random((12, 15)) < 0.4)).astype(float)
    counts_DR[:, 0] += 1.0
    nothing = np.zeros_like(counts_DR)
    of_a, of_b = statistic(np.hstack([counts_DR, nothing])), statistic(np.hstack([nothing, counts_DR]))
    assert of_a.tolist() == pytest.approx([value(repeated(a, counts)) for counts in counts_DR], abs=1e-9)
    assert of_b.tolist() == pytest.approx([value(repeated(b, counts)) for counts in counts_DR], abs=1e-9)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_one_row_drawn_again_and_again_correlates_with_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statistic = captured(name, *systems(name, 40), monkeypatch)
    one_each = np.eye(40, 80)
    for times in (1.0, 3.0, 7.0):
        assert statistic(times * one_each).tolist() == [0.0] * 40


@pytest.mark.parametrize("name", [name for name in STATISTICS if name not in ("pearson", "spearman")])
def test_swapped_rows_are_scored_as_one_system(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = find_metric(name).value
    a, b = systems(name, 15)
    statistic = captured(name, a, b, monkeypatch)
    stays = np.random.default_rng(2).integers(0, 2, size=15).astype(float)
    mixed = [one if stay else other for one, other, stay in zip(a, b, stays, strict=True)]
    swapped = statistic(np.concatenate([stays, 1.0 - stays])[None])
    assert swapped[0] == pytest.approx(value(mixed), abs=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_every_number_fits_into_json(name: str) -> None:
    for num_rows in (1, 2, 3):
        a, b = systems(name, num_rows)
        scores, paired = score({"a": a, "b": b}, [name], [("a", "b")])
        numbers = [*scores["a"][name]["interval"], scores["a"][name]["value"], *paired[0]["interval"], paired[0]["p"]]
        assert all(math.isfinite(number) for number in numbers)


def test_the_score_is_plain_data_of_every_system_and_pair() -> None:
    a, b = systems("accuracy", 12)
    scores, paired = score({"tuned": a, "base": b}, ["accuracy", "loss"], [("tuned", "base")])
    assert {system: list(of_system) for system, of_system in scores.items()} == {
        "tuned": ["accuracy", "loss"],
        "base": ["accuracy", "loss"],
    }
    assert scores["tuned"]["accuracy"] == find_metric("accuracy").estimate(a).as_json()
    assert [list(pair) for pair in paired] == [["a", "b", "metric", "difference", "interval", "p"]] * 2
    assert [(pair["a"], pair["b"], pair["metric"]) for pair in paired] == [
        ("tuned", "base", "accuracy"),
        ("tuned", "base", "loss"),
    ]


def test_an_unknown_metric_is_refused_with_its_neighbours() -> None:
    with pytest.raises(UnknownName, match="entity_f1"):
        find_metric("entity_f2")


def test_the_terminal_knows_which_scores_are_better_when_lower() -> None:
    assert {name for name in ALL if not find_metric(name).is_higher_better} == set(LOWER_IS_BETTER)


def test_a_report_from_before_ranks_is_still_read() -> None:
    a, _ = systems("accuracy", 2)
    report = Report("b", "classify", "d", 2, {}, {"tuned": a}, {}, [], [], "2026-01-01")
    stored = json.loads(encode_report(report))
    for row in stored["outcomes"]["tuned"]:
        del row["rank"], row["expected_probability"]
    read = decode_report(json.dumps(stored).encode(), "report.json").outcomes["tuned"]
    assert [(row.rank, row.expected_probability) for row in read] == [(0, 0.0), (0, 0.0)]
    assert [(row.source, row.answer, row.loss) for row in read] == [(row.source, row.answer, row.loss) for row in a]
    assert decode_report(encode_report(report), "report.json") == report
