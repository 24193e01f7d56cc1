"""Where the print of two crops agrees: what is drawn between two pictures for a person to judge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.features import LocalFeatures
from clustering_pipeline.matching import verify
from clustering_pipeline.settings import VerificationSettings

MOST_DRAWN = 40
Size = tuple[int, int]
Line = tuple[float, float, float, float]
# The drawing is two squares side by side in a view box of this size, with a gap between them.
VIEW_WIDTH, VIEW_HEIGHT, GAP = 208, 100, 8


@dataclass(frozen=True)
class PairEvidence:
    """Lines between the matched points of two crops in the drawing's view box, and how many matched in all."""

    lines: tuple[Line, ...]
    matched: int


def pair_evidence(
    first: LocalFeatures, second: LocalFeatures, first_size: Size, second_size: Size, settings: VerificationSettings
) -> PairEvidence:
    """Return the points of two crops that agree with one affine map, at most 40 of them drawn.

    `first_size`, `second_size`: width and height of the crops, pixels.
    """
    match = verify(first, second, settings).match
    if match is None:
        return PairEvidence((), 0)
    left = _in_square(_in_crop(first, match.first), first_size)
    right = _in_square(_in_crop(second, match.second), second_size) + np.array([VIEW_HEIGHT + GAP, 0])
    drawn = np.unique(np.linspace(0, len(match) - 1, MOST_DRAWN).round().astype(int))
    lines = np.hstack([left[drawn], right[drawn]]).round(2)
    return PairEvidence(tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in lines), len(match))


def _in_crop(features: LocalFeatures, keypoints: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return keypoints in pixels of the crop."""
    x0, y0, x1, y1 = features.box
    scale = np.array([(x1 - x0) / features.width, (y1 - y0) / features.height])
    points: NDArray[np.float64] = features.points[keypoints] * scale + (x0, y0)
    return points


def _in_square(points: NDArray[np.float64], size: Size) -> NDArray[np.float64]:
    """Return points of a crop within the square in which the crop is shown whole and centred."""
    scale = VIEW_HEIGHT / max(size)
    placed: NDArray[np.float64] = points * scale + (VIEW_HEIGHT - np.array(size) * scale) / 2
    return placed
