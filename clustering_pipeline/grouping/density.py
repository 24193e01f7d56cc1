"""DBSCAN over unit vectors, exact and in bounded memory.

Ester, Kriegel, Sander and Xu, "A density-based algorithm for discovering clusters", KDD 1996.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.grouping.neighbours import neighbour_blocks
from clustering_pipeline.grouping.problem import NOISE


def dbscan(
    vectors: np.ndarray, eps: float, min_samples: int, *, weights: np.ndarray | None = None, block_rows: int = 1024
) -> np.ndarray:
    """Return scikit-learn's labels (int64, n) for `DBSCAN(eps, min_samples, metric="cosine")` with `sample_weight=weights`.

    `vectors` float32 (n, d) of unit length; `eps` a cosine distance; a node is a core when the weights within eps of it,
    its own included, add up to `min_samples`. Clusters are numbered by their first core.
    """
    counts = np.ones(len(vectors)) if weights is None else weights.astype(float)
    cores = np.zeros(len(vectors), bool)
    parts = np.arange(len(vectors))
    border: list[tuple[np.ndarray, np.ndarray]] = []
    for start, rows, columns in neighbour_blocks(vectors, eps, block_rows):
        stop = min(start + block_rows, len(vectors))
        mass = np.bincount(rows - start, counts[columns], minlength=stop - start)
        cores[start:stop] = mass >= min_samples
        outer = ~cores[rows]
        # A node that is no core has few neighbours, so that keeping them is cheap.
        border.append((rows[outer], columns[outer]))
        inner = cores[rows] & cores[columns] & (columns < stop)
        parts = _join(parts, rows[inner], columns[inner])
    return _labels(parts, cores, border)


def _join(parts: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    links = sparse.coo_matrix((np.ones(len(rows), np.int8), (parts[rows], parts[columns])), shape=(len(parts),) * 2)
    return connected_components(links, directed=False)[1][parts]


def _labels(parts: np.ndarray, cores: np.ndarray, border: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    labels = np.full(len(parts), NOISE, np.int64)
    core_nodes = np.flatnonzero(cores)
    _, first, inverse = np.unique(parts[core_nodes], return_index=True, return_inverse=True)
    labels[core_nodes] = np.argsort(np.argsort(first))[inverse]
    rows, columns = (np.concatenate(side) for side in zip(*border, strict=True)) if border else (core_nodes[:0],) * 2
    reached = cores[columns]
    # The cluster that is grown first takes a border node, and clusters are grown in the order of their numbers.
    lowest = np.full(len(parts), len(parts), np.int64)
    np.minimum.at(lowest, rows[reached], labels[columns[reached]])
    found = lowest < len(parts)
    labels[found] = lowest[found]
    return labels
