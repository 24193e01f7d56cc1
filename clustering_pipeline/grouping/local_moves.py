"""Moves of single nodes between modules that shorten the map equation's description, one after the other."""

from collections import deque
from math import log2

import numpy as np

from clustering_pipeline.grouping.parallel_moves import SMALLEST_GAIN, can_improve
from clustering_pipeline.grouping.walk import Walk, index_exits, module_sums


def _xlogx(value: float) -> float:
    return value * log2(value) if value > 1e-300 else 0.0


def move_nodes(walk: Walk, start: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Move nodes one at a time to the neighbouring module that shortens the description most, until none does.

    `start` (int64, n) are the modules to begin with, `order` (int64, n) the nodes in the order of their first turn; a node
    gets its first turn when it can gain at once, others when a neighbour has changed its module. Returns the modules (int64, n).
    """
    starts, neighbours, weights = walk.links.indptr.tolist(), walk.links.indices.tolist(), walk.links.data.tolist()
    node_flow, node_exit, part = walk.node_flow.tolist(), walk.node_exit.tolist(), walk.part.tolist()
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

    def place(self, part: int, own: int, toward: dict[int, float], flow: float, exit_weight: float) -> int:
        """Move a node out of module `own` into the one with the least cost and return that; `toward` is its weight to each."""
        own_weight = toward.get(own, 0.0)
        left_exit = max(self.exits[own] - exit_weight + 2 * own_weight, 0.0)
        base = self.part_exits[part] + left_exit - self.exits[own]
        self.exits[own], self.flows[own] = left_exit, max(self.flows[own] - flow, 0.0)
        chosen, shared, least = own, own_weight, self._cost(own, exit_weight - 2 * own_weight, flow, base) - SMALLEST_GAIN
        for module, weight in toward.items():
            cost = self._cost(module, exit_weight - 2 * weight, flow, base)
            if cost < least and module != own:
                chosen, shared, least = module, weight, cost
        self.part_exits[part] = base + exit_weight - 2 * shared
        self.exits[chosen] += exit_weight - 2 * shared
        self.flows[chosen] += flow
        return chosen

    def _cost(self, module: int, change: float, flow: float, base: float) -> float:
        """Return what the description gains when a node joins `module` and its exits change by `change`."""
        exits, flows = self.exits[module], self.flows[module]
        return (
            _xlogx(base + change)
            - 2 * (_xlogx(exits + change) - _xlogx(exits))
            + _xlogx(exits + change + flows + flow)
            - _xlogx(exits + flows)
        )
