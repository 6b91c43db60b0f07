"""fettle models, fettle recipes, fettle runs: what there is."""

from __future__ import annotations

import typer
from rich.markup import escape

from fettle.app.listing import base_cards, base_facts, run_facts
from fettle.app.planning import recipe_names, resolve_plan, show_recipe
from fettle.cli.command import JSON, OUT, new_app, print_json, run_app
from fettle.storage.workspace import open_workspace

models_app = new_app("Base models: bundled ones and the bundles of this workspace.")
recipes_app = new_app("Recipes: named starting points.")
runs_app = new_app("Runs of this workspace.")


def run(name: str, words: list[str]) -> int:
    """Run `fettle models`, `fettle recipes` or `fettle runs`."""
    return run_app({"models": models_app, "recipes": recipes_app, "runs": runs_app}, name, words)


@models_app.command("list")
def models_list(json: bool = JSON) -> None:
    """List what `base=` can name without a network.

    \b
    fettle models list
    fettle models list --json
    """
    cards = base_cards(open_workspace())
    if json:
        print_json(cards)
        return
    for card in cards:
        OUT.print(f"{card['name']}  {card['kind']}  {escape(str(card['about']))}", highlight=False)
    OUT.print(
        "also: base=/folder/of/a/model, base=owner/name from the hub, base=random:… for fresh weights, "
        "base=new for one made from the rows",
        style="dim",
    )


@models_app.command("show")
def models_show(base: str = typer.Argument(..., help="Anything that base= takes."), json: bool = JSON) -> None:
    """Show one base: where it lies, its shape, its fingerprint.

    \b
    fettle models show bundled
    fettle models show /models/smollm2
    """
    facts = base_facts(open_workspace(), base)
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        OUT.print(f"{name:>24}  {escape(str(value))}", highlight=False)


@recipes_app.command("list")
def recipes_list(json: bool = JSON) -> None:
    """List the recipes.

    \b
    fettle recipes list
    """
    firsts = {name: show_recipe(name).splitlines()[0].removeprefix("# ") for name in recipe_names()}
    if json:
        print_json(firsts)
        return
    for name, first in firsts.items():
        OUT.print(f"{name:<16} {escape(first)}", highlight=False)


@recipes_app.command("show")
def recipes_show(name: str, json: bool = JSON) -> None:
    """Show a recipe, and every setting that it leaves at its default.

    \b
    fettle recipes show classify
    """
    plan = resolve_plan(name, ["data=NAME"])
    if json:
        print_json([vars(setting) for setting in plan.explained()])
        return
    OUT.print(show_recipe(name), markup=False, highlight=False)
    for setting in plan.explained():
        if setting.origin == "default":
            OUT.print(f"[dim]{setting.key} = {escape(repr(setting.value))}  {escape(setting.text)}[/]", highlight=False)


@runs_app.command("list")
def runs_list(json: bool = JSON) -> None:
    """List runs, oldest first.

    \b
    fettle runs list
    """
    runs = open_workspace().catalogue.runs()
    if json:
        print_json([vars(one) for one in runs])
        return
    for one in runs:
        OUT.print(f"{one.name:<20} {one.state:<8} {one.recipe:<14} {one.updated_at}", highlight=False)
    if not runs:
        OUT.print("no runs yet; fettle train RECIPE data=NAME")


@runs_app.command("show")
def runs_show(name: str, json: bool = JSON) -> None:
    """Show one run: its state, the held-out scores on its way, its checkpoints.

    \b
    fettle runs show blue-heron
    """
    facts = run_facts(open_workspace(), name)
    if json:
        print_json(facts)
        return
    OUT.print(
        f"[bold]{name}[/]  {facts['state']}  {facts['recipe']}  {facts['bundle'] or ''}",
        highlight=False,
        soft_wrap=True,
    )
    looks = facts["held_out"]
    for look in looks if isinstance(looks, list) else []:
        OUT.print(
            f"  step {look['step']}: " + "  ".join(f"{k} {v:.3f}" for k, v in look["scores"].items()), highlight=False
        )
    OUT.print(f"  checkpoints: {facts['checkpoints']}", highlight=False)
