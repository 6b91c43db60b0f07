"""Texts become sets of shingles: the runs of five characters that stand in them, as numbers.

Two texts are as alike as their sets: shared shingles over all shingles (Jaccard). Everything works on many texts at
once, in blocks, so that memory grows with what is kept and not with what is looked at. Nothing here knows of rows or of
which texts to compare.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
Groups: TypeAlias = Sequence[int] | Ints
"""One number a text; none at all stands for one group."""

SHINGLE_CHARS = 5
SHINGLE_BITS = 48
"""Bits of a shingle's number. Five million shingles of one text meet by chance once in twenty texts of that length."""

NUM_THREADS = min(4, os.cpu_count() or 1)
"""numpy and scipy let go of the interpreter while they count; more threads than this wait for memory."""

# A block's arrays fit in a core's own cache. One text longer than a block is a block by itself.
_BLOCK_CHARS = 1 << 17
_BLOCK_TEXTS = 1 << 15
# Set elements that one block of pairs lays beside each other: some 200 MB with all copies.
_BLOCK_ELEMENTS = 1 << 23
# Set elements that are kept beside all blocks: 256 MB.
_KEPT_ELEMENTS = 1 << 25

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class ShingleSets:
    """Sets laid end to end: set i is `values[offsets[i]:offsets[i + 1]]`, rising, each value once."""

    values: Ints
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1


def shingles(texts: Sequence[str], groups: Groups = ()) -> ShingleSets:
    """The set of shingles of each normalised text; a text of fewer than five characters is one shingle.

    Texts of different `groups` (one number a text, none for one group) share no shingle. Trap: the numbers are hashes
    of 48 bits, good for comparing and not for telling which shingle it was.

    >>> [len(set) for set in (shingles(["banana!"]).values, shingles(["hi"]).values, shingles(["aaaaaaaa"]).values)]
    [3, 1, 1]
    """
    values, counts = [], []
    for chosen in blocks(texts):
        hashes, num_windows = windows(texts[chosen], groups[chosen])
        row = np.arange(len(num_windows), dtype=np.uint64) << np.uint64(SHINGLE_BITS)
        keyed = (hashes >> np.uint64(64 - SHINGLE_BITS)) | np.repeat(row, num_windows)
        keyed.sort()
        is_new = np.ones(len(keyed), bool)
        np.not_equal(keyed[1:], keyed[:-1], out=is_new[1:])
        keyed = keyed[is_new]
        counts.append(np.bincount((keyed >> np.uint64(SHINGLE_BITS)).astype(np.int64), minlength=len(num_windows)))
        values.append((keyed & np.uint64((1 << SHINGLE_BITS) - 1)).astype(np.int64))
    if not values:
        return ShingleSets(np.empty(0, np.int64), np.zeros(1, np.int64))
    return ShingleSets(np.concatenate(values), offsets_of(np.concatenate(counts)))


def windows(texts: Sequence[str], groups: Groups = ()) -> tuple[Words, Ints]:
    """The hash of every window of five characters, text after text, and how many each text has. Repeats stay in."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    short = np.flatnonzero(lengths < SHINGLE_CHARS)
    if len(short):
        texts = [text.ljust(SHINGLE_CHARS, "\0") for text in texts]
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    num_windows = np.maximum(lengths - SHINGLE_CHARS, 0) + 1
    ends = np.cumsum(num_windows + SHINGLE_CHARS - 1)
    num_starts = len(codes) - SHINGLE_CHARS + 1
    hashes = codes[:num_starts].astype(np.uint64)
    for place in range(1, SHINGLE_CHARS):
        hashes *= _BASE
        hashes += codes[place : place + num_starts]
    # A window that begins in the last four characters of a text reaches into the next one.
    is_inside = np.ones(num_starts, bool)
    for place in range(1, SHINGLE_CHARS):
        is_inside[ends[:-1] - place] = False
    hashes = hashes[is_inside]
    # What fills a short text up is no part of it: its length joins the hash.
    hashes[offsets_of(num_windows)[short]] += (lengths[short] + 1).astype(np.uint64) * _MIX_1
    if len(groups):
        hashes += np.repeat(np.asarray(groups, np.int64).astype(np.uint64) * _MIX_2, num_windows)
    return mixed(hashes), num_windows


def jaccard(texts: Sequence[str], left: Ints, right: Ints, groups: Groups = ()) -> Floats:
    """Shared shingles over all shingles for pairs of normalised texts, `left[k]` beside `right[k]`.

    The sets are made once where they fit; where they do not, each block of pairs makes those of its own texts, and
    pairs that lie close in `left` are the quickest.
    """
    sizes = np.maximum(np.fromiter(map(len, texts), np.int64, len(texts)), SHINGLE_CHARS)
    numbers = np.asarray(groups, np.int64)

    def sets_of(used: Ints) -> ShingleSets:
        return shingles([texts[i] for i in used.tolist()], numbers[used] if len(numbers) else ())

    used, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    ours, theirs = np.split(places, 2)
    shared = sets_of(used) if sizes[used].sum() <= _KEPT_ELEMENTS else None
    cost = np.cumsum(sizes[left] + sizes[right])
    cuts = [0]
    while cuts[-1] < len(left):
        done = cost[cuts[-1] - 1] if cuts[-1] else 0
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(cost, done + _BLOCK_ELEMENTS))))

    def one_block(bounds: tuple[int, int]) -> Floats:
        chosen = slice(*bounds)
        if shared is not None:
            return _jaccard_of(shared, ours[chosen], theirs[chosen])
        own, own_places = np.unique(np.concatenate([left[chosen], right[chosen]]), return_inverse=True)
        return _jaccard_of(sets_of(own), *np.split(own_places, 2))

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return np.concatenate([np.empty(0), *pool.map(one_block, pairwise(cuts))])


def _jaccard_of(sets: ShingleSets, left: Ints, right: Ints) -> Floats:
    matrix = sparse.csr_matrix(
        (np.ones(len(sets.values), np.int8), sets.values, sets.offsets), shape=(len(sets), 1 << SHINGLE_BITS)
    )
    matrix.has_canonical_format = True
    ours, theirs = matrix[left], matrix[right]
    ours.has_canonical_format = theirs.has_canonical_format = True
    num_shared = np.diff(ours.multiply(theirs).indptr)
    sizes = np.diff(sets.offsets)
    shared: Floats = num_shared / (sizes[left] + sizes[right] - num_shared)
    return shared


def blocks(texts: Sequence[str]) -> Iterator[slice]:
    """Slices of texts that together are short enough to be looked at at once."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    start = 0
    while start < len(ends):
        done = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, done + _BLOCK_CHARS, side="right"))
        stop = min(max(stop, start + 1), start + _BLOCK_TEXTS, len(ends))
        yield slice(start, stop)
        start = stop


def mixed(hashes: Words) -> Words:
    """Every bit of a number spread over all 64, in place (the last steps of SplitMix64)."""
    for shift, factor in ((30, _MIX_1), (27, _MIX_2)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= factor
    hashes ^= hashes >> np.uint64(31)
    return hashes


def offsets_of(counts: Ints) -> Ints:
    """Where each run begins, and where the last one ends.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
