"""Which pairs are worth verifying."""

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.stages.matching.geometry import Floats, Indices

# Up to so many crops every vector is compared with every other; beyond, only those in the nearest
# cells.
_EXACT_UP_TO = 20_000
_PROBES = 48
_TEXT_BLOCK = 2048


def nearest_pairs(vectors: Floats, neighbours: int) -> NDArray[np.int64]:
    """Return the pairs (i, j), i < j, where one is among the `neighbours` nearest of the other:
    int64 (m, 2), sorted.

    `vectors` are unit rows; nearness is their cosine. The search is exact up to 20,000 rows, in an
    inverted file beyond.
    """
    count = len(vectors)
    if count < 2:
        return np.zeros((0, 2), np.int64)
    index = _open_index(vectors)
    _, found = index.search(vectors, min(neighbours + 1, count))
    return unique_pairs(
        np.repeat(np.arange(count), found.shape[1]), found.ravel().astype(np.int64), count
    )


def joined_pairs(
    first: NDArray[np.int64], second: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the distinct pairs of both, sorted."""
    rows, columns = np.concatenate([first, second]).T
    return unique_pairs(rows, columns, count)


def unique_pairs(rows: Indices, columns: Indices, count: int) -> NDArray[np.int64]:
    """Return the distinct pairs (i, j) with i < j, sorted; pairs of a row with itself or with -1
    are dropped.
    """
    low, high = np.minimum(rows, columns), np.maximum(rows, columns)
    valid = (low >= 0) & (low < high)
    numbers = np.unique(low[valid] * count + high[valid])
    return np.column_stack([numbers // count, numbers % count])


def text_neighbours(
    vectors: sparse.csr_matrix, neighbours: int, least: float = 0.5
) -> NDArray[np.int64]:
    """Return pairs of texts whose cosine is at least `least`, each row's `neighbours` nearest:
    int64 (m, 2), i < j.
    """
    rows, columns = [], []
    for start in range(0, vectors.shape[0], _TEXT_BLOCK):
        block = (vectors[start : start + _TEXT_BLOCK] @ vectors.T).tocsr()
        block.data[block.data < least] = 0
        block.eliminate_zeros()
        found_rows, found_columns = _strongest_per_row(block, neighbours + 1)
        rows.append(found_rows + start)
        columns.append(found_columns)
    if not rows:
        return np.zeros((0, 2), np.int64)
    return unique_pairs(np.concatenate(rows), np.concatenate(columns), vectors.shape[0])


def without_known(
    pairs: NDArray[np.int64], known: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return those of `pairs` that are not in `known`, in their order."""
    return pairs[~np.isin(pairs[:, 0] * count + pairs[:, 1], known[:, 0] * count + known[:, 1])]


def friends_of_friends(
    pairs: NDArray[np.int64], weights: NDArray[np.float64], count: int, most: int
) -> NDArray[np.int64]:
    """Return pairs that are not in `pairs` but have common friends: int64 (m, 2), sorted.

    Friends are pairs of positive weight. The more of them two rows share, and the stronger, the
    more promising they are: the sum over common friends of the geometric mean of both weights. Each
    row proposes its `most` best.
    """
    friends = weights > 0
    graph = _symmetric(pairs[friends], np.sqrt(weights[friends]), count)
    known = _symmetric(pairs, np.ones(len(pairs)), count)
    paths = graph @ graph
    paths = (paths - paths.multiply(known > 0)).tocsr()
    paths.setdiag(0)
    paths.eliminate_zeros()
    return unique_pairs(*_strongest_per_row(paths, most), count)


def _symmetric(
    pairs: NDArray[np.int64], values: NDArray[np.float64], count: int
) -> sparse.csr_matrix:
    half = sparse.coo_matrix((values, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    return half + half.T


def _strongest_per_row(matrix: sparse.csr_matrix, most: int) -> tuple[Indices, Indices]:
    row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row_of))
    rank = np.arange(len(order)) - matrix.indptr[row_of[order]]
    chosen = order[rank < most]
    return row_of[chosen].astype(np.int64), matrix.indices[chosen].astype(np.int64)


def _open_index(vectors: Floats) -> faiss.Index:
    count, dimension = vectors.shape
    flat = faiss.IndexFlatIP(dimension)
    index = flat if count <= _EXACT_UP_TO else _train_cells(flat, vectors)
    index.add(vectors)
    return index


def _train_cells(quantiser: faiss.Index, vectors: Floats) -> faiss.Index:
    count, dimension = vectors.shape
    index = faiss.IndexIVFFlat(
        quantiser, dimension, int(4 * np.sqrt(count)), faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = 1
    index.cp.niter = 8
    index.train(vectors)
    index.nprobe = _PROBES
    return index
