"""Which vectors lie within a cosine distance of each other, exactly and in bounded memory."""

from collections.abc import Iterator

import numpy as np

# Single precision is trusted outside this band around the radius; inside it the distance is computed in double precision.
UNSURE = 1e-5


def neighbour_blocks(vectors: np.ndarray, radius: float, block_rows: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield `start, rows, columns` per block of rows: every ordered pair with cosine distance at most `radius`.

    `vectors` float32 (n, d) of unit length; `rows` and `columns` int64, sorted; a vector is a neighbour of itself. Holds
    `block_rows` × n distances at a time.
    """
    for start in range(0, len(vectors), block_rows):
        block = vectors[start : start + block_rows]
        similarities = block @ vectors.T
        rows, columns = np.nonzero(similarities >= 1 - radius - UNSURE)
        unsure = np.flatnonzero(similarities[rows, columns] < 1 - radius + UNSURE)
        near = np.ones(len(rows), bool)
        near[unsure] = _exact_distance(block[rows[unsure]], vectors[columns[unsure]]) <= radius
        yield start, start + rows[near], columns[near]


def pairs_within(vectors: np.ndarray, radius: float, block_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `rows` < `columns` (int64) of all pairs with cosine distance at most `radius`."""
    found = [
        (rows[rows < columns], columns[rows < columns]) for _, rows, columns in neighbour_blocks(vectors, radius, block_rows)
    ]
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])


def _exact_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    return 1 - np.einsum("ij,ij->i", a, b) / np.maximum(norms, 1e-300)


def nearest_neighbours(vectors: np.ndarray, count: int, block_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `rows`, `columns` (int64) and `cosines` (float32) of the `count` nearest others of each unit vector (n, d)."""
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
    return np.repeat(np.arange(len(vectors)), count), np.concatenate(columns), np.concatenate(cosines)
