"""Which pairs are worth verifying: neighbours by vector, by text and by their friends, also under a
projection of the vectors that the category learns from its verified pairs.

That is the whitening half of Mikolajczyk and Matas 2007 (supervised as in Radenović et al. 2018),
with no label: the pairs are those that print, text and geometry accept. Directions in which they
differ (a shop's card, the background, the side shown) shrink, so that further pictures of the same
products become neighbours. It asks for no precise pairs: shops' templates, accepted by mistake,
teach it to disregard the template.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.graph import symmetric_matrix
from clustering_pipeline.core.vectors import EXACT_UP_TO, nearest
from clustering_pipeline.stages.matching.verification import Floats, Indices

_TEXT_BLOCK = 2048
# Rows whose paths over friends are in memory at once.
_FRIENDS_BLOCK = 65_536


def nearest_pairs(
    vectors: Floats, neighbours: int, exact_up_to: int = EXACT_UP_TO
) -> NDArray[np.int64]:
    """Return the pairs (i, j), i < j, where one is among the `neighbours` nearest of the other:
    int64 (m, 2), sorted.

    `vectors` are unit rows; nearness is their cosine. The search is exact up to so many rows, in an
    inverted file of compressed vectors beyond (`clustering_pipeline.core.vectors`).
    """
    count = len(vectors)
    if count < 2:
        return np.zeros((0, 2), np.int64)
    blocks = [
        unique_pairs(
            block.start + np.repeat(np.arange(len(block.rows)), block.rows.shape[1]),
            block.rows.ravel(),
            count,
        )
        for block in nearest(vectors, neighbours + 1, exact_up_to)
    ]
    low, high = np.concatenate(blocks).T
    return unique_pairs(low, high, count)


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
    pairs: NDArray[np.int64], excluded: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return those of `pairs` that are not in `excluded`, in their order."""
    return pairs[
        ~np.isin(pairs[:, 0] * count + pairs[:, 1], excluded[:, 0] * count + excluded[:, 1])
    ]


def friends_of_friends(
    pairs: NDArray[np.int64], weights: NDArray[np.float64], count: int, most: int
) -> NDArray[np.int64]:
    """Return pairs that are not in `pairs` but have common friends: int64 (m, 2), sorted.

    Friends are pairs of positive weight. The more of them two rows share, and the stronger, the
    more promising they are: the sum over common friends of the geometric mean of both weights. Each
    row proposes its `most` best.
    """
    friends = weights > 0
    graph = symmetric_matrix(pairs[friends], np.sqrt(weights[friends]), count)
    paired = symmetric_matrix(pairs, np.ones(len(pairs)), count)
    proposed = [np.zeros((0, 2), np.int64)]
    for start in range(0, count, _FRIENDS_BLOCK):
        block = slice(start, start + _FRIENDS_BLOCK)
        paths = graph[block] @ graph
        paths = (paths - paths.multiply(paired[block] > 0)).tocsr()
        rows, columns = _strongest_per_row(_off_diagonal(paths, start), most)
        proposed.append(unique_pairs(rows + start, columns, count))
    low, high = np.concatenate(proposed).T
    return unique_pairs(low, high, count)


def _off_diagonal(paths: sparse.csr_matrix, start: int) -> sparse.csr_matrix:
    """Return a block of rows from `start` on without its paths from a row to itself."""
    row_of = start + np.repeat(np.arange(paths.shape[0]), np.diff(paths.indptr))
    paths.data[paths.indices == row_of] = 0
    paths.eliminate_zeros()
    return paths


def _strongest_per_row(matrix: sparse.csr_matrix, most: int) -> tuple[Indices, Indices]:
    row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row_of))
    rank = np.arange(len(order)) - matrix.indptr[row_of[order]]
    chosen = order[rank < most]
    return row_of[chosen].astype(np.int64), matrix.indices[chosen].astype(np.int64)


# Added to the variance within products, in units of its mean over all directions.
SHRINKAGE = 1.0
MOST_PAIRS = 50_000


def learn_projection(
    vectors: Floats, pairs: NDArray[np.int64], shrinkage: float = SHRINKAGE
) -> Floats:
    """Return a symmetric projection, float32 (d, d), for unit `vectors` (n, d) from accepted
    `pairs` (m, 2) of their rows.

    Each crop counts by the root of its number of pairs, so that a large product does not speak for
    all. Above 50,000 pairs every so-many-th is used. Without pairs the identity is returned.
    """
    from threadpoolctl import threadpool_limits

    dimension = vectors.shape[1]
    if not len(pairs):
        return np.eye(dimension, dtype=np.float32)
    used = pairs[
        np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_PAIRS)).round().astype(np.int64)
    ]
    first, second = used.T
    partners = np.bincount(used.ravel(), minlength=len(vectors))
    differences = (vectors[first] - vectors[second]).astype(np.float64)
    differences /= np.sqrt(np.sqrt(partners[first] * partners[second]))[:, None]
    with threadpool_limits(limits=1):
        within = differences.T @ differences
        mean = np.trace(within) / dimension
        if mean <= 0:
            return np.eye(dimension, dtype=np.float32)
        variances, directions = np.linalg.eigh(within / mean + shrinkage * np.eye(dimension))
    return np.asarray((directions / np.sqrt(variances)) @ directions.T, np.float32)


def project(vectors: Floats, projection: Floats) -> Floats:
    """Return unit rows of `vectors` under `projection`; a row that it takes to nothing stays as it
    was.
    """
    projected = vectors @ projection
    lengths = np.linalg.norm(projected, axis=1, keepdims=True)
    return np.where(lengths > 0, projected / np.maximum(lengths, 1e-12), vectors).astype(np.float32)
