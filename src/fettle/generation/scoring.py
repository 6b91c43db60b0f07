"""Read a model without gradient: the log-probability of every expected token, and of every candidate answer.

Candidates are scored, never generated: a prompt is computed once, its candidates hang on it as a tree that shares
their beginnings, and the score of one is the sum of its tokens' log-probabilities, the stop token among them. The
scores of a closed set, normalised over the set, are its probabilities.

Axes: R reads, U places read, V vocabulary, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fettle.models.forward import autocast, only_reading, read_logits
from fettle.models.load import OpenModel
from fettle.tokens.batch import Batch, BatchReads, Node
from fettle.tokens.example import Example
from fettle.tokens.forest import make_batch, split_by_tokens
from fettle.tokens.layout import Layout, layout_for
from fettle.tokens.running import inputs_of

_MAX_TOKENS_PER_CALL = 8192
_PROMPTS_PER_SEARCH = 256
_BEGINNINGS_FOLLOWED_FIRST = 2
_DEPTHS_LOOKED_AT = (3, 6)
_MAX_LOGITS_PER_PIECE = 2**25  # 128 MiB in float32

NEGLIGIBLE_NATS = 14.0  # e^-14 is 8e-7

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TokenScores:
    """For each read of an example: the log-probability (nats) of what is expected, and whether it is the likeliest."""

    log_probabilities: NDArray[np.float32]
    is_likeliest: NDArray[np.bool_]


_NOTHING_READ = TokenScores(np.empty(0, np.float32), np.empty(0, np.bool_))


def read_tokens(
    model: OpenModel, examples: Sequence[Example], dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> list[TokenScores]:
    """What the model thinks of every token that is expected of it."""
    layout, _ = layout_for(model.attention)
    found = [_NOTHING_READ] * len(examples)
    with only_reading(model.network):
        for group in split_by_tokens(examples, _MAX_TOKENS_PER_CALL, layout):
            batch = make_batch([examples[index] for index in group], layout)
            read = _read(model, batch, layout, dtype) if len(batch.reads) else _NOTHING_READ
            edges = np.cumsum([len(examples[index].reads) for index in group])[:-1]
            parts = zip(np.split(read.log_probabilities, edges), np.split(read.is_likeliest, edges), strict=True)
            for index, (values, is_likeliest) in zip(group, parts, strict=True):
                found[index] = TokenScores(values, is_likeliest)
            if progress:
                progress(len(group))
    return found


def score_candidates(
    model: OpenModel,
    prompts: Sequence[Sequence[int]],
    candidates: Sequence[Sequence[int]],
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Log-probability of every candidate after every prompt, [prompts, C].

    A candidate whose beginning is already `NEGLIGIBLE_NATS` less likely than the best whole candidate is not followed
    further: it gets the log-probability of that beginning, an upper bound. Over a closed set no probability is wrong
    by more than C times e^-NEGLIGIBLE_NATS, and the likeliest candidate is always the true one. A model with a
    temperature above 1, by which its scores will be divided, is followed that many times further down.
    """
    trie = _CandidateTrie(candidates)
    negligible = NEGLIGIBLE_NATS * max(1.0, model.temperature)
    layout: Layout = "tree" if model.attention == "causal" else "padded"
    scores = np.zeros((len(prompts), len(candidates)))
    with only_reading(model.network):
        for first in range(0, len(prompts), _PROMPTS_PER_SEARCH):
            part = prompts[first : first + _PROMPTS_PER_SEARCH]
            search = _Search(
                trie, part, lambda batch: _read(model, batch, layout, dtype).log_probabilities, layout, negligible
            )
            scores[first : first + len(part)] = search.run()
            if progress:
                progress(len(part))
    return scores


class _CandidateTrie:
    """Candidates as a tree of edges. An edge is one token read after its parent edge (-1: after the prompt).

    Edges are numbered so that a parent comes before its children. `above[e]` holds an edge and all edges before it.
    """

    def __init__(self, candidates: Sequence[Sequence[int]]) -> None:
        edges: dict[tuple[int, ...], int] = {}
        for candidate in candidates:
            for length in range(1, len(candidate) + 1):
                edges.setdefault(tuple(candidate[:length]), len(edges))
        paths = list(edges)
        self.tokens = [path[-1] for path in paths]
        self.depths = np.asarray([len(path) for path in paths])
        self.parents = [edges.get(path[:-1], -1) for path in paths]
        self.roots = np.asarray([edges[path[:1]] for path in paths])
        self.last_edges = np.asarray([edges[tuple(candidate)] for candidate in candidates])
        self.above = np.zeros((len(paths), len(paths)))
        for edge, parent in enumerate(self.parents):
            if parent >= 0:
                self.above[edge] = self.above[parent]
            self.above[edge, edge] = 1.0


