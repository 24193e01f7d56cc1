import numpy as np

from clustering_pipeline.stages.matching import candidates
from clustering_pipeline.stages.matching.candidates import (
    friends_of_friends,
    nearest_pairs,
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
