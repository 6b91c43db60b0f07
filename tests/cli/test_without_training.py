"""Where the part that trains is not installed, all else works, and the rest says the line that installs it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

PIP = 'pip install "fettle-llm[train]"'
# Python imports this by itself before anything else. What it hides is neither importable nor installed.
HIDE = """
import importlib.metadata
import sys

HIDDEN = {"torch", "transformers", "peft", "safetensors", "accelerate", "tokenizers", "huggingface_hub"}


class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def version(name, found=importlib.metadata.version):
    if name in HIDDEN:
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)


sys.meta_path.insert(0, Hidden())
importlib.metadata.version = version
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def fettle(tmp_path_factory):
    """Run a command in a process without the part that trains, in a workspace with the dataset `tickets`."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    (folder / "tickets.csv").write_text("text,label\nhello,greet\nbye,leave\nwhere,ask\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder), "FETTLE_HOME": str(folder / "home")}

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "fettle.cli.main", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    imported = run("data", "import", "tickets.csv", "--name", "tickets", "--json")
    assert imported.code == 0, imported.err
    return run


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "--version",
        "data list",
        "data show tickets",
        "data split tickets",
        "recipes list",
        "recipes show classify",
        "models list",
        "models show bundled",
        "runs list",
        "train --help",
        "plan --help",
        "demo --help",
        "doctor --help",
    ],
)
def test_what_needs_no_model_works(fettle, words):
    done = fettle(*words.split())
    assert done.code == 0, done.err
    assert done.out


def test_the_doctor_says_what_is_missing_and_the_line_that_mends_it(fettle):
    done = fettle("doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(done.out)}
    assert done.code == 1
    assert findings["torch"]["state"] == "missing"
    assert findings["torch"]["mend"] == PIP
    assert "torch build" not in findings
    assert PIP in fettle("doctor").out


def test_a_plan_resolves_and_says_what_it_could_not_look_at(fettle):
    done = fettle("plan", "classify", "data=tickets", "training.epochs=2")
    assert done.code == 0
    assert "command line" in done.out
    assert "not looked at" in done.out
    assert PIP in done.out


def test_a_plan_for_programs_says_so_too(fettle):
    document = json.loads(fettle("plan", "classify", "data=tickets", "--json").out)
    assert document["settings"]["data"] == "tickets"
    assert document["preflight"] is None
    assert document["not_looked_at"]["try"] == PIP


def test_a_wrong_plan_is_refused_all_the_same(fettle):
    done = fettle("plan", "classify", "data=tickets", "training.epoch=2")
    assert done.code == 2
    assert "training.epochs" in done.err


@pytest.mark.parametrize(
    "words",
    [
        "train classify data=tickets",
        "demo",
        "evaluate x",
        "predict x tickets.csv --out o.csv",
        "chat x",
        "export x --to hf --out o",
    ],
)
def test_what_needs_a_model_fails_with_the_line_to_type(fettle, words):
    done = fettle(*words.split())
    assert done.code == 3
    assert done.out == ""
    assert PIP in done.err


@pytest.mark.parametrize("words", ["train classify data=tickets", "demo", "evaluate x"])
def test_programs_are_told_the_same(fettle, words):
    done = fettle(*words.split(), "--json")
    assert done.code == 3
    assert json.loads(done.out)["error"]["try"] == PIP


def test_a_stored_report_is_shown_without_it(fettle):
    assert PIP not in fettle("evaluate", "x", "--show").err
