"""Marks and plain products, which have too little print to verify: do their silhouettes agree?"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.stages.features import LocalFeatures
from clustering_pipeline.stages.matching.candidates import nearest_pairs

_TURNS = range(-20, 21, 2)
_UPRIGHT = len(_TURNS) // 2
_COARSE_SIDE = 16
# Shapes that fill their convex hull (boxes, discs, ovals) are what most unrelated products have in
# common.
_MOST_CONVEX = 0.9
# Multiples of the limit of keypoints: what a noisy crop has at most, and the geometric mean of a
# plain pair.
_NOISIEST, _TOGETHER = 1.6, 0.8
# Renderings of one mark stray by about a pixel along their outline.
_TOLERANCE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_CORNERS = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])


@dataclass(frozen=True)
class TurnedShape:
    """A silhouette that tells products apart, turned by small angles and fitted to its box again.

    Attributes:
        bits: uint64 (turns, side² / 64) coverage.
        widened: the same, a pixel wider.
    """

    bits: NDArray[np.uint64]
    widened: NDArray[np.uint64]


def plain_pairs(
    keypoints: NDArray[np.int64], pairs: NDArray[np.int64], limit: int
) -> NDArray[np.bool_]:
    """Return which pairs (int64 (m, 2)) of crops have too little print to tell whether they are
    one: bool (m,).

    One of the two may have some more than `limit` keypoints, as noise makes them.
    """
    first, second = keypoints[pairs].T
    plain: NDArray[np.bool_] = (np.maximum(first, second) <= _NOISIEST * limit) & (
        first * second <= (_TOGETHER * limit) ** 2
    )
    return plain


def turned_shape(features: LocalFeatures) -> TurnedShape | None:
    """Return the silhouette of a crop, or None where it has none or one that is box or disc."""
    silhouette = features.silhouette
    outline = _hull(silhouette)
    if outline is None or _convexity(silhouette, outline) >= _MOST_CONVEX:
        return None
    return _turned(silhouette, outline)


def shape_agreement(first: TurnedShape | None, second: TurnedShape | None) -> float:
    """Return how far two silhouettes agree at the best turn, NaN where either is missing.

    That is 1 less the area by which either exceeds the other by more than a pixel, as a share of
    their union.
    """
    if first is None or second is None:
        return float("nan")
    return max(_best_agreement(first, second), _best_agreement(second, first))


def coarse_shape(features: LocalFeatures) -> NDArray[np.float32] | None:
    """Return a crop's silhouette as a unit vector, float32 (256,), or None where it has none."""
    if not features.is_plain:
        return None
    side = (_COARSE_SIDE, _COARSE_SIDE)
    small = cv2.resize(
        features.silhouette.astype(np.float32), side, interpolation=cv2.INTER_AREA
    ).ravel()
    centred = small - small.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-9), np.float32)


def shape_candidates(
    rows: NDArray[np.int64], shapes: Sequence[NDArray[np.float32] | None], neighbours: int
) -> NDArray[np.int64]:
    """Return pairs of the crops `rows` whose coarse shapes are neighbours: int64 (m, 2), i < j."""
    shaped = [
        (row, shape) for row, shape in zip(rows.tolist(), shapes, strict=True) if shape is not None
    ]
    if len(shaped) < 2:
        return np.zeros((0, 2), np.int64)
    return np.array([row for row, _ in shaped])[
        nearest_pairs(np.stack([shape for _, shape in shaped]), neighbours)
    ]


def _best_agreement(turned: TurnedShape, upright: TurnedShape) -> float:
    other, widened = upright.bits[_UPRIGHT], upright.widened[_UPRIGHT]
    beyond = np.bitwise_count(turned.bits & ~widened) + np.bitwise_count(other & ~turned.widened)
    union = np.bitwise_count(turned.bits | other).sum(axis=1, dtype=np.int64)
    return float((1 - beyond.sum(axis=1, dtype=np.int64) / np.maximum(union, 1)).max())


def _turned(silhouette: NDArray[np.uint8], outline: NDArray[np.float64]) -> TurnedShape:
    side = len(silhouette)
    plain, wide = [], []
    for angle in np.deg2rad(_TURNS):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = outline @ turn.T
        low, high = points.min(axis=0), points.max(axis=0)
        scale = side / (high - low)
        matrix = np.column_stack([scale[:, None] * turn, -scale * low - 0.5])
        inside = (cv2.warpAffine(silhouette, matrix, (side, side)) > 127).astype(np.uint8)
        plain.append(np.packbits(inside))
        wide.append(np.packbits(cv2.dilate(inside, _TOLERANCE).astype(np.uint8, copy=False)))
    return TurnedShape(np.array(plain).view(np.uint64), np.array(wide).view(np.uint64))


def _hull(silhouette: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return the corners of the pixels on the shape's convex hull, float64 (m, 2), x and y, or None
    without a shape.
    """
    points = cv2.findNonZero((silhouette > 127).astype(np.uint8))
    if points is None:
        return None
    hull = cv2.convexHull(points)[:, 0].astype(np.float64)
    return np.asarray((hull[:, None] + _CORNERS).reshape(-1, 2), np.float64)


def _convexity(silhouette: NDArray[np.uint8], outline: NDArray[np.float64]) -> float:
    """Return the share of its convex hull that the shape covers."""
    hull = cv2.contourArea(cv2.convexHull(outline.astype(np.float32)))
    return float((silhouette > 127).sum() / max(1.0, hull))
