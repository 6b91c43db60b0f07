"""embed: texts become vectors that lie near each other where the texts belong together."""

from __future__ import annotations

from collections.abc import Sequence

from fettle.data.records import Record, Row, TextPair
from fettle.errors import RequestError
from fettle.tasks.embed.ranked import RANKED
from fettle.tasks.embed.scored import SCORED
from fettle.tasks.task import AUTO, Task, no_survey


def _choose(wanted: str, _is_decoder: bool, rows: Sequence[Row]) -> str:
    """By the rows: all have scores, or none has."""
    have_scores = {row.record.score is not None for row in rows if isinstance(row.record, TextPair)}
    if len(have_scores) > 1:
        raise RequestError(
            "some rows have a score and some do not",
            where="data",
            expected="rows of one kind",
            attempt="a version of those rows alone: fettle data clean",
        )
    fitting = SCORED.name if True in have_scores else RANKED.name
    if wanted in (RANKED.name, SCORED.name) and have_scores and wanted != fitting:
        what = "have scores" if fitting == SCORED.name else "have no scores"
        raise RequestError(f"the rows {what}", where="method", expected=f"method={fitting}")
    return fitting if wanted == AUTO else wanted


def _cannot_learn(record: Record) -> str:
    return "" if isinstance(record, TextPair) else f"it is no pair of texts ({type(record).__name__})"


def _question(text: str) -> Record:
    return TextPair(text, "")


TASK = Task("embed", (RANKED, SCORED), no_survey, _question, _choose, cannot_learn=_cannot_learn)
