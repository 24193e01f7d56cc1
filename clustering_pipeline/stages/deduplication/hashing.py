"""Perceptual hashes with the bits of the imagehash package, several times faster; and all pairs of
them within a Hamming radius, without comparing all with all.

Pillow's own `resize` gives the same bits and takes about three times as long for the two sizes.

imagehash shrinks the grey picture with Pillow's 8-bit Lanczos filter, which works in fixed point: a
horizontal pass that is rounded to whole grey levels, then a vertical one. Both passes are linear,
so here they are matrix products: the first, which is nearly all the work, in float32 for both
hashes at once. The few sums that lie too close to a rounding edge for float32 are worked out again
exactly.

The bits are those of the same grey picture. The grey of a JPEG is its luma as stored
(`decode_reduced`); imagehash, given the file, goes by way of RGB, which rounds now and then to
another grey level: of 731 real photos 94 % have the same pHash all the same, and none differs in
more than 4 bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb
from threading import local
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dct

Grey = NDArray[np.uint8]

PHASH_SIDE, DHASH_WIDTH, DHASH_HEIGHT = 32, 9, 8
_LOW_FREQUENCIES = 8
_LANCZOS_SUPPORT = 3.0
# Pillow's fixed point: 32 bits less 8 for the value and 2 for its sign and overshoot.
_PRECISION = 22
_ONE = 1 << _PRECISION
# The largest error seen of a float32 sum of 4,000 products is a sixth of this; in grey levels.
_UNSURE = 1e-3

# Some versions of Pillow run the vertical pass of tall and of narrow pictures first, so those are
# left to Pillow.
_NARROW, _TALL = 128, 1.6
# Neighbours reach only part of the picture, and products this small run from the processor's cache.
_BAND_SIZES = {PHASH_SIDE: 4, DHASH_WIDTH: 2, DHASH_HEIGHT: 2}

Orientation = tuple[bool, bool, bool]

# The ways to turn and mirror a picture, each as (transpose, flip rows, flip columns).
UPRIGHT: Orientation = (False, False, False)
MIRRORS: tuple[Orientation, ...] = ((False, False, True), (False, True, False))
TURNS: tuple[Orientation, ...] = (
    (False, True, True),
    (True, False, False),
    (True, False, True),
    (True, True, False),
    (True, True, True),
)


_scratch = local()


def hash_bits(grey: Grey) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the pHash bits (8, 8) and the dHash bits (8, 8) of a (height, width) uint8 picture.

    They equal `imagehash.phash` and `imagehash.dhash` of the same grey picture.

    Example:
        >>> ramp = np.tile(np.arange(0, 250, 2, dtype=np.uint8), (90, 1))
        >>> phash, dhash = hash_bits(ramp)
        >>> to_hexadecimal(dhash), to_hexadecimal(hash_bits(255 - ramp)[1])
        ('ffffffffffffffff', '0000000000000000')
    """
    square, strip = shrink(grey)
    return phash_bits(low_frequencies(square)), strip[:, 1:] > strip[:, :-1]


def shrink(grey: Grey) -> tuple[Grey, Grey]:
    """Return the picture at 32 × 32 and at 9 wide × 8 high, as Pillow's `resize(…, LANCZOS)` gives
    them.
    """
    height, width = grey.shape
    if width < _NARROW or height > _TALL * width:
        picture = Image.fromarray(grey)
        return _by_pillow(picture, PHASH_SIDE, PHASH_SIDE), _by_pillow(
            picture, DHASH_WIDTH, DHASH_HEIGHT
        )
    columns = _resample(grey, (PHASH_SIDE, DHASH_WIDTH))
    return _resample(columns[:PHASH_SIDE], (PHASH_SIDE,)), _resample(
        columns[PHASH_SIDE:], (DHASH_HEIGHT,)
    )


def low_frequencies(squares: Grey) -> NDArray[np.float64]:
    """Return the 8 × 8 lowest frequencies, float64 (…, 8, 8), of the type-II DCT of pictures (…,
    32, 32).
    """
    rows = dct(squares.astype(np.float64), axis=-2)[..., :_LOW_FREQUENCIES, :]
    low: NDArray[np.float64] = dct(rows, axis=-1)[..., :_LOW_FREQUENCIES]
    return low


def phash_bits(low: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the low frequencies (…, 8, 8) lie above their median."""
    middle = np.sort(low.reshape(*low.shape[:-2], -1), axis=-1)[..., 31:33].mean(axis=-1)
    bits: NDArray[np.bool_] = low > middle[..., None, None]
    return bits


def turned(low: NDArray[np.float64], orientation: Orientation) -> NDArray[np.float64]:
    """Return the low frequencies (…, 8, 8) of the picture turned or mirrored: a mirror changes the
    sign of the odd ones.
    """
    transpose, flip_rows, flip_columns = orientation
    signs = np.where(np.arange(_LOW_FREQUENCIES) % 2, -1.0, 1.0)
    result = low.swapaxes(-1, -2) if transpose else low
    if flip_rows:
        result = result * signs[:, None]
    return result * signs if flip_columns else result


def to_hexadecimal(bits: NDArray[np.bool_]) -> str:
    """Return 64 bits as 16 hexadecimal digits, as `str(imagehash)` does."""
    return np.packbits(bits.ravel()).tobytes().hex()


def from_hexadecimal(hashes: list[str]) -> NDArray[np.uint8]:
    """Return hashes of 16 hexadecimal digits as uint8 (n, 8)."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), 8)


def _by_pillow(picture: Image.Image, width: int, height: int) -> Grey:
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))


