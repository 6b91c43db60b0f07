"""The detectors that cleaning uses unless it is given others: those of the room below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fettle.cleaning.detectors import Detectors, Redact
from fettle.quality.alike.similar import semantic_pairs, similar_pairs
from fettle.quality.checking import check_by_kind
from fettle.quality.sensitive.personal import find_personal, redact
from fettle.quality.sensitive.standins import Standins


def usual_detectors() -> Detectors:
    """The detectors of the room below."""
    return Detectors(
        find_personal=find_personal,
        new_redact=_new_redact,
        similar_pairs=similar_pairs,
        semantic_pairs=semantic_pairs,
        checks=check_by_kind(),
    )


def _new_redact() -> Redact:
    standins = Standins()

    def redact_with_memory(text: str, found: Sequence[Any], how: str, salt: str) -> str:
        return redact(text, found, how, salt, standins)  # type: ignore[arg-type]

    return redact_with_memory
