"""What heads read from pooled texts: losses and gradients are those of transformers and torch on padded rows."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tasks_kit import make_terms
from torch import Tensor
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from transformers import AutoModel

from fettle.data.records import LabelledText, MultiLabelledText, Record, ScoredText, labels_of
from fettle.models.head import fresh_head
from fettle.models.load import OpenModel, open_model
from fettle.tasks.classify.head import HEAD, SEVERAL
from fettle.tasks.classify.samples import LABELLED_SAMPLES, SAMPLES_OF_SEVERAL
from fettle.tasks.contract import make_bases
from fettle.tasks.score.task import HEAD as SCORE
from fettle.tasks.score.task import survey_scores
from fettle.tasks.task import Method, Survey, Terms, survey_labels
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch
from fettle.training.losses.heads import class_losses, label_losses, number_losses
from precision_kit import Lifted

LAYOUTS = {"decoder": ("tree", "packed", "padded"), "encoder": ("packed", "padded")}
POOLINGS = ("first", "last", "mean")
SCORED = tuple(
    ScoredText(text, score, other)
    for text, score, other in (
        ("where is my parcel?", 1.5, ""),
        ("where is my parcel and when will it arrive?", 4.0, ""),
        ("where is my parcel?", -2.25, "it has not come yet"),
        ("", 0.0, ""),
    )
)
Gradients = dict[str, Tensor]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A decoder and an encoder with one vocabulary, with weights that tell rows apart."""
    folders = make_bases(tmp_path_factory.mktemp("bases"))
    for folder in folders.values():
        network = open_model(folder, "trunk", random_seed=3).network
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())) * 0.2)
        network.save_pretrained(folder)
    return folders


def terms_for(model: OpenModel, survey: Survey, **settings: object) -> Terms:
    """Terms without noise; `settings` are those of the head, or the smoothing of labels."""
    terms = make_terms(model, survey.labels, max_length=128)
    smoothing = settings.pop("label_smoothing", 0.0)
    head = terms.head.model_copy(update={"dropout": 0.0, **settings})
    training = terms.training.model_copy(update={"label_smoothing": smoothing})
    return replace(terms, survey=survey, head=head, training=training)


def opened(folder: Path, method: Method, survey: Survey, dtype: torch.dtype) -> OpenModel:
    model = open_model(folder, "trunk")
    model.network.to(dtype).eval()
    assert method.head is not None
    model.head = fresh_head(method.head(terms_for(model, survey)), model.width, seed=2).to(dtype)
    with torch.no_grad():
        model.head.bias.add_(0.25)
    return model


def ours(
    model: OpenModel, method: Method, terms: Terms, records: tuple[Record, ...], layout: str
) -> tuple[float, Gradients]:
    """Loss and gradients of a step over these records, in one call."""
    examples = [one for record in records for one in method.encoder(terms).examples(record, "f:1")]
    objective = method.objective(terms, layout)
    (total,) = objective.weigh(examples).values()
    (loss,) = objective.sums(model, make_batch(examples, layout)).values()
    (loss / total).backward()
    found = {name: weight.grad for name, weight in model.trainable().items() if weight.grad is not None}
    return float(loss.detach()) / total, found


def plain_numbers(
    folder: Path, model: OpenModel, examples: list[Example], pooling: str, dtype: torch.dtype
) -> tuple[Tensor, Gradients]:
    """Numbers [N, K] of padded rows through transformers as it is, and the weights to differentiate by."""
    network = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    assert model.head is not None
    head = {f"head.{name}": weight.detach().clone().requires_grad_() for name, weight in model.head.named_parameters()}
    longest = max(example.num_tokens for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.int64)
    is_real = torch.zeros_like(ids)
    for row, example in enumerate(examples):
        ids[row, : example.num_tokens] = torch.from_numpy(example.ids)
        is_real[row, : example.num_tokens] = 1
    hidden = network(input_ids=ids, attention_mask=is_real).last_hidden_state
    if pooling == "mean":
        shares = (is_real / is_real.sum(1, keepdim=True)).to(dtype)  # in float32 first, as examples hold them
        pooled = torch.einsum("nt,ntd->nd", shares, hidden)
    else:
        pooled = hidden[torch.arange(len(examples)), 0 if pooling == "first" else is_real.sum(1) - 1]
    numbers = pooled @ head["head.weight"].T + head["head.bias"]
    return numbers, {**dict(network.named_parameters()), **head}


