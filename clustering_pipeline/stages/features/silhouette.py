"""The shape of what stands before a plain or evenly shaded background, for marks and products
without print.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.imaging import fit_within
from clustering_pipeline.stages.features.colour import colour_distance, to_lab

SILHOUETTE_SIDE = 64
_SEARCH_SIDE = 240
# CIE L*a*b* units: how far the border may stray from an even gradient, and the least contrast of a
# shape.
_SHADING_TOLERANCE, _SMALLEST_CONTRAST = 12.0, 9.0
_UNIFORM_SHARE = 0.7
_SMALLEST_PART = 0.004


def silhouette(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the coverage of the foreground within its own bounding box, stretched to 64×64: uint8,
    0 to 255.

    The background is a plane in L*a*b* fitted to the outermost pixels; a crop whose border is no
    even gradient has an empty silhouette (zeros). Colour and contrast direction leave no trace, so
    that a white mark on red equals a black one on white.

    Example:
        >>> picture = np.full((200, 100, 3), 255, np.uint8)
        >>> picture[50:150, 30:70] = (200, 30, 30)
        >>> silhouette(picture).shape, int(silhouette(picture).min())
        ((64, 64), 255)
    """
    lab = to_lab(fit_within(crop, _SEARCH_SIDE))
    distance = _distance_from_gradient(lab)
    if distance is None:
        return np.zeros((SILHOUETTE_SIDE, SILHOUETTE_SIDE), np.uint8)
    mask = _without_specks(distance > max(_SMALLEST_CONTRAST, _otsu(distance)))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < 4 or len(columns) < 4:
        return np.zeros((SILHOUETTE_SIDE, SILHOUETTE_SIDE), np.uint8)
    shape = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8) * 255
    size = (SILHOUETTE_SIDE, SILHOUETTE_SIDE)
    return np.asarray(cv2.resize(shape, size, interpolation=cv2.INTER_AREA), np.uint8)


def _distance_from_gradient(lab: NDArray[np.float32]) -> NDArray[np.float32] | None:
    height, width = lab.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    terms = np.stack([np.ones_like(rows), rows / height, columns / width], axis=-1).astype(
        np.float32
    )
    border = np.ones((height, width), bool)
    border[1:-1, 1:-1] = False
    border_terms, colours = terms[border], lab[border]
    inside = colour_distance(colours, np.median(colours, axis=0)) <= 3 * _SHADING_TOLERANCE
    for _ in range(3):
        if inside.mean() < _UNIFORM_SHARE:
            return None
        plane, *_ = np.linalg.lstsq(border_terms[inside], colours[inside], rcond=None)
        inside = colour_distance(colours, border_terms @ plane) <= _SHADING_TOLERANCE
    return colour_distance(lab, terms @ plane) if inside.mean() >= _UNIFORM_SHARE else None


def _otsu(distance: NDArray[np.float32]) -> float:
    threshold, _ = cv2.threshold(
        np.clip(distance, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU
    )
    return float(threshold)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    large = statistics[:, cv2.CC_STAT_AREA] >= _SMALLEST_PART * mask.size
    large[0] = False
    return np.asarray(large[labels], bool)
