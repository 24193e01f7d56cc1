"""All pairs of 64-bit hashes within a Hamming radius, without comparing all with all.

Multi-index hashing by the general pigeonhole principle: cut the bits into m blocks and give block i
a radius tᵢ with Σ tᵢ = r − m + 1; hashes within r of each other lie within tᵢ in at least one
block. Candidates per block come from a table over the block's values, and each is checked on all 64
bits.

FAISS's IndexBinaryFlat compares all with all and takes more than twice as long for 50,000 hashes;
its IndexBinaryMultiHash, made exact by `nflip`, takes longer still.

Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index Hashing", TPAMI 2014;
Qin et al.: "GPH: Similarity Search in Hamming Space", ICDE 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Indices = NDArray[np.int64]

BITS = 64
_WIDEST_BLOCK = 24
_CHUNK = 1 << 21
# Measured on one core: looking a value up costs about as much as a fifth of checking a candidate.
_LOOK_UP_COST = 0.2


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, first < second, ordered; `distances` counts the bits in which they differ."""

    first: Indices
    second: Indices
    distances: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class _Block:
    shift: int
    width: int
    radius: int


def pairs_within(codes: Codes, radius: int) -> Pairs:
    """Return every pair of `codes`, uint64 (n,), that differs in at most `radius` of 64 bits.

    Equal codes are compared once: a thousand blank pictures cost no more than one. Raises
    ValueError for a radius below 0 or above 32.

    Example:
        >>> pairs = pairs_within(np.array([0b1111, 0b1110, 0], np.uint64), 2)
        >>> pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist()
        ([0], [1], [1])
    """
    if not 0 <= radius <= BITS // 2:
        raise ValueError(f"a Hamming radius lies between 0 and {BITS // 2}, not {radius}")
    distinct, members = np.unique(codes, return_inverse=True)
    first, second, distances = _distinct_pairs(distinct, radius)
    return _expand(first, second, distances, members.astype(np.int64), len(distinct))


def popcount(codes: Codes) -> NDArray[np.int64]:
    """Return the number of set bits of each uint64."""
    pairs = codes - ((codes >> np.uint64(1)) & np.uint64(0x5555555555555555))
    nibbles = (pairs & np.uint64(0x3333333333333333)) + (
        (pairs >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    octets = (nibbles + (nibbles >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts = (octets * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return np.asarray(counts, np.int64)


def _distinct_pairs(codes: Codes, radius: int) -> tuple[Indices, Indices, NDArray[np.int64]]:
    mixed = _spread_bits(codes)
    found = [
        chunk
        for block in _plan(len(codes), radius)
        for chunk in _search_block(mixed, block, radius)
    ]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = np.unique(np.concatenate(found))
    first, second = keys // len(codes), keys % len(codes)
    return first, second, popcount(codes[first] ^ codes[second])


def _spread_bits(codes: Codes) -> Codes:
    """Deal the bits out like cards, because neighbouring bits of a hash go together and would make
    full blocks.
    """
    bits = np.unpackbits(codes.view(np.uint8).reshape(-1, 8), axis=1)
    dealt = np.arange(BITS).reshape(8, 8).T.ravel()
    return np.ascontiguousarray(np.packbits(bits[:, dealt], axis=1)).view(np.uint64).ravel()


def _plan(count: int, radius: int) -> list[_Block]:
    """Return the cheapest of the block layouts for `count` codes."""
    layouts = [
        _layout(blocks, radius, extra) for blocks in range(2, radius + 2) for extra in range(0, 9)
    ]
    usable = [layout for layout in layouts if layout] or [[_Block(0, _WIDEST_BLOCK, radius)]]
    return min(usable, key=lambda layout: sum(_cost(block, count) for block in layout))


def _layout(blocks: int, radius: int, extra: int) -> list[_Block] | None:
    """Return `blocks` blocks, those of the larger radius `extra` bits wider; None when one would be
    too wide.
    """
    total = radius - blocks + 1
    small, larger = divmod(total, blocks)
    narrow, wider = divmod(BITS - larger * extra, blocks)
    widths = [
        narrow + (extra if place < larger else 0) + (place >= blocks - wider)
        for place in range(blocks)
    ]
    shifts = np.concatenate([[0], np.cumsum(widths)])
    if max(widths) > _WIDEST_BLOCK or min(widths) < 4:
        return None
    return [
        _Block(int(shifts[place]), widths[place], small + (place < larger))
        for place in range(blocks)
    ]


def _cost(block: _Block, count: int) -> float:
    neighbours = sum(comb(block.width, weight) for weight in range(block.radius + 1))
    return neighbours * count * (_LOOK_UP_COST + count / 2.0**block.width) / 2 + 2.0**block.width


def _search_block(codes: Codes, block: _Block, radius: int) -> Iterator[NDArray[np.int64]]:
    """Yield first · n + second of the pairs within `radius` that lie within the block's own radius
    in its bits.
    """
    keys = ((codes >> np.uint64(block.shift)) & np.uint64((1 << block.width) - 1)).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << block.width))])
    sorted_keys, sorted_codes = keys[order], codes[order]
    for rows, begins, counts in _look_ups(sorted_keys, starts, block):
        for left, right in _candidates(rows, begins, counts):
            near = popcount(sorted_codes[left] ^ sorted_codes[right]) <= radius
            if near.any():
                a, b = order[left[near]], order[right[near]]
                yield np.minimum(a, b) * len(codes) + np.maximum(a, b)


def _look_ups(
    keys: Indices, starts: Indices, block: _Block
) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Yield rows, and for each where its candidates begin and how many they are, each pair from one
    side only.
    """
    rows = np.arange(len(keys))
    yield rows, rows + 1, starts[keys + 1] - rows - 1
    for weight in range(1, block.radius + 1):
        for bits in combinations(range(block.width), weight):
            mask = sum(1 << bit for bit in bits)
            lower = np.flatnonzero(keys & (1 << bits[-1]) == 0)
            partner = keys[lower] ^ mask
            begins = starts[partner]
            yield lower, begins, starts[partner + 1] - begins


def _candidates(
    rows: Indices, begins: Indices, counts: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """Yield the pairs (row, begin … begin + count − 1), at most about `_CHUNK` at once."""
    full = np.flatnonzero(counts > 0)
    ends = np.cumsum(counts[full])
    start = 0
    while start < len(full):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK, side="right")))
        some = full[start:stop]
        offsets = np.arange(ends[stop - 1] - before) - np.repeat(
            ends[start:stop] - counts[some] - before, counts[some]
        )
        yield np.repeat(rows[some], counts[some]), np.repeat(begins[some], counts[some]) + offsets
        start = stop


def _expand(
    first: Indices, second: Indices, distances: NDArray[np.int64], members: Indices, distinct: int
) -> Pairs:
    """Turn pairs of distinct codes into pairs of rows: each set of equal codes hangs together
    through its first row.
    """
    order = np.argsort(members, kind="stable")
    representative = order[np.searchsorted(members[order], np.arange(distinct))]
    others = np.setdiff1d(np.arange(len(members)), representative)
    a = np.concatenate([representative[first], representative[members[others]]])
    b = np.concatenate([representative[second], others])
    all_distances = np.concatenate([distances, np.zeros(len(others), np.int64)])
    low, high = np.minimum(a, b), np.maximum(a, b)
    ordered = np.lexsort((high, low))
    return Pairs(low[ordered], high[ordered], all_distances[ordered])
