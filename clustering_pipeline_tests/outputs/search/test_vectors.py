import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_pipeline.outputs.search.index import VectorTable, build_lists


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clumps(count, dimension, seed):
    """Unit vectors in groups of about ten."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(count // 10, dimension))
    return unit(
        centres[generator.integers(0, len(centres), count)]
        + 0.3 * generator.normal(size=(count, dimension))
    )


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_comparing_all_gives_the_sorted_cosines(count, top, seed):
    vectors = unit(np.random.default_rng(seed).normal(size=(count, 8)))
    nearest = VectorTable(vectors).nearest(vectors[0], top)
    expected = np.sort(vectors @ vectors[0])[::-1][:top]
    np.testing.assert_allclose(nearest.scores, expected, atol=1e-6)


def test_lists_find_what_was_asked_for():
    vectors = clumps(4000, 32, 1)
    table, exact = VectorTable(vectors, build_lists(vectors, 0.95, 7)), VectorTable(vectors)
    queries = clumps(4000, 32, 1)[::40]
    found = [
        len(np.intersect1d(table.nearest(q, 10).rows, exact.nearest(q, 10).rows)) for q in queries
    ]
    assert np.mean(found) >= 9.3


def test_lists_are_the_same_every_time():
    vectors = clumps(2000, 16, 2)
    first, second = build_lists(vectors, 0.9, 7), build_lists(vectors, 0.9, 7)
    assert first.nprobe == second.nprobe
    np.testing.assert_array_equal(
        first.search(vectors[:50], 5)[1], second.search(vectors[:50], 5)[1]
    )


@pytest.mark.parametrize("with_lists", [False, True])
def test_only_allowed_rows_are_found(with_lists):
    vectors = clumps(2000, 16, 3)
    table = VectorTable(vectors, build_lists(vectors, 0.9, 7) if with_lists else None)
    allowed = np.zeros(2000, bool)
    allowed[::50] = True
    nearest = table.nearest(vectors[1], 5, allowed)
    assert len(nearest.rows) == 5 and allowed[nearest.rows].all()


def test_a_range_of_rows_is_ranked_by_cosine():
    vectors = clumps(100, 8, 4)
    nearest = VectorTable(vectors).nearest_among(vectors[15], 3, 10, 20)
    assert nearest.rows[0] == 15 and set(nearest.rows) <= set(range(10, 20))
