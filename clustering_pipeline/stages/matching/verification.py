"""How well the print of two products agrees, from the inliers of their affine map."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import LocalFeatures, central_weight, unit_descriptors
from clustering_pipeline.stages.matching.geometry import (
    AffineMatch,
    Floats,
    invert,
    match_geometry,
    nearest_descriptors,
    project,
)

_GRID = 8
_CENTRE = (0.2, 0.8)
_FEWEST = 20.0


@dataclass(frozen=True)
class PrintEvidence:
    """What one pair of products shows by its print.

    Attributes:
        match: the affine map and its inliers, None when the print does not agree.
        cells: cells of an 8×8 grid hit by inliers, the smaller of the two pictures. Where a
            background is not plain a cell counts by how central it is, one on average.
        agreement: inliers over the geometric mean of the keypoints that each picture has where the
            other one is.
        centre_agreement: the same within the central 60 % of both pictures, where a seller's frame
            is not.
        colour: agreement of the colours in the common region, 0 to 1.
        overlap_first, overlap_second: shares of each frame that the other one covers.
        share_matrix: float32 (2, 3), the affine map between places given as shares of each frame's
            width and height.
    """

    match: AffineMatch | None
    cells: float = 0.0
    agreement: float = 0.0
    centre_agreement: float = 0.0
    colour: float = 0.0
    overlap_first: float = 0.0
    overlap_second: float = 0.0
    share_matrix: Floats | None = None


def verify(
    first: LocalFeatures,
    second: LocalFeatures,
    settings: VerificationSettings,
    descriptors: tuple[Floats, Floats] | None = None,
) -> PrintEvidence:
    """Return the print evidence of two products; `descriptors` are their unit descriptors where the
    caller has them.
    """
    left, right = descriptors or (
        unit_descriptors(first.descriptors),
        unit_descriptors(second.descriptors),
    )
    correspondences = nearest_descriptors(left, right, settings.ratio)
    match = match_geometry(first, second, correspondences, settings.tolerance, settings.smallest)
    return PrintEvidence(None) if match is None else measure(first, second, match)


def measure(first: LocalFeatures, second: LocalFeatures, match: AffineMatch) -> PrintEvidence:
    """Return the evidence of an affine match: where its inliers are and how many there could have
    been.
    """
    backward = invert(match.matrix)
    share_first, share_second = _shares(first.points, first), _shares(second.points, second)
    in_second = _inside(_shares(project(match.matrix, first.points), second))
    in_first = _inside(_shares(project(backward, second.points), first))
    central_first, central_second = _central(share_first), _central(share_second)
    central_inliers = int((central_first[match.first] & central_second[match.second]).sum())
    return PrintEvidence(
        match=match,
        cells=min(
            _cells(share_first[match.first], first), _cells(share_second[match.second], second)
        ),
        agreement=_agreement(len(match), int(in_second.sum()), int(in_first.sum())),
        centre_agreement=_agreement(
            central_inliers,
            int((in_second & central_first).sum()),
            int((in_first & central_second).sum()),
        ),
        colour=_colour_agreement(first, second, match.matrix),
        overlap_first=_overlap(backward, second, first),
        overlap_second=_overlap(match.matrix, first, second),
        share_matrix=_between_shares(match.matrix, first, second),
    )


def print_weight(
    cells: NDArray[np.float64], agreement: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weight of verified print: cells · (agreement · centre agreement)^¼."""
    weight: NDArray[np.float64] = cells * np.power(agreement * centre, 0.25)
    return weight


def _between_shares(matrix: Floats, first: LocalFeatures, second: LocalFeatures) -> Floats:
    scaled = matrix * np.array([first.width, first.height, 1], np.float32)
    return np.asarray(scaled / np.array([[second.width], [second.height]], np.float32), np.float32)


def _shares(points: Floats, features: LocalFeatures) -> Floats:
    return np.asarray(points / np.array([features.width, features.height], np.float32), np.float32)


def _inside(shares: Floats) -> NDArray[np.bool_]:
    return np.asarray(((shares >= 0) & (shares <= 1)).all(axis=1), bool)


def _central(shares: Floats) -> NDArray[np.bool_]:
    return np.asarray(((shares >= _CENTRE[0]) & (shares <= _CENTRE[1])).all(axis=1), bool)


def _cells(shares: Floats, features: LocalFeatures) -> float:
    column, row = np.clip((shares * _GRID).astype(np.int64), 0, _GRID - 1).T
    hit = np.unique(row * _GRID + column)
    return float(len(hit) if features.is_plain else _central_cells()[hit].sum())


@lru_cache(maxsize=1)
def _central_cells() -> Floats:
    """Return how central each cell of the grid is: float32 (64,), 1 on average."""
    row, column = np.divmod(np.arange(_GRID * _GRID), _GRID)
    weights = central_weight(((np.column_stack([column, row]) + 0.5) / _GRID).astype(np.float32))
    return np.asarray(weights / weights.mean(), np.float32)


def _agreement(inliers: int, visible_first: int, visible_second: int) -> float:
    return inliers / float(np.sqrt(max(_FEWEST, visible_first) * max(_FEWEST, visible_second)))


def _overlap(matrix: Floats, source: LocalFeatures, target: LocalFeatures) -> float:
    corners = np.array(
        [[0, 0], [source.width, 0], [source.width, source.height], [0, source.height]], np.float32
    )
    frame = np.array(
        [[0, 0], [target.width, 0], [target.width, target.height], [0, target.height]], np.float32
    )
    area, _ = cv2.intersectConvexConvex(project(matrix, corners), frame)
    return float(min(1.0, area / (target.width * target.height)))


def _colour_agreement(first: LocalFeatures, second: LocalFeatures, matrix: Floats) -> float:
    """Return exp(-median L*a*b* distance / 25) over the common region, lightness counted half."""
    side = first.thumbnail.shape[0]
    centres = (
        np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) + 0.5
    ) / side
    frame = (centres * (first.width, first.height)).astype(np.float32)
    shares = _shares(project(matrix, frame), second)
    inside = _inside(shares)
    if not inside.any():
        return 0.0
    row, column = (np.clip(shares[inside][:, ::-1] * side, 0, side - 1).astype(np.int64)).T
    difference = (
        first.thumbnail.reshape(-1, 3)[inside].astype(np.float32) - second.thumbnail[row, column]
    )
    difference *= np.array([0.5 * 100 / 255, 1, 1], np.float32)
    return float(np.exp(-np.median(np.linalg.norm(difference, axis=1)) / 25))