class _Search:
    """Best candidates first: the prompts alone, the likeliest beginnings whole, then what is not yet ruled out."""

    def __init__(
        self,
        trie: _CandidateTrie,
        prompts: Sequence[Sequence[int]],
        read: Callable[[Batch], NDArray[np.float32]],
        layout: Layout,
        negligible: float,
    ) -> None:
        self._negligible = negligible
        self._trie = trie
        self._prompts = prompts
        self._read = read
        self._layout = layout
        self._values = np.zeros((len(prompts), len(trie.tokens)))
        self._is_known = np.zeros(self._values.shape, dtype=bool)

    def run(self) -> NDArray[np.float64]:
        """Log-probabilities, or upper bounds of negligible ones, of all candidates, [prompts, C]."""
        depths, roots = self._trie.depths, self._trie.roots
        self._follow(np.broadcast_to(depths == 1, self._values.shape))
        first_edges = np.flatnonzero(depths == 1)
        order = np.argsort(-self._values[:, first_edges], axis=1)[:, :_BEGINNINGS_FOLLOWED_FIRST]
        self._follow((roots[None, :, None] == first_edges[order][:, None, :]).any(-1))
        for depth in (*_DEPTHS_LOOKED_AT, int(depths.max())):
            self._follow(self._is_open() & (depths <= depth))
        return self._prefixes()[:, self._trie.last_edges]

    def _prefixes(self) -> NDArray[np.float64]:
        """Log-probability of each edge's path as far as it is known: an upper bound of what lies below."""
        prefixes: NDArray[np.float64] = self._values @ self._trie.above.T
        return prefixes

    def _is_open(self) -> NDArray[np.bool_]:
        """Edges whose known beginning could still matter beside the best candidate that is known whole."""
        prefixes = self._prefixes()
        last = self._trie.last_edges
        best = np.where(self._is_known[:, last], prefixes[:, last], -np.inf).max(axis=1)
        is_open: NDArray[np.bool_] = prefixes > best[:, None] - self._negligible
        return is_open

    def _follow(self, wanted: NDArray[np.bool_]) -> None:
        """Read the wanted edges that are not known yet."""
        fresh = wanted & ~self._is_known
        costs = [self._cost(row, edges) for row, edges in enumerate(fresh)]
        for group in _group_by_cost(costs):
            batch, rows, edges = self._batch(group, fresh)
            self._values[rows, edges] = self._read(batch)
            self._is_known[rows, edges] = True

    def _cost(self, row: int, edges: NDArray[np.bool_]) -> int:
        """Tokens that reading these edges of a row computes, about; 0 when there are none."""
        count = int(edges.sum())
        prompt = len(self._prompts[row])
        if not count:
            return 0
        return prompt + count if self._layout == "tree" else (prompt + int(self._trie.depths.max())) * (count + 1)

    def _batch(
        self, rows: Sequence[int], fresh: NDArray[np.bool_]
    ) -> tuple[Batch, NDArray[np.int64], NDArray[np.int64]]:
        """One tree a row: its prompt, and below it the tokens after which the fresh edges are read."""
        nodes: list[Node] = []
        places: list[tuple[int, int, int, int]] = []
        for row in rows:
            prompt = self._prompts[row]
            node_of = {-1: len(nodes)}
            nodes.append(Node(np.asarray(prompt, np.int64), -1, 0))
            for edge in np.flatnonzero(fresh[row]).tolist():
                parent = self._trie.parents[edge]
                self._grow(parent, node_of, nodes, len(prompt))
                places.append((node_of[parent], len(prompt) - 1 if parent < 0 else 0, row, edge))
        node, offset, owner, edges = (np.asarray(column, np.int64) for column in zip(*places, strict=True))
        tokens = np.asarray(self._trie.tokens, np.int64)[edges]
        reads = BatchReads(node, offset, tokens, np.ones(len(places), np.float32), owner)
        return Batch(tuple(nodes), reads), owner, edges

    def _grow(self, edge: int, node_of: dict[int, int], nodes: list[Node], prompt_length: int) -> None:
        """Have a node for an edge's token, and for all before it."""
        path = []
        while edge not in node_of:
            path.append(edge)
            edge = self._trie.parents[edge]
        for below in reversed(path):
            token, depth = self._trie.tokens[below], int(self._trie.depths[below])
            node_of[below] = len(nodes)
            nodes.append(Node(np.asarray([token]), node_of[self._trie.parents[below]], prompt_length - 1 + depth))


def _group_by_cost(costs: Sequence[int]) -> Iterator[list[int]]:
    """Rows that cost anything, in groups within the tokens of one call."""
    group: list[int] = []
    total = 0
    for row, cost in enumerate(costs):
        if not cost:
            continue
        if group and total + cost > _MAX_TOKENS_PER_CALL:
            yield group
            group, total = [], 0
        group.append(row)
        total += cost
    if group:
        yield group


def _read(model: OpenModel, batch: Batch, layout: Layout, dtype: torch.dtype) -> TokenScores:
    """Score each read of a batch; a place that is read several times is projected once."""
    inputs = inputs_of(model, batch, layout)
    places, place_of_read = torch.unique(inputs.reads_R, return_inverse=True)
    tokens_R = torch.from_numpy(batch.reads.token).to(model.device)
    with autocast(dtype, model.device):
        logits_UV = read_logits(model.network, inputs.at(places))
    normaliser_U = torch.cat([part.logsumexp(-1) for part in torch.split(logits_UV, _piece(logits_UV.shape[-1]))])
    values_R = logits_UV[place_of_read, tokens_R] - normaliser_U[place_of_read]
    is_likeliest_R = logits_UV.argmax(-1)[place_of_read] == tokens_R
    return TokenScores(values_R.cpu().numpy(), is_likeliest_R.cpu().numpy())


def _piece(vocabulary: int) -> int:
    return max(1, _MAX_LOGITS_PER_PIECE // vocabulary)
