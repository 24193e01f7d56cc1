"""Which vectors lie within a cosine distance of each other, exactly and in bounded memory; and the
axes along which they differ most.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Single precision is trusted outside this band around the radius; inside it the distance is
# computed in double precision.
UNSURE = 1e-5

Reals = NDArray[np.floating[Any]]


def near_pairs(
    vectors: NDArray[np.float32], radius: float, block_rows: int
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield `rows` < `columns` (int32) of every pair with cosine distance at most `radius`, a block
    of columns at a time.

    `vectors` float32 (n, d) of unit length. Each distance is computed once, as one matrix product
    per block; all pairs of a column and any earlier row come in one block. Holds `block_rows` × n
    distances.
    """
    for start in range(0, len(vectors), block_rows):
        block = vectors[start : start + block_rows]
        similarities = block @ vectors[: start + len(block)].T
        flat = np.flatnonzero(similarities.ravel() >= 1 - radius - UNSURE)
        columns, rows = np.divmod(flat, similarities.shape[1])
        earlier = rows < columns + start
        columns, rows, flat = columns[earlier], rows[earlier], flat[earlier]
        unsure = np.flatnonzero(similarities.ravel()[flat] < 1 - radius + UNSURE)
        near = np.ones(len(rows), bool)
        near[unsure] = _exact_distance(block[columns[unsure]], vectors[rows[unsure]]) <= radius
        yield rows[near].astype(np.int32), (columns[near] + start).astype(np.int32)


def pairs_within(
    vectors: NDArray[np.float32], radius: float, block_rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return `rows` < `columns` (int32) of all pairs with cosine distance at most `radius`.

    Example:
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> [ends.tolist() for ends in pairs_within(vectors, 0.25, block_rows=1024)]
        [[0], [1]]
    """
    blocks = list(near_pairs(vectors, radius, block_rows))
    if not blocks:
        return np.empty(0, np.int32), np.empty(0, np.int32)
    return np.concatenate([rows for rows, _ in blocks]), np.concatenate(
        [columns for _, columns in blocks]
    )


def _exact_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    cosines: NDArray[np.float64] = np.einsum("ij,ij->i", a, b) / np.maximum(norms, 1e-300)
    return 1 - cosines


def nearest_neighbours(
    vectors: NDArray[np.float32], count: int, block_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return `rows`, `columns` (int64) and `cosines` (float32) of the `count` nearest others of
    each unit vector (n, d).

    Rows come in order, `count` entries each (fewer when there are not as many others), the columns
    of a row in ascending order.

    Example:
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> rows, columns, cosines = nearest_neighbours(vectors, 1, block_rows=1024)
        >>> rows.tolist(), columns.tolist(), [f"{cosine:.1f}" for cosine in cosines]
        ([0, 1, 2], [1, 0, 1], ['0.8', '0.8', '0.6'])
    """
    count = min(count, len(vectors) - 1)
    if count < 1:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    columns, cosines = [], []
    for start in range(0, len(vectors), block_rows):
        similarities = vectors[start : start + block_rows] @ vectors.T
        own = np.arange(len(similarities))
        similarities[own, start + own] = -np.inf
        nearest = np.sort(np.argpartition(-similarities, count - 1, axis=1)[:, :count], axis=1)
        columns.append(nearest.ravel())
        cosines.append(np.take_along_axis(similarities, nearest, axis=1).ravel())
    return (
        np.repeat(np.arange(len(vectors)), count),
        np.concatenate(columns),
        np.concatenate(cosines),
    )


def principal_axes(points: Reals) -> tuple[Reals, Reals]:
    """Return the mean (d) of points (n, d) and their axes of greatest variance (at most d, d), the
    greatest first; which way an axis points is left to LAPACK.

    scikit-learn's PCA gives the same axes and takes seconds to import.
    """
    middle = points.mean(axis=0) if len(points) else np.zeros(points.shape[1], points.dtype)
    return middle, np.linalg.svd(points - middle, full_matrices=False)[2]


def turned(axes: Reals) -> Reals:
    """Return axes (k, d) that each point where their largest part is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.asarray(axes * np.sign(largest))
