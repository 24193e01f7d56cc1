"""The nearest of many vectors, beside comparing all with all."""

import numpy as np
import pytest

from clustering_pipeline.core.vectors import nearest


def families(count, dimension, seed=1):
    """Unit vectors, eight about each of some centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(-(-count // 8), dimension))
    vectors = np.repeat(centres, 8, axis=0)[:count] + 0.8 * rng.normal(size=(count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def rows_of(vectors, count, exact_up_to):
    blocks = list(nearest(vectors, count, exact_up_to))
    assert [block.start for block in blocks] == [
        sum(len(one.rows) for one in blocks[:place]) for place in range(len(blocks))
    ]
    return np.concatenate([block.rows for block in blocks]), np.concatenate(
        [block.cosines for block in blocks]
    )


def share_found(exact, given):
    return np.mean([np.isin(one, other).mean() for one, other in zip(exact, given, strict=True)])


@pytest.mark.parametrize("dimension", [32, 200])
def test_neighbours_in_cells_are_those_of_comparing_all(dimension):
    vectors = families(3_000, dimension)
    exact, cosines = rows_of(vectors, 8, 3_000)
    assert (exact[:, 0] == np.arange(3_000)).all() and cosines[:, 0] == pytest.approx(1)
    given, own_cosines = rows_of(vectors, 8, 2_999)
    assert share_found(exact, given) > 0.97
    found = given >= 0
    expected = np.einsum("nd,nkd->nk", vectors, vectors[given])
    assert own_cosines[found] == pytest.approx(expected[found], abs=1e-5)
    assert (np.diff(own_cosines, axis=1) <= 1e-6).all()


@pytest.mark.parametrize("dimension", [32, 200])
def test_the_search_in_cells_gives_the_same_again(dimension):
    vectors = families(2_000, dimension)
    first, second = (rows_of(vectors, 6, 100) for _ in range(2))
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all()


def test_more_are_wanted_than_there_are():
    rows, _ = rows_of(families(3, 200), 8, 20_000)
    assert [sorted(row) for row in rows.tolist()] == [[0, 1, 2]] * 3


def test_few_vectors_are_compared_with_all_whatever_is_asked():
    vectors = families(40, 200)
    assert (rows_of(vectors, 4, 0)[0] == rows_of(vectors, 4, 40)[0]).all()


def test_copies_are_all_near():
    vectors = np.repeat(families(2_400, 200)[::8], 3, axis=0)
    rows, cosines = rows_of(vectors, 3, 0)
    own = np.arange(len(vectors)) // 3
    assert (own[rows] == own[:, None]).all() and cosines == pytest.approx(1, abs=1e-5)