def _resample(grey: Grey, lengths: tuple[int, ...]) -> Grey:
    """Return the n rows of uint8 (n, length) shortened to each of `lengths`, all of them below each
    other: (Σ lengths, n).
    """
    picture = _in_float32(grey)
    bands, exact = _weights_to(grey.shape[1], lengths)
    sums = np.empty((sum(lengths), len(grey)), np.float32)
    for band in bands:
        sums[band.rows] = (picture[:, band.start : band.stop] @ band.weights).T
    return _round_exactly(sums, grey, exact)


def _round_exactly(sums: NDArray[np.float32], grey: Grey, exact: NDArray[np.float64]) -> Grey:
    """Return the sums as whole grey levels, those near a rounding edge worked out again in
    float64.
    """
    sums += np.float32(0.5)
    levels = np.floor(sums)
    places, rows = np.divmod(np.flatnonzero(np.abs(sums - np.rint(sums)) < _UNSURE), len(grey))
    levels[places, rows] = np.floor(
        np.einsum("ij,ij->i", grey[rows].astype(np.float64), exact[places]) + 0.5
    )
    return np.clip(levels, 0, 255).astype(np.uint8)


def _in_float32(grey: Grey) -> NDArray[np.float32]:
    """Return the picture as float32 in memory that is used again by this thread's next picture."""
    # Asking the system for megabytes again takes longer than the product itself.
    buffer: NDArray[np.float32] | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.size < grey.size:
        buffer = _scratch.buffer = np.empty(grey.size, np.float32)
    converted = buffer[: grey.size].reshape(grey.shape)
    np.copyto(converted, grey)
    return converted


class _Band(NamedTuple):
    """Neighbouring values of the result: their rows, and their weights, float32, of the values
    start … stop they reach.
    """

    rows: slice
    start: int
    stop: int
    weights: NDArray[np.float32]


@lru_cache(maxsize=512)
def _weights_to(source: int, lengths: tuple[int, ...]) -> tuple[list[_Band], NDArray[np.float64]]:
    """Return Pillow's weights to each of `lengths`, in bands for float32 and as float64 (Σ lengths,
    source).
    """
    exact = np.concatenate([_weights(source, length).T for length in lengths])
    firsts = np.concatenate([[0], np.cumsum(lengths)])
    bands = [
        _band(exact, int(first) + start, int(first) + min(start + size, length))
        for first, length in zip(firsts, lengths, strict=False)
        for size in [_BAND_SIZES[length]]
        for start in range(0, length, size)
    ]
    return bands, exact


def _band(exact: NDArray[np.float64], first: int, last: int) -> _Band:
    reached = np.flatnonzero(exact[first:last].any(axis=0))
    start, stop = int(reached[0]), int(reached[-1]) + 1
    return _Band(
        slice(first, last),
        start,
        stop,
        np.ascontiguousarray(exact[first:last, start:stop].T, np.float32),
    )


@lru_cache(maxsize=512)
def _weights(source: int, target: int) -> NDArray[np.float64]:
    """Return Pillow's Lanczos weights, float64 (source, target), whole multiples of 2⁻²²."""
    scale = source / target
    stretch = max(scale, 1.0)
    support = _LANCZOS_SUPPORT * stretch
    centres = (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), source)
    places = np.arange(source)[:, None]
    inside = (places >= first) & (places < last)
    weights = np.where(inside, _lanczos((places - centres + 0.5) / stretch), 0.0)
    fixed = weights / weights.sum(axis=0) * _ONE
    return np.asarray(np.trunc(fixed + np.copysign(0.5, fixed)) / _ONE, np.float64)


def _lanczos(places: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel = np.sinc(places) * np.sinc(places / _LANCZOS_SUPPORT)
    return np.where((places >= -_LANCZOS_SUPPORT) & (places < _LANCZOS_SUPPORT), kernel, 0.0)


Codes = NDArray[np.uint64]
Indices = NDArray[np.int64]

# Multi-index hashing by the general pigeonhole principle: cut the bits into m blocks and give block
# i a radius tᵢ with Σ tᵢ = r − m + 1; hashes within r of each other lie within tᵢ in at least one
# block. Candidates per block come from a table over the block's values, and each is checked on all
# 64 bits. FAISS's IndexBinaryFlat compares all with all and takes more than twice as long for
# 50,000 hashes; its IndexBinaryMultiHash, made exact by `nflip`, takes longer still.
# Norouzi, Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index Hashing", TPAMI
# 2014; Qin et al.: "GPH: Similarity Search in Hamming Space", ICDE 2018.
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
    keys_of_blocks = [
        chunk
        for block in _plan(len(codes), radius)
        for chunk in _search_block(mixed, block, radius)
    ]
    if not keys_of_blocks:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys = np.unique(np.concatenate(keys_of_blocks))
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
