"""Sets of rows that hang together through pairs."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]


def components(count: int, first: Indices, second: Indices) -> list[Indices]:
    """Return the connected components with two rows or more of `count` rows, each sorted, ordered by their first row."""
    if len(first) == 0:
        return []
    graph = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return sorted((group.astype(np.int64) for group in groups if len(group) > 1), key=lambda group: int(group[0]))
