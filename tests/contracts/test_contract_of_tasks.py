"""Every method of every task, those of plug-ins that are installed too, keeps every law of the contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fettle.tasks import contract
from fettle.tasks.contract import LAWS, Case, Law, cases_of, make_bases
from fettle.tasks.table import open_task, task_names
from fettle.tokens.example import Example


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_bases(tmp_path_factory.mktemp("bases"))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", task_names())
def test_every_method_keeps_the_law(name: str, law: Law, bases: dict[str, Path]) -> None:
    proved = 0
    for case in cases_of(open_task(name), bases):
        law(case)
        proved += 1
    assert proved >= 1


def _case(bases: dict[str, Path], base: str = "encoder") -> Case:
    return next(case for case in cases_of(open_task("classify"), bases) if case.base == base and case.model.head)


def _broken_encoder(case: Case, change: object) -> Case:
    made = case.method.encoder

    class Broken:
        def __init__(self, terms: object) -> None:
            self._whole = made(terms)

        def examples(self, record: object, source: str) -> list[Example]:
            return [change(example) for example in self._whole.examples(record, source)]

        def expected(self, record: object) -> str:
            return self._whole.expected(record)

    return replace(case, method=replace(case.method, encoder=Broken))


def _broken_objective(case: Case, change: object) -> Case:
    made = case.method.objective

    def make(terms: object, layout: object) -> object:
        objective = made(terms, layout)
        sums = objective.sums
        objective.sums = lambda model, batch: {name: change(value, batch) for name, value in sums(model, batch).items()}
        return objective

    return replace(case, method=replace(case.method, objective=make))


BREAKS = {
    "samples_are_learned": lambda case: _broken_encoder(case, lambda example: replace(example, source="")),
    "calls_change_nothing": lambda case: _broken_objective(case, lambda value, batch: value / len(batch.examples)),
    "readers_agree": lambda case: _broken_objective(case, lambda value, _batch: value * 1.01),
    "samples_can_be_learned_by_heart": lambda case: _broken_objective(case, lambda value, _batch: value * 0 + 1),
}


@pytest.mark.parametrize("law", BREAKS)
def test_a_method_that_breaks_the_law_is_found_out(law: str, bases: dict[str, Path]) -> None:
    broken = BREAKS[law](_case(bases))
    with pytest.raises(AssertionError):
        getattr(contract, law)(broken)


def test_a_metric_that_is_not_best_where_all_is_right_is_found_out(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contract.find_metric("accuracy")
    monkeypatch.setattr(contract, "find_metric", lambda _name: replace(whole, value=lambda _outcomes: 0.5))
    with pytest.raises(AssertionError, match=r"accuracy is 0\.5"):
        contract.what_is_expected_is_best(_case(bases))


def test_the_laws_are_told_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert contract.main(["chat"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(LAWS)
    assert all(line.endswith("holds") for line in told)