def apart(first: Gradients, second: Gradients) -> float:
    """The largest difference of any gradient, over the largest gradient."""
    largest = max(float(gradient.abs().max()) for gradient in second.values())
    return max(float((first[name] - second[name]).abs().max()) for name in first) / largest


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float32, 1e-6), (torch.float64, 1e-9)])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("base", ["encoder", "decoder"])
def test_loss_and_gradient_are_those_of_padded_rows_in_plain_transformers(
    bases: dict[str, Path], base: str, pooling: str, dtype: torch.dtype, bar: float
) -> None:
    survey = survey_labels(label for record in LABELLED_SAMPLES for label in labels_of(record))
    lifted = Lifted(only_softmax=False) if dtype is torch.float64 else nullcontext()
    with lifted:
        for layout in LAYOUTS[base]:
            model = opened(bases[base], HEAD, survey, dtype)
            terms = terms_for(model, survey, pooling=pooling, label_smoothing=0.1)
            examples = [one for record in LABELLED_SAMPLES for one in HEAD.encoder(terms).examples(record, "f:1")]
            numbers, weights = plain_numbers(bases[base], model, examples, pooling, dtype)
            expected = torch.tensor([survey.labels.index(record.label) for record in LABELLED_SAMPLES])
            wanted = CrossEntropyLoss(label_smoothing=0.1)(numbers, expected)
            wanted.backward()
            gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}

            loss, found = ours(model, HEAD, terms, LABELLED_SAMPLES, layout)

            assert loss == pytest.approx(float(wanted.detach()), rel=bar, abs=0)
            assert found.keys() <= gradients.keys()
            assert apart(found, gradients) <= bar, layout


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_balanced_classes_are_the_class_weights_of_torch(smoothing: float) -> None:
    """Sum over rows, divided by their weights: torch's weighted mean. The smoothed part is not weighted alike there."""
    draw = torch.Generator().manual_seed(5)
    numbers = torch.randn(30, 3, generator=draw, dtype=torch.float64)
    expected = torch.randint(0, 3, (30,), generator=draw)
    names = ("a", "b", "c")
    survey = survey_labels(names[int(number)] for number in expected)
    weights = torch.tensor([survey.weight_of(name) for name in names], dtype=torch.float64)
    losses = class_losses(numbers, expected[:, None].double(), smoothing)
    found = losses @ weights[expected] / weights[expected].sum()
    if smoothing == 0:
        wanted = CrossEntropyLoss(weight=weights)(numbers, expected)
    else:
        single = CrossEntropyLoss(label_smoothing=smoothing)
        rows = [single(numbers[row : row + 1], expected[row : row + 1]) for row in range(30)]
        wanted = torch.stack(rows) @ weights[expected] / weights[expected].sum()
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)
    counts = torch.bincount(expected, minlength=3)
    torch.testing.assert_close(counts * weights, torch.full((3,), 10.0, dtype=torch.float64))


