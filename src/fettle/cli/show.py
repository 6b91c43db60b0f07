"""Plain data on a terminal: tables of scores and settings, rows token by token, faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fettle.cli.command import OUT
from fettle.errors import Fault

LOWER_IS_BETTER = ("loss", "log_loss", "perplexity", "bits_per_byte", "rmse", "mae", "calibration_error")
_MOST_FAULTS = 10
_MOST_TOKENS = 240


def show_scores(report: Mapping[str, Any]) -> None:
    """A report as a table: a row a metric, a column a system, and the paired difference with its test."""
    systems = list(report["systems"])
    table = Table(title=f"{report['n']} held-out rows of {report['data']}", title_justify="left", title_style="bold")
    table.add_column("metric")
    for system in systems:
        table.add_column(system, justify="right")
    table.add_column("tuned - base", justify="right")
    table.add_column("p", justify="right")
    pairs = {pair["metric"]: pair for pair in report["paired"]}
    for metric in report["systems"][systems[0]]:
        cells = [_estimate(report["systems"][system][metric]) for system in systems]
        pair = pairs.get(metric)
        table.add_row(metric, *cells, *((_difference(metric, pair), _p(pair["p"])) if pair else ("", "")))
    OUT.print(table)
    OUT.print("Brackets: 95 % intervals. p: paired test on the same rows.", style="dim")
    goal = report["goal"]
    if goal["words"]:
        least = f", by at least {goal['least_gain']}" if goal["least_gain"] is not None else ""
        OUT.print(f"goal, fixed before training: {goal['words']} ({goal['metric']}{least})", markup=False)
    for note in report["notes"]:
        OUT.print(f"note: {note}", style="yellow", markup=False)


def show_settings(settings: Iterable[Any], everything: bool) -> None:
    """Settings with value, origin and meaning; without `everything`, only those that somebody chose."""
    table = Table(show_header=True, box=None, padding=(0, 2, 0, 0))
    for name in ("setting", "value", "from", "meaning"):
        table.add_column(name, overflow="fold", style="dim" if name == "meaning" else "")
    hidden = 0
    for setting in settings:
        if not everything and setting.origin == "default":
            hidden += 1
            continue
        table.add_row(setting.key, escape(str(setting.value)), escape(setting.origin), escape(setting.text))
    OUT.print(table)
    if hidden:
        OUT.print(f"{hidden} settings stand at their defaults; --all shows them", style="dim")


def show_tokens(source: str, tokens: Sequence[Any]) -> None:
    """A row as the model sees it, a long one without its middle. Learned tokens stand out by colour and by brackets."""
    text = Text()
    is_open = False
    num_hidden = max(0, len(tokens) - _MOST_TOKENS)
    for place, token in enumerate(tokens):
        if 0 <= place - _MOST_TOKENS // 2 < num_hidden:
            if place == _MOST_TOKENS // 2:
                text.append(f" … {num_hidden} tokens … ", style="dim italic")
            continue
        if token.is_learned != is_open:
            text.append("⟦" if token.is_learned else "⟧", style="bold green")
            is_open = token.is_learned
        style = "bold green" if token.is_learned else "dim"
        text.append(
            token.text.replace("\n", "⏎\n"), style=f"{style} underline" if token.is_stop and token.is_learned else style
        )
    if is_open:
        text.append("⟧", style="bold green")
    OUT.print(f"[bold]{escape(source)}[/] ({len(tokens)} tokens, {sum(token.is_learned for token in tokens)} learned)")
    OUT.print(text)


def show_faults(faults: Sequence[Fault]) -> None:
    """The first faults in full, and how many more there are."""
    for fault in faults[:_MOST_FAULTS]:
        OUT.print(str(fault), markup=False, highlight=False, soft_wrap=True)
    if len(faults) > _MOST_FAULTS:
        OUT.print(f"and {len(faults) - _MOST_FAULTS} more", style="dim")


def _estimate(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return f"{_number(estimate['value'])} [{_number(low)}, {_number(high)}]".replace("[", r"\[")


def _difference(metric: str, pair: Mapping[str, Any]) -> str:
    low, high = pair["interval"]
    is_better = (pair["difference"] < 0) == (metric in LOWER_IS_BETTER)
    sure = low > 0 or high < 0
    colour = ("green" if is_better else "red") if sure else "default"
    body = (
        f"{pair['difference']:+.3f} \\[{low:+.3f}, {high:+.3f}]"
        if abs(pair["difference"]) < 100
        else f"{pair['difference']:+.0f}"
    )
    return f"[{colour}]{body}[/{colour}]"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "<0.001"
