"""Layers of settings become one frozen settings object, and every value keeps its origin.

Order: default < recipe < file < `key=value`. All faults of all layers are collected before anything stops.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from fettle.config.read import Tree, flatten, place
from fettle.config.settings import Settings
from fettle.errors import Fault, RequestError, near_misses

SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Layer:
    """Settings from one place. `origin` is what people are shown: a recipe's name, a file, "command line"."""

    origin: str
    tree: Tree


@dataclass(frozen=True)
class Resolved(Generic[SettingsT]):
    """A settings object, with the origin of every dotted key ("default" where no layer spoke)."""

    settings: SettingsT
    origins: Mapping[str, str]


@dataclass(frozen=True)
class Explained:
    """One setting, as it is shown to people."""

    key: str
    value: object
    origin: str
    text: str


def resolve(kind: type[SettingsT], layers: Sequence[Layer]) -> Resolved[SettingsT]:
    """Merge layers, later ones winning key by key; refuse unknown keys with their neighbours named."""
    known = documented_keys(kind)
    faults: list[Fault] = []
    merged: Tree = {}
    origins = dict.fromkeys(known, "default")
    for layer in layers:
        for key, value in flatten(layer.tree).items():
            if key not in known:
                faults.append(_unknown(key, layer.origin, known))
                continue
            place(merged, key, value)
            origins[key] = layer.origin
    try:
        settings = kind.model_validate(merged)
    except ValidationError as problem:
        faults += [
            _invalid(error["loc"], error["msg"], error.get("input"), origins, known) for error in problem.errors()
        ]
    refuse_settings(faults)
    return Resolved(settings, origins)


def refuse_settings(faults: Sequence[Fault]) -> None:
    """Raise what is wrong with settings: one fault as it is, several together. Without any, do nothing."""
    if not faults:
        return
    first = faults[0]
    raise RequestError(
        first.problem if len(faults) == 1 else f"{len(faults)} settings are wrong",
        where=first.file if len(faults) == 1 else "",
        expected=first.expected if len(faults) == 1 else "",
        attempt=first.attempt if len(faults) == 1 else "",
        faults=faults,
    )


def explain(resolved: Resolved[SettingsT]) -> list[Explained]:
    """Every setting with its value, origin and meaning, in the order in which the classes state them."""
    texts = documented_keys(type(resolved.settings))
    flat = flatten(resolved.settings.model_dump())
    return [Explained(key, flat.get(key), resolved.origins[key], text) for key, text in texts.items()]


def documented_keys(kind: type[Settings], prefix: str = "") -> dict[str, str]:
    """Every dotted key of a settings type, with the line that explains it."""
    keys: dict[str, str] = {}
    for name, field in kind.model_fields.items():
        inner = _settings_type(field.annotation)
        if inner is not None:
            keys.update(documented_keys(inner, f"{prefix}{name}."))
        else:
            keys[f"{prefix}{name}"] = " ".join((field.description or "").split())
    return keys


def _settings_type(annotation: object) -> type[Settings] | None:
    candidates = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Settings):
            return candidate
    return None


def _unknown(key: str, origin: str, known: Mapping[str, str]) -> Fault:
    leaf = key.rsplit(".", 1)[-1]
    same_leaf = [name for name in known if name.rsplit(".", 1)[-1] == leaf]
    return Fault(origin, 0, f"there is no setting {key!r}", "", ", ".join(same_leaf) or near_misses(key, known))


def _invalid(
    loc: Sequence[int | str], message: str, given: object, origins: Mapping[str, str], known: Mapping[str, str]
) -> Fault:
    key = ".".join(str(part) for part in loc if isinstance(part, str))
    problem = f"{key} is missing" if message == "Field required" else f"{key} = {given!r}: {message}"
    return Fault(origins.get(key, "settings"), 0, problem, known.get(key, ""), f"{key}=VALUE")
