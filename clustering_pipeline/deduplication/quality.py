"""How usable a picture is, judged on the product and not on the white around it."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Region = Literal["product", "whole"]

# The size at which pictures are judged: about the size at which they are compared.
NORMAL_SIDE = 256
_BACKGROUND_TOLERANCE = 12
_UNIFORM_BORDER = 0.6
_SMALLEST_PRODUCT = 0.002
_CENTRAL_SHARE = 0.6
_EDGE = 40


@dataclass(frozen=True)
class Quality:
    """What is measured on one picture, in grey levels 0 to 255.

    Attributes:
        sharpness: variance of the Laplacian within the region, the picture's longer side at most 256 pixels.
        brightness: mean of the region.
        contrast: 99th less 1st percentile of the region.
        spread: 99.5th less 0.5th percentile of the whole picture.
        detail: share of the picture's pixels at which the Laplacian exceeds 40: edges and print.
    """

    sharpness: float
    brightness: float
    contrast: float
    spread: float
    detail: float


def measure_quality(grey: Grey, region: Region = "product") -> Quality:
    """Return the quality of a (height, width) uint8 picture within its product or as a whole."""
    small = normalised(grey)
    mask = product_mask(small) if region == "product" else None
    laplacian = cv2.Laplacian(small, cv2.CV_16S)
    levels, all_levels = _histogram(small, mask), _histogram(small, None)
    return Quality(
        sharpness=float(cv2.meanStdDev(laplacian, mask=mask)[1][0, 0] ** 2),
        brightness=float(levels @ np.arange(256) / levels.sum()),
        contrast=_percentile(levels, 0.99) - _percentile(levels, 0.01),
        spread=_percentile(all_levels, 0.995) - _percentile(all_levels, 0.005),
        detail=float(np.count_nonzero(np.abs(laplacian) > _EDGE) / small.size),
    )


def product_mask(small: Grey) -> Grey:
    """Return 255 where the product is, 0 elsewhere: what differs from a uniform border, else the central region."""
    border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    background = int(np.partition(border, len(border) // 2)[len(border) // 2])
    near = np.abs(border.astype(np.int16) - background) <= _BACKGROUND_TOLERANCE
    if near.mean() < _UNIFORM_BORDER:
        return _central_region(small)
    difference = cv2.absdiff(small, background)  # type: ignore[call-overload]
    mask = cv2.threshold(difference, _BACKGROUND_TOLERANCE, 255, cv2.THRESH_BINARY)[1]
    if cv2.countNonZero(mask) < _SMALLEST_PRODUCT * mask.size:
        return _central_region(small)
    # A plain product differs from its background by its outline alone.
    return np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), np.uint8)


def _central_region(small: Grey) -> Grey:
    height, width = small.shape
    mask = np.zeros_like(small)
    margin_y, margin_x = int(height * (1 - _CENTRAL_SHARE) / 2), int(width * (1 - _CENTRAL_SHARE) / 2)
    mask[margin_y : height - margin_y, margin_x : width - margin_x] = 255
    return mask


def normalised(grey: Grey) -> Grey:
    """Return the picture with at most 256 pixels on its longer side."""
    height, width = grey.shape
    longest = max(height, width)
    if longest <= NORMAL_SIDE:
        return grey
    # Averaging two by two pixels is many times faster than averaging fractions of pixels.
    while longest >= 2 * NORMAL_SIDE and min(height, width) > 1:
        height, width, longest = height // 2, width // 2, longest // 2
        grey = np.asarray(cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    size = (max(1, round(width * NORMAL_SIDE / longest)), max(1, round(height * NORMAL_SIDE / longest)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _histogram(small: Grey, mask: Grey | None) -> NDArray[np.float64]:
    return cv2.calcHist([small], [0], mask, [256], [0, 256]).ravel().astype(np.float64)


def _percentile(levels: NDArray[np.float64], share: float) -> float:
    cumulated = np.cumsum(levels)
    return float(np.searchsorted(cumulated, share * cumulated[-1]))
