"""Compiled layers say and learn what uncompiled ones do, at any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fettle.models.forward import only_reading, plain_head, read_hidden, read_logits
from fettle.models.layers import compile_layers, repeated_layers, uncompiled
from fettle.models.load import OpenModel, open_model
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch
from fettle.tokens.layout import lay_out
from fettle.training.losses.tokens import LossShape, summed_cross_entropy

# The compiler uses what torch has deprecated, and looks at the gradients of tensors that have none to know them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning"),
    pytest.mark.usefixtures("never_compiled"),
]
CPU = torch.device("cpu")


def rows(seed: int, count: int, longest: int) -> list[Example]:
    """Rows with a beginning in common, read after every other token."""
    draw = np.random.default_rng(seed)
    beginning = draw.integers(4, 380, 6)
    examples = []
    for _ in range(count):
        ids = np.concatenate([beginning, draw.integers(4, 380, draw.integers(1, longest))])
        at = list(range(0, len(ids), 2))
        examples.append(Example(ids, TokenReads.of(at, draw.integers(4, 380, len(at)).tolist(), [1.0] * len(at))))
    return examples


def learn(model: OpenModel, examples: list[Example]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one call, as the objective has them."""
    batch = make_batch(examples, "tree")
    inputs = lay_out(batch, "tree", CPU)
    head = plain_head(model.network)
    assert head is not None
    tokens_R, weights_R = torch.from_numpy(batch.reads.token), torch.from_numpy(batch.reads.weight)
    model.network.zero_grad()
    loss = summed_cross_entropy(read_hidden(model.network, inputs), head, tokens_R, weights_R, LossShape())
    loss.backward()
    return float(loss.detach()), {name: weight.grad.clone() for name, weight in model.trainable().items()}


def read(model: OpenModel, examples: list[Example]) -> Tensor:
    with only_reading(model.network):
        return read_logits(model.network, lay_out(make_batch(examples, "tree"), "tree", CPU)).clone()


def test_compiled_layers_learn_the_same_at_any_length(tiny_base: Path) -> None:
    plain, compiled = open_model(tiny_base), open_model(tiny_base)
    assert len(repeated_layers(compiled.network)) == 2
    compile_layers(compiled.network)
    batches = [rows(0, 3, 9), rows(1, 5, 30), rows(2, 1, 4), rows(3, 4, 20)]
    compiled_frames = []
    for examples in batches:
        (loss, gradients), (wanted_loss, wanted) = learn(compiled, examples), learn(plain, examples)
        assert loss == pytest.approx(wanted_loss, rel=1e-5)
        for name, gradient in wanted.items():
            assert (gradients[name] - gradient).norm() <= 1e-5 * gradient.norm(), name
        compiled_frames.append(torch._dynamo.utils.counters["frames"]["total"])
    assert compiled_frames[-1] == compiled_frames[-2], "another length compiles nothing new"
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0, "nothing was compiled, so nothing was compared"
    assert not torch._dynamo.utils.counters["graph_break"]

    frames = torch._dynamo.utils.counters["frames"]["total"]
    with uncompiled():
        assert torch.equal(read(compiled, batches[1]), read(plain, batches[1]))
    assert torch._dynamo.utils.counters["frames"]["total"] == frames, "a look compiles nothing"
    assert learn(compiled, batches[0])[0] == pytest.approx(learn(plain, batches[0])[0], rel=1e-5)


def test_the_last_feed_forward_network_sees_what_is_read_and_no_more(tiny_base: Path) -> None:
    """Other layers see every token. A token that is read twice is seen once, and learns from both reads."""
    model, whole = open_model(tiny_base), open_model(tiny_base)
    repeated_layers(whole.network)[-1].reads_U = None  # taken for a layer that is prepared, so it stays as it is
    sizes: list[int] = []
    for layer in (*repeated_layers(model.network), *repeated_layers(whole.network)):
        layer.mlp.down_proj.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[1]))
    ids = np.arange(4, 12)
    twice = [Example(ids, TokenReads.of([3, 7], [token, 5], [1.0, 1.0])) for token in (6, 9)]
    (loss, found), (wanted_loss, wanted) = learn(model, twice), learn(whole, twice)
    assert sizes == [8, 2, 8, 8]
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_after_a_call_the_last_layer_runs_for_every_token_again(tiny_base: Path) -> None:
    model, untouched = open_model(tiny_base), open_model(tiny_base)
    learn(model, rows(0, 3, 9))
    batch = make_batch(rows(1, 5, 30), "padded")
    with only_reading(model.network), only_reading(untouched.network):
        wanted = read_logits(untouched.network, lay_out(batch, "padded", CPU))
        assert torch.equal(read_logits(model.network, lay_out(batch, "padded", CPU)), wanted)
