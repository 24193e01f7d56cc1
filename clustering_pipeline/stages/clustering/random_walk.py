"""The random walk on a weighted graph that the map equation describes."""

from dataclasses import dataclass

import numpy as np
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
    node_flow: np.ndarray
    part: np.ndarray
    elsewhere: float = 0.0

    @property
    def size(self) -> int:
        """The number of nodes."""
        return len(self.node_flow)

    @property
    def link_rows(self) -> np.ndarray:
        """The row of every stored link (int64)."""
        return np.repeat(np.arange(self.size), np.diff(self.links.indptr))

    @property
    def node_exit(self) -> np.ndarray:
        """The weight of each node's links to others (float64, n)."""
        return np.asarray(self.links.sum(axis=1)).ravel()


def module_sums(walk: Walk, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `exits` and `flows` (float64, largest label + 1): the weight that leaves each module,
    and that of its nodes.
    """
    size = int(labels.max(initial=-1)) + 1
    own = labels[walk.link_rows]
    crossing = np.where(own != labels[walk.links.indices], walk.links.data, 0.0)
    return np.bincount(own, crossing, minlength=size), np.bincount(
        labels, walk.node_flow, minlength=size
    )


def part_sums(walk: Walk, labels: np.ndarray, by_module: np.ndarray) -> np.ndarray:
    """Return the sums per part (float64) of a value per module; no module may reach into two
    parts.
    """
    part_of_module = np.zeros(len(by_module), np.int64)
    part_of_module[labels] = walk.part
    return np.bincount(part_of_module, by_module, minlength=int(walk.part.max(initial=-1)) + 1)


def index_exits(walk: Walk, labels: np.ndarray, exits: np.ndarray) -> np.ndarray:
    """Return the exit weight that the index of each part's modules describes (float64), given that
    of each module.
    """
    return part_sums(walk, labels, exits) + walk.elsewhere


def at_border(walk: Walk, labels: np.ndarray) -> np.ndarray:
    """Return which nodes (bool, n) have a neighbour in another module."""
    rows = walk.link_rows
    border = np.zeros(walk.size, bool)
    border[rows[labels[rows] != labels[walk.links.indices]]] = True
    return border


def membership(labels: np.ndarray, modules: int) -> sparse.csr_matrix:
    """Return the (n, modules) matrix with a 1 where a node is in a module."""
    return sparse.csr_matrix(
        (np.ones(len(labels)), labels, np.arange(len(labels) + 1)), shape=(len(labels), modules)
    )


def aggregate(walk: Walk, labels: np.ndarray) -> Walk:
    """Return the walk whose nodes are the modules `labels` (int64, n, 0 to k - 1)."""
    modules = int(labels.max(initial=-1)) + 1
    member = membership(labels, modules)
    links = (member.T @ walk.links @ member).tocsr()
    links.setdiag(0)
    links.eliminate_zeros()
    links.sort_indices()
    part = np.zeros(modules, np.int64)
    part[labels] = walk.part
    return Walk(links, np.bincount(labels, walk.node_flow, minlength=modules), part, walk.elsewhere)


def xlogx(values: np.ndarray) -> np.ndarray:
    """Return x log2 x, 0 where x is not positive."""
    positive = np.maximum(values, 1e-300)
    return np.where(values > 0, positive * np.log2(positive), 0.0)


def restrict(walk: Walk, nodes: np.ndarray) -> Walk:
    """Return the walk on whole parts of the graph only, those of `nodes` (int64)."""
    if len(nodes) == walk.size:
        return walk
    return Walk(
        walk.links[nodes][:, nodes], walk.node_flow[nodes], walk.part[nodes], walk.elsewhere
    )


def first_seen(labels: np.ndarray) -> np.ndarray:
    """Return the labels (int64, n) renumbered 0 to k - 1 in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
