"""Moves of nodes between modules, and what every possible move would gain, for many nodes at
once.
"""

from collections import deque
from dataclasses import dataclass
from math import log2

import numpy as np

from clustering_pipeline.stages.clustering.random_walk import (
    Walk,
    at_border,
    index_exits,
    membership,
    module_sums,
    xlogx,
)


def _xlogx(value: float) -> float:
    return value * log2(value) if value > 1e-300 else 0.0


def move_nodes(walk: Walk, start: np.ndarray, order: np.ndarray) -> np.ndarray:
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

    def __init__(self, walk: Walk, labels: np.ndarray) -> None:
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

    nodes: np.ndarray
    own_weight: np.ndarray
    rows: np.ndarray
    modules: np.ndarray
    weights: np.ndarray


def move_in_parallel(walk: Walk, labels: np.ndarray, coins: np.ndarray) -> np.ndarray:
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


def can_improve(walk: Walk, labels: np.ndarray) -> np.ndarray:
    """Return which nodes (bool, n) have a move that shortens the description while all others
    stay.
    """
    moves = _moves(walk, labels, np.flatnonzero(at_border(walk, labels)), np.ones(walk.size, bool))
    better = _change(walk, labels, moves) < -SMALLEST_GAIN
    improvable = np.zeros(walk.size, bool)
    improvable[moves.nodes[moves.rows[better]]] = True
    return improvable


def _moves(walk: Walk, labels: np.ndarray, nodes: np.ndarray, taking: np.ndarray) -> _Moves:
    """Return the moves of `nodes` into other modules next to them that are `taking` (bool, n)."""
    toward = walk.links[nodes] @ membership(labels, walk.size)
    toward.sort_indices()
    rows, modules = np.repeat(np.arange(len(nodes)), np.diff(toward.indptr)), toward.indices
    own = modules == labels[nodes[rows]]
    own_weight = np.bincount(rows[own], toward.data[own], minlength=len(nodes))
    chosen = taking[modules] & ~own
    return _Moves(nodes, own_weight, rows[chosen], modules[chosen], toward.data[chosen])


def _change(walk: Walk, labels: np.ndarray, moves: _Moves) -> np.ndarray:
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
    change: np.ndarray = left[moves.rows] + joined + index
    return change


def _module_cost(exits: np.ndarray, flows: np.ndarray) -> np.ndarray:
    return xlogx(exits + flows) - 2 * xlogx(exits)
