"""How well the print of two products agrees: their point correspondences, the affine map that
explains most of them, and what its inliers say.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.settings import VerificationSettings
from clustering_pipeline.stages.features import LocalFeatures, central_weight, unit_descriptors

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_HYPOTHESES = 96
_REFINED = 8


@dataclass(frozen=True)
class AffineMatch:
    """Correspondences that agree with one affine map from the first frame to the second.

    Attributes:
        matrix: float32 (2, 3), maps column vectors (x, y, 1) of the first frame to pixels of the
            second.
        first, second: int64 (n,) keypoint numbers of the inliers, one to one.
    """

    matrix: Floats
    first: Indices
    second: Indices

    def __len__(self) -> int:
        return len(self.first)


def nearest_descriptors(
    first: Floats, second: Floats, ratio: float
) -> tuple[Indices, Indices, Floats]:
    """Return keypoint numbers of correspondences in both directions that pass Lowe's ratio test,
    and their distances.

    A correspondence counts when the nearest descriptor in the other picture is nearer than `ratio`
    times the second nearest, seen from either picture. Rows of `first` and `second` have unit
    length.
    """
    if min(len(first), len(second)) < 2:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0, np.float32)
    similarity = first @ second.T
    forward, forward_distance = _ratio_test(similarity, ratio)
    backward, backward_distance = _ratio_test(np.ascontiguousarray(similarity.T), ratio)
    kept_forward, kept_backward = np.flatnonzero(forward >= 0), np.flatnonzero(backward >= 0)
    pairs = np.concatenate(
        [
            kept_forward * len(second) + forward[kept_forward],
            backward[kept_backward] * len(second) + kept_backward,
        ]
    )
    distances = np.concatenate([forward_distance[kept_forward], backward_distance[kept_backward]])
    pairs, positions = np.unique(pairs, return_index=True)
    return pairs // len(second), pairs % len(second), distances[positions]


def _ratio_test(similarity: Floats, ratio: float) -> tuple[Indices, Floats]:
    rows = np.arange(len(similarity))
    nearest = similarity.argmax(axis=1)
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -np.inf
    second_best = similarity.max(axis=1)
    similarity[rows, nearest] = best
    distance = np.sqrt(np.maximum(2 - 2 * best, 0))
    accepted = distance < ratio * np.sqrt(np.maximum(2 - 2 * second_best, 0))
    return np.where(accepted, nearest, -1), distance


def match_geometry(
    first: LocalFeatures,
    second: LocalFeatures,
    correspondences: tuple[Indices, Indices, Floats],
    tolerance: float,
    smallest: int,
) -> AffineMatch | None:
    """Return the affine map with most inliers within `tolerance` pixels, or None below `smallest`
    one-to-one inliers.

    Every correspondence of two SIFT keypoints states a similarity transform by itself (its
    position, scale and angle); the best supported of these are refined to affine maps by least
    squares (Philbin et al. 2007). There is no random sampling. Maps that mirror, scale areas beyond
    0.1 to 10 or stretch one axis over 4 times the other are refused.

    Correspondences count by their centrality: two photographs at one shelf share their background
    as well, and the map that is wanted is that of the product.
    """
    left, right, distances = correspondences
    if len(left) < smallest:
        return None
    source, target = first.points[left], second.points[right]
    weights = np.sqrt(first.centrality[left] * second.centrality[right])
    stated = _single_correspondence_maps(
        first, second, left, right, distances / np.sqrt(np.sqrt(weights))
    )
    promising = _best_supported(stated, source, target, weights, 2 * tolerance, smallest)
    if len(promising) == 0:
        return None
    refined, inside = _refine(promising, source, target, tolerance)
    support = np.where((inside.sum(axis=1) >= smallest) & _plausible(refined), inside @ weights, 0)
    best = int(support.argmax())
    if support[best] == 0:
        return None
    kept = _one_to_one(np.flatnonzero(inside[best]), left, right, distances)
    return AffineMatch(refined[best], left[kept], right[kept]) if len(kept) >= smallest else None


def project(matrix: Floats, points: Floats) -> Floats:
    """Return `points`, float32 (n, 2), mapped by an affine matrix (2, 3)."""
    mapped: Floats = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def invert(matrix: Floats) -> Floats:
    """Return the inverse of an affine matrix (2, 3)."""
    inverse = np.linalg.inv(matrix[:, :2])
    return np.column_stack([inverse, -inverse @ matrix[:, 2]]).astype(np.float32)


def _single_correspondence_maps(
    first: LocalFeatures, second: LocalFeatures, left: Indices, right: Indices, doubts: Floats
) -> Floats:
    chosen = np.argsort(doubts, kind="stable")[:_HYPOTHESES]
    left, right = left[chosen], right[chosen]
    scale = second.scales[right] / np.maximum(first.scales[left], 1e-3)
    angle = second.angles[right] - first.angles[left]
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cosine, -sine], axis=1), np.stack([sine, cosine], axis=1)], axis=1)
    shift = second.points[right] - np.einsum("nij,nj->ni", linear, first.points[left])
    return np.asarray(np.concatenate([linear, shift[:, :, None]], axis=2), np.float32)


def _best_supported(
    matrices: Floats,
    source: Floats,
    target: Floats,
    weights: Floats,
    tolerance: float,
    smallest: int,
) -> Floats:
    homogeneous = np.column_stack([source, np.ones(len(source), np.float32)])
    mapped = matrices.reshape(-1, 3) @ homogeneous.T
    error = mapped.reshape(len(matrices), 2, len(source)) - target.T
    inside = np.square(error).sum(axis=1) <= tolerance * tolerance
    order = np.argsort(-(inside @ weights), kind="stable")[:_REFINED]
    chosen: Floats = matrices[order[inside[order].sum(axis=1) >= smallest]]
    return chosen


def _refine(
    matrices: Floats, source: Floats, target: Floats, tolerance: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return `matrices` (k, 2, 3) refined by least squares on their inliers, and the inliers (k, n)
    of each.

    A map that fewer than three correspondences support on the way has no inliers.
    """
    homogeneous = np.column_stack([source, np.ones(len(source), np.float32)])
    exact = homogeneous.astype(np.float64)
    squares = (exact[:, :, None] * exact[:, None, :]).reshape(-1, 9)
    products = (exact[:, :, None] * target[:, None, :]).reshape(-1, 6)
    supported = np.ones(len(matrices), bool)
    for factor in (2.0, 1.5, 1.0, 1.0):
        inside = _within(matrices, homogeneous, target, factor * tolerance)
        supported &= inside.sum(axis=1) >= 3
        matrices = _least_squares(inside @ squares, inside @ products)
    return matrices, _within(matrices, homogeneous, target, tolerance) & supported[:, None]


