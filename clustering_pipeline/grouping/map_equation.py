"""Communities of a weighted graph by the two-level map equation.

Rosvall, Axelsson and Bergstrom, "The map equation", Eur. Phys. J. Special Topics 178 (2009). A random walker on the graph is
described with one codebook per module and an index of the modules; the grouping that describes the walk in the fewest bits
per step is the one whose modules hold the walker longest. Modules need no number given, do not chain over single weak
links, and hardly depend on the size of the graph.
"""

from collections import deque
from dataclasses import dataclass
from math import log2

import numpy as np
from scipy import sparse

# Gains below this many bits are rounding.
SMALLEST_GAIN = 1e-10


@dataclass(frozen=True)
class FlowGraph:
    """An undirected graph as flow: `links` is a symmetric CSR matrix without diagonal, all of whose entries and the loops sum to 1.

    `node_flow` (float64, n) is how often the walker visits each node; `node_exit` (float64, n) how often it leaves it.
    """

    links: sparse.csr_matrix
    node_flow: np.ndarray

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.node_flow)

    @property
    def node_exit(self) -> np.ndarray:
        """The flow from each node to all others."""
        return np.asarray(self.links.sum(axis=1)).ravel()


def flow_graph(size: int, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> FlowGraph:
    """Return the flow of an undirected graph of `size` nodes; each edge is given once, with a positive weight, no loops."""
    both = sparse.coo_matrix(
        (np.concatenate([weights, weights]), (np.concatenate([rows, columns]), np.concatenate([columns, rows]))),
        shape=(size, size),
        dtype=float,
    ).tocsr()
    both.sort_indices()
    total = both.sum()
    links = both / total if total else both
    return FlowGraph(links, np.asarray(links.sum(axis=1)).ravel())


def codelength(graph: FlowGraph, labels: np.ndarray) -> float:
    """Return the map equation's description length in bits per step of the modules `labels` (int64, n, 0 to k - 1)."""
    within = labels[graph.links.nonzero()[0]] == labels[graph.links.indices]
    exits = np.bincount(labels, graph.node_exit) - np.bincount(
        labels[graph.links.nonzero()[0]], np.where(within, graph.links.data, 0), minlength=labels.max() + 1
    )
    flows = np.bincount(labels, graph.node_flow)
    index = _plogp(exits.sum()) - _plogp(exits).sum()
    modules = _plogp(exits + flows).sum() - _plogp(exits).sum() - _plogp(graph.node_flow).sum()
    return float(index + modules)


def communities(
    size: int, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, keys: np.ndarray, *, trials: int = 5
) -> np.ndarray:
    """Return labels (int64, n, 0 to k - 1 by first member) of the shortest description found in `trials` searches.

    `rows`, `columns` (int64, m) name each edge once, `weights` (float64, m) are positive. `keys` (uint64, n) are hashes of the
    nodes' content; they set the order of the search, so that the same nodes and edges give the same modules.
    """
    if len(rows) == 0:
        return np.arange(size, dtype=np.int64)
    graph = flow_graph(size, rows, columns, weights)
    found = [_search(graph, np.argsort(mix(keys, trial), kind="stable")) for trial in range(trials)]
    lengths = [round(codelength(graph, labels), 9) for labels in found]
    return found[int(np.argmin(lengths))]


def mix(keys: np.ndarray, salt: int) -> np.ndarray:
    """Return uint64 hashes of `keys` that differ with `salt` (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(salt + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _search(graph: FlowGraph, order: np.ndarray) -> np.ndarray:
    """Alternate moves of whole modules and of single nodes until neither shortens the description."""
    labels = np.arange(graph.size, dtype=np.int64)
    length = np.inf
    while True:
        labels = _first_seen(_move_nodes(graph, labels, order))
        labels = _merge_modules(graph, labels, order)
        shorter = codelength(graph, labels)
        if shorter > length - SMALLEST_GAIN:
            return labels
        length = shorter


def _merge_modules(graph: FlowGraph, labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Treat modules as nodes and move them, level by level, until no move shortens the description."""
    while True:
        coarse = _aggregate(graph, labels)
        # A module takes its turn with its first node's.
        turns = np.full(coarse.size, graph.size)
        np.minimum.at(turns, labels[order], np.arange(graph.size))
        merged = _first_seen(_move_nodes(coarse, np.arange(coarse.size, dtype=np.int64), np.argsort(turns)))
        if merged.max() + 1 == coarse.size:
            return labels
        labels = _first_seen(merged[labels])


def _aggregate(graph: FlowGraph, labels: np.ndarray) -> FlowGraph:
    size = int(labels.max()) + 1
    member = sparse.csr_matrix((np.ones(graph.size), (np.arange(graph.size), labels)), shape=(graph.size, size))
    links = (member.T @ graph.links @ member).tocsr()
    links.setdiag(0)
    links.eliminate_zeros()
    links.sort_indices()
    return FlowGraph(links, np.bincount(labels, graph.node_flow, minlength=size))


def _first_seen(labels: np.ndarray) -> np.ndarray:
    """Return the labels renumbered 0 to k - 1 in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _plogp(values: np.ndarray | float) -> np.ndarray:
    positive = np.maximum(values, 1e-300)
    result: np.ndarray = positive * np.log2(positive)
    return result


def _xlogx(value: float) -> float:
    return value * log2(value) if value > 1e-300 else 0.0


def _move_nodes(graph: FlowGraph, start: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Move nodes one at a time to the neighbouring module that shortens the description most, until none does.

    `start` (int64, n) are the modules to begin with, `order` (int64, n) the nodes in the order of their first turn; a node
    gets another turn when a neighbour has left its module.
    """
    starts, neighbours, flows = graph.links.indptr.tolist(), graph.links.indices.tolist(), graph.links.data.tolist()
    node_flow, node_exit = graph.node_flow.tolist(), graph.node_exit.tolist()
    modules = _Modules(graph, start)
    label = start.tolist()
    queue = deque(order[_at_border(graph, start)[order]].tolist())
    waiting = [False] * graph.size
    for node in queue:
        waiting[node] = True
    while queue:
        node = queue.popleft()
        waiting[node] = False
        toward: dict[int, float] = {}
        edges = range(starts[node], starts[node + 1])
        for edge in edges:
            module = label[neighbours[edge]]
            toward[module] = toward.get(module, 0.0) + flows[edge]
        chosen = modules.best(label[node], toward, node_flow[node], node_exit[node])
        if chosen != label[node]:
            label[node] = chosen
            for edge in edges:
                neighbour = neighbours[edge]
                if not waiting[neighbour] and label[neighbour] != chosen:
                    waiting[neighbour] = True
                    queue.append(neighbour)
    return np.array(label, np.int64)


def _at_border(graph: FlowGraph, labels: np.ndarray) -> np.ndarray:
    """Return which nodes (bool, n) have a neighbour in another module."""
    rows = np.repeat(np.arange(graph.size), np.diff(graph.links.indptr))
    border = np.zeros(graph.size, bool)
    border[rows[labels[rows] != labels[graph.links.indices]]] = True
    return border


class _Modules:
    """The running exit flow and visit rate of every module, and the cost of a move in bits."""

    def __init__(self, graph: FlowGraph, labels: np.ndarray) -> None:
        rows = np.repeat(np.arange(graph.size), np.diff(graph.links.indptr))
        crossing = np.where(labels[rows] != labels[graph.links.indices], graph.links.data, 0)
        self.exits: list[float] = np.bincount(labels[rows], crossing, minlength=graph.size).tolist()
        self.flows: list[float] = np.bincount(labels, graph.node_flow, minlength=graph.size).tolist()
        self.total_exit = sum(self.exits)

    def best(self, own: int, toward: dict[int, float], flow: float, exit_flow: float) -> int:
        """Move a node out of `own` into the module with the least cost and return it; `toward` is its flow to each module."""
        own_exit = self.exits[own] - exit_flow + 2 * toward.get(own, 0.0)
        own_flow = self.flows[own] - flow
        base = self.total_exit + own_exit - self.exits[own]
        self.exits[own], self.flows[own] = max(own_exit, 0.0), max(own_flow, 0.0)
        chosen, chosen_cost = own, self._cost(own, toward.get(own, 0.0), flow, exit_flow, base) - SMALLEST_GAIN
        for module, shared in toward.items():
            cost = self._cost(module, shared, flow, exit_flow, base) if module != own else chosen_cost
            if cost < chosen_cost:
                chosen, chosen_cost = module, cost
        self.total_exit = base + exit_flow - 2 * toward.get(chosen, 0.0)
        self.exits[chosen] += exit_flow - 2 * toward.get(chosen, 0.0)
        self.flows[chosen] += flow
        return chosen

    def _cost(self, module: int, shared: float, flow: float, exit_flow: float, base: float) -> float:
        """Return what the description gains when the node joins `module`, without what all choices have in common."""
        exits, flows = self.exits[module], self.flows[module]
        change = exit_flow - 2 * shared
        return (
            _xlogx(base + change)
            - 2 * (_xlogx(exits + change) - _xlogx(exits))
            + _xlogx(exits + change + flows + flow)
            - _xlogx(exits + flows)
        )
