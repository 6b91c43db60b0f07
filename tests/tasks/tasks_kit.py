"""What the tests of the tasks share: terms for a model, as a plan with few settings would make them."""

from __future__ import annotations

from fettle.app.planning import PlanSettings
from fettle.app.preparing.terms import make_terms as terms_of_plan
from fettle.models.load import OpenModel
from fettle.tasks.task import Survey, Terms


def make_terms(model: OpenModel, labels: tuple[str, ...] = (), max_length: int = 256, **prompt: object) -> Terms:
    """Terms with these labels, each as common as the others, and settings of the prompt."""
    settings = PlanSettings.model_validate(
        {"task": "any", "data": "any", "prompt": prompt, "decoding": {"max_new_tokens": 6}}
    )
    survey = Survey(labels, (1,) * len(labels))
    return terms_of_plan(settings, model.tokenizer, survey, model.attention, max_length)
