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
from fettle.tokens.batch import Batch, BatchReads, Layout, Node, batch_examples, lay_out, layout_for, split_by_tokens
from fettle.tokens.example import Example

_MAX_TOKENS_PER_CALL = 8192
_MAX_LOGITS_PER_PIECE = 2**25  # 128 MiB in float32

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class TokenScores:
    """For each read of an example: the log-probability (nats) of what is expected, and whether it is the likeliest."""

    log_probabilities: NDArray[np.float32]
    is_likeliest: NDArray[np.bool_]


def read_tokens(
    model: OpenModel, examples: Sequence[Example], dtype: torch.dtype = torch.float32, progress: Progress | None = None
) -> list[TokenScores]:
    """What the model thinks of every token that is expected of it."""
    layout, _ = layout_for(model.attention)
    found: list[TokenScores] = [TokenScores(np.empty(0, np.float32), np.empty(0, np.bool_))] * len(examples)
    with only_reading(model.network):
        for group in split_by_tokens(examples, _MAX_TOKENS_PER_CALL, layout):
            batch = batch_examples([examples[index] for index in group])
            read = _read(model, batch, layout, dtype)
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
    """Log-probability of every candidate after every prompt, [prompts, C]."""
    trie = _CandidateTrie(candidates)
    layout: Layout = "tree" if model.attention == "causal" else "padded"
    cost = trie.num_tokens if layout == "tree" else trie.num_tokens + sum(map(len, candidates))
    scores = np.zeros((len(prompts), len(candidates)))
    with only_reading(model.network):
        for group in _group_prompts(prompts, cost, len(trie.nodes) if layout == "padded" else 1):
            batch = trie.hang_on([prompts[index] for index in group])
            values = _read(model, batch, layout, dtype).log_probabilities.reshape(len(group), -1)
            scores[group] = values.astype(np.float64) @ trie.edges_of_candidate.T
            if progress:
                progress(len(group))
    return scores


class _CandidateTrie:
    """Candidates as a tree of single tokens. An edge is one token read after its parent; a candidate is its edges."""

    def __init__(self, candidates: Sequence[Sequence[int]]) -> None:
        edges: dict[tuple[int, ...], int] = {}
        for candidate in candidates:
            for length in range(1, len(candidate) + 1):
                edges.setdefault(tuple(candidate[:length]), len(edges))
        self.edges_of_candidate = np.zeros((len(candidates), len(edges)))
        for row, candidate in enumerate(candidates):
            for length in range(1, len(candidate) + 1):
                self.edges_of_candidate[row, edges[tuple(candidate[:length])]] = 1.0
        inner = {path[:-1] for path in edges if len(path) > 1}
        node_of = {path: place for place, path in enumerate(sorted(inner, key=lambda path: edges[path]), start=1)}
        self.nodes = [(path[-1], node_of.get(path[:-1], 0), len(path)) for path in node_of]
        self._reads = [(node_of.get(path[:-1], 0), path[-1]) for path in edges]

    @property
    def num_tokens(self) -> int:
        """Tokens that are computed for each prompt beside the prompt itself."""
        return len(self.nodes)

    def hang_on(self, prompts: Sequence[Sequence[int]]) -> Batch:
        """One tree a prompt: the prompt as its root, every inner token of the candidates below it."""
        nodes: list[Node] = []
        read_node, read_offset = [], []
        for prompt in prompts:
            root = len(nodes)
            nodes.append(Node(np.asarray(prompt, np.int64), -1, 0))
            nodes += [
                Node(np.asarray([token], np.int64), root + parent, len(prompt) - 1 + depth)
                for token, parent, depth in self.nodes
            ]
            read_node += [root + place for place, _ in self._reads]
            read_offset += [len(prompt) - 1 if place == 0 else 0 for place, _ in self._reads]
        count = len(read_node)
        reads = BatchReads(
            node=np.asarray(read_node, np.int64),
            offset=np.asarray(read_offset, np.int64),
            token=np.tile(np.asarray([token for _, token in self._reads], np.int64), len(prompts)),
            weight=np.ones(count, np.float32),
            row=np.repeat(np.arange(len(prompts)), len(self._reads)),
        )
        return Batch(tuple(nodes), reads)


def _group_prompts(prompts: Sequence[Sequence[int]], tokens_beside: int, repeats: int) -> Iterator[list[int]]:
    group: list[int] = []
    total = 0
    for index, prompt in enumerate(prompts):
        cost = len(prompt) * repeats + tokens_beside
        if group and total + cost > _MAX_TOKENS_PER_CALL:
            yield group
            group, total = [], 0
        group.append(index)
        total += cost
    if group:
        yield group


def _read(model: OpenModel, batch: Batch, layout: Layout, dtype: torch.dtype) -> TokenScores:
    """Score each read of a batch; a place that is read several times is projected once."""
    inputs = lay_out(batch, layout, model.device, model.tokenizer.pad_id)
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
