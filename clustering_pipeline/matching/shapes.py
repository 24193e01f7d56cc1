"""Marks and plain products, which have too little print to verify: do their silhouettes agree?"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.features import LocalFeatures
from clustering_pipeline.matching.candidates import nearest_pairs

_TURNS = tuple(range(-20, 21, 4))
_COARSE_SIDE = 16
# Shapes that fill their convex hull (boxes, discs, ovals) are what most unrelated products have in common.
_MOST_CONVEX = 0.9


@dataclass(frozen=True)
class Shapes:
    """The silhouettes of the crops that have little print.

    Attributes:
        rows: int64 (n,) the crops.
        turned: uint8 (n, turns, side²) coverage of each silhouette, turned by small angles and fitted to its box again.
        distinctive: whether the shape alone tells products apart, being neither box nor disc.
    """

    rows: NDArray[np.int64]
    turned: NDArray[np.uint8]
    distinctive: NDArray[np.bool_]


def collect_shapes(rows: Sequence[int], features: Sequence[LocalFeatures]) -> Shapes:
    """Return the shapes of those of `features` (of the crops `rows`) that stand before a plain background."""
    found = [(row, one.silhouette) for row, one in zip(rows, features, strict=True) if one.silhouette.any()]
    if not found:
        return Shapes(np.zeros(0, np.int64), np.zeros((0, len(_TURNS), 1), np.uint8), np.zeros(0, bool))
    turned = np.stack([_turned(shape) for _, shape in found])
    return Shapes(
        np.array([row for row, _ in found], np.int64), turned, np.array([_convexity(s) < _MOST_CONVEX for _, s in found])
    )


def shape_candidates(shapes: Shapes, neighbours: int) -> NDArray[np.int64]:
    """Return pairs of crops whose coarse silhouettes are neighbours: int64 (m, 2), i < j."""
    if len(shapes.rows) < 2:
        return np.zeros((0, 2), np.int64)
    upright = shapes.turned[:, len(_TURNS) // 2]
    side = round(upright.shape[1] ** 0.5)
    small = [cv2.resize(one.reshape(side, side).astype(np.float32), (_COARSE_SIDE, _COARSE_SIDE)).ravel() for one in upright]
    coarse = np.stack(small)
    coarse -= coarse.mean(axis=1, keepdims=True)
    coarse /= np.maximum(np.linalg.norm(coarse, axis=1, keepdims=True), 1e-9)
    return shapes.rows[nearest_pairs(np.ascontiguousarray(coarse), neighbours)]


def shape_agreement(shapes: Shapes, pairs: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return for each pair of crops the intersection over union of the silhouettes at the best turn, NaN where either has
    none, and whether both shapes are distinctive."""
    position = {int(row): number for number, row in enumerate(shapes.rows)}
    upright = shapes.turned[:, len(_TURNS) // 2]
    agreement, distinctive = np.full(len(pairs), np.nan), np.zeros(len(pairs), bool)
    for number, (left, right) in enumerate(pairs):
        first, second = position.get(int(left)), position.get(int(right))
        if first is None or second is None:
            continue
        agreement[number] = max(
            _overlap(shapes.turned[first], upright[second]), _overlap(shapes.turned[second], upright[first])
        )
        distinctive[number] = shapes.distinctive[first] and shapes.distinctive[second]
    return agreement, distinctive


def _overlap(turned: NDArray[np.uint8], upright: NDArray[np.uint8]) -> float:
    common = np.minimum(turned, upright).sum(axis=1, dtype=np.int64)
    union = turned.sum(axis=1, dtype=np.int64) + upright.sum(dtype=np.int64) - common
    return float((common / np.maximum(union, 1)).max())


def _turned(silhouette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = len(silhouette)
    padded = np.pad(cv2.resize(silhouette, (2 * side, 2 * side)), side // 2)
    centre = ((padded.shape[1] - 1) / 2, (padded.shape[0] - 1) / 2)
    pictures = []
    for angle in _TURNS:
        rotation = cv2.getRotationMatrix2D(centre, angle, 1.0)
        rotated = cv2.warpAffine(padded, rotation, padded.shape[::-1]) > 127
        rows, columns = np.flatnonzero(rotated.any(axis=1)), np.flatnonzero(rotated.any(axis=0))
        inside = rotated[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else rotated
        fitted = cv2.resize(inside.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        pictures.append(np.rint(255 * fitted).astype(np.uint8).ravel())
    return np.array(pictures, np.uint8)


def _convexity(silhouette: NDArray[np.uint8]) -> float:
    """Return the share of its convex hull that the shape covers."""
    inside = (silhouette > 127).astype(np.uint8)
    points = cv2.findNonZero(inside)
    if points is None:
        return 1.0
    hull = np.zeros_like(inside)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    return float(inside.sum() / max(1, hull.sum()))
