import numpy as np
import pytest

from clustering_pipeline.stages.matching.learned_projection import learn_projection, project


def planted(products=80, size=4, seed=0):
    """Unit rows of products whose pictures differ along four directions that say nothing of the
    product, such as a shop's card.
    """
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(products, 24)), size, axis=0)
    cards = random.normal(size=(len(centres), 4)) @ (
        3 * np.linalg.qr(random.normal(size=(24, 4)))[0].T
    )
    rows = centres + cards + 0.2 * random.normal(size=centres.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), np.repeat(
        np.arange(products), size
    )


def first_right(vectors, products):
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return (products[cosines.argmax(axis=1)] == products).mean()


def pairs_of(products, upto):
    first, second = np.triu_indices(len(products), 1)
    same = (products[first] == products[second]) & (products[first] < upto)
    return np.column_stack([first[same], second[same]])


def test_pairs_of_some_products_make_neighbours_of_others():
    vectors, products = planted()
    unseen = products >= 40
    projected = project(vectors, learn_projection(vectors, pairs_of(products, upto=40)))
    assert (
        first_right(projected[unseen], products[unseen])
        > first_right(vectors[unseen], products[unseen]) + 0.2
    )


def test_wrong_pairs_among_the_right_ones_do_no_harm():
    vectors, products = planted()
    right = pairs_of(products, upto=40)
    wrong = np.sort(np.random.default_rng(1).integers(0, len(vectors), (len(right), 2)), axis=1)
    pairs = np.concatenate([right, wrong[wrong[:, 0] < wrong[:, 1]]])
    unseen = products >= 40
    projected = project(vectors, learn_projection(vectors, pairs))
    assert first_right(projected[unseen], products[unseen]) >= first_right(
        vectors[unseen], products[unseen]
    )


@pytest.mark.parametrize("pairs", [np.zeros((0, 2), np.int64), np.array([[0, 1]])])
def test_nothing_to_learn_from_changes_nothing(pairs):
    vectors = planted()[0]
    vectors[1] = vectors[0]
    np.testing.assert_allclose(
        project(vectors, learn_projection(vectors, pairs)), vectors, atol=1e-6
    )


def test_rows_are_of_unit_length_and_the_same_on_every_run():
    vectors, products = planted()
    pairs = pairs_of(products, upto=20)
    projected = project(vectors, learn_projection(vectors, pairs))
    np.testing.assert_allclose(np.linalg.norm(projected, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(projected, project(vectors, learn_projection(vectors, pairs)))


def test_of_many_pairs_a_fixed_part_is_used():
    vectors, products = planted()
    pairs = np.tile(pairs_of(products, upto=20), (500, 1))
    assert len(pairs) > 50_000
    np.testing.assert_allclose(
        learn_projection(vectors, pairs),
        learn_projection(vectors, pairs_of(products, upto=20)),
        atol=0.05,
    )
