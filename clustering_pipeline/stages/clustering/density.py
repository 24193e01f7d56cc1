"""DBSCAN, exact and in bounded memory.

Ester, Kriegel, Sander and Xu, "A density-based algorithm for discovering clusters", KDD 1996.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.core.vectors import near_pairs
from clustering_pipeline.stages.clustering.problem import NOISE

Pairs = tuple[np.ndarray, np.ndarray]
# Pairs kept between the two passes (8 bytes each); above, the distances are computed a second time.
KEPT_PAIRS = 60_000_000


def dbscan(
    vectors: np.ndarray,
    eps: float,
    min_samples: int,
    *,
    weights: np.ndarray | None = None,
    block_rows: int = 1024,
) -> np.ndarray:
    """Return scikit-learn's labels (int64, n) for `DBSCAN(eps, min_samples, metric="cosine")` with
    `sample_weight=weights`.

    `vectors` float32 (n, d) of unit length; `eps` a cosine distance; a node is a core when the
    weights within eps of it, its own included, add up to `min_samples`. Clusters are numbered by
    their first core. Half of the distances are computed, once unless more than `KEPT_PAIRS` of them
    are within eps.
    """
    counts = np.ones(len(vectors)) if weights is None else weights.astype(float)
    mass, kept, held = counts.copy(), list[Pairs](), 0
    for rows, columns in near_pairs(vectors, eps, block_rows):
        mass += np.bincount(rows, counts[columns], minlength=len(mass)) + np.bincount(
            columns, counts[rows], minlength=len(mass)
        )
        held += len(rows)
        if held <= KEPT_PAIRS:
            kept.append((rows, columns))
    again = kept if held <= KEPT_PAIRS else near_pairs(vectors, eps, block_rows)
    return _label(mass >= min_samples, again)


def dbscan_on_links(size: int, pairs: Pairs, min_samples: int, weights: np.ndarray) -> np.ndarray:
    """Return DBSCAN's labels (int64, n) where `pairs` (each once) are the nodes within eps of each
    other.
    """
    rows, columns = pairs
    mass = (
        weights
        + np.bincount(rows, weights[columns], minlength=size)
        + np.bincount(columns, weights[rows], minlength=size)
    )
    return _label(mass >= min_samples, [pairs])


def _label(cores: np.ndarray, pairs: Iterable[Pairs]) -> np.ndarray:
    size = len(cores)
    parts: np.ndarray = np.arange(size)
    border = list[Pairs]()
    for rows, columns in pairs:
        both = cores[rows] & cores[columns]
        parts = component_labels(len(parts), parts[rows[both]], parts[columns[both]])[parts]
        # A node that is no core has few neighbours, so that keeping them is cheap.
        border += _outer(cores, rows, columns)
    labels = np.full(size, NOISE, np.int64)
    core_nodes = np.flatnonzero(cores)
    _, first, inverse = np.unique(parts[core_nodes], return_index=True, return_inverse=True)
    labels[core_nodes] = np.argsort(np.argsort(first))[inverse]
    lowest = np.full(size, size, np.int64)
    for outer, core in border:
        # The cluster that is grown first takes a border node, and clusters are grown in the order
        # of their numbers.
        np.minimum.at(lowest, outer, labels[core])
    return np.where(lowest < size, lowest, labels)


def _outer(cores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Iterator[Pairs]:
    for outer, core in ((rows, columns), (columns, rows)):
        reached = ~cores[outer] & cores[core]
        yield outer[reached], core[reached]