def _within(
    matrices: Floats, homogeneous: Floats, target: Floats, tolerance: float
) -> NDArray[np.bool_]:
    mapped = (matrices.reshape(-1, 3) @ homogeneous.T).reshape(len(matrices), 2, len(homogeneous))
    error = mapped - target.T
    inside: NDArray[np.bool_] = np.einsum("kin,kin->kn", error, error) <= tolerance * tolerance
    return inside


def _least_squares(squares: NDArray[np.float64], products: NDArray[np.float64]) -> Floats:
    # A small ridge towards zero shear keeps collinear points from giving a wild map.
    normal = squares.reshape(-1, 3, 3) + 1e-3 * np.eye(3)
    solved = np.linalg.solve(normal, products.reshape(-1, 3, 2))
    return np.ascontiguousarray(solved.transpose(0, 2, 1), np.float32)


def _plausible(matrices: Floats) -> NDArray[np.bool_]:
    linear = matrices[:, :, :2]
    singular, area = np.linalg.svd(linear, compute_uv=False), np.linalg.det(linear)
    return np.asarray((area >= 0.1) & (area <= 10) & (singular[:, 0] <= 4 * singular[:, 1]), bool)


def _one_to_one(positions: Indices, left: Indices, right: Indices, distances: Floats) -> Indices:
    ordered = positions[np.argsort(distances[positions], kind="stable")]
    _, first_left = np.unique(left[ordered], return_index=True)
    ordered = ordered[np.sort(first_left)]
    _, first_right = np.unique(right[ordered], return_index=True)
    return np.sort(ordered[first_right])


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
