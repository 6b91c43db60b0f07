"""The table of forms: every way to write examples for others, by name."""

from __future__ import annotations

from fettle.data.exports.form import Form, Kind
from fettle.data.exports.providers import PROVIDER_FORMS
from fettle.data.exports.tables import TABLE_FORMS
from fettle.data.exports.texts import TEXT_FORMS
from fettle.data.exports.trainers import TRAINER_FORMS
from fettle.errors import UnknownName, near_misses

FORMS: dict[str, Form] = {form.name: form for form in (*PROVIDER_FORMS, *TRAINER_FORMS, *TEXT_FORMS, *TABLE_FORMS)}


def find_form(name: str) -> Form:
    """The form of that name.

    >>> find_form("openai-chat").suffixes
    ('.jsonl',)
    """
    if name not in FORMS:
        raise UnknownName(f"there is no form {name!r}", expected=f"one of: {near_misses(name, FORMS, 30)}")
    return FORMS[name]


def forms_for(kind: Kind) -> list[str]:
    """The names of the forms that take records of a kind.

    >>> from fettle.data.records import JudgedSteps
    >>> forms_for(JudgedSteps)
    ['trl', 'csv', 'tsv', 'xlsx', 'parquet', 'jsonl', 'review']
    """
    return [name for name, form in FORMS.items() if kind in form.rules]
