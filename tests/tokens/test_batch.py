"""Batches: however rows are laid out, each read sees the same logits, and no row sees another."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, pad

from fettle.errors import RequestError
from fettle.models.forward import ModelInputs, read_logits
from fettle.models.load import OpenModel, open_model
from fettle.tokens.batch import Batch, BatchReads, Node, batch_examples
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import split_by_tokens
from fettle.tokens.layout import Layout, lay_out, layout_for

SETTINGS = settings(deadline=None, max_examples=40)
CPU = torch.device("cpu")
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> OpenModel:
    opened = open_model(tiny_base)
    opened.network.eval()
    return opened


def forest(seed: int, only_roots: bool = False) -> Batch:
    """Trees of any shape with reads anywhere, some places read more than once."""
    draw = np.random.default_rng(seed)
    nodes: list[Node] = []
    for _ in range(draw.integers(1, 4)):
        root = len(nodes)
        nodes.append(Node(draw.integers(4, 380, draw.integers(1, 9)), -1, 0))
        for _ in range(0 if only_roots else draw.integers(0, 6)):
            parent = int(draw.integers(root, len(nodes)))
            start = nodes[parent].start + len(nodes[parent].ids)
            nodes.append(Node(draw.integers(4, 380, draw.integers(1, 5)), parent, start))
    count = int(draw.integers(1, 12))
    node = draw.integers(0, len(nodes), count)
    offset = np.array([draw.integers(0, len(nodes[place].ids)) for place in node])
    reads = BatchReads(node, offset, draw.integers(4, 380, count), np.ones(count, np.float32), node)
    return Batch(tuple(nodes), reads)


def logits(model: OpenModel, batch: Batch, layout: Layout, pad_id: int = 0) -> torch.Tensor:
    with torch.no_grad():
        return read_logits(model.network, lay_out(batch, layout, CPU, pad_id))


def naive(model: OpenModel, batch: Batch) -> torch.Tensor:
    """Each read on its own: the path to it as one row, through transformers' own attention."""
    rows = []
    model.network.set_attn_implementation("sdpa")
    for place, offset in zip(batch.reads.node.tolist(), batch.reads.offset.tolist(), strict=True):
        ids = batch.nodes[place].ids[: offset + 1].tolist()
        while batch.nodes[place].parent >= 0:
            place = batch.nodes[place].parent
            ids = batch.nodes[place].ids.tolist() + ids
        with torch.no_grad():
            rows.append(model.network(torch.tensor([ids])).logits[0, -1])
    return torch.stack(rows)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-5 * max(1.0, float(other.abs().max())))


@SETTINGS
@given(seeds)
def test_tree_and_padded_equal_one_row_at_a_time(model: OpenModel, seed: int) -> None:
    batch = forest(seed)
    wanted = naive(model, batch)
    assert close(logits(model, batch, "tree"), wanted)
    assert close(logits(model, batch, "padded"), wanted)


@SETTINGS
@given(seeds)
def test_packed_equals_one_row_at_a_time(model: OpenModel, seed: int) -> None:
    batch = forest(seed, only_roots=True)
    assert close(logits(model, batch, "packed"), naive(model, batch))


@SETTINGS
@given(seeds)
def test_the_tree_computes_every_token_once(seed: int) -> None:
    batch = forest(seed)
    inputs = lay_out(batch, "tree", CPU)
    assert inputs.ids_BT.shape == (1, batch.num_tokens)
    is_parent = {node.parent for node in batch.nodes}
    is_shown = {*batch.reads.node.tolist(), *range(len(batch.nodes))} - (is_parent - set(batch.reads.node.tolist()))
    paths = sum(batch.nodes[index].start + len(batch.nodes[index].ids) for index in is_shown)
    padded = lay_out(batch, "padded", CPU)
    assert padded.is_real_BT is not None and int(padded.is_real_BT.sum()) == paths


@SETTINGS
@given(seeds, st.integers(0, 30), st.integers(0, 381))
def test_padding_by_any_amount_with_any_token_changes_nothing(
    model: OpenModel, seed: int, extra: int, pad_id: int
) -> None:
    batch = forest(seed)
    inputs = lay_out(batch, "padded", CPU, pad_id)
    assert inputs.is_real_BT is not None
    wide = inputs.ids_BT.shape[1]
    wider = ModelInputs(
        ids_BT=pad(inputs.ids_BT, (0, extra), value=pad_id),
        positions_BT=torch.arange(wide + extra).expand(len(inputs.ids_BT), -1),
        reads_R=inputs.reads_R // wide * (wide + extra) + inputs.reads_R % wide,
        is_real_BT=pad(inputs.is_real_BT, (0, extra)),
    )
    with torch.no_grad():
        assert close(read_logits(model.network, wider), logits(model, batch, "padded", pad_id=0))


