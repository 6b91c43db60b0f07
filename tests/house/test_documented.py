"""Every public thing says what it is for; every setting has its line; every recipe plans."""

import ast
import inspect

import pytest
from source_tree import sources

import fettle
from fettle.app.planning import PlanSettings, recipe_names, resolve_plan, show_recipe
from fettle.config.resolve import Layer, documented_keys, explain, resolve
from fettle.tasks.table import task_names

# Defaults that a recipe says again. The list may shrink and never grow.
REPEATED_DEFAULTS: dict[str, set[str]] = {}


def is_protocol(node: ast.ClassDef) -> bool:
    """Whether a class only declares what others do."""
    return any(getattr(base, "id", getattr(base, "attr", "")) == "Protocol" for base in node.bases)


def said_by_protocols() -> set[str]:
    """Methods that a Protocol of the house explains; who does them need not say it again."""
    return {
        method.name
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and is_protocol(node)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    }


def undocumented(body: list[ast.stmt], prefix: str, said: set[str]) -> list[str]:
    """Public definitions without a docstring, methods of public classes included."""
    found = []
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not (prefix and node.name in said):
            found.append(prefix + node.name)
        if isinstance(node, ast.ClassDef):
            found += undocumented(node.body, f"{node.name}.", set() if is_protocol(node) else said)
    return found


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_every_public_thing_has_a_docstring(source):
    assert ast.get_docstring(source.tree), "a module opens by saying what it does"
    assert not undocumented(source.tree.body, "", said_by_protocols())


def settings_classes() -> list[tuple[str, ast.ClassDef]]:
    """Every settings type of the house, with its file."""
    return [
        (source.name, node)
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "Settings" for base in node.bases)
    ]


def test_every_setting_has_its_line_under_it():
    names = {node.name for _, node in settings_classes()}
    silent = []
    for file, node in settings_classes():
        for at, field in enumerate(node.body):
            if not isinstance(field, ast.AnnAssign) or ast.unparse(field.annotation) in names:
                continue
            below = node.body[at + 1] if at + 1 < len(node.body) else None
            if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
                silent.append(f"{file}: {node.name}.{ast.unparse(field.target)}")
    assert not silent


def test_every_setting_of_a_plan_is_explained_to_people():
    keys = documented_keys(PlanSettings)
    assert not [key for key, text in keys.items() if not text]
    assert not [key for key, text in keys.items() if not text.endswith((".", "?"))]


def test_every_setting_is_in_a_config_file_or_in_the_plan():
    assert {file for file, _ in settings_classes() if not file.endswith("/config.py")} <= {"app/planning.py"}


@pytest.mark.parametrize("name", fettle.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    assert inspect.getdoc(getattr(fettle, name))


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="trian"):
        _ = fettle.trian


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_plans(name):
    plan = resolve_plan(name, ["data=some-set"])
    assert plan.settings.task in task_names()
    assert show_recipe(name).startswith("# "), "a recipe's first line says what it is for"
    assert "default" in plan.resolved.origins.values()


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_only_what_differs(name):
    defaults = {one.key: one.value for one in explain(resolve(PlanSettings, [Layer("", {"task": "", "data": ""})]))}
    stated = [one for one in resolve_plan(name, ["data=some-set"]).explained() if one.origin == f"recipe {name}"]
    repeated = {one.key for one in stated if one.value == defaults[one.key]}
    assert repeated == REPEATED_DEFAULTS.get(name, set()), "a recipe states only what differs from the defaults"


def test_there_is_a_recipe_for_each_task():
    assert {resolve_plan(name, ["data=x"]).settings.task for name in recipe_names()} == set(task_names())
