"""Sharing loses nothing and repeats nothing; and what a flat layout lets each token see is its own path."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from hypothesis import example as with_case
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fettle.models.attention import SEES_ALL, SEES_BY_REACH, SEES_EARLIER, SEES_SAME_REACH, Sight
from fettle.tokens.batch import Batch, BatchReads, Node
from fettle.tokens.example import Example, TokenReads
from fettle.tokens.forest import make_batch, processed_tokens, share_beginnings, split_by_tokens
from fettle.tokens.layout import Layout, lay_out

SETTINGS = settings(deadline=None, max_examples=150)
CPU = torch.device("cpu")
LEAST_SHARED = 4
Path = tuple[int, ...]

# Few words, two of them far apart as numbers and alike in their last byte, so that beginnings meet often and deep.
words = st.sampled_from([5, 261, 70_000])
runs = st.lists(words, max_size=6)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    """Rows that start alike, down several levels; reads anywhere, in any order, more than once, or nowhere."""
    beginnings: list[list[int]] = [[]]
    for _ in range(draw(st.integers(1, 5))):
        beginnings.append(draw(st.sampled_from(beginnings)) + draw(runs))
    rows = []
    for number in range(draw(st.integers(0, 8))):
        ids = draw(st.sampled_from(beginnings)) + draw(runs)
        at = draw(st.lists(st.integers(0, len(ids) - 1), max_size=5)) if ids else []
        token = [draw(words) for _ in at]
        reads = TokenReads.of(at, token, [float(place) for place in range(len(at))])
        rows.append(Example(np.asarray(ids, np.int64), reads, f"rows:{number}"))
    return rows


def row_of(ids: Sequence[int]) -> Example:
    """A row that is read after its last token."""
    return Example(np.asarray(ids, np.int64), TokenReads.of([len(ids) - 1], [1], [1.0]))


def read_part(row: Example) -> Path:
    """What a row computes: up to its last read."""
    return tuple(row.ids[: max(row.reads.at.tolist(), default=-1) + 1].tolist())


def path_to(batch: Batch, index: int) -> Path:
    """The ids from the root to the end of a node, by its parents alone."""
    node = batch.nodes[index]
    above = path_to(batch, node.parent) if node.parent >= 0 else ()
    return above + tuple(node.ids.tolist())


def num_apart(batch: Batch, rows: Sequence[Example]) -> Iterator[tuple[int, int]]:
    """For each two rows: how many tokens they begin with together, and how many of these stand twice."""
    chains = []
    for row in rows:
        wanted = read_part(row)
        for index in range(len(batch.nodes)):
            if path_to(batch, index) == wanted:
                chains.append(chain_of(batch, index))
                break
    parts = [read_part(row) for row in rows]
    for (first, one), (second, other) in itertools.combinations(zip(parts, chains, strict=True), 2):
        together = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second)))  # noqa: B905
        stored_once = sum(len(batch.nodes[index].ids) for index in one & other)
        yield together, together - stored_once


def chain_of(batch: Batch, index: int) -> set[int]:
    """A node and all above it."""
    above = chain_of(batch, batch.nodes[index].parent) if batch.nodes[index].parent >= 0 else set()
    return {index, *above}


@SETTINGS
@given(examples())
def test_every_read_lands_where_the_path_spells_its_row(rows: list[Example]) -> None:
    for batch in (share_beginnings(rows), make_batch(rows, "tree"), make_batch(rows, "packed")):
        reads = iter(zip(*(getattr(batch.reads, name) for name in ("node", "offset", "token", "weight", "row"))))  # noqa: B905
        for number, row in enumerate(rows):
            for at, token, weight in zip(row.reads.at, row.reads.token, row.reads.weight, strict=True):
                node, offset, found_token, found_weight, found_row = next(reads)
                above = batch.nodes[node].parent
                path = (path_to(batch, above) if above >= 0 else ()) + tuple(batch.nodes[node].ids[: offset + 1])
                assert 0 <= offset < len(batch.nodes[node].ids)
                assert path == tuple(row.ids[: at + 1])
                assert (found_token, found_weight, found_row) == (token, weight, number)
        assert next(reads, None) is None
        assert batch.examples == tuple(rows)


@SETTINGS
@given(examples())
def test_nodes_continue_their_parents_and_every_path_begins_a_row(rows: list[Example]) -> None:
    batch = share_beginnings(rows)
    beginnings = {read_part(row)[:length] for row in rows for length in range(len(row.ids) + 1)}
    for index, node in enumerate(batch.nodes):
        assert -1 <= node.parent < index
        assert len(node.ids) > 0
        assert node.start == (len(path_to(batch, node.parent)) if node.parent >= 0 else 0)
        assert path_to(batch, index) in beginnings
    wanted = {read_part(row) for row in rows} - {()}
    assert wanted <= {path_to(batch, index) for index in range(len(batch.nodes))}, "a row ends where a node ends"


@SETTINGS
@given(examples())
def test_sharing_never_adds_tokens(rows: list[Example]) -> None:
    assert share_beginnings(rows).num_tokens <= sum(len(read_part(row)) for row in rows)
    assert make_batch(rows, "packed").num_tokens == sum(len(row.ids) for row in rows)


@SETTINGS
@given(examples())
@with_case([row_of([5] * 4 + [6]), row_of([5] * 4 + [7, 7, 8]), row_of([5] * 4 + [7, 7, 9])])
def test_what_a_call_computes_is_told_beforehand(rows: list[Example]) -> None:
    layouts: list[Layout] = ["tree", "packed"]
    for layout in layouts:
        assert processed_tokens(rows, layout) == make_batch(rows, layout).num_tokens


@SETTINGS
@given(examples())
def test_rows_keep_apart_less_than_is_worth_sharing(rows: list[Example]) -> None:
    """A run of four or more tokens stands once. Less may stand twice, at the root or below where others turned off."""
    kept = [row for row in rows if len(row.reads)]
    for together, stored_twice in num_apart(share_beginnings(kept), kept):
        assert 0 <= stored_twice < LEAST_SHARED
        assert stored_twice in (0, together) or together > LEAST_SHARED


@SETTINGS
@given(st.lists(words, min_size=1, max_size=12), st.lists(words, max_size=5), st.lists(words, max_size=5))
def test_two_rows_share_all_they_begin_with_or_nothing(run: list[int], one: list[int], other: list[int]) -> None:
    rows = [row_of([*run, 1, *one]), row_of([*run, 2, *other])]
    shared = len(run) if len(run) >= LEAST_SHARED else 0
    assert share_beginnings(rows).num_tokens == 2 * len(run) + len(one) + len(other) + 2 - shared
    assert processed_tokens(rows, "tree") == share_beginnings(rows).num_tokens


@SETTINGS
@given(examples())
def test_rows_without_reads_vanish_and_so_does_what_stands_after_the_last_read(rows: list[Example]) -> None:
    batch = share_beginnings(rows)
    kept = [row for row in rows if len(row.reads)]
    cut = [replace(row, ids=np.asarray(read_part(row), np.int64)) for row in kept]
    for fewer in (kept, cut):
        assert told(share_beginnings(fewer)) == told(batch)
        assert processed_tokens(fewer, "tree") == processed_tokens(rows, "tree")
    longer = [replace(row, ids=np.append(row.ids, 9)) for row in rows]
    assert told(share_beginnings(longer)) == told(batch)


def told(batch: Batch) -> tuple[int, Counter[Path], list[Path]]:
    """A batch without the numbers of its nodes: its paths, and at each read the path to it."""
    nodes = Counter(path_to(batch, index) for index in range(len(batch.nodes)))
    reads = [path_to(batch, node) for node in batch.reads.node.tolist()]
    return batch.num_tokens, nodes, reads


@SETTINGS
@given(examples(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_but_the_order_of_reads(rows: list[Example], chance: object) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    before, after = told(share_beginnings(rows)), told(share_beginnings(shuffled))
    assert before[:2] == after[:2]
    assert Counter(before[2]) == Counter(after[2])
    assert processed_tokens(rows, "tree") == processed_tokens(shuffled, "tree")


@SETTINGS
@given(examples(), st.integers(1, 60), st.sampled_from(["tree", "packed", "padded"]))
@with_case([row_of([5] * 4 + [6]), row_of([5] * 4 + [7, 7, 8]), row_of([5] * 4 + [7, 7, 9])], 9, "tree")
@with_case([row_of([5] * 10 + [last]) for last in range(6, 12)], 12, "tree")
def test_every_row_is_in_one_call_and_no_call_computes_more_than_it_may(
    rows: list[Example], max_tokens: int, layout: Layout
) -> None:
    groups = split_by_tokens(rows, max_tokens, layout)
    assert sorted(index for group in groups for index in group) == list(range(len(rows)))
    assert all(groups)
    for group in groups:
        inside = [rows[index] for index in group]
        computed = make_batch(inside, layout).num_tokens
        if layout == "padded":
            computed = len(inside) * max(row.num_tokens for row in inside)
        has_work = sum(bool(read_part(row)) for row in inside) if layout == "tree" else len(inside)
        assert computed <= max_tokens or has_work == 1
    if layout == "tree":
        for group, following in itertools.pairwise(groups):
            grown = make_batch([rows[index] for index in (*group, following[0])], layout)
            assert grown.num_tokens > max_tokens, "a call is left with room for the next row"


@SETTINGS
@given(examples())
def test_one_call_holds_a_step_that_fits(rows: list[Example]) -> None:
    layouts: list[Layout] = ["tree", "packed", "padded"]
    for layout in layouts:
        assert len(split_by_tokens(rows, 10_000, layout)) == min(1, len(rows))


# What a flat layout lets each token see.


def forest(seed: int) -> Batch:
    """Trees of any shape; runs about as long as a piece may be, or short, in the order of their making or mixed."""
    draw = np.random.default_rng(seed)
    lengths = [1, 2, 3, 5, 8, 13, 21, 30, 63, 64, 65, 255, 256, 257, 520]
    odds = np.array([8.0] * 8 + [2.0] * 3 + [1.0] * 4)
    nodes: list[Node] = []
    for _ in range(draw.integers(1, 14)):
        parent = int(draw.integers(-1, len(nodes)))
        start = nodes[parent].start + len(nodes[parent].ids) if parent >= 0 else 0
        ids = draw.integers(4, 380, draw.choice(lengths, p=odds / odds.sum()))
        nodes.append(Node(ids, parent, start))
    count = int(draw.integers(1, 12))
    node = draw.integers(0, len(nodes), count)
    offset = np.array([draw.integers(0, len(nodes[place].ids)) for place in node])
    return Batch(tuple(nodes), BatchReads(node, offset, node, np.ones(count, np.float32), node))


def decode(sight: Sight) -> Iterator[tuple[int, int, int, list[int]]]:
    """First and end query, kind of sight and the keys of each piece."""
    numbers = sight.pieces.tolist()
    while numbers:
        first, end, sees, count = numbers[:4]
        edges, numbers = numbers[4 : 4 + 2 * count], numbers[4 + 2 * count :]
        yield (
            first,
            end,
            sees,
            [key for low, high in zip(edges[::2], edges[1::2], strict=True) for key in range(low, high)],
        )


def seen(sight: Sight) -> Tensor:
    """[T, T]: which token (column) each token (row) sees, as the words of `Sight` say it."""
    num_tokens = len(sight.reach_T)
    sees_TT = torch.zeros(num_tokens, num_tokens, dtype=torch.bool)
    place = torch.arange(num_tokens)
    earlier_TT = place[None, :] <= place[:, None]
    for first, end, sees, keys in decode(sight):
        own = slice(first, end)
        sees_TT[first:end, keys] = True
        if sees == SEES_EARLIER:
            sees_TT[own, own] &= earlier_TT[own, own]
        elif sees == SEES_BY_REACH:
            sees_TT[own, own] &= earlier_TT[own, own] & (place[own, None] < sight.reach_T[None, own])
        elif sees == SEES_SAME_REACH:
            sees_TT[own, own] &= sight.reach_T[own, None] == sight.reach_T[None, own]
    return sees_TT


def on_path(batch: Batch, owners: Sequence[int]) -> Tensor:
    """[T, T]: whether a token (column) is of the same node as another (row), or of one above it, by parents alone."""
    above = torch.zeros(len(batch.nodes), len(batch.nodes), dtype=torch.bool)
    for index in range(len(batch.nodes)):
        above[index, list(chain_of(batch, index))] = True
    owner = torch.tensor(owners)
    return above[owner][:, owner]


def owners_of(batch: Batch, positions: Tensor, ids: Tensor) -> list[int]:
    """Which node each token of the flat axis is of: nodes stand whole, each once, in some order."""
    owners: list[int] = []
    left = set(range(len(batch.nodes)))
    while len(owners) < len(ids):
        here = len(owners)
        for index in sorted(left, key=lambda index: -len(batch.nodes[index].ids)):
            node = batch.nodes[index]
            end = here + len(node.ids)
            if positions[here] == node.start and ids[here:end].tolist() == node.ids.tolist():
                owners += [index] * len(node.ids)
                left.remove(index)
                break
        else:
            raise AssertionError(f"no node starts at {here}")
    assert not left
    return owners


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_each_token_sees_its_path_up_to_itself(seed: int) -> None:
    batch = forest(seed)
    inputs = lay_out(batch, "tree", CPU)
    sight, ids = inputs.sight, inputs.ids_BT[0]
    assert sight is not None and len(ids) == batch.num_tokens
    owners = owners_of(batch, sight.positions_T, ids)

    edges = [(first, end) for first, end, _, _ in decode(sight)]
    assert [0, *(end for _, end in edges)] == [*(first for first, _ in edges), len(ids)]
    assert all(first < end for first, end in edges)

    path_TT = on_path(batch, owners)
    earlier_TT = torch.ones(len(ids), len(ids)).tril().bool()
    assert torch.equal(seen(sight), path_TT & earlier_TT)

    offsets = torch.cat([torch.arange(len(node.ids)) for node in batch.nodes])
    starts = {owner: place for place, owner in reversed(list(enumerate(owners)))}
    first_of = {index: sum(len(node.ids) for node in batch.nodes[:index]) for index in starts}
    for index, start in starts.items():
        node = batch.nodes[index]
        here = slice(start, start + len(node.ids))
        wanted = node.start + offsets[first_of[index] : first_of[index] + len(node.ids)]
        assert torch.equal(sight.positions_T[here], wanted)
        assert torch.equal(inputs.positions_BT[0, here], wanted)
    for node, offset, at in zip(batch.reads.node.tolist(), batch.reads.offset.tolist(), inputs.reads_R, strict=True):
        assert at == starts[node] + offset


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_keys_of_a_piece_are_its_path_and_nothing_that_a_mask_would_throw_away(seed: int) -> None:
    batch = forest(seed)
    inputs = lay_out(batch, "tree", CPU)
    assert inputs.sight is not None
    sees_TT = seen(inputs.sight)
    for first, end, _, keys in decode(inputs.sight):
        assert keys[-(end - first) :] == list(range(first, end))
        assert keys == sorted(set(keys))
        assert sees_TT[first:end][:, keys].any(0).all()
        assert (~sees_TT[first:end]).all(0).sum() == len(sees_TT) - len(keys)


@SETTINGS
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_whole_rows_see_all_of_themselves(lengths: list[int]) -> None:
    rows = [row_of(list(range(4, 4 + length))) for length in lengths]
    sight = lay_out(make_batch(rows, "packed"), "packed", CPU, is_causal=False).sight
    assert sight is not None
    assert {sees for _, _, sees, _ in decode(sight)} <= {SEES_ALL, SEES_SAME_REACH}
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    assert torch.equal(seen(sight), owner[:, None] == owner[None, :])
    assert torch.equal(sight.positions_T, torch.cat([torch.arange(length) for length in lengths]))
