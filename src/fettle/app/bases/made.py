"""Bases that were made, found again: sealed folders of the workspace, each under the hash of what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fettle.errors import DamagedFile, UnknownName, near_misses
from fettle.models.config import NEW_BASE, VECTORS_BASE
from fettle.storage.sealed import MANIFEST as SEAL
from fettle.storage.sealed import read_sealed
from fettle.storage.workspace import Workspace

_KINDS = (NEW_BASE, VECTORS_BASE)
_MAKES_IT_AGAIN = {
    NEW_BASE: "base=new with the same data and the same shape.* makes the same one again",
    VECTORS_BASE: "the same base= (a file, or a way to learn vectors) with the same vectors.* makes the same one again",
}


def find_made_base(workspace: Workspace, reference: str) -> Path | None:
    """The folder of a base that was made (`new:KEY`, `vectors:KEY`); None where the reference means no such base.

    Every byte of it is held against the hashes that were written when it was made.
    """
    kind, colon, key = reference.partition(":")
    if kind not in _KINDS or not colon:
        return None
    folder = workspace.bases / key
    if not key.isalnum() or not (folder / SEAL).is_file():
        names = [f"{kind}:{path.name}" for path in workspace.bases.iterdir() if not path.name.startswith(".")]
        raise UnknownName(
            f"there is no base {reference!r} in this workspace",
            expected=f"one of: {near_misses(reference, names) or 'none yet'}",
            attempt=_MAKES_IT_AGAIN[kind],
        )
    read_sealed(folder)
    return folder


def made_base_cards(workspace: Workspace) -> list[dict[str, object]]:
    """What there is of them, by name, with what each was made from."""
    cards: list[dict[str, object]] = []
    for path in sorted(workspace.bases.glob(f"*/{SEAL}")):
        kind = NEW_BASE
        try:
            facts: dict[str, Any] = read_sealed(path.parent)
            kind = str(facts.get("kind", NEW_BASE))
            if kind == VECTORS_BASE:
                about = f"{facts['num_words']:,} word vectors ({facts['way']}) from {facts['data']}"
            else:
                about = f"fresh weights, {facts['num_tokens']:,} tokens learned from {facts['data']}"
        except DamagedFile as problem:
            about = f"damaged: {problem.problem}"
        cards.append({"name": f"{kind}:{path.parent.name}", "kind": kind, "about": about})
    return cards
