"""What must lie in the wheel lies there: the base, the examples, the recipes, the migrations."""

import fnmatch
from pathlib import Path

import pytest
from source_tree import PACKAGE, ROOT, project

try:
    from hatchling.builders.wheel import WheelBuilder
except ModuleNotFoundError:
    WheelBuilder = None

WANTED = ("bases", "examples", "recipes", "reporting/templates", "storage/migrations")
NOT_WANTED = ("__pycache__", ".pyc", ".fettle", "tests/")


def files_of(folder: str) -> list[Path]:
    """The files of a folder of the package."""
    return [path for path in (PACKAGE / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_the_folders_are_there():
    for folder in WANTED:
        assert files_of(folder), folder
    assert (PACKAGE / "bases" / "base-v0" / "model.safetensors").stat().st_size > 1_000_000
    assert (PACKAGE / "examples" / "shop" / "messages.jsonl").is_file()


@pytest.mark.skipif(WheelBuilder is None, reason="the build backend is not installed here")
def test_the_wheel_holds_them():
    held = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    wanted = {path.relative_to(PACKAGE.parent).as_posix() for folder in WANTED for path in files_of(folder)}
    assert not wanted - held
    assert not [path for path in held if any(part in path for part in NOT_WANTED)]


def test_the_project_ships_the_whole_package():
    """Hatchling takes every file of a package but those that git ignores."""
    wheel = project()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["src/fettle"]}
    patterns = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split() if line[0] != "#"]
    shipped = [path.relative_to(ROOT) for folder in WANTED for path in files_of(folder)]
    ignored = [
        path.as_posix()
        for path in shipped
        for pattern in patterns
        if any(fnmatch.fnmatch(part, pattern) for part in path.parts)
    ]
    assert not ignored


def test_the_exact_set_is_within_the_ranges():
    """constraints.txt pins every package that the project asks for, and takes torch without a build's name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert lines[0].startswith("#")
    assert pins == sorted(pins, key=str.lower)
    assert all(line.count("==") == 1 and "+" not in line for line in pins)
    names = {line.partition("==")[0].lower().replace("_", "-") for line in pins}
    extras = project()["project"]["optional-dependencies"]
    asked = [*project()["project"]["dependencies"], *extras["train"], *extras["dev"]]
    assert not [word for word in asked if word.partition(">=")[0].lower().replace("_", "-") not in names]
