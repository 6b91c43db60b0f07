"""fettle plan, fettle train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from fettle.app.planning import ResolvedPlan, resolve_plan
from fettle.cli.command import JSON, OUT, new_app, print_json, run_app
from fettle.cli.main import LazyModule, missing_training
from fettle.cli.show import show_settings, show_tokens
from fettle.errors import RequestError
from fettle.storage.workspace import open_workspace

if TYPE_CHECKING:
    from fettle.app import preflight as looking
    from fettle.app import running
    from fettle.app.preparing import rows as preparing
    from fettle.cli import progress as showing
else:
    looking = LazyModule("fettle.app.preflight")
    preparing = LazyModule("fettle.app.preparing.rows")
    running = LazyModule("fettle.app.running")
    showing = LazyModule("fettle.cli.progress")

plan_app = new_app("Resolve a recipe and look at what it would do.")
train_app = new_app("Train as a recipe says.")


def run(name: str, words: list[str]) -> int:
    """Run `fettle plan` or `fettle train`."""
    return run_app({"plan": plan_app, "train": train_app}, name, words)


@plan_app.command()
def plan_command(
    recipe: str = typer.Argument(..., help="A recipe's name, or a .toml file."),
    settings: list[str] = typer.Argument(None, help="KEY=VALUE, over the recipe."),
    everything: bool = typer.Option(False, "--all", help="Show settings at their defaults too."),
    json: bool = JSON,
) -> None:
    """Show every setting and its origin, and every token with what is learned marked; train nothing.

    \b
    fettle plan classify data=tickets
    fettle plan chat data=mail base=/models/smollm2 training.epochs=2
    fettle plan my-recipe.toml --all
    """
    plan = resolve_plan(recipe, settings or [])
    try:
        prepared = preparing.prepare(open_workspace(), plan.settings)
    except ModuleNotFoundError as problem:
        missing = missing_training(str(problem.name))
        if json:
            print_json({**plan.as_json(), "preflight": None, "not_looked_at": missing.as_json()})
            return
        show_settings(plan.explained(), everything)
        OUT.print(f"not looked at: tokens, rows, memory. {missing}", markup=False)
        return
    preflight = looking.inspect(prepared, plan.settings)
    if json:
        print_json({**plan.as_json(), "base": prepared.source.as_json(), "preflight": preflight.as_json()})
        return
    show_settings(plan.explained(), everything)
    show_preflight(plan, preflight)


@train_app.command()
def train_command(
    recipe: str = typer.Argument(None, help="A recipe's name, or a .toml file."),
    settings: list[str] = typer.Argument(None, help="KEY=VALUE, over the recipe."),
    name: str = typer.Option(None, "--name", help="Name of the run and its bundle."),
    resume: str = typer.Option(None, "--resume", help="Go on with this run from its last checkpoint."),
    fork: str = typer.Option(None, "--from", help="RUN@STEP: begin with the weights of a step of another run."),
    json: bool = JSON,
) -> int:
    """Train as RECIPE says; leave a bundle that can be scored and used.

    \b
    fettle train classify data=tickets
    fettle train chat data=mail training.max_steps=50 --name first-try
    fettle train --resume blue-heron
    """
    workspace = open_workspace()
    with showing.TrainingProgress() as progress:
        if resume:
            if recipe:
                raise RequestError("--resume takes the plan of the run", where=recipe, attempt="leave the recipe out")
            result = running.resume_run(workspace, resume, [progress])
        elif recipe:
            plan = resolve_plan(recipe, settings or [])
            result = running.start_run(workspace, plan, name, [progress], _fork(fork))
        else:
            raise RequestError("no recipe", expected="fettle train RECIPE", attempt="fettle recipes list")
    if json:
        print_json(result.as_json())
    else:
        show_result(result)
    return 0


def show_preflight(plan: ResolvedPlan, preflight: looking.Preflight) -> None:
    """What the plan would do, for people."""
    machine = preflight.machine
    goal = plan.settings.goal
    OUT.print()
    if goal.words:
        OUT.print(f"goal: {escape(goal.words)}")
    rows = ", ".join(f"{count} {name}" for name, count in preflight.rows.items())
    split = f", {preflight.num_split} split into {preflight.num_sections} sections" if preflight.num_split else ""
    OUT.print(f"rows: {rows}; {sum(preflight.lost.values())} lost, {preflight.num_cut} cut{split}", highlight=False)
    for reason, count in preflight.lost.items():
        OUT.print(f"  {count} rows lost: {reason}")
    if preflight.made_base:
        made = preflight.made_base
        OUT.print(
            f"base: made from the rows: {made.num_tokens:,} tokens, {made.num_weights / 1e6:.1f} M fresh weights",
            highlight=False,
        )
    weights = preflight.weights
    OUT.print(f"weights: {weights.learning:,} learn; the base has {weights.base:,}", highlight=False)
    if preflight.made_vectors:
        table = preflight.made_vectors
        OUT.print(
            f"base: {table.num_words:,} word vectors of {table.size} numbers ({table.way}) from {escape(table.data)}; "
            f"{table.unknown_share:.3f} of the rows' words are not among them",
            highlight=False,
        )
    OUT.print(
        f"tokens: {preflight.num_tokens:,} read, {preflight.num_learned:,} learned each epoch; "
        f"longest row {preflight.longest}, most allowed {preflight.max_length}",
        highlight=False,
    )
    if preflight.share_with_stop is not None:
        OUT.print(f"stop token: learned on {preflight.share_with_stop:.3f} of the rows", highlight=False)
    if preflight.labels:
        shown = ", ".join(preflight.labels[:12]) + (" …" if len(preflight.labels) > 12 else "")
        OUT.print(f"labels: {len(preflight.labels)}: {shown}", markup=False, highlight=False)
    sharing = f", which saves {1 - 1 / machine.sharing:.0%} of the tokens" if machine.sharing > 1 else ""
    OUT.print(f"method: {preflight.method}", highlight=False)
    OUT.print(f"layout: {machine.layout}: {machine.layout_reason}{sharing}", highlight=False)
    compiled = "compiled" if machine.is_compiled else "not compiled"
    OUT.print(
        f"machine: {machine.device}, {machine.threads} threads, {machine.dtype}, {compiled}: {machine.compile_reason}",
        highlight=False,
    )
    OUT.print(
        f"steps: {machine.num_steps}, a look at the held-out rows every {machine.look_every_steps}", highlight=False
    )
    OUT.print("\nwhat the model sees; learned tokens stand in ⟦ ⟧:", style="bold")
    for source, tokens in preflight.shown:
        show_tokens(source, tokens)
    for warning in preflight.warnings:
        OUT.print(f"warning: {warning}", style="yellow", markup=False)


def show_result(result: running.RunResult) -> None:
    """How a run ended, and what to do next."""
    progress = result.progress
    if result.bundle is None:
        OUT.print(f"paused at step {progress.step}; go on with: fettle train --resume {result.run}", highlight=False)
        return
    OUT.print(
        f"{result.run}: {progress.step} steps in {progress.seconds:.0f} s, "
        f"at most {result.peak_memory_bytes / 2**30:.1f} GiB",
        highlight=False,
    )
    OUT.print(f"bundle: {result.bundle.path}", highlight=False, soft_wrap=True)
    OUT.print(f"next: fettle evaluate {result.run}", highlight=False)


def _fork(word: str | None) -> tuple[str, int] | None:
    if not word:
        return None
    run_name, sign, step = word.rpartition("@")
    if not sign or not step.isdigit():
        raise RequestError(f"{word!r} names no step of a run", where="--from", expected="RUN@STEP")
    return run_name, int(step)
