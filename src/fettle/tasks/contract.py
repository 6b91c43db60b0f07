"""What every method of every task must keep, a plugged-in one too: laws, each a function that fails with words.

`python -m fettle.tasks.contract NAME` proves a task on its own samples, with a small decoder and a small encoder of
random weights. Gradients are compared in float64.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import BertConfig

from fettle.data.records import TASK_OF_RECORD, PlainText, Record, Row, TextPair, texts_of
from fettle.evaluation.report import Outcome
from fettle.evaluation.scorer import find_metric
from fettle.generation.config import DecodingSettings
from fettle.models.config import HeadSettings, ShapeSettings
from fettle.models.fresh.base import make_fresh_base
from fettle.models.head import fresh_head
from fettle.models.load import OpenModel, open_model
from fettle.tasks.table import open_task, task_names
from fettle.tasks.task import Method, Task, Terms
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import Layout, layout_for
from fettle.training.objective import Call, sums_of_calls

_SHAPE = ShapeSettings(vocabulary=300, width=32, layers=2, heads=2, context=512)
_MASK = "<|mask|>"
_STEPS_TO_OVERFIT = 120
_MOST_DIFFERENCE = 1e-7  # the norms of some architectures compute in float32 whatever they are given
_FOREIGN: tuple[Record, ...] = (PlainText("a text"), TextPair("a text", "another"))


@dataclass(frozen=True)
class Case:
    """One method of a task with one base, and the rows that it is proved on."""

    task: Task
    method: Method
    base: str
    model: OpenModel
    terms: Terms
    rows: tuple[Row, ...]

    def examples(self) -> list[list[Example]]:
        """The rows, each as its examples."""
        encoder = self.method.encoder(self.terms)
        return [encoder.examples(row.record, f"{row.file}:{row.line}") for row in self.rows]


def make_bases(folder: Path) -> dict[str, Path]:
    """A small decoder and a small encoder with one vocabulary: folders without weights."""
    texts = [
        text
        for name in task_names()
        for method in open_task(name).methods
        for one in method.samples
        for text in texts_of(one)
    ]
    files = make_fresh_base(texts, _SHAPE).files
    tokens = json.loads(files["tokenizer.json"])
    config = BertConfig(
        architectures=["BertForMaskedLM"],
        vocab_size=len(tokens["model"]["vocab"]) + 1,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=_SHAPE.context,
        pad_token_id=1,
    )
    settings = {**json.loads(files["tokenizer_config.json"]), "mask_token": _MASK}
    encoder = {
        **files,
        "config.json": config.to_json_string().encode(),
        "tokenizer_config.json": json.dumps(settings).encode(),
    }
    for name, contents in (("decoder", files), ("encoder", encoder)):
        (folder / name).mkdir()
        for file, data in contents.items():
            (folder / name / file).write_bytes(data)
    return {name: folder / name for name in ("decoder", "encoder")}


def cases_of(task: Task, bases: dict[str, Path]) -> Iterator[Case]:
    """Every method of a task, with every base that it can be done by."""
    for method in task.methods:
        rows = tuple(Row(record, "samples", line) for line, record in enumerate(method.samples, start=1))
        for base, folder in bases.items():
            if method.network == {"decoder": "masked", "encoder": "causal"}[base]:
                continue
            model = open_model(folder, method.network, random_seed=1)
            model.network.double()
            terms = Terms(
                tokenizer=model.tokenizer,
                survey=task.survey(rows),
                head=HeadSettings(dropout=0.0),
                decoding=DecodingSettings(max_new_tokens=8),
                attention=model.attention,
                max_length=_SHAPE.context,
            )
            if method.head is not None:
                model.head = fresh_head(method.head(terms), model.width, seed=2).double()
            yield Case(task, method, base, model, terms, rows)


def names_hold(case: Case) -> None:
    """The method is found by its name, and every metric that it names exists."""
    assert case.task.method(case.method.name) is case.method, "another method has the same name"
    for name in (*case.method.metrics, *case.method.looked_at):
        assert find_metric(name).name == name, f"the metric {name} calls itself otherwise"
    assert set(case.method.looked_at) <= set(case.method.metrics), "a look gives what evaluation does not"


def samples_are_learned(case: Case) -> None:
    """At least eight samples, each with examples that fit, name their row and pull on the weights."""
    assert len(case.rows) >= 8, f"{len(case.rows)} samples"
    assert not any(case.task.cannot_learn(row.record) for row in case.rows), "a sample cannot be learned"
    for row, examples in zip(case.rows, case.examples(), strict=True):
        assert examples, f"{row.record} gives no example"
        for example in examples:
            assert example.source == f"{row.file}:{row.line}", "an example forgets its row"
            assert 0 < example.num_tokens <= case.terms.max_length, "an example is empty or too long"
            assert len(example.reads) and example.reads.at.min() >= 0, "an example is read nowhere"
            assert example.reads.at.max() < example.num_tokens, "an example is read beyond its end"
        assert sum(example.learned_weight for example in examples) > 0, f"{row.record} teaches nothing"


def foreign_records_are_refused(case: Case) -> None:
    """A record of another task is a mistake of the program, not a row."""
    encoder = case.method.encoder(case.terms)
    for record in _FOREIGN:
        if TASK_OF_RECORD[type(record)] != TASK_OF_RECORD[type(case.rows[0].record)]:
            try:
                encoder.examples(record, "foreign:1")
            except TypeError:
                continue
            raise AssertionError(f"{type(record).__name__} was encoded")


def calls_change_nothing(case: Case) -> None:
    """Loss and gradient of a step are the same in one call and in one call a row, and in every layout."""
    examples = [example for row in case.examples() for example in row]
    layouts = _layouts(case.terms.attention)
    groups = {"together": [list(range(len(examples)))], "apart": [[place] for place in range(len(examples))]}
    wanted_loss, wanted = _step(case, examples, "padded", groups["together"])
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    assert largest > 0, "no weight is pulled"
    for layout in layouts:
        for how, grouping in groups.items():
            loss, found = _step(case, examples, layout, grouping)
            assert abs(loss - wanted_loss) <= _MOST_DIFFERENCE * max(1.0, abs(wanted_loss)), f"loss, {layout}, {how}"
            for name, gradient in wanted.items():
                apart = float((found[name] - gradient).abs().max()) / largest
                assert apart <= _MOST_DIFFERENCE, f"gradient of {name} differs by {apart:.1e}: {layout}, {how}"


def readers_agree(case: Case) -> None:
    """Without noise, what rows cost when they are read is what the objective has them learn from."""
    rows = case.examples()
    examples = [example for row in rows for example in row]
    layout, _ = layout_for(case.terms.attention)
    learned, _ = _step(case, examples, layout, [list(range(len(examples)))])
    terms = replace(case.terms, dtype=torch.float32)
    costs = case.method.reader(terms).losses(case.model, rows)
    assert len(costs) == len(rows), "a row has no cost"
    read = sum(cost.loss for cost in costs) / sum(cost.weight for cost in costs)
    assert abs(read - learned) <= 1e-5 * max(1.0, abs(learned)), f"{read} is read, {learned} learned"


def answers_stand_alone(case: Case) -> None:
    """One answer a record, in order, each the same alone as among others; and all are told to have been given."""
    answerer = case.method.answerer(case.terms)
    if answerer is None:
        return
    records = [row.record for row in case.rows]
    told: list[int] = []
    together = answerer.answers(case.model, records, told.append)
    assert len(together) == len(records) == sum(told), "not every record was answered"
    if not any(answer.rank for answer in together):  # what is ranked, is ranked among the others
        alone = [answerer.answers(case.model, [record])[0].text for record in records]
        assert [answer.text for answer in together] == alone, "an answer depends on the other rows"


def what_is_expected_is_best(case: Case) -> None:
    """A system that always says what is expected, in the first place, gets the best score there is."""
    encoder = case.method.encoder(case.terms)
    said = [encoder.expected(row.record) for row in case.rows]
    outcomes = [Outcome("", one, one, rank=1) for one in said]
    for name in case.method.looked_at:
        metric = find_metric(name)
        assert abs(metric.value(outcomes) - float(metric.is_higher_better)) < 1e-9, (
            f"{name} is {metric.value(outcomes)}"
        )


def samples_can_be_learned_by_heart(case: Case) -> None:
    """In a few dozen steps on the samples the loss falls to a small part."""
    examples = [example for row in case.examples() for example in row]
    layout, _ = layout_for(case.terms.attention)
    optimizer = torch.optim.AdamW(case.model.trainable().values(), lr=3e-3, weight_decay=0.0)
    first, _ = _step(case, examples, layout, [list(range(len(examples)))])
    for _ in range(_STEPS_TO_OVERFIT):
        _step(case, examples, layout, [list(range(len(examples)))], keep=True)
        optimizer.step()
        optimizer.zero_grad()
    last, _ = _step(case, examples, layout, [list(range(len(examples)))])
    assert last < 0.2 * first, f"the loss fell from {first:.3f} to {last:.3f} only"


Law = Callable[[Case], None]
LAWS: tuple[Law, ...] = (
    names_hold,
    samples_are_learned,
    foreign_records_are_refused,
    calls_change_nothing,
    readers_agree,
    answers_stand_alone,
    what_is_expected_is_best,
    samples_can_be_learned_by_heart,
)


def _layouts(attention: str) -> list[Layout]:
    """Those that an attention allows, the reference first."""
    known: dict[str, list[Layout]] = {"causal": ["padded", "packed", "tree"], "bidirectional": ["padded", "packed"]}
    return known.get(attention, ["padded"])


def _step(
    case: Case, examples: Sequence[Example], layout: Layout, groups: Sequence[Sequence[int]], *, keep: bool = False
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step, its rows grouped into calls so; `keep` leaves the gradients in the weights."""
    case.model.network.eval()  # no noise
    objective = case.method.objective(case.terms, layout)
    calls = [Call(make_batch([examples[place] for place in group], layout), group) for group in groups]
    totals = objective.weigh(examples)
    loss = 0.0
    for sums in sums_of_calls(objective, case.model, calls, torch.manual_seed):
        part = torch.stack([value / totals[name] for name, value in sums.items()]).sum()
        part.backward()  # type: ignore[no-untyped-call]
        loss += float(part.detach())
    weights = case.model.trainable()
    found = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    if not keep:
        for weight in weights.values():
            weight.grad = None
    return loss, found


def main(names: Sequence[str]) -> int:
    """Prove tasks by name, and print what held and what did not."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        bases = make_bases(Path(folder))
        for name in names or task_names():
            for law in LAWS:
                for case in cases_of(open_task(name), bases):
                    try:
                        law(case)
                        verdict = "holds"
                    except AssertionError as problem:
                        verdict, failed = f"FAILS: {problem}", failed + 1
                    sys.stdout.write(f"{name} {case.method.name} {case.base}: {law.__name__}: {verdict}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
