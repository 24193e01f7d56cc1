"""Whether two pictures that look alike from afar are one picture: the same at every place, in
colour and in fine print.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import (
    AlignedDifference,
    Frame,
    compare_aligned,
    fit_within,
    prepare_frame,
)

Floats = NDArray[np.float32]

# Least correlation of the worst 3×3 cells and of the tenth percentile, and largest colour
# difference of any 3×3 cells over the unseen, of two copies. Copies that were scaled, brightened,
# cropped by 5 % and saved again at quality 40 keep them.
_LEAST_BLOCK, _LEAST_LOW, _LARGEST_PATCH, _LARGEST_HUE = 0.48, 0.5, 8.0, 0.2
# Copies are scaled and cut; what is turned is another photograph.
_LARGEST_TURN, _LARGEST_CUT = 0.012, 0.2
_SIDE = 128
_ITERATIONS, _PRECISION = 40, 1e-4
# Pixels of the longer side at which windows are compared, of a window's side, of the blur and of
# the edge that is left out; grey levels of a window with structure, and noise. Copies agree to 0.7
# and more everywhere, another digit to 0.25 at most.
_WINDOWS_SIDE, _WINDOW, _BLUR, _EDGE = 320, 11, 1.0, 8
_WINDOW_STRUCTURE, _NOISE, _LEAST_WINDOW = 14.0, 30.0, 0.5
# The sharper of two pictures is blurred by one of these until its detail is at most so many times
# the other's.
_BLURS, _SAME_DETAIL = (1.5, 2.0, 2.5, 3.0, 3.5), 1.5
_IN_PLACE = np.eye(2, 3, dtype=np.float32)


def is_one_picture(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Return whether two RGB pictures, uint8 (height, width, 3), are one: scaled, cut, brightened
    or saved again.

    Example:
        >>> from clustering_pipeline.imaging import decode_image, to_jpeg
        >>> noise = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
        >>> picture = noise.repeat(30, 0).repeat(30, 1)
        >>> is_one_picture(picture, decode_image(to_jpeg(picture)))
        True
        >>> is_one_picture(picture, picture[::-1])
        False
    """
    left, right = prepare_frame(first), prepare_frame(second)
    if _agree(first, second, left, right, _IN_PLACE):
        return True
    between = _between(left, right)
    return between is not _IN_PLACE and _agree(first, second, left, right, between)


def _agree(
    first: NDArray[np.uint8], second: NDArray[np.uint8], left: Frame, right: Frame, shares: Floats
) -> bool:
    return (
        is_copy(compare_aligned(left, right, shares))
        and least_agreement(first, second, shares) >= _LEAST_WINDOW
    )


def is_copy(difference: AlignedDifference) -> bool:
    """Return whether two pictures laid over each other are copies: nowhere another colour, nowhere
    other print.
    """
    if not difference.cells:
        return False
    block, low, hue = (
        np.nan_to_num(value, nan=default)
        for value, default in (
            (difference.worst_block, 1.0),
            (difference.low_correlation, 1.0),
            (difference.hue, 0.0),
        )
    )
    return bool(
        block >= _LEAST_BLOCK
        and low >= _LEAST_LOW
        and difference.patch <= _LARGEST_PATCH
        and hue <= _LARGEST_HUE
    )


def least_agreement(first: NDArray[np.uint8], second: NDArray[np.uint8], shares: Floats) -> float:
    """Return the correlation, -1 to 1, of the small window with structure in which two RGB pictures
    agree least; 1 without any.

    A window may be off by a pixel, and is small enough that one digit of small print fills it.

    Args:
        first: uint8 (height, width, 3).
        second: uint8 (height, width, 3), of another size or not.
        shares: float32 (2, 3), maps places of the first picture to the second, both as shares of
            width and height.
    """
    left, right = (
        cv2.cvtColor(fit_within(one, _WINDOWS_SIDE, enlarge=True), cv2.COLOR_RGB2GRAY)
        for one in (first, second)
    )
    height, width = left.shape
    matrix = shares.astype(np.float64) * [[right.shape[1]], [right.shape[0]]] / [width, height, 1]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    right = cv2.warpAffine(
        right, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    one, other = _equally_sharp(left.astype(np.float32), right.astype(np.float32))
    inside = (slice(_EDGE, height - _EDGE), slice(_EDGE, width - _EDGE))
    mean, variance = _moments(one)
    structured = np.maximum(variance, _moments(other)[1])[inside] > _WINDOW_STRUCTURE**2
    if not structured.any():
        return 1.0
    best = np.full(structured.shape, -1, np.float32)
    for shift in ((down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)):
        moved = np.roll(other, shift, (0, 1))
        mean_moved, variance_moved = _moments(moved)
        common = cv2.blur(one * moved, (_WINDOW, _WINDOW)) - mean * mean_moved
        best = np.maximum(
            best, (common / np.sqrt((variance + _NOISE) * (variance_moved + _NOISE)))[inside]
        )
    return float(best[structured].min())


def _equally_sharp(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return both less noise, the sharper one blurred until it has no more detail than the
    other.
    """
    one, other = _blurred(left, _BLUR), _blurred(right, _BLUR)
    least = min(_detail(one), _detail(other))
    for sigma in _BLURS:
        if max(_detail(one), _detail(other)) <= _SAME_DETAIL * least:
            break
        one = one if _detail(one) <= _SAME_DETAIL * least else _blurred(left, sigma)
        other = other if _detail(other) <= _SAME_DETAIL * least else _blurred(right, sigma)
    return one, other


def _blurred(grey: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32)


def _detail(grey: Floats) -> float:
    return float(np.square(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def _moments(grey: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of the window about every pixel."""
    mean = np.asarray(cv2.blur(grey, (_WINDOW, _WINDOW)), np.float32)
    return mean, np.asarray(
        np.maximum(cv2.blur(grey * grey, (_WINDOW, _WINDOW)) - mean * mean, 0), np.float32
    )


def _between(first: Frame, second: Frame) -> Floats:
    """Return the affine map between two near copies, in shares of their widths and heights."""
    left, right = (
        cv2.resize(frame.lab[..., 0], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
        for frame in (first, second)
    )
    everywhere = np.full(left.shape, 255, np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _PRECISION)
    try:
        _, found = cv2.findTransformECC(
            left, right, _IN_PLACE.copy(), cv2.MOTION_AFFINE, criteria, everywhere, 5
        )
    except cv2.error:
        return _IN_PLACE
    shares = np.array(found, np.float32)
    shares[:, 2] = (found[:, 2] + 0.5 * (found[:, :2].sum(axis=1) - 1)) / _SIDE
    turned = max(abs(float(shares[0, 1])), abs(float(shares[1, 0])))
    return (
        shares
        if turned <= _LARGEST_TURN and np.abs(shares - _IN_PLACE).max() < _LARGEST_CUT
        else _IN_PLACE
    )
