"""Point correspondences between two products and the affine map that explains most of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering_pipeline.stages.features import LocalFeatures

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
