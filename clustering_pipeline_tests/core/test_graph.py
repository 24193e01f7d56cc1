import numpy as np
import pytest

from clustering_pipeline.core.graph import (
    DisjointSets,
    component_labels,
    components,
    spanning_links,
)


def test_components_are_numbered_by_their_first_row():
    assert component_labels(5, np.array([3, 1]), np.array([1, 0])).tolist() == [0, 0, 1, 0, 2]
    assert [part.tolist() for part in components(5, np.array([3, 1]), np.array([1, 0]))] == [
        [0, 1, 3]
    ]


def test_nothing_hangs_together_without_pairs():
    nothing = np.zeros(0, np.int64)
    assert component_labels(2, nothing, nothing).tolist() == [0, 1]
    assert components(2, nothing, nothing) == []
    assert spanning_links(2, nothing, nothing).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_the_spanning_links_are_those_of_kruskal(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 12, 30), rng.integers(12, 20, 30)
    sets, chosen = DisjointSets(), []
    for position, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if sets.find(a) != sets.find(b):
            sets.join(a, b)
            chosen.append(position)
    assert spanning_links(20, first, second).tolist() == chosen


def test_the_first_names_the_joined_set():
    sets = DisjointSets()
    sets.join("a", "b")
    sets.join("c", "a")
    assert {sets.find(item) for item in "abc"} == {"c"}
    assert sets.find("d") == "d"
