"""How many times the same print stands in a picture: a bundle of two shows its pack twice."""

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.features.keypoints import unit_descriptors

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
    """Return how many times, at least, the same print stands side by side at one size; 1 for a single product.

    Each keypoint is paired with its most similar one at least a fifth of the frame away; a bundle's pairs agree on one shift,
    and a good share of all keypoints takes part.
    """
    if len(points) < _FEWEST:
        return 1
    nearest, distance = _most_similar_elsewhere(points, unit_descriptors(descriptors), _SMALLEST_SHIFT * longest_side)
    turn = np.abs(np.angle(np.exp(1j * (angles[nearest] - angles))))
    ratio = scales[nearest] / np.maximum(scales, 1e-3)
    good = (distance <= _LARGEST_DISTANCE) & (turn <= _TURN) & (ratio <= _SCALE) & (ratio >= 1 / _SCALE)
    if good.sum() < _FEWEST:
        return 1
    shifts = (points[nearest] - points)[good]
    # Both copies point at each other: one direction is counted.
    shifts = np.where(shifts[:, :1] + 1e-3 * shifts[:, 1:] < 0, -shifts, shifts)
    close = _squared_distances(shifts) <= (_TOLERANCE * longest_side) ** 2
    support = close.sum(axis=1)
    if support.max() < max(_FEWEST, _SMALLEST_SHARE * len(points)):
        return 1
    # In a row of three the outer two are alike as well: neighbours are the nearest of the shifts that many agree on.
    common = np.flatnonzero(support >= 0.3 * support.max())
    best = common[np.linalg.norm(shifts[common], axis=1).argmin()]
    shift = np.median(shifts[close[best]], axis=0)
    along = points[good][close[best]] @ (shift / np.linalg.norm(shift))
    return int(np.clip(round(float(np.ptp(along) / np.linalg.norm(shift))), 2, _MOST))


def _most_similar_elsewhere(
    points: NDArray[np.float32], unit: NDArray[np.float32], smallest_shift: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each keypoint the most similar one at least `smallest_shift` pixels away, and its descriptor distance."""
    similarity = unit @ unit.T
    similarity[_squared_distances(points) < smallest_shift**2] = -1
    nearest = similarity.argmax(axis=1)
    distance = np.sqrt(np.maximum(2 - 2 * similarity[np.arange(len(points)), nearest], 0))
    return nearest, distance


def _squared_distances(points: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.square(points).sum(axis=1)
    squared: NDArray[np.float32] = lengths[:, None] + lengths[None] - 2 * (points @ points.T)
    return squared
