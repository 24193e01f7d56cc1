"""Where the product is by what stands out from the border, and how many times its print stands in a
picture.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import Box, fit_within
from clustering_pipeline.stages.features.colour import colour_distance, to_lab
from clustering_pipeline.stages.features.keypoints import unit_descriptors

_SEARCH_SIDE = 360


def product_box(
    pixels: NDArray[np.uint8],
    *,
    tolerance: float = 18.0,
    uniform_share: float = 0.6,
    smallest_part: float = 0.1,
    margin: float = 0.02,
) -> Box | None:
    """Return the box of what differs from a uniform background, or None when the background is not
    uniform.

    The background is the median of the outermost pixels.

    Args:
        pixels: uint8 (height, width, 3) RGB.
        tolerance: units of CIE L*a*b* within which a pixel is background.
        uniform_share: the background is uniform when at least this share of the outermost pixels
            lies within the tolerance.
        smallest_part: components smaller than this share of the largest one are ignored.
        margin: added on every side, as a share of the box's longer side.

    Returns:
        x0, y0, x1, y1: half-open pixels of `pixels`, or None.

    Example:
        >>> picture = np.full((200, 100, 3), 255, np.uint8)
        >>> picture[50:150, 30:70] = (200, 30, 30)
        >>> product_box(picture, margin=0.0)
        (30, 50, 70, 150)
    """
    height, width = pixels.shape[:2]
    lab = to_lab(fit_within(pixels, _SEARCH_SIDE))
    distance = _distance_from_background(lab, tolerance, uniform_share)
    if distance is None:
        return None
    bounds = _bounds_of_large_components(distance > tolerance, smallest_part)
    if bounds is None:
        return None
    scale = np.array([width / lab.shape[1], height / lab.shape[0]] * 2)
    x0, y0, x1, y1 = np.array(bounds) * scale
    pad = margin * max(x1 - x0, y1 - y0)
    return (
        max(0, int(np.floor(x0 - pad))),
        max(0, int(np.floor(y0 - pad))),
        min(width, int(np.ceil(x1 + pad))),
        min(height, int(np.ceil(y1 + pad))),
    )


def _distance_from_background(
    lab: NDArray[np.float32], tolerance: float, uniform_share: float
) -> NDArray[np.float32] | None:
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    background = np.median(border, axis=0)
    near = colour_distance(border, background) <= tolerance
    if near.mean() < uniform_share:
        return None
    return colour_distance(lab, background)


def _bounds_of_large_components(mask: NDArray[np.bool_], smallest_part: float) -> Box | None:
    count, _, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    if count < 2:
        return None
    parts = statistics[1:]
    areas = parts[:, cv2.CC_STAT_AREA]
    large = parts[areas >= smallest_part * areas.max()]
    left, top = large[:, cv2.CC_STAT_LEFT], large[:, cv2.CC_STAT_TOP]
    right, bottom = left + large[:, cv2.CC_STAT_WIDTH], top + large[:, cv2.CC_STAT_HEIGHT]
    return int(left.min()), int(top.min()), int(right.max()), int(bottom.max())


_LARGEST_DISTANCE = 0.6
_SMALLEST_SHIFT = 0.2
_TURN, _SCALE = 0.35, 1.3
_TOLERANCE = 0.03
_FEWEST, _SMALLEST_SHARE = 24, 0.3
_MOST = 12


def count_copies(
    points: NDArray[np.float32],
    scales: NDArray[np.float32],
    angles: NDArray[np.float32],
    descriptors: NDArray[np.uint8],
    longest_side: int,
) -> int:
    """Return how many times, at least, the same print stands side by side at one size; 1 for a
    single product.

    Each keypoint is paired with its most similar one at least a fifth of the frame away; a bundle's
    pairs agree on one shift, and a good share of all keypoints takes part.
    """
    if len(points) < _FEWEST:
        return 1
    nearest, distance = _most_similar_elsewhere(
        points, unit_descriptors(descriptors), _SMALLEST_SHIFT * longest_side
    )
    turn = np.abs(np.angle(np.exp(1j * (angles[nearest] - angles))))
    ratio = scales[nearest] / np.maximum(scales, 1e-3)
    good = (
        (distance <= _LARGEST_DISTANCE)
        & (turn <= _TURN)
        & (ratio <= _SCALE)
        & (ratio >= 1 / _SCALE)
    )
    if good.sum() < _FEWEST:
        return 1
    shifts = (points[nearest] - points)[good]
    # Both copies point at each other: one direction is counted.
    shifts = np.where(shifts[:, :1] + 1e-3 * shifts[:, 1:] < 0, -shifts, shifts)
    close = _squared_distances(shifts) <= (_TOLERANCE * longest_side) ** 2
    support = close.sum(axis=1)
    if support.max() < max(_FEWEST, _SMALLEST_SHARE * len(points)):
        return 1
    # In a row of three the outer two are alike as well: neighbours are the nearest of the shifts
    # that many agree on.
    common = np.flatnonzero(support >= 0.3 * support.max())
    best = common[np.linalg.norm(shifts[common], axis=1).argmin()]
    shift = np.median(shifts[close[best]], axis=0)
    along = points[good][close[best]] @ (shift / np.linalg.norm(shift))
    return int(np.clip(round(float(np.ptp(along) / np.linalg.norm(shift))), 2, _MOST))


def _most_similar_elsewhere(
    points: NDArray[np.float32], unit: NDArray[np.float32], smallest_shift: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each keypoint the most similar one at least `smallest_shift` pixels away, and its
    descriptor distance.
    """
    similarity = unit @ unit.T
    similarity[_squared_distances(points) < smallest_shift**2] = -1
    nearest = similarity.argmax(axis=1)
    distance = np.sqrt(np.maximum(2 - 2 * similarity[np.arange(len(points)), nearest], 0))
    return nearest, distance


def _squared_distances(points: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.square(points).sum(axis=1)
    squared: NDArray[np.float32] = lengths[:, None] + lengths[None] - 2 * (points @ points.T)
    return squared
