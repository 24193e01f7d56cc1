"""The random walk on a weighted graph that the map equation describes, and moves of nodes
between its modules with what every possible one would gain.
"""

from collections import deque
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Walk:
    """`links`: symmetric CSR weights (n, n) without diagonal. `node_flow`: each node's weight,
    twice that of its loop included (float64, n). `part`: which part of the graph each node lies in
    (int64, n); no link leaves a part. `elsewhere`: the exit weight of modules outside, with which
    those of each part share their index.

    Weights are not divided by their sum: the map equation's gains are the same up to that factor,
    and a sum that depends on the whole catalogue would let one part's rounding depend on another.
    """

    links: sparse.csr_matrix
    node_flow: NDArray[np.float64]
    part: NDArray[np.int64]
    elsewhere: float = 0.0

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.node_flow)

    @property
    def link_rows(self) -> NDArray[np.int64]:
        """The row of every stored link (int64)."""
        return np.repeat(np.arange(self.size), np.diff(self.links.indptr))

    @property
    def node_exit(self) -> NDArray[np.float64]:
        """The weight of each node's links to others (float64, n)."""
        return np.asarray(self.links.sum(axis=1)).ravel()


def module_sums(
    walk: Walk, labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `exits` and `flows` (float64, largest label + 1): the weight that leaves each module,
    and that of its nodes.
    """
    size = int(labels.max(initial=-1)) + 1
    own = labels[walk.link_rows]
    crossing = np.where(own != labels[walk.links.indices], walk.links.data, 0.0)
    return _weighted(own, crossing, size), _weighted(labels, walk.node_flow, size)


def _weighted(
    labels: NDArray[np.int64], weights: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    # NumPy's types do not know that weighted counts are float64.
    return np.asarray(np.bincount(labels, weights, minlength=size), np.float64)


def part_sums(
    walk: Walk, labels: NDArray[np.int64], by_module: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sums per part (float64) of a value per module; no module may reach into two
    parts.
    """
    part_of_module = np.zeros(len(by_module), np.int64)
    part_of_module[labels] = walk.part
    return _weighted(part_of_module, by_module, int(walk.part.max(initial=-1)) + 1)


def index_exits(
    walk: Walk, labels: NDArray[np.int64], exits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the exit weight that the index of each part's modules describes (float64), given that
    of each module.
    """
    return part_sums(walk, labels, exits) + walk.elsewhere


def at_border(walk: Walk, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which nodes (bool, n) have a neighbour in another module."""
    rows = walk.link_rows
    border = np.zeros(walk.size, bool)
    border[rows[labels[rows] != labels[walk.links.indices]]] = True
    return border


def membership(labels: NDArray[np.int64], modules: int) -> sparse.csr_matrix:
    """Return the (n, modules) matrix with a 1 where a node is in a module."""
    return sparse.csr_matrix(
        (np.ones(len(labels)), labels, np.arange(len(labels) + 1)), shape=(len(labels), modules)
    )


def aggregate(walk: Walk, labels: NDArray[np.int64]) -> Walk:
    """Return the walk whose nodes are the modules `labels` (int64, n, 0 to k - 1)."""
    modules = int(labels.max(initial=-1)) + 1
    member = membership(labels, modules)
    links = (member.T @ walk.links @ member).tocsr()
    links.setdiag(0)
    links.eliminate_zeros()
    links.sort_indices()
    part = np.zeros(modules, np.int64)
    part[labels] = walk.part
    return Walk(links, _weighted(labels, walk.node_flow, modules), part, walk.elsewhere)


def xlogx(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x log2 x, 0 where x is not positive."""
    positive = np.maximum(values, 1e-300)
    return np.where(values > 0, positive * np.log2(positive), 0.0)


def restrict(walk: Walk, nodes: NDArray[np.int64]) -> Walk:
    """Return the walk on whole parts of the graph only, those of `nodes` (int64)."""
    if len(nodes) == walk.size:
        return walk
    return Walk(
        walk.links[nodes][:, nodes], walk.node_flow[nodes], walk.part[nodes], walk.elsewhere
    )


def first_seen(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels (int64, n) renumbered 0 to k - 1 in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def _xlogx(value: float) -> float:
    return value * log2(value) if value > 1e-300 else 0.0


def move_nodes(walk: Walk, start: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move nodes one at a time to the neighbouring module that shortens the description most, until
    none does.

    `start` (int64, n) are the modules to begin with, `order` (int64, n) the nodes in the order of
    their first turn; a node gets its first turn when it can gain at once, others when a neighbour
    has changed its module. Returns the modules (int64, n).
    """
    starts, neighbours, weights = (
        walk.links.indptr.tolist(),
        walk.links.indices.tolist(),
        walk.links.data.tolist(),
    )
    node_flow, node_exit, part = (
        walk.node_flow.tolist(),
        walk.node_exit.tolist(),
        walk.part.tolist(),
    )
    modules, label = _Modules(walk, start), start.tolist()
    turn = can_improve(walk, start)
    queue, waiting = deque(order[turn[order]].tolist()), turn.tolist()
    while queue:
        node = queue.popleft()
        waiting[node] = False
        toward: dict[int, float] = {}
        for edge in range(starts[node], starts[node + 1]):
            module = label[neighbours[edge]]
            toward[module] = toward.get(module, 0.0) + weights[edge]
        chosen = modules.place(part[node], label[node], toward, node_flow[node], node_exit[node])
        if chosen == label[node]:
            continue
        label[node] = chosen
        for edge in range(starts[node], starts[node + 1]):
            neighbour = neighbours[edge]
            if not waiting[neighbour] and label[neighbour] != chosen:
                waiting[neighbour] = True
                queue.append(neighbour)
    return np.array(label, np.int64)


class _Modules:
    """The running exit weight and flow of every module, and what a move costs."""

    def __init__(self, walk: Walk, labels: NDArray[np.int64]) -> None:
        exits, flows = module_sums(walk, labels)
        self.exits: list[float] = exits.tolist()
        self.flows: list[float] = flows.tolist()
        self.part_exits: list[float] = index_exits(walk, labels, exits).tolist()

    def place(
        self, part: int, own: int, toward: dict[int, float], flow: float, exit_weight: float
    ) -> int:
        """Move a node out of module `own` into the one with the least cost and return that;
        `toward` is its weight to each.
        """
        own_weight = toward.get(own, 0.0)
        left_exit = max(self.exits[own] - exit_weight + 2 * own_weight, 0.0)
        base = self.part_exits[part] + left_exit - self.exits[own]
        self.exits[own], self.flows[own] = left_exit, max(self.flows[own] - flow, 0.0)
        chosen, shared, least = (
            own,
            own_weight,
            self._cost(own, exit_weight - 2 * own_weight, flow, base) - SMALLEST_GAIN,
        )
        for module, weight in toward.items():
            cost = self._cost(module, exit_weight - 2 * weight, flow, base)
            if cost < least and module != own:
                chosen, shared, least = module, weight, cost
        self.part_exits[part] = base + exit_weight - 2 * shared
        self.exits[chosen] += exit_weight - 2 * shared
        self.flows[chosen] += flow
        return chosen

    def _cost(self, module: int, change: float, flow: float, base: float) -> float:
        """Return what the description gains when a node joins `module` and its exits change by
        `change`.
        """
        exits, flows = self.exits[module], self.flows[module]
        return (
            _xlogx(base + change)
            - 2 * (_xlogx(exits + change) - _xlogx(exits))
            + _xlogx(exits + change + flows + flow)
            - _xlogx(exits + flows)
        )


# Gains below this much weight times bits are rounding.
SMALLEST_GAIN = 1e-10


@dataclass(frozen=True)
class _Moves:
    """Move `i` takes node `nodes[rows[i]]`, which has the weight `weights[i]` to `modules[i]`,
    there; sorted by row and module.

    `own_weight` is the weight of each of `nodes` to its own module.
    """

    nodes: NDArray[np.int64]
    own_weight: NDArray[np.float64]
    rows: NDArray[np.int64]
    modules: NDArray[np.int64]
    weights: NDArray[np.float64]


def move_in_parallel(
    walk: Walk, labels: NDArray[np.int64], coins: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return labels (int64, n) after one round of moves that each shorten the description on their
    own.

    Labels are indices of nodes; a module gives or takes this round by the last bit of that node's
    coin (uint64, n), so that no module loses a node while another joins it.
    """
    gives = (coins & np.uint64(1)).astype(bool)
    moves = _moves(walk, labels, np.flatnonzero(at_border(walk, labels) & gives[labels]), ~gives)
    change = _change(walk, labels, moves)
    best = np.lexsort((moves.modules, change, moves.rows))
    best = best[np.diff(moves.rows[best], prepend=-1) != 0]
    best = best[change[best] < -SMALLEST_GAIN]
    moved = labels.copy()
    moved[moves.nodes[moves.rows[best]]] = moves.modules[best]
    return moved


def can_improve(walk: Walk, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which nodes (bool, n) have a move that shortens the description while all others
    stay.
    """
    moves = _moves(walk, labels, np.flatnonzero(at_border(walk, labels)), np.ones(walk.size, bool))
    better = _change(walk, labels, moves) < -SMALLEST_GAIN
    improvable = np.zeros(walk.size, bool)
    improvable[moves.nodes[moves.rows[better]]] = True
    return improvable


def _moves(
    walk: Walk, labels: NDArray[np.int64], nodes: NDArray[np.int64], taking: NDArray[np.bool_]
) -> _Moves:
    """Return the moves of `nodes` into other modules next to them that are `taking` (bool, n)."""
    toward = walk.links[nodes] @ membership(labels, walk.size)
    toward.sort_indices()
    rows, modules = np.repeat(np.arange(len(nodes)), np.diff(toward.indptr)), toward.indices
    own = modules == labels[nodes[rows]]
    own_weight = np.asarray(
        np.bincount(rows[own], toward.data[own], minlength=len(nodes)), np.float64
    )
    chosen = taking[modules] & ~own
    return _Moves(nodes, own_weight, rows[chosen], modules[chosen], toward.data[chosen])


def _change(walk: Walk, labels: NDArray[np.int64], moves: _Moves) -> NDArray[np.float64]:
    """Return how much longer each move makes the description, in weight times bits (float64)."""
    exits, flows = module_sums(walk, labels)
    leaving, flow = walk.node_exit[moves.nodes], walk.node_flow[moves.nodes]
    own = labels[moves.nodes]
    less = 2 * moves.own_weight - leaving
    left = _module_cost(np.maximum(exits[own] + less, 0), flows[own] - flow) - _module_cost(
        exits[own], flows[own]
    )
    exits_there, flows_there = exits[moves.modules], flows[moves.modules]
    more = leaving[moves.rows] - 2 * moves.weights
    joined = _module_cost(exits_there + more, flows_there + flow[moves.rows]) - _module_cost(
        exits_there, flows_there
    )
    total = index_exits(walk, labels, exits)[walk.part[moves.nodes]][moves.rows]
    index = xlogx(total + less[moves.rows] + more) - xlogx(total)
    change: NDArray[np.float64] = left[moves.rows] + joined + index
    return change


def _module_cost(exits: NDArray[np.float64], flows: NDArray[np.float64]) -> NDArray[np.float64]:
    return xlogx(exits + flows) - 2 * xlogx(exits)
