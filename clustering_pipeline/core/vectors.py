"""Vectors by cosine: which lie within a distance of each other, exactly and in bounded memory; the
nearest of many; and the axes along which they differ most.

The nearest of few vectors are found by comparing all with all, those of many in an inverted file
of compressed vectors, ranked by the vectors themselves. The inverted file is FAISS'
`PCAR,IVF,PQx4fs`. Its cells are four times the root of the number of vectors, as FAISS' guidelines
have it for up to a million. A vector takes 4 bits for two of its principal components, so that
looking through a cell costs about a fiftieth of what whole vectors cost, and a million vectors take
64 MB beside themselves. Of a few times as many as are wanted the cosines are computed exactly.
Jégou, Douze, Schmid: "Product Quantization for Nearest Neighbor Search", TPAMI 2011; André,
Kermarrec, Le Scouarnec: "Quicker ADC", TPAMI 2021; Douze et al.: "The Faiss Library", 2024.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import faiss

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


Floats = NDArray[np.float32]

EXACT_UP_TO = 20_000
# Cells per root of the number of vectors, how many of them are looked through for each vector, and
# how many times as many as wanted are ranked exactly. Of 15 neighbours of 100,000 planted
# vectors 0.99 are those of comparing all.
_CELLS_PER_ROOT, _PROBES, _RANKED = 4.0, 64, 8
# Principal components that are compressed, in pairs; whole vectors where there are fewer.
_COMPONENTS = 128
_TRAINED_ON, _ROUNDS, _SEED = 64, 8, 1
# So many vectors are compared in no time, and fewer would teach the components nothing.
_FEWEST = 512
_BLOCK = 20_480
# Vectors whose candidates are gathered at once.
_GATHERED = 128


class Nearest(NamedTuple):
    """The nearest of a block of vectors, themselves among them, the nearest first.

    Attributes:
        start: the row of the first vector of the block.
        rows: int64 (b, k), -1 where fewer were found.
        cosines: float32 (b, k).
    """

    start: int
    rows: NDArray[np.int64]
    cosines: Floats


def nearest(vectors: Floats, count: int, exact_up_to: int = EXACT_UP_TO) -> Iterator[Nearest]:
    """Yield the `count` nearest of each unit row of float32 (n, d) by cosine, block by block;
    exactly up to so many rows.

    Example:
        >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> [block.rows.tolist() for block in nearest(vectors, 2)]
        [[[0, 1], [1, 0], [2, 1]]]
    """
    count = min(count, len(vectors))
    search = _open_search(vectors, exact_up_to)
    for start in range(0, len(vectors), _BLOCK):
        cosines, rows = search(vectors[start : start + _BLOCK], count)
        yield Nearest(start, rows, cosines)


def _open_search(
    vectors: Floats, exact_up_to: int
) -> Callable[[Floats, int], tuple[Floats, NDArray[np.int64]]]:
    """Return what gives cosines and rows of the nearest of some vectors among `vectors`."""
    if len(vectors) <= max(exact_up_to, _FEWEST):
        # Who only measures, as the report does, need not load it.
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return index.search
    if vectors.shape[1] < _COMPONENTS:
        return _whole_cells(vectors).search
    return _Compressed(vectors).search


def _cells(count: int) -> int:
    return max(1, min(int(_CELLS_PER_ROOT * np.sqrt(count)), count // _TRAINED_ON))


def _whole_cells(vectors: Floats) -> "faiss.Index":
    """Return an inverted file of short vectors, which are cheap to compare as they are."""
    import faiss

    dimension = vectors.shape[1]
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, _cells(len(vectors)), faiss.METRIC_INNER_PRODUCT
    )
    _train(index, index, vectors)
    return index


class _Compressed:
    """An inverted file of compressed vectors beside the vectors."""

    def __init__(self, vectors: Floats) -> None:
        import faiss

        self._vectors = vectors
        self._index = faiss.index_factory(
            vectors.shape[1],
            f"PCAR{_COMPONENTS},IVF{_cells(len(vectors))},PQ{_COMPONENTS // 2}x4fs",
            faiss.METRIC_INNER_PRODUCT,
        )
        _train(self._index, faiss.extract_index_ivf(self._index), vectors)

    def search(self, asked: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        """Return cosines and rows of the `count` nearest of each of `asked`, float32 (b, d)."""
        _, rows = self._index.search(asked, count * _RANKED)
        cosines = np.empty(rows.shape, np.float32)
        for start in range(0, len(asked), _GATHERED):
            some = slice(start, start + _GATHERED)
            cosines[some] = np.einsum("bd,bkd->bk", asked[some], self._vectors[rows[some]])
        cosines[rows < 0] = -np.inf
        # Of equal cosines the first row comes first, however the cells lie.
        order = np.lexsort((rows, -cosines))[:, :count]
        return np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1)


def _train(index: "faiss.Index", cells: "faiss.IndexIVF", vectors: Floats) -> None:
    """Train an index on a sample of the vectors and add them all, a block at a time."""
    cells.cp.seed, cells.cp.niter = _SEED, _ROUNDS
    cells.cp.min_points_per_centroid, cells.cp.max_points_per_centroid = 1, _TRAINED_ON
    wanted = min(len(vectors), max(_TRAINED_ON * cells.nlist, 4 * _COMPONENTS))
    chosen = np.random.default_rng(_SEED).choice(len(vectors), wanted, replace=False)
    index.train(vectors[np.sort(chosen)])
    for start in range(0, len(vectors), _BLOCK):
        index.add(vectors[start : start + _BLOCK])
    cells.nprobe = _PROBES
