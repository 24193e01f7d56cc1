"""Products that contradict each other are parted; what one shop lists is held apart, and takes
along what belongs to it.
"""

import numpy as np
import pytest

from clustering_pipeline.stages.clustering.contradictions import cut_contradicted, part_repelled
from clustering_pipeline.stages.clustering.problem import make_edges, no_edges


def edges(size, weight_of):
    rows, columns = np.triu_indices(size, 1)
    weights = np.array(
        [weight_of(row, column) for row, column in zip(rows, columns, strict=True)], float
    )
    known = weights != 0
    return make_edges(rows[known], columns[known], weights[known], np.ones(known.sum()), size)


def cut(size, weight_of, matches=None, labels=None):
    modules = np.zeros(size, np.int64) if labels is None else labels
    return cut_contradicted(modules, edges(size, weight_of), matches or no_edges(), 2.0)


def variants(row, column):
    """Of two products of five crops each every other pair across contradicts itself, none
    within.
    """
    across = (row < 5) != (column < 5)
    return 3.0 if across and (row + column) % 2 else -1.0


def test_two_products_that_contradict_each_other_are_parted():
    labels = cut(10, variants)
    assert len(set(labels[:5])) == len(set(labels[5:])) == 1
    assert labels[0] != labels[9]


def test_three_products_are_parted():
    labels = cut(15, lambda row, column: 3.0 if row // 5 != column // 5 else -1.0)
    assert [len(set(labels[start : start + 5])) for start in (0, 5, 10)] == [1, 1, 1]
    assert len(set(labels)) == 3


def test_one_misread_pack_stays():
    assert len(set(cut(10, lambda row, _: 3.0 if row == 0 else -1.0))) == 1


def test_one_pack_of_another_title_leaves_a_small_module():
    labels = cut(4, lambda row, _: 4.5 if row == 0 else -1.0)
    assert len(set(labels[1:])) == 1
    assert labels[0] != labels[1]


def test_scattered_contradictions_part_nothing():
    rng = np.random.default_rng(5)
    assert len(set(cut(40, lambda *_: 3.0 if rng.random() < 0.03 else -0.5))) == 1


def test_a_crop_that_nothing_contradicts_stays_with_what_it_looks_like():
    matches = edges(11, lambda row, column: 4.0 if column == 10 and row >= 5 else 0.0)
    labels = cut(11, lambda row, column: variants(row, column) if column < 10 else 0.0, matches)
    assert labels[10] == labels[9] != labels[0]


def test_modules_without_contradictions_keep_their_labels():
    labels = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(cut(4, lambda *_: -1.0, labels=labels), labels)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_edges_does_not_matter(seed):
    against = edges(10, variants)
    shuffled = np.random.default_rng(seed).permutation(len(against))
    again = make_edges(
        against.columns[shuffled],
        against.rows[shuffled],
        against.weights[shuffled],
        np.ones(len(against)),
        10,
    )
    expected = cut_contradicted(np.zeros(10, np.int64), against, no_edges(), 2.0)
    np.testing.assert_array_equal(
        cut_contradicted(np.zeros(10, np.int64), again, no_edges(), 2.0), expected
    )


def lines_of_one_shop(row, column):
    """Crops 0 to 3 are one shop's pictures of four products; 4 to 7 show the same four, all made in
    one style.
    """
    if row < 4 and column < 4:
        return -4.0
    if row >= 4:
        return 1.5
    return 3.0 if column - row == 4 else 0.2


def test_what_one_shop_lists_falls_apart_and_takes_its_own_along():
    odds = edges(8, lines_of_one_shop)
    repulsions = odds.where(odds.weights < 0)
    labels = part_repelled(np.zeros(8, np.int64), odds, repulsions)
    assert len(set(labels[:4])) == 4
    assert (labels[:4] == labels[4:]).all()


def test_pairs_that_merely_look_different_hold_nothing_apart():
    odds = edges(6, lambda row, column: 4.0 if column == row + 1 else -3.0)
    labels = part_repelled(np.zeros(6, np.int64), odds, no_edges())
    assert len(set(labels)) == 1


def test_a_product_that_a_shop_lists_twice_stays_where_all_else_speaks_for_it():
    odds = edges(5, lambda row, column: -1.0 if (row, column) == (0, 1) else 4.0)
    repulsions = odds.where(odds.weights < 0)
    assert len(set(part_repelled(np.zeros(5, np.int64), odds, repulsions))) == 1


def test_modules_without_repulsion_keep_their_labels():
    odds = edges(
        6, lambda row, column: -2.0 if (row, column) == (0, 1) else 1.0 - abs(row - column)
    )
    labels = np.array([0, 0, 0, 1, 1, 1])
    repulsions = odds.where((odds.rows == 0) & (odds.columns == 1))
    parted = part_repelled(labels, odds, repulsions)
    assert len(set(parted[:3])) > 1
    assert len(set(parted[3:])) == 1
    assert not set(parted[:3]) & set(parted[3:])
