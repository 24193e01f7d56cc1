"""Modules that hold two products which contradict each other are cut in two.

Near variants agree in all of their print but a line, and many of their pairs do not show that line: evidence that only joins
puts them into one module. What tells them apart is which pairs contradict each other: between two products many, within one
hardly any. Each pair carries the logarithm of how much likelier what it shows is between two products than within one; a cut
is worth the sum of that across it.
"""

from collections import defaultdict
from math import lgamma

import numpy as np
from scipy import sparse

from clustering_pipeline.grouping.problem import Edges

# What a match counts against a cut, per weight: crops that nothing contradicts stay with what they look like.
_COHESION = 0.05
_SEEDS = 4


def cut_contradicted(labels: np.ndarray, contradictions: Edges, matches: Edges, least: float) -> np.ndarray:
    """Return labels (int64, n) in which no module can be cut in two with a gain of `least` or more.

    The weights of `contradictions` are natural logarithms of odds, negative where two crops could have contradicted each other
    and do not. A crop adds no more to a gain than its strongest contradiction: one misread line contradicts many others.
    """
    result, following = labels.copy(), int(labels.max(initial=-1)) + 1
    against = _by_module(labels, contradictions, 1.0)
    held = _by_module(labels, matches, -_COHESION)
    for label, pairs in against.items():
        queue = [np.flatnonzero(labels == label)]
        while queue:
            members = queue.pop()
            apart = best_cut(_matrix(members, [*pairs, *held[label]]), least)
            if apart is None:
                continue
            result[members[apart]] = following
            following += 1
            queue += [members[apart], members[~apart]]
    return result


def best_cut(against: sparse.csr_matrix, least: float) -> np.ndarray | None:
    """Return which nodes (bool, n) to part from the others with the greatest gain, or None when none is worth `least`.

    From the gain of a cut is taken what it costs to say which of the nodes it parts, since the best of very many cuts finds
    some contradictions in any module.
    """
    best, chosen = least, None
    for first, second in _seeds(against):
        sides = _improved(against, _start(against, first, second))
        gain = _gain(against, sides) - _ways(len(sides), int((sides < 0).sum()))
        if gain >= best:
            best, chosen = gain, sides
    return None if chosen is None else chosen < 0


def _by_module(labels: np.ndarray, edges: Edges, factor: float) -> dict[int, list[tuple[int, int, float]]]:
    found = defaultdict(list)
    inside = edges.where(labels[edges.rows] == labels[edges.columns])
    rows = zip(inside.rows.tolist(), inside.columns.tolist(), (factor * inside.weights).tolist(), strict=True)
    for row, column, weight in rows:
        found[int(labels[row])].append((row, column, weight))
    return found


def _matrix(members: np.ndarray, pairs: list[tuple[int, int, float]]) -> sparse.csr_matrix:
    """Return the symmetric matrix (n, n) of the pairs among `members`, which are sorted."""
    rows, columns, weights = (np.array(side) for side in zip(*pairs, strict=True))
    first, second = np.searchsorted(members, rows), np.searchsorted(members, columns)
    known = (np.append(members, -1)[first] == rows) & (np.append(members, -1)[second] == columns)
    size = len(members)
    half = sparse.coo_matrix((weights[known], (first[known], second[known])), shape=(size, size)).tocsr()
    return (half + half.T).tocsr()


def _seeds(against: sparse.csr_matrix) -> list[tuple[int, int]]:
    """Return the pairs that contradict each other, of the nodes that are contradicted most."""
    worst = np.asarray(against.maximum(0).sum(axis=1)).ravel()
    order = np.lexsort((np.arange(len(worst)), -worst))[:_SEEDS]
    return [(int(node), int(np.argmax(against[node].toarray()))) for node in order if worst[node] > 0]


def _start(against: sparse.csr_matrix, first: int, second: int) -> np.ndarray:
    """Return a side (1 or -1, n) for each node: with the one of the two that contradicts it less."""
    sides = np.where((against[first] - against[second]).toarray().ravel() > 0, -1.0, 1.0)
    sides[first], sides[second] = 1.0, -1.0
    return sides


def _improved(against: sparse.csr_matrix, sides: np.ndarray) -> np.ndarray:
    """Move the node that gains most to the other side until none gains."""
    sides = sides.copy()
    pull = against @ sides
    for _ in range(4 * len(sides)):
        gains = sides * pull
        node = int(gains.argmax())
        if gains[node] <= 1e-9:
            break
        sides[node] = -sides[node]
        # The matrix is symmetric: its row is its column.
        row = slice(against.indptr[node], against.indptr[node + 1])
        pull[against.indices[row]] += 2 * sides[node] * against.data[row]
    return sides


def _gain(against: sparse.csr_matrix, sides: np.ndarray) -> float:
    """Return the evidence across the cut, no more than the strongest contradiction of each node of the smaller side."""
    smaller = -1.0 if (sides < 0).sum() * 2 <= len(sides) else 1.0
    across = against[sides == smaller][:, sides != smaller]
    if across.shape[0] == 0:
        return 0.0
    strongest = across.max(axis=1).toarray().ravel()
    return float(min(across.sum(), strongest.sum()))


def _ways(size: int, chosen: int) -> float:
    """Return the natural logarithm of the number of ways to choose so many of `size` nodes."""
    return lgamma(size + 1) - lgamma(chosen + 1) - lgamma(size - chosen + 1)
