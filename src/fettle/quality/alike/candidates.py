"""Which of many texts may be alike: MinHash and banding, so that not every text is held against every other.

Of each text 120 minima over differently mixed shingles are taken; two texts share a minimum as often as their Jaccard
says. Minima are tied into bands, and texts that share a whole band fall into one bucket. Nothing here decides: what is
found is a candidate, and its true Jaccard is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from fettle.quality.alike.shingles import NUM_THREADS, Groups, Ints, Words, blocks, mixed, offsets_of, windows

NUM_MINIMA = 120
MOST_MISSED = 1e-4
"""The share of pairs exactly at the threshold that may share no band. Above it fewer are missed."""
CROWD = 64
"""A bucket of more texts than this is a crowd: not all of its pairs are looked at."""
CANDIDATES_PER_TEXT = 16
"""Where there are more candidates than this for each text, each text keeps those most like it."""

_NEIGHBOURS = 4
# In crowds, pairs looked at for each text (some ten microseconds a text), and what is allowed however few they are.
_CROWD_LOOKS_PER_TEXT = 128
_LEAST_CROWD_LOOKS = 1 << 24
_LEAST_KEPT = 1 << 22
_LOOK_BLOCK = 1 << 15
_DEVIATIONS = 4.0
_TIE = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True)
class Sketches:
    """What is kept of texts: `keys` [band, text] and the low byte of each minimum, `low_bytes` [text, minimum].

    `least_agreeing` is how many minima of two texts must agree before they are worth a true comparison: four standard
    deviations below the threshold, which one pair in thirty thousand at the threshold falls short of.
    """

    keys: Words
    low_bytes: npt.NDArray[np.uint8]
    least_agreeing: int


class _Found:
    """Candidates as they come in, each once, no more than memory holds.

    A candidate is one word: the left text, the right text, and in the low byte how many minima do not agree. So words
    sort by text and each text's own by nothing but places, and a pair that comes twice is the same word twice.
    """

    def __init__(self, sketches: Sketches) -> None:
        num_texts, num_minima = sketches.low_bytes.shape
        self._sketches = sketches
        self._most_apart = num_minima - sketches.least_agreeing
        self._text_bits = np.uint64(max(num_texts.bit_length(), 1))
        self._most = max(_LEAST_KEPT, CANDIDATES_PER_TEXT * num_texts)
        self._words: list[Words] = []
        self._num_words = 0
        self.num_looks = 0

    def look(self, left: Ints, right: Ints) -> None:
        """Keep those of the pairs whose sketches agree."""
        self.num_looks += len(left)
        low_bytes = self._sketches.low_bytes
        for start in range(0, len(left), _LOOK_BLOCK):
            ours, theirs = left[start : start + _LOOK_BLOCK], right[start : start + _LOOK_BLOCK]
            apart = np.count_nonzero(low_bytes.take(ours, 0) != low_bytes.take(theirs, 0), axis=1)
            kept = np.flatnonzero(apart <= self._most_apart)
            if len(kept):
                pair = ours[kept].astype(np.uint64) << self._text_bits | theirs[kept].astype(np.uint64)
                self._words.append(pair << np.uint64(8) | apart[kept].astype(np.uint64))
                self._num_words += len(kept)
        if self._num_words > 2 * self._most:
            self._settle()

    def settled(self) -> tuple[Ints, Ints]:
        """All candidates, left and right, sorted."""
        self._settle()
        pairs = self._words[0] >> np.uint64(8)
        left = pairs >> self._text_bits
        return left.astype(np.int64), (pairs ^ left << self._text_bits).astype(np.int64)

    def _settle(self) -> None:
        words = np.concatenate([np.empty(0, np.uint64), *self._words])
        words.sort()
        words = words[np.flatnonzero(np.diff(words, prepend=~words[:1]))]
        if len(words) > self._most:
            words = words[self._closest(words)]
        self._words, self._num_words = [words], len(words)

    def _closest(self, words: Words) -> Ints:
        """Places of the words that are among the closest of either of their texts."""
        apart = words & np.uint64(0xFF)
        pairs = words >> np.uint64(8)
        left = pairs >> self._text_bits
        place_bits = np.uint64(len(words).bit_length())
        is_kept = np.zeros(len(words), bool)
        for text in (left, pairs ^ left << self._text_bits):
            ranked = (text << np.uint64(8) | apart) << place_bits | np.arange(len(words), dtype=np.uint64)
            ranked.sort()
            owners = ranked >> place_bits + np.uint64(8)
            begins = np.flatnonzero(np.diff(owners, prepend=~owners[:1]))
            rank = np.arange(len(words)) - np.repeat(begins, np.diff(begins, append=len(words)))
            chosen = ranked[rank < CANDIDATES_PER_TEXT] & ((np.uint64(1) << place_bits) - np.uint64(1))
            is_kept[chosen.astype(np.int64)] = True
        return np.flatnonzero(is_kept)


@dataclass(frozen=True)
class _Buckets:
    """Buckets of two or more, end to end: each one's texts rise, the bounds are `starts` and `stops`."""

    texts: Ints
    starts: Ints
    stops: Ints
    num_first: Ints
    """Of each bucket, how many of its texts stand on the first side; all, where there are no sides."""


