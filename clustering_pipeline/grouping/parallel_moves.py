"""What every possible move of a node would gain, for many nodes at once."""

from dataclasses import dataclass

import numpy as np

from clustering_pipeline.grouping.walk import Walk, at_border, index_exits, membership, module_sums, xlogx

# Gains below this much weight times bits are rounding.
SMALLEST_GAIN = 1e-10


@dataclass(frozen=True)
class _Moves:
    """Move `i` takes node `nodes[rows[i]]`, which has the weight `weights[i]` to `modules[i]`, there; sorted by row and module.

    `own_weight` is the weight of each of `nodes` to its own module.
    """

    nodes: np.ndarray
    own_weight: np.ndarray
    rows: np.ndarray
    modules: np.ndarray
    weights: np.ndarray


def move_in_parallel(walk: Walk, labels: np.ndarray, coins: np.ndarray) -> np.ndarray:
    """Return labels (int64, n) after one round of moves that each shorten the description on their own.

    Labels are indices of nodes; a module gives or takes this round by the last bit of that node's coin (uint64, n), so that
    no module loses a node while another joins it.
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
    """Return which nodes (bool, n) have a move that shortens the description while all others stay."""
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
    left = _module_cost(np.maximum(exits[own] + less, 0), flows[own] - flow) - _module_cost(exits[own], flows[own])
    exits_there, flows_there = exits[moves.modules], flows[moves.modules]
    more = leaving[moves.rows] - 2 * moves.weights
    joined = _module_cost(exits_there + more, flows_there + flow[moves.rows]) - _module_cost(exits_there, flows_there)
    total = index_exits(walk, labels, exits)[walk.part[moves.nodes]][moves.rows]
    index = xlogx(total + less[moves.rows] + more) - xlogx(total)
    change: np.ndarray = left[moves.rows] + joined + index
    return change


def _module_cost(exits: np.ndarray, flows: np.ndarray) -> np.ndarray:
    return xlogx(exits + flows) - 2 * xlogx(exits)