def test_a_step_of_balanced_classes_is_that_of_torch(bases: dict[str, Path]) -> None:
    """From the setting to the loss, in float64."""
    survey = survey_labels(label for record in LABELLED_SAMPLES for label in labels_of(record))
    model = opened(bases["encoder"], HEAD, survey, torch.float64)
    terms = terms_for(model, survey, class_weights="balanced")
    examples = [one for record in LABELLED_SAMPLES for one in HEAD.encoder(terms).examples(record, "f:1")]
    numbers, _ = plain_numbers(bases["encoder"], model, examples, "mean", torch.float64)
    weights = torch.tensor([8 / (3 * count) for count in survey.counts], dtype=torch.float64)
    expected = torch.tensor([survey.labels.index(record.label) for record in LABELLED_SAMPLES])
    wanted = CrossEntropyLoss(weight=weights)(numbers, expected)
    loss, _ = ours(model, HEAD, terms, LABELLED_SAMPLES, "packed")
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-9)
    assert loss != pytest.approx(float(CrossEntropyLoss()(numbers, expected).detach()), rel=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_labels_cost_what_torch_says_each_label_costs(smoothing: float) -> None:
    draw = torch.Generator().manual_seed(6)
    numbers = torch.randn(20, 4, generator=draw, dtype=torch.float64)
    expected = torch.randint(0, 2, (20, 4), generator=draw).double()
    softened = expected * (1 - smoothing) + (1 - expected) * smoothing / 2 + expected * smoothing / 2
    wanted = BCEWithLogitsLoss()(numbers, softened)
    assert float(label_losses(numbers, expected, smoothing).mean()) == pytest.approx(float(wanted), rel=1e-9)


def test_a_row_of_several_labels_weighs_as_its_rarest_one(bases: dict[str, Path]) -> None:
    survey = survey_labels(label for record in SAMPLES_OF_SEVERAL for label in labels_of(record))
    terms = terms_for(open_model(bases["encoder"], "trunk"), survey, class_weights="balanced")
    encoder = SEVERAL.encoder(terms)
    for record in SAMPLES_OF_SEVERAL:
        (found,) = encoder.examples(record, "f:1")
        weights = [sum(survey.counts) / (len(survey.labels) * count) for count in survey.counts]
        mine = [weights[survey.labels.index(label)] for label in labels_of(record)]
        assert found.target is not None
        assert found.target.weight == pytest.approx(max(mine, default=1.0))
        assert found.target.values.tolist() == [float(label in labels_of(record)) for label in survey.labels]


@pytest.mark.parametrize("base", ["encoder", "decoder"])
def test_the_loss_of_scores_is_the_squared_error_in_units_of_their_spread(bases: dict[str, Path], base: str) -> None:
    scores = np.asarray([record.score for record in SCORED])
    survey = Survey(center=float(scores.mean()), spread=float(scores.std()))
    with Lifted(only_softmax=False):
        for layout in LAYOUTS[base]:
            model = opened(bases[base], SCORE, survey, torch.float64)
            terms = terms_for(model, survey, pooling="mean")
            examples = [one for record in SCORED for one in SCORE.encoder(terms).examples(record, "f:1")]
            held = torch.tensor([float(one.target.values[0]) for one in examples if one.target], dtype=torch.float64)
            torch.testing.assert_close(held.numpy(), (scores - survey.center) / survey.spread, rtol=1e-6, atol=1e-7)
            if base == "encoder":
                examples = [replace(one, kinds=None) for one in examples]
            numbers, weights = plain_numbers(bases[base], model, examples, "mean", torch.float64)
            wanted = torch.nn.MSELoss()(numbers[:, 0], held)
            wanted.backward()
            gradients = {name: weight.grad for name, weight in weights.items() if weight.grad is not None}

            loss, found = ours(model, SCORE, terms, SCORED, layout)

            assert loss == pytest.approx(float(wanted.detach()), rel=1e-9)
            assert apart(found, gradients) <= 1e-9


def test_the_gradient_of_every_loss_is_its_own_slope() -> None:
    draw = torch.Generator().manual_seed(7)
    numbers = torch.randn(5, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    classes = torch.randint(0, 3, (5, 1), generator=draw).double()
    wanted = torch.rand(5, 3, generator=draw, dtype=torch.float64)
    for losses in (
        lambda given: class_losses(given, classes, 0.1),
        lambda given: label_losses(given, wanted.round(), 0.1),
        lambda given: number_losses(given, wanted),
    ):
        assert torch.autograd.gradcheck(losses, (numbers,))


@pytest.mark.parametrize(("center", "spread"), [(0.0, 1.0), (100.0, 0.01), (1.7e9, 86400.0)])
def test_what_is_learned_does_not_depend_on_the_unit_of_scores(
    bases: dict[str, Path], center: float, spread: float
) -> None:
    """Prices in cents, or times in seconds: loss and gradient are those of the same scores in any other unit."""
    rescaled = tuple(ScoredText(one.text, center + spread * one.score, one.other) for one in SCORED)
    found = []
    for records in (SCORED, rescaled):
        scores = np.asarray([record.score for record in records])
        survey = Survey(center=float(scores.mean()), spread=float(scores.std()))
        model = opened(bases["encoder"], SCORE, survey, torch.float32)
        found.append(ours(model, SCORE, terms_for(model, survey), records, "packed"))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert apart(found[1][1], found[0][1]) <= 1e-5


def test_a_label_that_was_never_learned_has_no_weight_and_is_still_read(bases: dict[str, Path]) -> None:
    model = open_model(bases["encoder"], "trunk")
    terms = terms_for(model, Survey(("a", "b"), (1, 1)))
    (one,) = HEAD.encoder(terms).examples(LabelledText("hello", "c"), "f:1")
    (several,) = SEVERAL.encoder(terms).examples(MultiLabelledText("hello", ("b", "c")), "f:1")
    assert (one.learned_weight, several.learned_weight) == (0.0, 1.0)
    assert several.target is not None
    assert several.target.values.tolist() == [0.0, 1.0]
    assert not math.isnan(one.reads.weight.sum())
    assert survey_scores([]).spread == 1.0
