"""Written answers: those of transformers, whatever stands beside them in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from fettle.generation.config import DecodingSettings
from fettle.generation.decoding import Completion, complete, stream
from fettle.models.load import OpenModel, open_model

STOPS = frozenset({0, 3})
draw = np.random.default_rng(0)
PROMPTS = [draw.integers(4, 381, draw.integers(1, 24)).tolist() for _ in range(40)]
GREEDY = DecodingSettings(max_new_tokens=12)


@pytest.fixture
def model(tiny_base: Path) -> OpenModel:
    return open_model(tiny_base)


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()


@pytest.fixture
def stopping(model: OpenModel) -> OpenModel:
    """A model that stops now and then: tokens that it writes anyway are taken for its stops."""
    free = complete(model, PROMPTS, GREEDY)
    model.tokenizer.stop_ids = STOPS | {free[place].ids[place % 5] for place in (3, 8, 20)}
    return model


def theirs(plain: PreTrainedModel, prompt: list[int], stops: frozenset[int], most: int) -> Completion:
    ids = torch.tensor([prompt])
    written = plain.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=sorted(stops),
        pad_token_id=1,
    )[0, len(prompt) :].tolist()
    is_complete = written[-1] in stops
    return Completion(tuple(written[:-1] if is_complete else written), is_complete)


def test_greedy_equals_transformers_alone_and_in_a_batch(stopping: OpenModel, plain: PreTrainedModel) -> None:
    told: list[int] = []
    together = complete(stopping, PROMPTS, GREEDY, progress=told.append)
    alone = [complete(stopping, [prompt], GREEDY)[0] for prompt in PROMPTS]
    wanted = [theirs(plain, prompt, stopping.tokenizer.stop_ids, 12) for prompt in PROMPTS]
    assert alone == wanted
    assert together == wanted
    assert sum(told) == len(PROMPTS)
    assert {answer.is_complete for answer in wanted} == {True, False}


def test_an_answer_ends_before_its_stop_and_is_complete_only_there(stopping: OpenModel) -> None:
    for answer in complete(stopping, PROMPTS, GREEDY):
        assert not set(answer.ids) & stopping.tokenizer.stop_ids
        assert answer.is_complete or len(answer.ids) == GREEDY.max_new_tokens


def test_the_row_beside_it_does_not_take_an_answers_room(model: OpenModel, plain: PreTrainedModel) -> None:
    context = model.context_length
    model.tokenizer.stop_ids = frozenset({999})
    long = draw.integers(4, 381, context + 5).tolist()
    prompts = [PROMPTS[0], long[: context - 4], PROMPTS[1], long[:context], long, long[: context - 1]]
    answers = complete(model, prompts, GREEDY)
    assert [len(answer.ids) for answer in answers] == [12, 4, 12, 0, 0, 1]
    assert not any(answer.is_complete for answer in answers)
    for place in (0, 1, 2, 5):
        assert answers[place].ids == theirs(plain, prompts[place], frozenset({999}), len(answers[place].ids)).ids


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_stream_hands_over_the_tokens_of_the_answer(stopping: OpenModel, temperature: float) -> None:
    settings = DecodingSettings(max_new_tokens=12, temperature=temperature)
    for prompt in PROMPTS[:8]:
        heard: list[int] = []
        answer = stream(stopping, prompt, settings, heard.append, seed=4)
        assert tuple(heard) == answer.ids
        assert answer == complete(stopping, [prompt], settings, seed=4)[0]


def test_drawing_depends_on_the_seed_and_on_nothing_else(model: OpenModel) -> None:
    settings = DecodingSettings(max_new_tokens=8, temperature=1.0)
    torch.manual_seed(1)
    one = complete(model, PROMPTS, settings, seed=5)
    torch.manual_seed(2)
    assert complete(model, PROMPTS, settings, seed=5) == one
    assert complete(model, PROMPTS, settings, seed=6) != one
    assert complete(model, PROMPTS, GREEDY, seed=5) == complete(model, PROMPTS, GREEDY, seed=6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tokens_are_drawn_as_often_as_their_share(model: OpenModel, plain: PreTrainedModel, temperature: float) -> None:
    model.tokenizer.stop_ids = frozenset({999})
    count = 1600
    settings = DecodingSettings(max_new_tokens=1, temperature=temperature)
    drawn = [answer.ids[0] for answer in complete(model, [PROMPTS[2]] * count, settings)]
    with torch.no_grad():
        shares = (plain(torch.tensor([PROMPTS[2]])).logits[0, -1] / temperature).softmax(-1)
    for token in shares.topk(3).indices.tolist():
        share = shares[token].item()
        assert abs(drawn.count(token) / count - share) < 4.5 * (share * (1 - share) / count) ** 0.5


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_writing_leaves_mode_and_chance_as_they_were(tiny_base: Path, is_training: bool, temperature: float) -> None:
    model = open_model(tiny_base, dropout=0.5)
    model.network.train(is_training)
    settings = DecodingSettings(max_new_tokens=5, temperature=temperature)
    before = torch.get_rng_state()
    one = complete(model, PROMPTS[:3], settings)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.network.training == is_training
    assert complete(model, PROMPTS[:3], settings) == one, "dropout is on while an answer is written"


def test_no_prompts_are_no_answers(model: OpenModel) -> None:
    assert complete(model, [], GREEDY) == []
