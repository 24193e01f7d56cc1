"""Which number each cluster gets: the assignment of greatest overlap with everything that numbers ever stood for."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

# A number stays with a cluster that shares at least this part of the smaller of the two.
SMALLEST_OVERLAP = 0.5

Members = frozenset[str]
State = tuple[int, Members]


def assign_numbers(clusters: Sequence[Members], states: Sequence[State]) -> list[int]:
    """Return a number per cluster: those of `states` by the assignment of greatest overlap, new ones for the rest.

    Overlap is the Jaccard index with the most alike state that a number ever had. New numbers follow the greatest issued
    one, larger clusters first, then by their members.
    """
    numbers = _match_states(clusters, states)
    free = max((number for number, _ in states), default=0) + 1
    unnumbered = [index for index in range(len(clusters)) if index not in numbers]
    unnumbered.sort(key=lambda index: (-len(clusters[index]), sorted(clusters[index])))
    numbers.update({index: free + offset for offset, index in enumerate(unnumbered)})
    return [numbers[index] for index in range(len(clusters))]


def _match_states(clusters: Sequence[Members], states: Sequence[State]) -> dict[int, int]:
    overlaps = _overlaps(clusters, states)
    if not overlaps:
        return {}
    order = sorted(range(len(clusters)), key=lambda index: sorted(clusters[index]))
    place = {index: row for row, index in enumerate(order)}
    issued = sorted({number for _, number in overlaps})
    column = {number: position for position, number in enumerate(issued)}
    rows = np.array([place[index] for index, _ in overlaps])
    columns = np.array([column[number] for _, number in overlaps])
    shares = sparse.csr_matrix((list(overlaps.values()), (rows, columns)), shape=(len(clusters), len(issued)))
    return {order[row]: issued[chosen] for row, chosen in _best_assignment(shares)}


def _overlaps(clusters: Sequence[Members], states: Sequence[State]) -> dict[tuple[int, int], float]:
    """Return the greatest Jaccard index per (cluster, number) of those that overlap enough."""
    holders = defaultdict(list)
    for index, members in enumerate(clusters):
        for member in members:
            holders[member].append(index)
    best: dict[tuple[int, int], float] = {}
    for number, members in dict.fromkeys(states):
        common = Counter(index for member in members for index in holders.get(member, ()))
        for index, count in common.items():
            own = len(clusters[index])
            if count >= SMALLEST_OVERLAP * min(own, len(members)):
                jaccard = count / (own + len(members) - count)
                best[index, number] = max(best.get((index, number), 0.0), jaccard)
    return best


def _best_assignment(shares: sparse.csr_matrix) -> list[tuple[int, int]]:
    """Return (row, column) pairs of the assignment with the greatest total share, ties to the lowest numbers."""
    row_count = shares.shape[0]
    graph = sparse.bmat([[None, shares], [shares.T, None]], format="csr")
    _, part = connected_components(graph, directed=False)
    pairs = []
    for rows, columns in _blocks(part[:row_count], part[row_count:]):
        block = shares[rows][:, columns].toarray()
        # Among equals the earlier cluster gets the lower number; the nudge is far below any difference of shares.
        nudge = 1e-9 * np.outer(np.linspace(1, 2, len(rows)), np.linspace(1, 2, len(columns)))
        for row, column in zip(*linear_sum_assignment(block - nudge, maximize=True), strict=True):
            if block[row, column] > 0:
                pairs.append((int(rows[row]), int(columns[column])))
    return pairs


def _blocks(row_parts: np.ndarray, column_parts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    rows, columns = defaultdict(list), defaultdict(list)
    for index, part in enumerate(row_parts):
        rows[part].append(index)
    for index, part in enumerate(column_parts):
        columns[part].append(index)
    return [(np.array(rows[part]), np.array(columns[part])) for part in rows if part in columns]