@SETTINGS
@given(seeds, st.data())
def test_a_row_that_changes_leaves_the_others_as_they_were_to_the_bit(
    model: OpenModel, seed: int, chance: st.DataObject
) -> None:
    batch = forest(seed, only_roots=True)
    changed = chance.draw(st.integers(0, len(batch.nodes) - 1))
    nodes = list(batch.nodes)
    nodes[changed] = replace(nodes[changed], ids=(nodes[changed].ids + 1 - 4) % 376 + 4)
    before, after = logits(model, batch, "packed"), logits(model, replace(batch, nodes=tuple(nodes)), "packed")
    is_other = torch.from_numpy(batch.reads.node != changed)
    assert torch.equal(before[is_other], after[is_other])
    assert not (before[~is_other] == after[~is_other]).all(1).any()


def test_the_gradient_of_one_row_never_reaches_another(model: OpenModel) -> None:
    rows = [np.arange(10, 17), np.arange(30, 35), np.arange(50, 59)]
    examples = [
        Example(ids, TokenReads.of(list(range(len(ids))), [7] * len(ids), [float(row == 1)] * len(ids)))
        for row, ids in enumerate(rows)
    ]
    batch = batch_examples(examples)
    seen: list[torch.Tensor] = []

    def keep(_module: object, _inputs: object, output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    handle = model.network.get_input_embeddings().register_forward_hook(keep)
    try:
        found = read_logits(model.network, lay_out(batch, "packed", CPU))
    finally:
        handle.remove()
    losses = cross_entropy(found, torch.from_numpy(batch.reads.token), reduction="none")
    (losses * torch.from_numpy(batch.reads.weight)).sum().backward()
    model.network.zero_grad()
    pulls = seen[0].grad[0].abs().sum(1)
    inside = torch.zeros(21, dtype=torch.bool)
    inside[7:12] = True
    assert (pulls[inside] > 0).all()
    assert (pulls[~inside] == 0).all()


@SETTINGS
@given(seeds)
def test_a_shared_beginning_has_the_gradient_of_its_repetitions(model: OpenModel, seed: int) -> None:
    batch = forest(seed)
    gradients = []
    for layout in ("tree", "padded"):
        found = read_logits(model.network, lay_out(batch, layout, CPU))
        cross_entropy(found, torch.from_numpy(batch.reads.token), reduction="sum").backward()
        gradients.append([weight.grad.clone() for weight in model.network.parameters()])
        model.network.zero_grad()
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() <= 1e-4 * max(1.0, float(other.abs().max()))


def test_rows_become_roots_with_their_own_reads() -> None:
    rows = [
        Example(np.array([5, 6, 7]), TokenReads.of([0, 2], [8, 9], [1.0, 0.5]), "a:1"),
        Example(np.array([4]), TokenReads.of([], [], []), "a:2"),
        Example(np.array([3, 2]), TokenReads.of([1], [1], [0.0]), "a:3"),
    ]
    batch = batch_examples(rows)
    assert [(node.ids.tolist(), node.parent, node.start) for node in batch.nodes] == [
        ([5, 6, 7], -1, 0),
        ([4], -1, 0),
        ([3, 2], -1, 0),
    ]
    columns = (batch.reads.node, batch.reads.offset, batch.reads.token, batch.reads.weight, batch.reads.row)
    assert [column.tolist() for column in columns] == [[0, 0, 2], [0, 2, 1], [8, 9, 1], [1.0, 0.5, 0.0], [0, 0, 2]]
    assert [example.source for example in batch.examples] == ["a:1", "a:2", "a:3"]
    assert (batch.num_tokens, len(batch.reads)) == (6, 3)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(1, 40), max_size=20),
    st.integers(1, 100),
    st.sampled_from(["padded", "packed"]),
)
def test_every_row_goes_into_one_call_and_no_call_over_the_budget(
    lengths: list[int], budget: int, layout: Layout
) -> None:
    rows = [Example(np.arange(length), TokenReads.of([0], [0], [1.0])) for length in lengths]
    groups = split_by_tokens(rows, budget, layout)
    assert sorted(index for group in groups for index in group) == list(range(len(rows)))

    def cost(group: list[int]) -> int:
        inside = [lengths[index] for index in group]
        return max(inside) * len(inside) if layout == "padded" else sum(inside)

    assert all(len(group) == 1 or cost(group) <= budget for group in groups)
    for group, following in itertools.pairwise(groups):
        assert cost([*group, following[0]]) > budget, "a call is left with room for the next row"
    order = [index for group in groups for index in group]
    assert order == (sorted(order, key=lambda index: lengths[index]) if layout == "padded" else sorted(order))


def test_the_layout_follows_the_attention() -> None:
    layouts: list[Layout] = ["tree", "packed", "padded"]
    for attention, allowed in (("causal", layouts), ("bidirectional", layouts[1:]), ("opaque", layouts[2:])):
        assert layout_for(attention)[0] == allowed[0]
        assert layout_for(attention)[1]
        assert [layout_for(attention, wanted)[0] for wanted in allowed] == allowed
        for refused in set(layouts) - set(allowed):
            with pytest.raises(RequestError):
                layout_for(attention, refused)
    assert layout_for("causal", has_noise=True)[0] == "packed"
