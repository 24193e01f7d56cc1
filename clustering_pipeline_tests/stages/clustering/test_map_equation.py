from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from clustering_pipeline.stages.clustering import codelength, communities, walk_on
from clustering_pipeline.stages.clustering.random_walk import module_sums


def published_codelength(size, edges, labels):
    """Equation 1 of Rosvall, Axelsson and Bergstrom 2009: q H(Q) + sum of p_i H(P_i), entropies
    written out.
    """
    total = 2 * sum(weight for _, _, weight in edges)
    visits = [
        sum(weight for a, b, weight in edges if node in (a, b)) / total for node in range(size)
    ]
    exits = dict.fromkeys(set(labels), 0.0)
    for a, b, weight in edges:
        if labels[a] != labels[b]:
            exits[labels[a]] += weight / total
            exits[labels[b]] += weight / total

    def entropy(parts):
        parts = np.array([part for part in parts if part > 0])
        return (
            float(-(parts / parts.sum() * np.log2(parts / parts.sum())).sum())
            if len(parts)
            else 0.0
        )

    length = sum(exits.values()) * entropy(exits.values())
    for module, leaving in exits.items():
        inside = [visits[node] for node in range(size) if labels[node] == module]
        length += (leaving + sum(inside)) * entropy([leaving, *inside])
    return length


def as_arrays(edges):
    rows, columns, weights = (np.array(side) for side in zip(*edges, strict=True))
    return rows, columns, weights.astype(float)


def cliques(count, size, bridge):
    edges = []
    for clique in range(count):
        nodes = range(clique * size, (clique + 1) * size)
        edges += [(a, b, 1.0) for a in nodes for b in nodes if a < b]
    ring = [(clique * size, (clique + 1) % count * size, bridge) for clique in range(count)]
    return edges + [(min(a, b), max(a, b), weight) for a, b, weight in ring]


weighted_graphs = st.integers(3, 9).flatmap(
    lambda size: st.tuples(
        st.just(size),
        st.dictionaries(
            st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(
                lambda pair: pair[0] < pair[1]
            ),
            st.floats(0.1, 6),
            min_size=1,
        ),
        st.lists(st.integers(0, 3), min_size=size, max_size=size),
    )
)


@given(weighted_graphs)
def test_the_codelength_is_the_published_one(case):
    size, weights, labels = case
    edges = [(a, b, weight) for (a, b), weight in weights.items()]
    modules = np.unique(labels, return_inverse=True)[1]
    ours = codelength(walk_on(size, *as_arrays(edges)), modules).item()
    assert ours == pytest.approx(published_codelength(size, edges, modules.tolist()), abs=1e-9)


def is_connected(case):
    size, weights, _ = case
    rows, columns = zip(*weights, strict=True)
    return (
        connected_components(
            coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size)), directed=False
        )[0]
        == 1
    )


def every_grouping(size):
    if size == 0:
        yield []
        return
    for rest in every_grouping(size - 1):
        for label in range(max(rest, default=-1) + 2):
            yield [*rest, label]


@settings(max_examples=25, deadline=None)
@given(weighted_graphs.filter(lambda case: case[0] <= 6 and is_connected(case)))
def test_small_graphs_are_grouped_almost_as_briefly_as_any_grouping_could(case):
    size, weights, _ = case
    rows, columns, values = as_arrays([(a, b, weight) for (a, b), weight in weights.items()])
    walk = walk_on(size, rows, columns, values)
    shortest = min(codelength(walk, np.array(labels)).item() for labels in every_grouping(size))
    found = communities(size, rows, columns, values, np.arange(size, dtype=np.uint64), trials=10)
    assert codelength(walk, found) <= shortest * 1.03 + 1e-9


def test_a_ring_of_cliques_falls_into_its_cliques_however_many_there_are():
    for count in (4, 40, 400):
        edges = cliques(count, 5, 0.5)
        found = communities(
            count * 5, *as_arrays(edges), np.arange(count * 5, dtype=np.uint64), trials=2
        )
        assert found.tolist() == np.repeat(np.arange(count), 5).tolist()


def test_links_elsewhere_add_what_they_would_add_in_one_graph():
    """A part beside others: the whole graph's length is the part's own, given the exits of the
    others, and theirs.
    """
    rows, columns, weights = random_graph(2, size=40, products=4)
    labels = np.random.default_rng(0).integers(0, 4, 40)
    both = walk_on(
        80,
        np.concatenate([rows, rows + 40]),
        np.concatenate([columns, columns + 40]),
        np.tile(weights, 2),
    )
    alone = walk_on(40, rows, columns, weights)
    exits = module_sums(alone, labels)[0].sum()
    beside = codelength(replace(alone, elsewhere=exits), labels).item()
    assert 2 * codelength(both, np.concatenate([labels, labels + 4])).item() == pytest.approx(
        codelength(alone, labels).item() + beside
    )


def test_nodes_without_edges_are_alone():
    assert communities(
        3, *(np.empty(0, np.int64),) * 2, np.empty(0), np.arange(3, dtype=np.uint64)
    ).tolist() == [0, 1, 2]
    found = communities(
        4, np.array([0]), np.array([2]), np.array([1.0]), np.arange(4, dtype=np.uint64)
    )
    assert found.tolist() == [0, 1, 0, 2]


def random_graph(seed, size=120, products=15):
    random = np.random.default_rng(seed)
    group = random.integers(0, products, size)
    rows, columns = np.triu_indices(size, 1)
    chosen = random.random(len(rows)) < np.where(group[rows] == group[columns], 0.6, 0.01)
    return rows[chosen], columns[chosen], random.uniform(0.7, 6, chosen.sum())


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_edges_changes_nothing(seed):
    rows, columns, weights = random_graph(seed)
    keys = np.random.default_rng(seed).integers(0, 2**63, 120).astype(np.uint64)
    order = np.random.default_rng(seed + 1).permutation(len(rows))
    expected = communities(120, rows, columns, weights, keys)
    assert (
        communities(120, columns[order], rows[order], weights[order], keys).tolist()
        == expected.tolist()
    )


def test_more_trials_never_describe_longer():
    rows, columns, weights = random_graph(3, size=300, products=60)
    walk = walk_on(300, rows, columns, weights)
    keys = np.arange(300, dtype=np.uint64)
    lengths = [
        codelength(walk, communities(300, rows, columns, weights, keys, trials=trials)).item()
        for trials in (1, 3, 9)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_one_part_of_the_graph_does_not_depend_on_the_rest():
    """What is grouped stays when other products are added, to the last node."""
    keys = np.random.default_rng(1).integers(0, 2**63, 500).astype(np.uint64)
    rows, columns, weights = random_graph(5)
    alone = communities(120, rows, columns, weights, keys[:120])
    more = random_graph(6, size=380, products=40)
    parts = [
        np.concatenate([side, other])
        for side, other in zip((rows, columns), (more[0] + 120, more[1] + 120), strict=True)
    ]
    together = communities(500, *parts, np.concatenate([weights, more[2]]), keys)
    assert together[:120].tolist() == alone.tolist()
