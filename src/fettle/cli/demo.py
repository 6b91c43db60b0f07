"""fettle demo, fettle doctor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from fettle.cli.command import ERR, JSON, OUT, new_app, print_json, run_app
from fettle.cli.main import LazyModule
from fettle.cli.show import show_scores
from fettle.cli.training import show_preflight

if TYPE_CHECKING:
    from fettle.app import demo, doctor
    from fettle.app.planning import ResolvedPlan
    from fettle.app.preflight import Preflight
    from fettle.app.running import RunResult
    from fettle.app.workshop.importing import ImportResult
    from fettle.cli import progress as showing
    from fettle.evaluation.report import Report
else:
    demo = LazyModule("fettle.app.demo")
    doctor = LazyModule("fettle.app.doctor")
    showing = LazyModule("fettle.cli.progress")

demo_app = new_app("The whole trip on the bundled base and examples.")
doctor_app = new_app("What this machine can do, and what to mend.")


def run(name: str, words: list[str]) -> int:
    """Run `fettle demo` or `fettle doctor`."""
    return run_app({"demo": demo_app, "doctor": doctor_app}, name, words)


@demo_app.command()
def demo_command(json: bool = JSON) -> None:
    """Import, plan, train, score and use, on what ships with fettle. A few minutes on two cores; no network.

    \b
    fettle demo
    fettle demo --json
    """
    teller = _Silent() if json else _Loud()
    with showing.TrainingProgress() as first, showing.TrainingProgress() as second:
        watchers = iter([first, second])
        result = demo.run_demo(teller, lambda: next(watchers), None if json else showing.count_rows)
    if json:
        print_json(result.as_json())
        return
    _show_end(result)


@doctor_app.command()
def doctor_command(json: bool = JSON) -> int:
    """Look at Python, torch, devices, memory, disk and known faults; exit 1 when something must be mended.

    \b
    fettle doctor
    fettle doctor --json
    """
    findings = doctor.examine(Path(os.environ.get("FETTLE_HOME") or ".fettle"))
    if json:
        print_json([finding.as_json() for finding in findings])
    else:
        colours = {"good": "green", "warning": "yellow", "missing": "red"}
        for finding in findings:
            OUT.print(
                f"[{colours[finding.state]}]{finding.state:<8}[/] {finding.subject:<13} {escape(finding.text)}",
                highlight=False,
            )
            if finding.mend:
                OUT.print(f"{'':<22} {escape(finding.mend)}", style="bold", highlight=False)
    return 1 if any(finding.state == "missing" for finding in findings) else 0


class _Silent:
    """Says only which station is reached, on stderr."""

    def on_station(self, title: str, text: str) -> None:
        ERR.print(title, markup=False, highlight=False)

    def on_import(self, result: ImportResult) -> None:
        return

    def on_plan(self, plan: ResolvedPlan, preflight: Preflight) -> None:
        return

    def on_trained(self, result: RunResult) -> None:
        return

    def on_report(self, report: Report) -> None:
        return

    def on_exchange(self, exchange: demo.Exchange) -> None:
        return


class _Loud(_Silent):
    """Shows every station."""

    def on_station(self, title: str, text: str) -> None:
        OUT.print(f"\n[bold]{escape(title)}[/]  [dim]{escape(text)}[/]", highlight=False)

    def on_import(self, result: ImportResult) -> None:
        why = next(iter(result.recognised.values()))
        OUT.print(
            f"{result.version.label}: {result.rows_kept} rows kept, {result.rows_refused} refused",
            highlight=False,
        )
        OUT.print(f"  {why}", style="dim", markup=False, highlight=False)

    def on_plan(self, plan: ResolvedPlan, preflight: Preflight) -> None:
        show_preflight(plan, preflight)

    def on_trained(self, result: RunResult) -> None:
        OUT.print(
            f"{result.progress.step} steps in {result.progress.seconds:.0f} s; kept step {result.progress.best_step}",
            highlight=False,
        )

    def on_report(self, report: Report) -> None:
        show_scores(report.as_json())

    def on_exchange(self, exchange: demo.Exchange) -> None:
        OUT.print(f"[bold]customer>[/] {escape(exchange.question)}", highlight=False)
        OUT.print(f"[bold]base>[/]     [dim]{escape(' '.join(exchange.base.split())[:300])}[/]", highlight=False)
        OUT.print(f"[bold]tuned>[/]    {escape(exchange.tuned)}\n", highlight=False)


def _show_end(result: demo.DemoResult) -> None:
    OUT.print(f"\n[bold]Done in {result.seconds:.0f} s.[/] Intents, before and after:", highlight=False)
    show_scores(result.report.as_json())
    for name, path in result.bundles.items():
        OUT.print(f"{name}: {path}", highlight=False, soft_wrap=True)
    home = f"FETTLE_HOME={result.home}"
    OUT.print("\ngo on with", style="bold")
    for command in ("chat replies --compare", "chat intents", "evaluate replies", "runs show intents"):
        OUT.print(f"  {home} fettle {command}", highlight=False, soft_wrap=True)
    OUT.print("  fettle data import YOUR-FILE.csv --name mine", highlight=False)
