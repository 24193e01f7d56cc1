"""What one shop lists is held apart, and takes along what belongs to it."""

import numpy as np

from clustering_pipeline.stages.clustering.multicut import part_repelled
from clustering_pipeline.stages.clustering.problem import make_edges, no_edges


def edges(size, weight_of):
    rows, columns = np.triu_indices(size, 1)
    weights = np.array(
        [weight_of(row, column) for row, column in zip(rows, columns, strict=True)], float
    )
    return make_edges(rows, columns, weights, np.ones(len(rows)), size)


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
