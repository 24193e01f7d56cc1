"""Colour of a product: where in the frame which colours are, which it has wherever they are (a soft
histogram of hue, chroma and lightness), and a thumbnail for comparing regions.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import resize
from clustering_pipeline.stages.features.keypoints import THUMBNAIL_SIDE, central_weight

_BLOCKS = 2
_BINS = (4, 6, 6)
# L* spans 0 to 100; a* and b* of sRGB colours lie within ±110, printed packs mostly within ±80.
_RANGES = ((0.0, 100.0), (-80.0, 80.0), (-80.0, 80.0))
COLOUR_LENGTH = _BLOCKS * _BLOCKS * _BINS[0] * _BINS[1] * _BINS[2]


def to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32 CIE L*a*b* (L* 0 to 100) of uint8 RGB pixels of the same shape."""
    return np.asarray(cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)


def colour_distance(
    colours: NDArray[np.float32], reference: NDArray[np.floating[Any]]
) -> NDArray[np.float32]:
    """Return how far L*a*b* colours lie from others, the CIE 1976 difference: (…) for colours
    (…, 3) and a reference that broadcasts to them.

    In place of `np.linalg.norm`, which takes three times as long along an axis of three.
    """
    apart = colours - reference
    apart *= apart
    return np.asarray(np.sqrt(apart[..., 0] + apart[..., 1] + apart[..., 2]), np.float32)


def colour_histogram(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the square-rooted L*a*b* histograms of 2×2 blocks of an RGB frame: float32 (576,),
    unit length.

    The dot product of two of them is the Bhattacharyya coefficient averaged over the blocks.
    """
    bins = _bin_numbers(to_lab(frame))
    rows = np.array_split(np.arange(bins.shape[0]), _BLOCKS)
    columns = np.array_split(np.arange(bins.shape[1]), _BLOCKS)
    per_block = int(np.prod(_BINS))
    blocks = [
        np.bincount(bins[np.ix_(row, column)].ravel(), minlength=per_block)
        for row in rows
        for column in columns
    ]
    shares = [block / max(1, block.sum()) for block in blocks]
    histogram = np.sqrt(np.concatenate(shares))
    unit: NDArray[np.float32] = (histogram / max(float(np.linalg.norm(histogram)), 1e-12)).astype(
        np.float32
    )
    return unit


def lab_thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the RGB frame as a 32×32 8-bit L*a*b* picture, whatever its aspect."""
    small = cv2.resize(frame, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), np.uint8)


def _bin_numbers(lab: NDArray[np.float32]) -> NDArray[np.int64]:
    number = np.zeros(lab.shape[:2], np.int64)
    for channel, (count, (low, high)) in enumerate(zip(_BINS, _RANGES, strict=True)):
        position = (lab[..., channel] - low) / (high - low) * count
        number = number * count + np.clip(position.astype(np.int64), 0, count - 1)
    return number


# Pixels of a side at which colours are counted.
_SIDE = 64
# Bins: hues of weak and of strong colours at two lightnesses, and greys.
_HUES, _GREYS = 18, 6
_CHROMAS = (6.0, 18.0, 45.0)
_DARK, _BRIGHT = 35.0, 75.0
PALETTE_LENGTH = 2 * 2 * _HUES + _GREYS
# How far white may be off, L*a*b* units, and what counts as white.
_LARGEST_CAST, _WHITE = 10.0, 70.0

Mask = NDArray[np.bool_]


def palette(frame: NDArray[np.uint8], background: Mask | None = None) -> NDArray[np.float32]:
    """Return the palette of an RGB product frame: float32 (PALETTE_LENGTH,), unit length, zeros
    when nothing is left.

    The dot product of two palettes is their Bhattacharyya coefficient, 0 to 1. Colours are shared
    between neighbouring bins, so that a little other light moves little; pixels count by how
    central they are.

    Args:
        frame: uint8 (height, width, 3).
        background: bool (height, width), pixels that are not the product.

    Example:
        >>> red, blue = np.zeros((2, 64, 64, 3), np.uint8)
        >>> red[..., 0], blue[..., 2] = 200, 200
        >>> f"{palette(red) @ palette(red):.2f} {palette(red) @ palette(blue):.2f}"
        '1.00 0.00'
    """
    lab = to_lab(resize(frame, _SIDE, _SIDE))
    centres = (
        np.stack(np.meshgrid(np.arange(_SIDE), np.arange(_SIDE)), axis=-1).reshape(-1, 2) + 0.5
    ) / _SIDE
    weights = 0.15 + central_weight(centres.astype(np.float32))
    colours = lab.reshape(-1, 3).astype(np.float64)
    if background is not None:
        hidden = (
            cv2.resize(
                background.astype(np.uint8), (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST
            ).ravel()
            > 0
        )
        colours[:, 1:] -= _cast(colours[hidden])
        weights = np.where(hidden, 0, weights)
    histogram = np.sqrt(_counts(colours, weights.astype(np.float64)))
    return np.asarray(histogram / max(float(np.linalg.norm(histogram)), 1e-12), np.float32)


def _cast(background: NDArray[np.float64]) -> NDArray[np.float64]:
    white = background[
        (background[:, 0] > _WHITE) & (np.linalg.norm(background[:, 1:], axis=1) < _LARGEST_CAST)
    ]
    return (
        np.median(white[:, 1:], axis=0)
        if len(white) > 0.5 * len(background) and len(white)
        else np.zeros(2)
    )


def _counts(colours: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    chroma = np.linalg.norm(colours[:, 1:], axis=1)
    low, middle, high = _CHROMAS
    # Coloured pixels say more than grey ones.
    coloured = np.clip((chroma - low) / (middle - low), 0, 1)
    strong = np.clip((chroma - middle) / (high - middle), 0, 1)
    bright = np.clip((colours[:, 0] - _DARK) / (_BRIGHT - _DARK), 0, 1)
    turn = np.mod(np.arctan2(colours[:, 2], colours[:, 1]) / (2 * np.pi) * _HUES, _HUES)
    hue = np.floor(turn).astype(np.int64) % _HUES
    over = turn - np.floor(turn)
    result = np.zeros(PALETTE_LENGTH)
    for is_strong, by_chroma in ((0, 1 - strong), (1, strong)):
        for is_bright, by_light in ((0, 1 - bright), (1, bright)):
            share = weights * coloured * by_chroma * by_light * (1 + chroma / high)
            start = (2 * is_strong + is_bright) * _HUES
            np.add.at(result, start + hue, share * (1 - over))
            np.add.at(result, start + (hue + 1) % _HUES, share * over)
    grey = np.clip(colours[:, 0] / 100 * (_GREYS - 1), 0, _GREYS - 1 - 1e-9)
    level = np.floor(grey).astype(np.int64)
    share = weights * (1 - coloured)
    np.add.at(result, 4 * _HUES + level, share * (1 - (grey - level)))
    np.add.at(result, 4 * _HUES + level + 1, share * (grey - level))
    return result
