"""fettle: make a language model your own.

The Python face: five calls that do what the commands of the same name do. They are loaded when they are first asked
for, so that importing fettle is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fettle.face import evaluate, import_data, load, plan, split_data, train

__all__ = ["evaluate", "import_data", "load", "plan", "split_data", "train"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'fettle' has no attribute {name!r}")
    return getattr(import_module("fettle.face"), name)
