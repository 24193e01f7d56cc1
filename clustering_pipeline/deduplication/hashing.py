"""Perceptual hashes with the bits of the imagehash package, several times faster.

imagehash shrinks the grey picture with Pillow's 8-bit Lanczos filter, which works in fixed point: a horizontal pass that
is rounded to whole grey levels, then a vertical one. Both passes are linear, so here they are matrix products: the first,
which is nearly all the work, in float32 for both hashes at once. The few sums that lie too close to a rounding edge for
float32 are worked out again exactly.
"""

from dataclasses import dataclass
from functools import lru_cache
from threading import local

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
# The largest error seen of a float32 sum of 4,000 products is a tenth of this; in grey levels.
_UNSURE = 2e-3

# Some versions of Pillow run the vertical pass of tall and of narrow pictures first, so those are left to Pillow.
_NARROW, _TALL = 128, 1.6
_BANDS = 2

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
    """
    square, strip = shrink(grey)
    return phash_bits(low_frequencies(square)), strip[:, 1:] > strip[:, :-1]


def shrink(grey: Grey) -> tuple[Grey, Grey]:
    """Return the picture at 32 × 32 and at 9 wide × 8 high, as Pillow's `resize(…, LANCZOS)` gives them."""
    height, width = grey.shape
    if width < _NARROW or height > _TALL * width:
        picture = Image.fromarray(grey)
        return _by_pillow(picture, PHASH_SIDE, PHASH_SIDE), _by_pillow(picture, DHASH_WIDTH, DHASH_HEIGHT)
    rows = _horizontal_pass(grey)
    square = _vertical_pass(rows[:, :PHASH_SIDE], _weights(height, PHASH_SIDE))
    return square, _vertical_pass(rows[:, PHASH_SIDE:], _weights(height, DHASH_HEIGHT))


def low_frequencies(square: Grey) -> NDArray[np.float64]:
    """Return the 8 × 8 lowest frequencies, float64, of the type-II DCT of a 32 × 32 picture."""
    spectrum = dct(dct(square.astype(np.float64), axis=0), axis=1)
    low: NDArray[np.float64] = spectrum[:_LOW_FREQUENCIES, :_LOW_FREQUENCIES]
    return low


def phash_bits(low: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the low frequencies (…, 8, 8) lie above their median."""
    middle = np.sort(low.reshape(*low.shape[:-2], -1), axis=-1)[..., 31:33].mean(axis=-1)
    bits: NDArray[np.bool_] = low > middle[..., None, None]
    return bits


def turned(low: NDArray[np.float64], orientation: Orientation) -> NDArray[np.float64]:
    """Return the low frequencies (…, 8, 8) of the picture turned or mirrored: a mirror changes the sign of the odd ones."""
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


def _horizontal_pass(grey: Grey) -> Grey:
    sums = _in_float32(grey)
    levels = np.empty((len(grey), PHASH_SIDE + DHASH_WIDTH), np.uint8)
    for band in _bands(grey.shape[1]):
        levels[:, band.columns] = _round_exactly(sums[:, band.start : band.stop] @ band.single, grey, band)
    return levels


def _round_exactly(sums: NDArray[np.float32], grey: Grey, band: "_Band") -> NDArray[np.float32]:
    """Return the sums as whole grey levels, those near a rounding edge worked out again in float64."""
    sums += np.float32(0.5)
    levels = np.floor(sums)
    rows, columns = np.divmod(np.flatnonzero(np.abs(sums - np.rint(sums)) < _UNSURE), sums.shape[1])
    exact = np.einsum("ij,ij->i", grey[rows, band.start : band.stop].astype(np.float64), band.exact[columns])
    levels[rows, columns] = np.floor(exact + 0.5)
    return np.clip(levels, 0, 255)


def _in_float32(grey: Grey) -> NDArray[np.float32]:
    """Return the picture as float32 in memory that is used again by this thread's next picture."""
    # Asking the system for megabytes anew takes longer than the product itself.
    buffer: NDArray[np.float32] | None = getattr(_scratch, "buffer", None)
    if buffer is None or buffer.size < grey.size:
        buffer = _scratch.buffer = np.empty(grey.size, np.float32)
    converted = buffer[: grey.size].reshape(grey.shape)
    np.copyto(converted, grey)
    return converted


def _vertical_pass(rows: Grey, weights: NDArray[np.float64]) -> Grey:
    return np.clip(np.floor(weights.T @ rows.astype(np.float64) + 0.5), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Band:
    """The weights of neighbouring output columns, of the input columns start … stop that they reach."""

    columns: NDArray[np.int64]
    start: int
    stop: int
    single: NDArray[np.float32]
    exact: NDArray[np.float64]


@lru_cache(maxsize=256)
def _bands(width: int) -> tuple[_Band, ...]:
    """Return the left and the right half of the columns of both hashes: each reaches only part of the picture."""
    weights = np.concatenate([_weights(width, PHASH_SIDE), _weights(width, DHASH_WIDTH)], axis=1)
    centres = np.abs(weights).T @ np.arange(width) / np.abs(weights).sum(axis=0)
    return tuple(_band(weights, columns) for columns in np.array_split(np.argsort(centres, kind="stable"), _BANDS))


def _band(weights: NDArray[np.float64], columns: NDArray[np.int64]) -> _Band:
    reached = np.flatnonzero(weights[:, columns].any(axis=1))
    start, stop = int(reached[0]), int(reached[-1]) + 1
    part = weights[start:stop, columns]
    return _Band(columns, start, stop, part.astype(np.float32), np.ascontiguousarray(part.T))


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
    return np.trunc(fixed + np.copysign(0.5, fixed)) / _ONE


def _lanczos(places: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel = np.sinc(places) * np.sinc(places / _LANCZOS_SUPPORT)
    return np.where((places >= -_LANCZOS_SUPPORT) & (places < _LANCZOS_SUPPORT), kernel, 0.0)
