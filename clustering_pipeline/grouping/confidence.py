"""How sure a grouping is: per listing, and the weakest link of every cluster."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import minimum_spanning_tree

from clustering_pipeline.grouping.problem import NOISE, Edges


@dataclass(frozen=True)
class Confidence:
    """`agreement`: the best probability of a match within the own cluster (float64, n, 0 to 1). `margin`: the share of a
    node's evidence that stays in its cluster against that and the strongest other cluster (float64, n, 0 to 1). `within`:
    the sum of that evidence (float64, n).
    `weakest_link`: per cluster the least probability on its maximum spanning tree, 0 where no evidence holds it together.
    """

    agreement: np.ndarray
    within: np.ndarray
    margin: np.ndarray
    weakest_link: dict[int, float]


def measure_confidence(labels: np.ndarray, edges: Edges) -> Confidence:
    """Return the confidence in `labels` (int64, n; -1 is noise) given the evidence of `edges`."""
    size = len(labels)
    rows = np.concatenate([edges.rows, edges.columns])
    columns = np.concatenate([edges.columns, edges.rows])
    weights, probabilities = np.tile(edges.weights, 2), np.tile(edges.probabilities, 2)
    grouped = labels[columns] != NOISE
    inside = grouped & (labels[rows] == labels[columns])
    agreement, within = np.zeros(size), np.zeros(size)
    np.maximum.at(agreement, rows[inside], probabilities[inside])
    np.add.at(within, rows[inside], weights[inside])
    outside = grouped & ~inside
    strongest = _strongest_other(size, rows[outside], labels[columns[outside]], weights[outside])
    total = within + strongest
    margin = np.divide(within, total, out=np.ones(size), where=total > 0)
    return Confidence(agreement, within, margin, _weakest_links(labels, edges))


def _strongest_other(size: int, rows: np.ndarray, clusters: np.ndarray, weights: np.ndarray) -> np.ndarray:
    strongest = np.zeros(size)
    if len(rows) == 0:
        return strongest
    sums = sparse.coo_matrix((weights, (rows, clusters)), shape=(size, clusters.max() + 1)).tocsr().tocoo()
    np.maximum.at(strongest, sums.row, sums.data)
    return strongest


def _weakest_links(labels: np.ndarray, edges: Edges) -> dict[int, float]:
    inside = (labels[edges.rows] == labels[edges.columns]) & (labels[edges.rows] != NOISE)
    kept = edges.where(inside)
    # The spanning tree of least doubt; doubt starts at 1 because a sparse matrix has no entry of 0.
    doubt = sparse.coo_matrix((2 - kept.probabilities, (kept.rows, kept.columns)), shape=(len(labels),) * 2)
    tree = minimum_spanning_tree(doubt).tocoo()
    members = np.bincount(labels[labels != NOISE])
    weakest, held = np.ones(len(members)), np.bincount(labels[tree.row], minlength=len(members))
    np.minimum.at(weakest, labels[tree.row], 2 - tree.data)
    weakest[held < members - 1] = 0
    return {int(label): float(weakest[label]) for label in np.flatnonzero(members)}
