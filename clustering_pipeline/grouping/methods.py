"""The grouping methods by name. A method sees only nodes and evidence and returns a label per node, -1 for noise."""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.grouping.density import dbscan
from clustering_pipeline.grouping.map_equation import communities
from clustering_pipeline.grouping.neighbours import pairs_within
from clustering_pipeline.grouping.problem import NOISE, Edges, GroupingProblem
from clustering_pipeline.settings import ClusterSettings

GroupingMethod = Callable[[GroupingProblem, ClusterSettings], np.ndarray]


def graph(problem: GroupingProblem, settings: ClusterSettings) -> np.ndarray:
    """Communities of the evidence by the map equation; weak matches are left out and strong ones capped.

    Copies of one picture are no independent evidence, so that a keeper's links weigh the same however many it stands for.
    """
    edges = problem.edges.where(problem.edges.weights > settings.smallest_weight)
    weights = np.minimum(edges.weights, settings.largest_weight)
    return communities(
        problem.size, edges.rows, edges.columns, weights, problem.hashes, trials=settings.trials, elsewhere=settings.elsewhere
    )


def components(problem: GroupingProblem, settings: ClusterSettings) -> np.ndarray:
    """Connected components of pairs with cosine at least `threshold`, each member re-checked against its component's king.

    The king is the node that stands for most listings. A member less alike to it than the threshold starts over with the
    other such members, since similarity is not transitive.
    """
    rows, columns = pairs_within(problem.vectors, 1 - settings.threshold, settings.block_rows)
    labels = _connected(problem.size, rows, columns)
    return recheck(labels, problem, settings.threshold)


def recheck(labels: np.ndarray, problem: GroupingProblem, threshold: float) -> np.ndarray:
    """Return labels in which every member has a cosine of at least `threshold` to the king of its cluster."""
    order = np.lexsort((np.arange(problem.size), -problem.listings, labels))
    kings: dict[int, list[int]] = {}
    result = np.empty(problem.size, np.int64)
    for node in order:
        known = kings.setdefault(int(labels[node]), [])
        similarities = problem.vectors[known] @ problem.vectors[node] if known else np.empty(0)
        if known and similarities.max() >= threshold:
            result[node] = known[int(similarities.argmax())]
        else:
            known.append(int(node))
            result[node] = node
    return result


def _dbscan(problem: GroupingProblem, settings: ClusterSettings) -> np.ndarray:
    return dbscan(problem.vectors, settings.eps, settings.min_samples, weights=problem.listings, block_rows=settings.block_rows)


def _connected(size: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    links = sparse.coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    return connected_components(links, directed=False)[1].astype(np.int64)


GROUPING_METHODS: dict[str, GroupingMethod] = {"graph": graph, "dbscan": _dbscan, "components": components}

__all__ = ["GROUPING_METHODS", "NOISE", "Edges", "GroupingMethod"]