def bands_for(threshold: float) -> tuple[int, int]:
    """How many bands of how many minima: the widest that miss at most one pair in ten thousand at the threshold.

    >>> bands_for(0.8), bands_for(0.5)
    ((24, 5), (60, 2))
    """
    fitting = (
        width for width in range(NUM_MINIMA, 1, -1) if (1 - threshold**width) ** (NUM_MINIMA // width) <= MOST_MISSED
    )
    width = next(fitting, 1)
    return NUM_MINIMA // width, width


def sketch(texts: Sequence[str], threshold: float, groups: Groups = ()) -> Sketches:
    """The sketches of normalised texts, for finding pairs of at least that Jaccard."""
    num_bands, width = bands_for(threshold)
    keys = np.empty((num_bands, len(texts)), np.uint64)
    low_bytes = np.empty((len(texts), num_bands * width), np.uint8)
    random = np.random.default_rng(20_240_229)
    # Odd factors: multiplying by them loses nothing. The mask before makes the mixes differ beyond their factors.
    masks = random.integers(0, 1 << 32, num_bands * width, dtype=np.uint32)
    factors = random.integers(0, 1 << 32, num_bands * width, dtype=np.uint32) | np.uint32(1)

    def one_block(chosen: slice) -> None:
        hashes, num_windows = windows(texts[chosen], groups[chosen])
        short_hashes = (hashes >> np.uint64(32)).astype(np.uint32)
        starts = offsets_of(num_windows)[:-1]
        mix = np.empty_like(short_hashes)
        lows = np.empty((num_bands * width, len(starts)), np.uint8)
        for band in range(num_bands):
            key = np.zeros(len(starts), np.uint64)
            for place in range(band * width, (band + 1) * width):
                np.bitwise_xor(short_hashes, masks[place], out=mix)
                np.multiply(mix, factors[place], out=mix)
                minima = np.minimum.reduceat(mix, starts)
                lows[place] = minima.astype(np.uint8)
                key ^= minima
                key *= _TIE
            keys[band, chosen] = mixed(key)
        low_bytes[chosen] = lows.T

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        list(pool.map(one_block, blocks(texts)))
    spread = (threshold * (1 - threshold) / (num_bands * width)) ** 0.5
    least = int((threshold - _DEVIATIONS * spread) * num_bands * width)
    return Sketches(keys, low_bytes, max(least, 0))


def candidates(sketches: Sketches, num_first: int = 0) -> tuple[Ints, Ints]:
    """Pairs of texts (left < right) that may be alike.

    With `num_first`, only pairs of one of the first texts with one of the others. Two texts that share a bucket of at
    most `CROWD` are always looked at. In a larger one each text is held against the bucket's first and some neighbours,
    and pairs of bands then part it: so each text of a crowd finds texts like it, but not all of them.
    """
    found = _Found(sketches)
    num_bands, num_texts = sketches.keys.shape
    everyone = np.arange(num_texts, dtype=np.int64)
    is_crowded = np.zeros((num_bands, num_texts), bool)
    for band, keys in enumerate(sketches.keys):
        buckets = _buckets(keys, everyone, num_first)
        is_crowded[band, _look_into(buckets, found, bool(num_first))] = True
    most_looks = found.num_looks + max(_CROWD_LOOKS_PER_TEXT * num_texts, _LEAST_CROWD_LOOKS)
    # Neighbouring bands first: every band has had its turn long before the looks are spent.
    for one, other in sorted(combinations(range(num_bands), 2), key=lambda bands: bands[1] - bands[0]):
        crowd = np.flatnonzero(is_crowded[one] & is_crowded[other])
        if not len(crowd):
            continue
        joined = sketches.keys[one, crowd] * _TIE + sketches.keys[other, crowd]
        _look_into(_buckets(mixed(joined), crowd, num_first), found, bool(num_first))
        if found.num_looks > most_looks:
            break
    return found.settled()


def _buckets(keys: Words, texts: Ints, num_first: int) -> _Buckets:
    """Texts of one key together. The key's high bits and the text's place share a word: sorting words is quickest."""
    low_bits = np.uint64(max(int(texts.max(initial=1)).bit_length(), 1))
    packed = (keys >> low_bits << low_bits) | texts.astype(np.uint64)
    packed.sort()
    high = packed >> low_bits
    bounds = np.append(np.flatnonzero(np.diff(high, prepend=~high[:1])), len(packed))
    starts, stops = bounds[:-1], bounds[1:]
    together = (packed & ((np.uint64(1) << low_bits) - np.uint64(1))).astype(np.int64)
    is_shared = stops - starts > 1
    starts, stops = starts[is_shared], stops[is_shared]
    firsts = stops - starts
    if num_first:
        upto = offsets_of((together < num_first).astype(np.int64))
        firsts = upto[stops] - upto[starts]
        has_both = (firsts > 0) & (firsts < stops - starts)
        starts, stops, firsts = starts[has_both], stops[has_both], firsts[has_both]
    return _Buckets(together, starts, stops, firsts)


def _look_into(buckets: _Buckets, found: _Found, has_sides: bool) -> Ints:
    """Look at the pairs of buckets; return the texts of crowds."""
    is_crowd = buckets.num_first > CROWD
    for crowds in (False, True):
        chosen = is_crowd == crowds
        some = _Buckets(buckets.texts, buckets.starts[chosen], buckets.stops[chosen], buckets.num_first[chosen])
        most = _NEIGHBOURS if crowds else CROWD
        for left, right in (_across if has_sides else _within)(some, most):
            found.look(left, right)
    return buckets.texts[_places(buckets.starts[is_crowd], buckets.stops[is_crowd])]


def _within(buckets: _Buckets, most: int) -> Iterator[tuple[Ints, Ints]]:
    """Each text with the next ones of its bucket, at most so many, and with the first one."""
    places = _places(buckets.starts, buckets.stops)
    sizes = buckets.stops - buckets.starts
    starts, stops = np.repeat(buckets.starts, sizes), np.repeat(buckets.stops, sizes)
    is_far = places - starts > most
    yield buckets.texts[starts[is_far]], buckets.texts[places[is_far]]
    for step in range(1, most + 1):
        has_next = places + step < stops
        places, stops = places[has_next], stops[has_next]
        if not len(places):
            break
        yield buckets.texts[places], buckets.texts[places + step]


def _across(buckets: _Buckets, most: int) -> Iterator[tuple[Ints, Ints]]:
    """Each text of the second side with texts of the first side of its bucket, at most so many, and the first one."""
    starts, middles = buckets.starts, buckets.starts + buckets.num_first
    places = _places(middles, buckets.stops)
    sizes = buckets.stops - middles
    starts, firsts = np.repeat(starts, sizes), np.repeat(buckets.num_first, sizes)
    is_over = firsts > most
    yield buckets.texts[starts[is_over]], buckets.texts[places[is_over]]
    for step in range(most):
        has_more = step < firsts
        places, starts, firsts = places[has_more], starts[has_more], firsts[has_more]
        if not len(places):
            break
        # Texts of a crowd begin at different partners, so that all partners take their turn.
        yield buckets.texts[starts + (places + step) % firsts], buckets.texts[places]


def _places(starts: Ints, stops: Ints) -> Ints:
    """All places of the runs, one run after another."""
    sizes = stops - starts
    return np.arange(int(sizes.sum()), dtype=np.int64) + np.repeat(starts - offsets_of(sizes)[:-1], sizes)
