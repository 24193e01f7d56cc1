import numpy as np
import pytest

from clustering_pipeline.stages.matching import candidates
from clustering_pipeline.stages.matching.candidates import (
    friends_of_friends,
    learn_projection,
    nearest_pairs,
    project,
    text_neighbours,
    unique_pairs,
    without_known,
)
from clustering_pipeline.stages.matching.text_evidence import ngram_vectors


def test_neighbours_count_in_both_directions():
    vectors = np.array([[1, 0], [0.99, 0.1], [0.9, 0.4], [-1, 0]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = {tuple(pair) for pair in nearest_pairs(vectors, 1)}
    assert {(0, 1), (1, 2)} <= pairs
    assert all(left < right for left, right in pairs)


def test_one_or_no_vector_has_no_neighbours():
    assert len(nearest_pairs(np.zeros((1, 4), np.float32), 5)) == 0
    assert len(nearest_pairs(np.zeros((0, 1), np.float32), 5)) == 0


def test_friends_of_friends_are_new_pairs_only():
    pairs = np.array([[0, 1], [1, 2], [0, 3], [2, 3]])
    weights = np.array([2.0, 3.0, 0.0, 0.0])
    assert friends_of_friends(pairs, weights, 4, 5).tolist() == [[0, 2]]


def test_a_refused_pair_is_not_proposed_again():
    pairs = np.array([[0, 1], [1, 2], [0, 2]])
    assert len(friends_of_friends(pairs, np.array([2.0, 3.0, 0.0]), 3, 5)) == 0


def test_pairs_are_distinct_and_ordered():
    rows, columns = np.array([3, 1, 2, 2, 0]), np.array([1, 3, 2, -1, 3])
    assert unique_pairs(rows, columns, 4).tolist() == [[0, 3], [1, 3]]


def test_known_pairs_are_left_out():
    assert without_known(np.array([[0, 1], [1, 2]]), np.array([[0, 1]]), 3).tolist() == [[1, 2]]


def test_packs_with_one_text_are_neighbours():
    vectors = ngram_vectors(["honey nut cheerios", "honey nut cheerios", "dove shampoo", ""])
    assert text_neighbours(vectors, 5).tolist() == [[0, 1]]


def test_friends_are_the_same_whatever_is_in_memory_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 60, (2, 200))
    pairs = unique_pairs(rows, columns, 60)
    weights = rng.normal(1, 1, len(pairs))
    whole = friends_of_friends(pairs, weights, 60, 3)
    assert len(whole)
    monkeypatch.setattr(candidates, "_FRIENDS_BLOCK", 7)
    assert friends_of_friends(pairs, weights, 60, 3).tolist() == whole.tolist()


def test_neighbours_beyond_a_size_come_from_cells():
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(150, 160)), 4, axis=0) + 0.3 * rng.normal(size=(600, 160))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    exact = {tuple(pair) for pair in nearest_pairs(vectors, 3, exact_up_to=600).tolist()}
    cells = {tuple(pair) for pair in nearest_pairs(vectors, 3, exact_up_to=599).tolist()}
    assert len(exact & cells) > 0.97 * len(exact)


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
