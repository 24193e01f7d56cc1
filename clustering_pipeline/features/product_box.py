"""The product's box on a plain background, found without any trained weights."""

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.features.colour import to_lab
from clustering_pipeline.imaging import Box, fit_within

_SEARCH_SIDE = 360


def product_box(
    pixels: NDArray[np.uint8],
    *,
    tolerance: float = 18.0,
    uniform_share: float = 0.6,
    smallest_part: float = 0.1,
    margin: float = 0.02,
) -> Box | None:
    """Return the box of what differs from a uniform background, or None when the background is not uniform.

    The background is the median of the outermost pixels; it is uniform when at least `uniform_share` of them lie within
    `tolerance` units of CIE L*a*b* from it. Components smaller than `smallest_part` of the largest one are ignored.

    Args:
        pixels: uint8 (height, width, 3) RGB.
        margin: added on every side, as a share of the box's longer side.

    Returns:
        x0, y0, x1, y1: half-open pixels of `pixels`, or None.
    """
    height, width = pixels.shape[:2]
    lab = to_lab(fit_within(pixels, _SEARCH_SIDE))
    distance = _distance_from_background(lab, tolerance, uniform_share)
    if distance is None:
        return None
    found = _bounds_of_large_components(distance > tolerance, smallest_part)
    if found is None:
        return None
    scale = np.array([width / lab.shape[1], height / lab.shape[0]] * 2)
    x0, y0, x1, y1 = np.array(found) * scale
    pad = margin * max(x1 - x0, y1 - y0)
    return (
        max(0, int(np.floor(x0 - pad))),
        max(0, int(np.floor(y0 - pad))),
        min(width, int(np.ceil(x1 + pad))),
        min(height, int(np.ceil(y1 + pad))),
    )


def _distance_from_background(lab: NDArray[np.float32], tolerance: float, uniform_share: float) -> NDArray[np.float32] | None:
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    background = np.median(border, axis=0)
    near = np.linalg.norm(border - background, axis=1) <= tolerance
    if near.mean() < uniform_share:
        return None
    distance: NDArray[np.float32] = np.linalg.norm(lab - background, axis=2)
    return distance


def _bounds_of_large_components(mask: NDArray[np.bool_], smallest_part: float) -> Box | None:
    count, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    parts = statistics[1:]
    areas = parts[:, cv2.CC_STAT_AREA]
    large = parts[areas >= smallest_part * areas.max()]
    left, top = large[:, cv2.CC_STAT_LEFT], large[:, cv2.CC_STAT_TOP]
    right, bottom = left + large[:, cv2.CC_STAT_WIDTH], top + large[:, cv2.CC_STAT_HEIGHT]
    return int(left.min()), int(top.min()), int(right.max()), int(bottom.max())
