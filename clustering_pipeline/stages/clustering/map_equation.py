"""Communities of a weighted graph by the two-level map equation.

Rosvall, Axelsson and Bergstrom, "The map equation", Eur. Phys. J. Special Topics 178 (2009). A
random walker on the graph is described with one codebook per module and an index of the modules;
the grouping that describes the walk in the fewest bits per step is the one whose modules hold the
walker longest. Modules need no number given and do not chain over weak links.

Each connected part of the graph is described for itself, so that its modules depend neither on what
else is in the catalogue nor on how large it grows. What leaving a module costs does depend on how
many other modules the index names: it names those of a catalogue of a fixed size, since a part of
few modules would otherwise be cut too readily.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clustering_pipeline.core.graph import component_labels
from clustering_pipeline.stages.clustering.random_walk import (
    Walk,
    aggregate,
    first_seen,
    index_exits,
    module_sums,
    move_in_parallel,
    move_nodes,
    part_sums,
    restrict,
    xlogx,
)

# Gains below this many bits are rounding.
SMALLEST_GAIN = 1e-9
# After this many rounds hardly any node of a graph of products moves; what is left is done one by
# one.
ROUNDS = 12


def walk_on(
    size: int, rows: NDArray[np.int64], columns: NDArray[np.int64], weights: NDArray[np.float64]
) -> Walk:
    """Return the walk on an undirected graph of `size` nodes; each edge is given once, with a
    positive weight, no loops.
    """
    ends = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    links = sparse.coo_matrix(
        (np.concatenate([weights, weights]), ends), shape=(size, size), dtype=float
    ).tocsr()
    links.sort_indices()
    return Walk(links, np.asarray(links.sum(axis=1)).ravel(), np.zeros(size, np.int64))


def codelength(walk: Walk, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the map equation's description length of the modules `labels` (int64, n) in bits per
    step, per part (float64).

    L(M) = plogp(sum of q_i) - 2 sum of plogp(q_i) - sum of plogp(p_a) + sum of plogp(q_i + p_i),
    where p_a is how often the walker visits node a, and p_i how often it visits and q_i how often
    it leaves module i. With an exit weight e `elsewhere` the first term is plogp(e + sum of q_i) -
    plogp(e): what the part adds to the index of a catalogue. A part without links has length 0.
    """
    exits, flows = module_sums(walk, labels)
    index = xlogx(index_exits(walk, labels, exits)) - xlogx(np.array(walk.elsewhere))
    modules = part_sums(walk, labels, xlogx(exits + flows) - 2 * xlogx(exits))
    nodes = np.bincount(walk.part, xlogx(walk.node_flow))
    total = np.bincount(walk.part, walk.node_flow)
    return np.divide(index + modules - nodes, total, out=np.zeros(len(total)), where=total > 0)


def communities(
    size: int,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
    keys: NDArray[np.uint64],
    *,
    trials: int = 5,
    elsewhere: float = 0.0,
) -> NDArray[np.int64]:
    """Return labels (int64, n, 0 to k - 1 by first member): per connected part the shortest
    description of `trials` searches.

    `rows`, `columns` (int64, m) name each edge once, `weights` (float64, m) are positive. `keys`
    (uint64, n) are hashes of the nodes' content; they set the order of the search, so that the same
    nodes and edges give the same modules. `elsewhere` is the exit weight of modules outside each
    part; at 0 a part's description is that of the published map equation of it alone.

    Example:
        >>> rows, columns = np.array([0, 0, 1, 3, 3, 4, 2]), np.array([1, 2, 2, 4, 5, 5, 3])
        >>> weights = np.array([1, 1, 1, 1, 1, 1, 0.1])
        >>> communities(6, rows, columns, weights, keys=np.arange(6, dtype=np.uint64)).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    walk = walk_on(size, rows, columns, weights)
    part = component_labels(size, rows, columns)
    walk = replace(walk, part=part, elsewhere=elsewhere)
    best = np.full(int(walk.part.max(initial=-1)) + 1, np.inf)
    labels = np.zeros(size, np.int64)
    nodes = np.flatnonzero(np.ones(size, bool))
    for trial in range(trials):
        searched = restrict(walk, nodes)
        modules = _search(searched, mix(keys[nodes], trial))
        lengths = np.full(len(best), np.inf)
        lengths[: int(searched.part.max(initial=-1)) + 1] = codelength(searched, modules)
        better, settled = lengths < best - SMALLEST_GAIN, np.abs(lengths - best) <= SMALLEST_GAIN
        best[better] = lengths[better]
        chosen = better[searched.part]
        # Labels of different trials meet only in different parts, which have no label in common.
        labels[nodes[chosen]] = modules[chosen] + trial * size
        # Where two searches in a row end alike, a third hardly ever finds more.
        nodes = nodes[~settled[searched.part]]
    return first_seen(labels)


def mix(keys: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """Return uint64 hashes of `keys` that differ with `salt` (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(salt + 1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _search(walk: Walk, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Alternate moves of whole modules and of single nodes until neither shortens the description
    of any part.
    """
    labels = _move_from_start(walk, keys)
    lengths: NDArray[np.float64] = np.full(int(walk.part.max(initial=-1)) + 1, np.inf)
    while True:
        labels = _merge_modules(walk, labels, keys)
        labels = first_seen(move_nodes(walk, labels, np.argsort(keys, kind="stable")))
        shorter = codelength(walk, labels)
        if not (shorter < lengths - SMALLEST_GAIN).any():
            return labels
        lengths = shorter


def _move_from_start(walk: Walk, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Begin with every node alone; move many at once while that pays, then one by one until no move
    shortens anything.
    """
    labels: NDArray[np.int64] = np.arange(walk.size, dtype=np.int64)
    for turn in range(ROUNDS):
        labels = move_in_parallel(walk, labels, mix(keys, turn))
    return first_seen(move_nodes(walk, labels, np.argsort(keys, kind="stable")))


def _merge_modules(
    walk: Walk, labels: NDArray[np.int64], keys: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Treat modules as nodes and move them, level by level, until no move shortens the
    description.
    """
    while True:
        coarse = aggregate(walk, labels)
        # A module takes its turn with its first node's.
        turns = np.full(coarse.size, np.iinfo(np.uint64).max, np.uint64)
        np.minimum.at(turns, labels, keys)
        merged = _move_from_start(coarse, turns)
        if merged.max(initial=-1) + 1 == coarse.size:
            return labels
        labels = first_seen(merged[labels])
