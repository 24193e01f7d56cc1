"""Perceptual hashes with the bits of the imagehash package, several times faster.

Pillow's own `resize` gives the same bits and takes about three times as long for the two sizes.

imagehash shrinks the grey picture with Pillow's 8-bit Lanczos filter, which works in fixed point: a
horizontal pass that is rounded to whole grey levels, then a vertical one. Both passes are linear,
so here they are matrix products: the first, which is nearly all the work, in float32 for both
hashes at once. The few sums that lie too close to a rounding edge for float32 are worked out again
exactly.

The bits are those of the same grey picture. The grey of a JPEG is its luma as stored
(`decode_grey`); imagehash, given the file, goes by way of RGB, which rounds now and then to another
grey level: of 731 real photos 94 % have the same pHash all the same, and none differs in more than
4 bits.
"""

from functools import lru_cache
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
