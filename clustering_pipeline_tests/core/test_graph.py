"""Components, sets, links, and which crop stands for which."""

import numpy as np
import pandas as pd
import pytest

from clustering_pipeline.core.graph import (
    DisjointSets,
    component_labels,
    components,
    keepers,
    linked,
    perceptual_keepers,
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


def clean(*rows):
    return pd.DataFrame(rows, columns=["crop_sha256", "status", "keeper"], dtype=object)


def semantic(*rows):
    return pd.DataFrame(rows, columns=["crop_sha256", "keeper", "reason"], dtype=object)


CLEAN = clean(
    ("a", "kept", "a"),
    ("b", "duplicate", "a"),
    ("c", "kept", None),
    ("d", "duplicate", "c"),
    ("e", "rejected", None),
)


def standing(frame):
    return {
        row.crop_sha256: (row.keeper, row.relation, row.too_alike) for row in frame.itertuples()
    }


def test_a_perceptual_duplicate_follows_its_keeper_to_the_semantic_one():
    frame = keepers(CLEAN, semantic(("a", "a", None), ("c", "a", None)))
    assert standing(frame) == {
        "a": ("a", "", None),
        "b": ("a", "duplicate", None),
        "c": ("a", "semantic duplicate", None),
        "d": ("a", "semantic duplicate", None),
    }


def test_who_is_rejected_for_being_too_alike_stands_for_nothing_and_nothing_for_it():
    frame = keepers(CLEAN, semantic(("c", "a", "too alike")))
    assert standing(frame)["c"] == standing(frame)["d"] == (None, "semantic duplicate", "too alike")


def test_keepers_that_name_each_other_end():
    assert set(
        perceptual_keepers(clean(("a", "duplicate", "b"), ("b", "duplicate", "a"))).values()
    ) <= {"a", "b"}


def test_linked_are_those_with_another_keeper():
    assert linked(semantic(("a", "a", None), ("c", "a", None)))["crop_sha256"].tolist() == ["c"]
