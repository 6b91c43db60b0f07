"""Which texts are alike: the same, near (by shared shingles) or close in meaning (by vectors), and in what clusters.

Near means a Jaccard of shingle sets (see `shingles`) of at least a threshold. Candidates come from MinHash and banding
(see `candidates`) and every one is verified: what is reported is true, and what is missed is said at each function.
Nothing here knows of rows, of parts or of what a finding is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fettle.data.records import normalised
from fettle.errors import RequestError
from fettle.quality.alike.candidates import candidates, sketch
from fettle.quality.alike.shingles import SHINGLE_CHARS, Floats, Groups, Ints, jaccard, offsets_of

NEAR = 0.8
"""The Jaccard from which texts count as near: of ten shingles in both, at most some two stand in one alone."""
SAME_MEANING = 0.95
"""The cosine from which vectors count as one meaning. Embeddings differ; this errs on the side of silence."""

_VECTOR_BLOCK = 2048
# Links that a vector keeps into one block of others: without a limit a thousand copies would be a million pairs.
_LINKS_PER_BLOCK = 16


@dataclass(frozen=True)
class Pairs:
    """Pairs of places and how alike they are, sorted by `left`, then `right`; each pair once.

    >>> list(Pairs(np.array([0]), np.array([2]), np.array([0.9])))
    [(0, 2, 0.9)]
    """

    left: Ints
    right: Ints
    score: Floats

    def __len__(self) -> int:
        return len(self.left)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return zip(self.left.tolist(), self.right.tolist(), self.score.tolist(), strict=True)


@dataclass(frozen=True)
class _Copies:
    """Texts of one group that are the same once normalised: the places of the firsts, and of each text its first."""

    plain: list[str]
    groups: Ints
    first_of: Ints
    firsts: Ints


def similar_pairs(texts: Sequence[str], threshold: float = NEAR, groups: Groups = ()) -> Pairs:
    """Pairs i < j whose shingle sets have a Jaccard of at least the threshold, with that Jaccard.

    Texts that are the same once normalised are linked to the first of them, and only firsts take part in further pairs.
    Texts of different `groups` (one number a text) are never paired. What is lost: of the pairs exactly at the
    threshold one in ten thousand, of those above it fewer; and where more than 64 texts share a bucket (templates,
    small vocabularies) not every pair is looked at, but every text is held against many like it, so that clusters stay
    whole where the pairs would be too many to list.

    >>> list(similar_pairs(["Where is my parcel now?", "no", "where is  my parcel now?", "Where is my parcel now??"]))
    [(0, 2, 1.0), (0, 3, 0.95)]
    """
    _checked(threshold)
    copies = _copies_of(texts, groups)
    extras = np.flatnonzero(copies.first_of != np.arange(len(texts)))
    used = _searchable(copies)
    places, others, score = _near([copies.plain[i] for i in used.tolist()], threshold, copies.groups[used], 0)
    return _sorted(
        np.concatenate([copies.first_of[extras], used[places]]),
        np.concatenate([extras, used[others]]),
        np.concatenate([np.ones(len(extras)), score]),
    )


def similar_across(
    texts_a: Sequence[str],
    texts_b: Sequence[str],
    threshold: float = NEAR,
    groups: tuple[Groups, Groups] = ((), ()),
) -> Pairs:
    """Pairs of a text of `texts_a` (left) and one of `texts_b` (right) that are as alike as the threshold asks.

    All pairs of firsts are reported (a first is the first of the texts that are the same once normalised on its side),
    with what `similar_pairs` may lose. Every further copy stands in one pair, with the text most like it.

    >>> list(similar_across(["a whole other thing", "Hello  there"], ["hello there", "hello there"]))
    [(1, 0, 1.0), (1, 1, 1.0)]
    """
    _checked(threshold)
    a, b = _copies_of(texts_a, groups[0]), _copies_of(texts_b, groups[1])
    if len(a.firsts) > len(b.firsts):
        right, left, score = _across(b, a, threshold)
    else:
        left, right, score = _across(a, b, threshold)
    more_left, others, left_score = _links_of_copies(a, left, right, score)
    more_right, partners, right_score = _links_of_copies(b, right, left, score)
    return _sorted(
        np.concatenate([left, more_left, partners]),
        np.concatenate([right, others, more_right]),
        np.concatenate([score, left_score, right_score]),
    )


def clusters(num_texts: int, pairs: Pairs) -> list[tuple[int, ...]]:
    """What the pairs tie together, directly or through others: two or more places each, rising, by their first.

    Trap: two members of one cluster may be less alike than any pair that ties it.

    >>> clusters(6, Pairs(np.array([1, 3]), np.array([3, 5]), np.array([0.9, 0.9])))
    [(1, 3, 5)]
    """
    if not len(pairs):
        return []
    tied = np.unique(np.concatenate([pairs.left, pairs.right]))
    if tied[-1] >= num_texts:
        raise RequestError(f"a pair names text {tied[-1]} of {num_texts}", expected="places below the number of texts")
    ends = (np.searchsorted(tied, pairs.left), np.searchsorted(tied, pairs.right))
    graph = sparse.coo_matrix((np.ones(len(pairs), np.int8), ends), shape=(len(tied), len(tied)))
    _, labels = sparse.csgraph.connected_components(graph, directed=False)
    _, first, label = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(first[label], kind="stable")
    members = tied[order].tolist()
    bounds = offsets_of(np.bincount(first[label])[np.sort(first)]).tolist()
    return [tuple(members[start:stop]) for start, stop in pairwise(bounds)]


def cluster_numbers(num_texts: int, pairs: Pairs) -> list[int]:
    """For each text the number of its cluster, -1 where it stands alone.

    >>> cluster_numbers(3, Pairs(np.array([0]), np.array([2]), np.array([0.9])))
    [0, -1, 0]
    """
    numbers = [-1] * num_texts
    for number, members in enumerate(clusters(num_texts, pairs)):
        for member in members:
            numbers[member] = number
    return numbers


def semantic_pairs(vectors: npt.NDArray[np.float32], threshold: float = SAME_MEANING) -> Pairs:
    """Pairs i < j of unit vectors whose cosine is at least the threshold.

    Every vector is held against every other, in blocks: time grows with the square of their number. In each block of
    2,048 others a vector keeps its 16 closest, so that many copies of one make no flood.

    >>> list(semantic_pairs(np.array([[1, 0], [0, 1], [1, 0]], np.float32)))
    [(0, 2, 1.0)]
    """
    _checked(threshold)
    found = [
        _close(vectors, slice(start, start + _VECTOR_BLOCK), vectors, slice(other, other + _VECTOR_BLOCK), threshold)
        for start in range(0, len(vectors), _VECTOR_BLOCK)
        for other in range(start, len(vectors), _VECTOR_BLOCK)
    ]
    left, right, score = _joined(found)
    rises = left < right
    return _sorted(left[rises], right[rises], score[rises])


def semantic_across(
    vectors_a: npt.NDArray[np.float32], vectors_b: npt.NDArray[np.float32], threshold: float = SAME_MEANING
) -> Pairs:
    """Pairs of a vector of `vectors_a` (left) and one of `vectors_b` (right), as `semantic_pairs` finds them.

    >>> list(semantic_across(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[1:]))
    [(1, 0, 1.0)]
    """
    _checked(threshold)
    found = [
        _close(
            vectors_a, slice(start, start + _VECTOR_BLOCK), vectors_b, slice(other, other + _VECTOR_BLOCK), threshold
        )
        for start in range(0, len(vectors_a), _VECTOR_BLOCK)
        for other in range(0, len(vectors_b), _VECTOR_BLOCK)
    ]
    return _sorted(*_joined(found))


def _checked(threshold: float) -> None:
    if not 0.0 < threshold <= 1.0:
        raise RequestError(f"a threshold of {threshold:g}", expected="more than 0 and at most 1", attempt=f"{NEAR:g}")


def _copies_of(texts: Sequence[str], groups: Groups) -> _Copies:
    plain = [normalised(text) for text in texts]
    numbers = np.asarray(groups, np.int64) if len(groups) else np.zeros(len(plain), np.int64)
    seen: dict[tuple[str, int], int] = {}
    first_of = np.fromiter(
        (seen.setdefault(key, place) for place, key in enumerate(zip(plain, numbers.tolist(), strict=True))),
        np.int64,
        len(plain),
    )
    return _Copies(plain, numbers, first_of, np.flatnonzero(first_of == np.arange(len(plain))))


def _searchable(copies: _Copies) -> Ints:
    """The firsts that may be near something: a text of fewer than five characters is near its own copies alone."""
    lengths = np.fromiter(map(len, copies.plain), np.int64, len(copies.plain))
    return copies.firsts[lengths[copies.firsts] >= SHINGLE_CHARS]


def _near(texts: Sequence[str], threshold: float, groups: Ints, num_first: int) -> tuple[Ints, Ints, Floats]:
    """The verified pairs of texts that are all different, left < right."""
    named = groups if groups.any() else np.empty(0, np.int64)
    left, right = candidates(sketch(texts, threshold, named), num_first)
    score = jaccard(texts, left, right, named)
    is_near = score >= threshold
    return left[is_near], right[is_near], score[is_near]


def _across(small: _Copies, large: _Copies, threshold: float) -> tuple[Ints, Ints, Floats]:
    """Pairs of firsts, the small side left: those of one text, then those that are near."""
    place_of = {(small.plain[i], int(small.groups[i])): i for i in small.firsts.tolist()}
    same = [(place_of.get((large.plain[j], int(large.groups[j])), -1), j) for j in large.firsts.tolist()]
    left, right = np.array([pair for pair in same if pair[0] >= 0], np.int64).reshape(-1, 2).T
    ours, theirs = _searchable(small), _searchable(large)
    if not len(ours) or not len(theirs):
        return left, right, np.ones(len(left))
    texts = [small.plain[i] for i in ours.tolist()] + [large.plain[j] for j in theirs.tolist()]
    groups = np.concatenate([small.groups[ours], large.groups[theirs]])
    near_left, near_right, score = _near(texts, threshold, groups, len(ours))
    near_left, near_right = ours[near_left], theirs[near_right - len(ours)]
    is_new = np.fromiter(
        (small.plain[i] != large.plain[j] for i, j in zip(near_left.tolist(), near_right.tolist(), strict=True)),
        bool,
        len(near_left),
    )
    return (
        np.concatenate([left, near_left[is_new]]),
        np.concatenate([right, near_right[is_new]]),
        np.concatenate([np.ones(len(left)), score[is_new]]),
    )


def _links_of_copies(copies: _Copies, ours: Ints, theirs: Ints, score: Floats) -> tuple[Ints, Ints, Floats]:
    """Each further copy beside what is most like its first, of equals the earliest, given the pairs of firsts."""
    closest = np.full(len(copies.plain), -1)
    best = np.zeros(len(copies.plain))
    # Where one place is written more than once the last one stays.
    order = np.lexsort((-theirs, score))
    closest[ours[order]] = theirs[order]
    best[ours[order]] = score[order]
    extras = np.flatnonzero(copies.first_of != np.arange(len(copies.plain)))
    extras = extras[closest[copies.first_of[extras]] >= 0]
    first_of = copies.first_of[extras]
    return extras, closest[first_of], best[first_of]


def _close(
    ours: npt.NDArray[np.float32], rows: slice, theirs: npt.NDArray[np.float32], columns: slice, threshold: float
) -> tuple[Ints, Ints, Floats]:
    cosine = ours[rows] @ theirs[columns].T
    if ours is theirs and rows == columns:
        cosine[np.tri(*cosine.shape, dtype=np.bool_)] = -2.0
    is_close = cosine >= threshold
    full = np.flatnonzero(np.count_nonzero(is_close, axis=1) > _LINKS_PER_BLOCK)
    if len(full):
        closest = np.argpartition(-cosine[full], _LINKS_PER_BLOCK, axis=1)[:, :_LINKS_PER_BLOCK]
        is_kept = np.zeros_like(is_close[full])
        np.put_along_axis(is_kept, closest, True, axis=1)
        # A column keeps its closest row, or it might lose its only link to a crowd.
        best = cosine.argmax(axis=0)
        is_best = best[None, :] == full[:, None]
        is_close[full] &= is_kept | is_best
    left, right = np.nonzero(is_close)
    return left + rows.start, right + columns.start, np.minimum(cosine[left, right].astype(np.float64), 1.0)


def _joined(found: Sequence[tuple[Ints, Ints, Floats]]) -> tuple[Ints, Ints, Floats]:
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    left, right, score = (np.concatenate(column) for column in zip(none, *found, strict=True))
    return left, right, score


def _sorted(left: Ints, right: Ints, score: Floats) -> Pairs:
    order = np.lexsort((right, left))
    return Pairs(left[order], right[order], score[order])
