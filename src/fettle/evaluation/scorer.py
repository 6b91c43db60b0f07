"""Outcomes become scores: each metric by name, with its interval, and paired differences between systems.

Metrics are registered in one table; a plug-in adds to it by entry point (`fettle.metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from fettle.errors import UnknownName, near_misses
from fettle.evaluation.metric import Metric, Outcomes
from fettle.evaluation.metrics import calibration, entities, labels, losses, numbers, ranks, texts

_FAMILIES = (labels, entities, numbers, ranks, calibration, losses, texts)
_TABLE: dict[str, Metric] = {metric.name: metric for family in _FAMILIES for metric in family.METRICS}


def score(
    outcomes: Mapping[str, Outcomes], names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[dict[str, dict[str, dict[str, object]]], list[dict[str, object]]]:
    """Every metric of every system, and every metric of every pair, as plain data."""
    chosen = [find_metric(name) for name in names]
    scores = {
        system: {metric.name: metric.estimate(rows).as_json() for metric in chosen} for system, rows in outcomes.items()
    }
    paired = [
        {"a": a, "b": b, "metric": metric.name, **metric.compare(outcomes[a], outcomes[b]).as_json()}
        for a, b in pairs
        for metric in chosen
    ]
    return scores, paired


def metric_names() -> list[str]:
    """The names of the built-in metrics, sorted."""
    return sorted(_TABLE)


def find_metric(name: str) -> Metric:
    """The metric of that name."""
    if name in _TABLE:
        return _TABLE[name]
    for point in entry_points(group="fettle.metrics", name=name):
        plugged: Metric = point.load()
        return plugged
    raise UnknownName(f"there is no metric {name!r}", expected=f"one of: {near_misses(name, _TABLE)}")
