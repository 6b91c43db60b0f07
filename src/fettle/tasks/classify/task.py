"""classify: a text gets one label of a closed set, or every label of it that fits."""

from __future__ import annotations

from collections.abc import Sequence

from fettle.data.records import NONE_OF_THESE, LabelledText, MultiLabelledText, Record, Row, labels_of
from fettle.errors import RequestError
from fettle.tasks.classify.candidates import CANDIDATES
from fettle.tasks.classify.head import HEAD, SEVERAL
from fettle.tasks.task import AUTO, Survey, Task, survey_labels


def _survey(rows: Sequence[Row]) -> Survey:
    """The labels of the rows. That of rows outside all others is one of them where rows to learn from have it."""
    learned = {label for row in rows if row.part != "validation" for label in labels_of(row.record)}
    unlearned = {NONE_OF_THESE} - learned
    return survey_labels(label for row in rows for label in labels_of(row.record) if label not in unlearned)


def _choose(wanted: str, is_decoder: bool, rows: Sequence[Row]) -> str:
    has_several = any(isinstance(row.record, MultiLabelledText) for row in rows)
    if has_several and wanted in (AUTO, HEAD.name):
        return SEVERAL.name
    if has_several and wanted == CANDIDATES.name:
        raise RequestError(
            "some rows have several labels, and a model that writes answers with one",
            where="method",
            attempt=f"method={SEVERAL.name}",
        )
    if wanted == AUTO:
        return CANDIDATES.name if is_decoder else HEAD.name
    return wanted


def _question(text: str) -> Record:
    return LabelledText(text, "")


TASK = Task("classify", (CANDIDATES, HEAD, SEVERAL), _survey, _question, _choose)
